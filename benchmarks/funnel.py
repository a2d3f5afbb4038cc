"""`yesladder funnel` of five steps within seven days, against one GROUP BY visitor over the same files, and ClickHouse.

    python benchmarks/funnel.py FOLDER [--events 20000000] [--visitors 1000000] [--runs 3]

FOLDER is for the data (about 60 bytes an event), made once and kept.  Every run is a process of its own, interleaved;
CPU seconds are compared, since cores are shared.  A first round of each fills the file cache and compiles what Python
imports, as an installation does, and is not counted.  chdb is among the locked packages: `uv sync --group peers`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from measured import Result, machine, write_result

STEPS = ("page_view", "click", "search", "add_to_cart", "purchase")
NAMES = (*STEPS, "scroll", "hover")
SHARES = (0.35, 0.18, 0.08, 0.06, 0.02, 0.21, 0.10)
WINDOW = timedelta(days=7)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 90
PART = 1_000_000


def generate(warehouse: Path, count: int, visitors: int) -> None:
    """Events in the order of time, in a lake with marts; visitors come in visits, some often, most seldom."""
    from ladder.tables import EVENTS, LANDED
    from ladder.tiers import builtin_ladder
    from warehouse.build import build
    from warehouse.lake import Lake

    random = np.random.default_rng(1)
    visits = count // 6
    visit_of = np.sort(random.integers(0, visits, count))
    visitor_of = np.concatenate([random.permutation(visitors), random.integers(0, visitors, max(0, visits - visitors))])
    began = random.integers(0, DAYS * 86_400 * 1_000_000, visits)
    times = began[visit_of] + random.exponential(120e6, count).astype(np.int64)
    order = np.argsort(times, kind="stable")
    schema = EVENTS.remove(EVENTS.get_field_index(LANDED.name))
    lake = Lake(warehouse / "lake")
    now = BEGIN + timedelta(days=DAYS + 1)
    hashes = [f"{value:016x}" for value in random.integers(0, 2**63, visitors).tolist()]
    ids = np.array(hashes, dtype=object)
    for first in range(0, count, PART):
        rows = order[first : first + PART]
        at = pa.array(times[rows] + int(BEGIN.timestamp()) * 1_000_000, pa.timestamp("us", tz="UTC"))
        # Events of one request are a microsecond apart when they arrive, in their order.
        received = pa.array(times[rows] + int(BEGIN.timestamp()) * 1_000_000 + 2_000_000 + np.arange(len(rows)) % 1000)
        names = pa.array(np.array(NAMES, dtype=object)[random.choice(len(NAMES), len(rows), p=SHARES)], pa.string())
        given: dict[str, pa.Array] = {
            "event_id": pa.array([f"e{first + n}" for n in range(len(rows))], pa.string()),
            "visitor_id": pa.array(ids[visitor_of[visit_of[rows]]], pa.string()),
            "occurred_at": at,
            "received_at": received.cast(at.type),
            "kind": pa.repeat("track", len(rows)),
            "name": names,
            "properties": pa.repeat("{}", len(rows)),
            "context": pa.repeat("{}", len(rows)),
            "late": pa.repeat(False, len(rows)),
            "source": pa.repeat("kafka:events", len(rows)),
            "partition": pa.array(np.zeros(len(rows)), pa.int32()),
            "record_offset": pa.array(np.arange(first, first + len(rows)), pa.int64()),
        }
        columns = [given.get(field.name, pa.nulls(len(rows), field.type)) for field in schema]
        lake.append("events", pa.Table.from_arrays(columns, schema=schema), now=now)
        print(f"{first + len(rows):,} of {count:,} events", file=sys.stderr)
    build(lake, builtin_ladder(), full=True, accept=True, now=now)


def funnel(warehouse: Path) -> list[int]:
    from answers.funnel import answer_question
    from answers.funnel_question import ask
    from ladder.tiers import builtin_ladder

    found = answer_question(warehouse, builtin_ladder(), ask(STEPS, window=WINDOW))
    return [step.count for step in found.steps]


def group_by(warehouse: Path) -> list[int]:
    import duckdb

    files = str(warehouse / "lake" / "events" / "*" / "*.parquet")
    ((visitors, events),) = duckdb.execute(
        "select count(*), sum(events)::bigint from (select visitor_id, count(*) as events, max(occurred_at), max(name)"
        " from read_parquet(?) group by visitor_id)",
        [files],
    ).fetchall()
    return [visitors, events]


def clickhouse(warehouse: Path) -> list[int]:
    chdb = import_module("chdb")
    steps = ", ".join(f"name = '{name}'" for name in STEPS)
    answer = chdb.query(
        f"select level, count() from (select visitor_id, windowFunnel({WINDOW // timedelta(microseconds=1)})"
        f"(toUInt64(toUnixTimestamp64Micro(occurred_at)), {steps}) as level"
        f" from file('{warehouse}/lake/events/*/*.parquet', Parquet) group by visitor_id) group by level",
        "JSONCompact",
    )
    levels = {int(level): int(count) for level, count in json.loads(str(answer))["data"]}
    return [sum(count for level, count in levels.items() if level >= step) for step in range(1, len(STEPS) + 1)]


CONTENDERS = {"yesladder funnel": funnel, "DuckDB GROUP BY visitor": group_by, "chdb windowFunnel": clickhouse}


def child(name: str, warehouse: Path) -> dict[str, Any]:
    begun, used = time.perf_counter(), _cpu()
    answer = CONTENDERS[name](warehouse)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"wall": time.perf_counter() - begun, "cpu": _cpu() - used, "answer": answer, "peak_gib": peak}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--visitors", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    warehouse = chosen.folder / f"{chosen.events}-{chosen.visitors}"
    if not (warehouse / "marts.duckdb").exists():
        generate(warehouse, chosen.events, chosen.visitors)
    contenders = [name for name in CONTENDERS if name != "chdb windowFunnel" or find_spec("chdb") is not None]
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    facts = []
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str((chosen.folder / "compiled").resolve())
    for run in range(chosen.runs + 1):
        for name in contenders:
            command = [sys.executable, "-P", __file__, "--child", name, str(warehouse)]
            ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            done = json.loads(ended.stdout)
            if run == 0:
                continue
            cpu[name].append(done["cpu"])
            times = f"{done['wall']:.2f} s wall, {done['cpu']:.2f} s CPU"
            facts.append(f"{name}: {times}, {done['peak_gib']:.1f} GiB, {done['answer']}")
    print("\n".join(facts), file=sys.stderr)
    medians = {name: median(values) for name, values in cpu.items()}
    ours = medians["yesladder funnel"]
    ratios = {"CPU of the funnel / of one GROUP BY (target 3)": ours / medians["DuckDB GROUP BY visitor"]}
    if "chdb windowFunnel" in medians:
        ratios["CPU of the funnel / of chdb windowFunnel, same files (target 1)"] = ours / medians["chdb windowFunnel"]
    result = Result(
        title="funnel",
        conditions=f"{chosen.events:,} events of {chosen.visitors:,} visitors, {len(STEPS)} steps in order within "
        f"{WINDOW.days} days, the files of the lake; rates are events per CPU second",
        rates={name: [chosen.events / seconds for seconds in values] for name, values in cpu.items()},
        ratios=ratios,
    )
    write_result(result, machine())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
