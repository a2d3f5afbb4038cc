"""A file of events to sessions, and to the tier table: `yesladder backfill` and `build`, and batch engines.

    PYTHONPATH=.:benchmarks python -m peers.batch [--events 1000000] [--runs 3] [--only yesladder,duckdb,...]

Each run is a fresh process; contenders take turns.  ``sessions``: the file's lines to sessions on disk.  ``tiers``: and
the tier table of sessions (asked, yes, silent, implicit, reached, reached next).  Both answers are compared with those
of plain loops.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from datetime import datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import median

import msgspec
from peers.contenders import HERE
from peers.report import FILES, Part, Row, keep, now_and_here
from peers.running import ContenderFailed, Run, run
from peers.stream import differences
from peers.tiers import TierTable, read_table, tier_table
from peers.workload import EVENTS_A_VISITOR, FULL, GAP_MS, Workload, workload

CONTENDERS = {
    "yesladder": ("Yesladder", ["batch_yesladder.py"]),
    "duckdb": (f"DuckDB {version('duckdb')}", ["batch_sql.py", "duckdb"]),
    "polars": (f"Polars {version('polars')}", ["batch_polars.py"]),
    "chdb": ("chdb", ["batch_sql.py", "clickhouse"]),
    "spark": ("PySpark", ["batch_spark.py"]),
}
WHATS = {"sessions": "backfill", "tiers": "backfill + build"}


class _Event(msgspec.Struct):
    visitor_id: str
    occurred_at: datetime
    name: str


def history(work: Workload, path: Path) -> TierTable:
    """Write the workload's events without the last ones, for which a file has no use; the tier table they hold."""
    decoder = msgspec.json.Decoder(_Event)
    events: list[tuple[str, int, str]] = []
    with work.path.open("rb") as lines, path.open("wb") as out:
        for line in islice(lines, work.events):
            out.write(line)
            event = decoder.decode(line)
            events.append((event.visitor_id, round(event.occurred_at.timestamp() * 1000), event.name))
    return tier_table(events, GAP_MS)


def one_run(script: list[str], what: str, path: Path, work: Workload, tiers: TierTable) -> tuple[Run, str | None]:
    """Run a contender; how its answers differ."""
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        found, table, own = folder / "found.csv", folder / "tiers.json", folder / "own"
        own.mkdir()
        done = run(
            [sys.executable, "-P", str(HERE / script[0]), *script[1:], what, *map(str, (path, found, table, own))],
            log=folder / "log",
        )
        differs = differences(work, found)
        if what == "tiers" and read_table(table) != tiers:
            differs = f"{differs or ''} tiers {read_table(table)} in the place of {tiers}".strip()
        return done, differs


def measure(names: list[str], events: int, runs: int, visitors: int | None = None) -> list[Row]:
    """All runs, in turns, as rows of both tables."""
    work = workload(events, full=events, visitors=visitors)
    rows = {(name, what): Row(_row_name(name, what), events, [], []) for what in WHATS for name in names}
    with tempfile.TemporaryDirectory(prefix="peers-history-") as folder:
        path = Path(folder) / "history.ndjson"
        tiers = history(work, path)
        for _ in range(runs):
            for (name, what), row in rows.items():
                try:
                    done, differs = one_run(CONTENDERS[name][1], what, path, work, tiers)
                except ContenderFailed as error:
                    print(f"{row.name}: {error}", file=sys.stderr)
                    continue
                row.per_cpu_s.append(events / done.cpu_s)
                row.per_s.append(events / done.wall_s)
                row.start_cpu_s = done.start_cpu_s
                if row.same is not False:  # one run with another answer is one too many
                    row.same, row.note = differs is None, differs or ""
                print(
                    f"{row.name}: {done.cpu_s:.1f} CPU s, {done.wall_s:.1f} s {differs or ''}",
                    file=sys.stderr,
                    flush=True,
                )
    return [row for row in rows.values() if row.per_cpu_s]


def _row_name(name: str, what: str) -> str:
    contender = CONTENDERS[name][0]
    return f"{contender}: {WHATS[what]}" if name == "yesladder" else f"{contender}: {what}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=FULL)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default=",".join(CONTENDERS), help="names, with commas")
    parser.add_argument("--results", type=Path, default=FILES, help="the folder for what was measured")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that contenders end with us
    when, where = now_and_here()
    rows = measure(chosen.only.split(","), chosen.events, chosen.runs)
    middle = {row.name: median(row.per_cpu_s) for row in rows}
    facts = [
        f"{ours} against {name}: **{middle[ours] / rate:.2f}**"
        for what, ours in ((what, f"Yesladder: {words}") for what, words in WHATS.items())
        for name, rate in middle.items()
        if ours in middle and name.endswith(f": {what}")
    ]
    keep(
        Part(
            part="batch",
            title="Batch: a file to sessions and the tier table",
            command=f"python -m peers.batch {' '.join(sys.argv[1:])}".strip(),
            when=when,
            where=where,
            versions={name: version(name) for name in ("duckdb", "polars", "chdb", "pyspark")},
            conditions=f"{chosen.events:,} lines of JSON by {chosen.events // EVENTS_A_VISITOR:,} visitors, to sessions"
            " on disk (backfill), and to the tier table of sessions as well (build, which makes all of the marts)",
            rows=rows,
            facts=facts,
        ),
        chosen.results,
    )


if __name__ == "__main__":
    main()
