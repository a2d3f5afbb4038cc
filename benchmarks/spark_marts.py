"""`yesladder build --full` on DuckDB and on Spark, over the same lake: CPU seconds, and whether the marts are equal.

    python benchmarks/spark_marts.py [--visitors 150000 20000] [--days 30] [--runs 1] [--conf spark.driver.memory=4g]

Simulated visitors, one lake for each number of them.  Each build is a process of its own, with Java where there is
one, and the engines take turns.  CPU seconds of all its processes; wall seconds belong to what else the machine does.
Ends with 1 where a mart differs: other rows, or floats by more than 1e-9.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import duckdb
from marts import land, landed
from measured import RESULTS, machine

from ladder.tiers import builtin_ladder
from producers.simulation import Simulation
from warehouse.built import MARTS
from warehouse.lake import Lake

ENGINES = ("duckdb", "spark")
_TICKS = os.sysconf("SC_CLK_TCK")


def build(warehouse: Path, engine: str, conf: Sequence[str]) -> tuple[float, float]:
    """Wall and CPU seconds of one build from scratch."""
    command = [sys.executable, "-P", "-m", "yesladder", "build", "--full", "--engine", engine, "--json"]
    command += ["--warehouse", str(warehouse), *(["--spark-conf", " ".join(conf)] if conf else [])]
    begun = time.monotonic()
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    used: dict[int, float] = {}
    while process.poll() is None:
        used.update(_used(process.pid))
        time.sleep(0.05)
    if process.returncode != 0:
        raise SystemExit(f"the build on {engine} failed")
    return time.monotonic() - begun, sum(used.values())


def _used(session: int) -> dict[int, float]:
    """CPU seconds so far of each process of a session (Linux)."""
    found: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if folder.name.isdigit() and int(fields[3]) == session:
            found[int(folder.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    return found


def differing(one: Path, other: Path) -> list[str]:
    """The marts of which some row of either is not in the other."""
    connection = duckdb.connect()
    connection.execute(f"attach '{one}' as one (read_only)")
    connection.execute(f"attach '{other}' as other (read_only)")
    columns = connection.execute(
        "select table_name, list(case data_type when 'DOUBLE' then 'round(' || column_name || ', 9)'"
        " else column_name end order by ordinal_position) from information_schema.columns where table_catalog = 'one'"
        " and table_schema = 'main' and table_name not like 'meta%' group by table_name order by table_name"
    ).fetchall()
    wrong = []
    for name, named in columns:
        rows = [f"select {', '.join(named)} from {file}.main.{name}" for file in ("one", "other")]
        query = f"select count(*) from (({rows[0]} except all {rows[1]}) union all ({rows[1]} except all {rows[0]}))"
        if connection.execute(query).fetchall() != [(0,)]:
            wrong.append(name)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, nargs="+", default=[20_000, 150_000])
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--conf", nargs="*", default=[])
    chosen = parser.parse_args()
    lines = [
        f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"`python {' '.join(['benchmarks/' + Path(sys.argv[0]).name, *sys.argv[1:]])}`  ",
        f"{machine()}; load {os.getloadavg()[0]:.0f} at the beginning  ",
        "",
        "| events | sessions | DuckDB, CPU s (wall) | Spark, CPU s (wall) | Spark / DuckDB, CPU | marts that differ |",
        "| ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    anything_differs = False
    for visitors in chosen.visitors:
        with tempfile.TemporaryDirectory() as passing:
            lake = Lake(Path(passing) / "warehouse" / "lake")
            simulation = Simulation(
                visitors=visitors, duration=timedelta(days=chosen.days), late=0.0, duplicates=0.0, malformed=0.0
            )
            events, sessions = landed(simulation, builtin_ladder())
            land(lake, events, sessions)
            taken: dict[str, list[tuple[float, float]]] = {engine: [] for engine in ENGINES}
            build(lake.root.parent, "duckdb", [])  # the quality gate looks, once
            for _ in range(chosen.runs):
                for engine in ENGINES:
                    taken[engine].append(build(lake.root.parent, engine, chosen.conf if engine == "spark" else []))
                    shutil.copyfile(lake.root.parent / MARTS, Path(passing) / f"{engine}.duckdb")
            wrong = differing(*(Path(passing) / f"{engine}.duckdb" for engine in ENGINES))
            anything_differs |= bool(wrong)
            wall, cpu = ({engine: median(run[n] for run in taken[engine]) for engine in ENGINES} for n in (0, 1))
            lines.append(
                f"| {events.num_rows:,} | {sessions.num_rows:,} | {cpu['duckdb']:.0f} ({wall['duckdb']:.0f}) |"
                f" {cpu['spark']:.0f} ({wall['spark']:.0f}) | {cpu['spark'] / cpu['duckdb']:.1f} |"
                f" {', '.join(wrong) or 'none'} |"
            )
            print(lines[-1], flush=True)
    page = RESULTS / "spark_marts.md"
    earlier = page.read_text(encoding="utf-8") if page.exists() else "# spark_marts\n\n"
    page.write_text(earlier + "\n".join(lines) + "\n\n", encoding="utf-8")
    print("\n".join(lines))
    raise SystemExit(1 if anything_differs else 0)


if __name__ == "__main__":
    main()
