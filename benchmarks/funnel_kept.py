"""A saved funnel kept by builds: what one more day of events costs, against making it from the whole lake.

    python benchmarks/funnel_kept.py FOLDER [--events 20000000] [--visitors 1000000]

FOLDER is that of ``benchmarks/funnel.py``, which makes the lake of 90 days; this works on a copy.  CPU seconds are
those of what a build does for the saved funnel, without dbt and the quality gate, which it runs anyway.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from funnel import BEGIN, DAYS, NAMES, SHARES, STEPS, WINDOW
from measured import Result, machine, write_result

from answers.funnel import answer_question
from answers.funnel_kept import SavedFunnels, kept_answer
from answers.funnel_question import ask
from ladder.tables import EVENTS, LANDED
from ladder.tiers import builtin_ladder
from warehouse.build import build
from warehouse.lake import Lake

QUESTION = ask(STEPS, window=WINDOW)


class Timed(SavedFunnels):
    """Its CPU seconds are those of the last build."""

    cpu = 0.0

    def renew(self, marts: duckdb.DuckDBPyConnection) -> None:
        before = _cpu()
        super().renew(marts)
        self.cpu = _cpu() - before


def day(lake: Lake, number: int, rows: int) -> None:
    """Land one more day of visits by visitors whom the lake knows and some whom it does not."""
    random = np.random.default_rng(number)
    known = duckdb.execute("select distinct visitor_id from read_parquet(?)", [lake.files("events")[0]]).fetchall()
    ids = np.array([one for (one,) in known] + [f"new-{number}-{n}" for n in range(rows // 60)], dtype=object)
    visit = np.sort(random.integers(0, rows // 6, rows))
    visitor = ids[random.integers(0, len(ids), rows // 6)][visit]
    began = random.integers(0, 86_400 * 1_000_000, rows // 6)[visit]
    begin = int((BEGIN + timedelta(days=DAYS + number)).timestamp()) * 1_000_000
    times = np.sort(begin + began + random.exponential(120e6, rows).astype(np.int64))
    kind = pa.timestamp("us", tz="UTC")
    given: dict[str, Any] = {
        "event_id": pa.array([f"d{number}-{n}" for n in range(rows)], pa.string()),
        "visitor_id": pa.array(visitor, pa.string()),
        "occurred_at": pa.array(times, kind),
        "received_at": pa.array(times + 2_000_000, kind),
        "kind": pa.repeat("track", rows),
        "name": pa.array(np.array(NAMES, dtype=object)[random.choice(len(NAMES), rows, p=SHARES)], pa.string()),
        "properties": pa.repeat("{}", rows),
        "context": pa.repeat("{}", rows),
        "late": pa.repeat(False, rows),
        "source": pa.repeat(f"kafka:day-{number}", rows),
        "partition": pa.array(np.zeros(rows), pa.int32()),
        "record_offset": pa.array(np.arange(rows), pa.int64()),
    }
    schema = EVENTS.remove(EVENTS.get_field_index(LANDED.name))
    columns = [given.get(field.name, pa.nulls(rows, field.type)) for field in schema]
    lake.append("events", pa.Table.from_arrays(columns, schema=schema), now=BEGIN + timedelta(days=DAYS + number + 1))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _linked(source: str, target: str) -> str:
    """Files of the lake are never changed: a second name will do."""
    if source.endswith(".parquet"):
        os.link(source, target)
        return target
    return shutil.copy2(source, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--visitors", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=3)
    chosen = parser.parse_args()
    original = chosen.folder / f"{chosen.events}-{chosen.visitors}"
    warehouse = chosen.folder / "kept"
    shutil.rmtree(warehouse, ignore_errors=True)
    shutil.copytree(original, warehouse, copy_function=_linked)
    lake, ladder = Lake(warehouse / "lake"), builtin_ladder()
    kept = Timed({"five steps": QUESTION}, ladder)
    before = (warehouse / "marts.duckdb").stat().st_size
    build(lake, ladder, accept=True, now=BEGIN + timedelta(days=DAYS + 1), kept=kept)
    size = (warehouse / "marts.duckdb").stat().st_size - before
    made = kept.cpu
    days, passes = [], []
    for number in range(1, chosen.days + 1):
        day(lake, number, chosen.events // DAYS)
        build(lake, ladder, accept=True, now=BEGIN + timedelta(days=DAYS + number + 1), kept=kept)
        days.append(kept.cpu)
        used = _cpu()
        looked = answer_question(warehouse, ladder, QUESTION)
        passes.append(_cpu() - used)
        found = kept_answer(warehouse, ladder, "five steps", QUESTION)
        if found != looked:
            raise SystemExit(f"kept {found}, looked at {looked}")
        told = f"day {number}: {days[-1]:.2f} CPU s, looking at everything {passes[-1]:.2f}"
        print(told, [step.count for step in looked.steps], file=sys.stderr)
    rows = chosen.events / DAYS
    result = Result(
        title="funnel_kept",
        conditions=f"{chosen.events:,} events of {chosen.visitors:,} visitors in {DAYS} days, then one more"
        f" day each time; making it took {made:.1f} CPU s, it takes {size / 2**20:,.0f} MiB; rates are events of"
        " the day per CPU second",
        rates={"one more day": [rows / seconds for seconds in days]},
        ratios={
            "CPU of one more day / of making it (target 0.1)": float(np.median(days)) / made,
            "CPU of one more day / of `yesladder funnel` over everything": float(np.median(days) / np.median(passes)),
        },
    )
    write_result(result, machine())
    shutil.rmtree(warehouse)


if __name__ == "__main__":
    main()
