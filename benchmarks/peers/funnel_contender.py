"""A funnel of five steps within seven days over the files of a lake, by Yesladder, ClickHouse, DuckDB and Polars.

Arguments: NAME WAREHOUSE ANSWER, where ANSWER is the file for how many visitors reached each step.  A chain of events
counts from its latest beginning: the best that a visitor's events before this one allow.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

from funnel import STEPS, WINDOW, clickhouse, funnel
from peers.running import BEGUN, ENDED, WRITTEN

WINDOW_US = WINDOW // timedelta(microseconds=1)


def duckdb_windows(warehouse: Path) -> list[int]:
    import duckdb

    before = "over (partition by visitor_id order by us rows between unbounded preceding and 1 preceding)"
    chains = [f"chain1 as (select *, case when name = '{STEPS[0]}' then us end as begun1 from events)"]
    for step, name in enumerate(STEPS[1:], start=2):
        chains.append(
            f"latest{step} as (select *, max(begun{step - 1}) {before} as latest from chain{step - 1}),"
            f" chain{step} as (select * exclude (latest), case when name = '{name}' and us - latest <= {WINDOW_US}"
            f" then latest end as begun{step} from latest{step})"
        )
    reached = ", ".join(f"count(distinct visitor_id) filter (begun{step} is not null)" for step in _numbers())
    connection = duckdb.connect()
    (row,) = connection.execute(
        "with events as (select visitor_id, epoch_us(occurred_at) as us, name from read_parquet(?)"
        f" where name in ({', '.join(repr(name) for name in STEPS)})), {', '.join(chains)}"
        f" select {reached} from chain{len(STEPS)}",
        [str(warehouse / "lake" / "events" / "*" / "*.parquet")],
    ).fetchall()
    return list(row)


def polars_windows(warehouse: Path) -> list[int]:
    import polars as pl

    at = pl.col("occurred_at").to_physical()
    events = (
        pl.scan_parquet(str(warehouse / "lake" / "events" / "*" / "*.parquet"))
        .select("visitor_id", "name", at=at)
        .filter(pl.col("name").is_in(STEPS))
        .sort("visitor_id", "at")
        .with_columns(begun1=pl.when(pl.col("name") == STEPS[0]).then("at"))
    )
    for step, name in enumerate(STEPS[1:], start=2):
        latest = pl.col(f"begun{step - 1}").cum_max().forward_fill().shift(1).over("visitor_id")
        goes_on = (pl.col("name") == name) & (pl.col("at") - latest <= WINDOW_US)
        events = events.with_columns(pl.when(goes_on).then(latest).alias(f"begun{step}"))
    reached = [
        pl.col("visitor_id").filter(pl.col(f"begun{step}").is_not_null()).n_unique().alias(str(step))
        for step in _numbers()
    ]
    return [int(count) for count in events.select(reached).collect().row(0)]


def _numbers() -> range:
    return range(1, len(STEPS) + 1)


CONTENDERS = {
    "yesladder": funnel,
    "chdb": clickhouse,
    "duckdb": duckdb_windows,
    "polars": polars_windows,
}

if __name__ == "__main__":
    print(BEGUN, flush=True)
    answer = CONTENDERS[sys.argv[1]](Path(sys.argv[2]))
    print(ENDED, flush=True)
    Path(sys.argv[3]).write_text(json.dumps(answer), encoding="utf-8")
    print(WRITTEN, flush=True)
