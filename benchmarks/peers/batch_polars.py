"""Sessions and the tier table in Polars, lazily and in its streaming engine where that has the operations."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
from peers.running import BEGUN, ENDED, WRITTEN
from peers.tiers import ASKS, COUNTED, YESES, write_table
from peers.workload import GAP_MS


def main(what: str, history: str, found: str, tiers: str, folder: str) -> None:
    columns = {"visitor_id": pl.String(), "occurred_at": pl.String(), "name": pl.String()}
    at = pl.col("occurred_at").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="ms").to_physical()
    events = pl.scan_ndjson(history, schema=columns).select("visitor_id", "name", at=at).sort("visitor_id", "at")
    is_new = (pl.col("visitor_id") != pl.col("visitor_id").shift(1)) | (pl.col("at").diff() > GAP_MS)
    of_tiers = [
        expression
        for tier, (ask, yes) in enumerate(zip(ASKS, YESES, strict=True))
        for expression in (
            pl.col("at").filter(pl.col("name") == ask).min().alias(f"ask{tier}"),
            pl.col("at").filter(pl.col("name") == yes).max().alias(f"yes{tier}"),
        )
    ]
    (
        events.with_columns(session=is_new.fill_null(True).cum_sum())
        .group_by("session")
        .agg(
            pl.col("visitor_id").first(),
            pl.col("at").min().alias("first"),
            pl.col("at").max().alias("last"),
            pl.len().alias("events"),
            *of_tiers,
        )
        .sink_parquet(f"{folder}/sessions.parquet")
    )
    sessions = pl.scan_parquet(f"{folder}/sessions.parquet")
    if what == "tiers":
        write_table(Path(tiers), [_tier(sessions, tier) for tier in range(len(ASKS))])
    print(ENDED, flush=True)
    sessions.select("visitor_id", "first", "last", "events").sink_csv(found, include_header=False)


def _tier(sessions: pl.LazyFrame, tier: int) -> list[int]:
    asked, reached = pl.col(f"ask{tier}").is_not_null(), pl.col(f"yes{tier}").is_not_null()
    yes = asked & reached & (pl.col(f"yes{tier}") >= pl.col(f"ask{tier}"))
    also_next = pl.col(f"yes{tier + 1}").is_not_null() if tier + 1 < len(ASKS) else pl.lit(False)
    conditions = (asked, yes, asked & ~yes.fill_null(False), reached & ~asked, reached, reached & also_next)
    counted = sessions.select(
        condition.fill_null(False).sum().alias(name) for name, condition in zip(COUNTED, conditions, strict=True)
    )
    return [int(value) for value in counted.collect().row(0)]


if __name__ == "__main__":
    print(BEGUN, flush=True)
    main(*sys.argv[1:])
    print(WRITTEN, flush=True)
