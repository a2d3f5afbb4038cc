"""`yesladder backfill`, and `yesladder build` after it: all of the marts, with their tests, behind the quality gate."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
from peers.running import BEGUN, ENDED, WRITTEN
from peers.tiers import COUNTED, write_table
from workload import LADDER

from warehouse.build import build
from warehouse.lake import Lake
from yesladder.backfill import backfill


def main(what: str, history: str, found: str, tiers: str, folder: str) -> None:
    lake = Lake(Path(folder) / "lake")
    backfill([Path(history)], lake, LADDER, now=datetime.now(UTC))
    if what == "tiers":
        build(lake, LADDER, now=datetime.now(UTC))
        with duckdb.connect(f"{folder}/marts.duckdb", read_only=True) as marts:
            rows = marts.execute(
                f"select {', '.join(COUNTED)} from fct_tier_totals where unit = 'session' order by tier"
            ).fetchall()
        write_table(Path(tiers), [list(row) for row in rows])
    print(ENDED, flush=True)
    milliseconds = (pl.col(name).dt.epoch("ms").alias(name) for name in ("started_at", "ended_at"))
    sessions = lake.scan("sessions").select("visitor_id", *milliseconds, "events").collect()
    sessions.write_csv(found, include_header=False)


if __name__ == "__main__":
    print(BEGUN, flush=True)
    main(*sys.argv[1:])
    print(WRITTEN, flush=True)
