"""`yesladder backfill` of an ndjson file against only decoding that file.

    python benchmarks/backfill.py [--events 500000] [--runs 3]

Decoding only is what the same process does with the same file up to the contract's columns: unpack, parse, check,
correct, columns.  A second floor is the fastest JSON reader we know (Polars) on the same bytes, which checks nothing.
Every run in a fresh process, interleaved.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from measured import Result, machine, write_result
from workload import LADDER, events


def write_file(path: Path, count: int) -> None:
    """The workload as messages of the Segment spec, one per line."""
    with path.open("w", encoding="utf-8") as file:
        for event in events(count, max(1, count // 10)):
            message = {
                "type": "track",
                "messageId": event.event_id,
                "anonymousId": event.visitor_id,
                "timestamp": event.occurred_at.isoformat().replace("+00:00", "Z"),
                "event": event.name,
                "properties": json.loads(event.properties) | {"url": event.page_url},
            }
            file.write(json.dumps(message, separators=(",", ":")) + "\n")


def run_backfill(path: Path) -> float:
    from warehouse.lake import Lake
    from yesladder.backfill import backfill

    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        begun = time.perf_counter()
        backfill([path], lake, LADDER, now=datetime.now(UTC))
        return time.perf_counter() - begun


def run_decode(path: Path) -> float:
    import polars as pl

    from producers.files import read_batches
    from stream.decoding import frame_of

    begun = time.perf_counter()
    batches = read_batches([path], None, datetime.now(UTC))
    pl.concat(frame_of(batch.events, 0, range(len(batch.events))) for batch in batches)
    return time.perf_counter() - begun


def run_polars(path: Path) -> float:
    import polars as pl

    columns = ("type", "messageId", "anonymousId", "timestamp", "event", "properties")
    begun = time.perf_counter()
    pl.read_ndjson(path, schema=dict.fromkeys(columns, pl.String()))
    return time.perf_counter() - begun


RUNS: dict[str, Any] = {"decode only": run_decode, "backfill": run_backfill, "Polars read_ndjson": run_polars}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in RUNS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.ndjson"
        write_file(path, chosen.events)
        for _ in range(chosen.runs):
            for name in RUNS:
                answer = subprocess.run(
                    [sys.executable, __file__, "--child", name, str(path)], capture_output=True, text=True, check=True
                )
                rates[name].append(chosen.events / float(answer.stdout))
        size = path.stat().st_size / chosen.events
    medians = {name: median(values) for name, values in rates.items()}
    write_result(
        Result(
            title="backfill",
            conditions=f"{chosen.events:,} messages of {size:.0f} bytes, ndjson, not packed",
            rates=rates,
            ratios={
                "backfill / decode only (target 0.5)": medians["backfill"] / medians["decode only"],
                "backfill / Polars read_ndjson": medians["backfill"] / medians["Polars read_ndjson"],
            },
        ),
        machine(),
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(RUNS[sys.argv[2]](Path(sys.argv[3])))
    else:
        main()
