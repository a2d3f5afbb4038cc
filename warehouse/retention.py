"""What is older than people want to keep goes: whole days of the lake's rows, by the time they happened.

A session goes when its end is that old, and its events go with it; a session that reaches into the days kept stays
whole, with all its events.  Late events, dead letters and checkpoints go by their own time.  Events that are still open
never go: they belong to a session to come.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa

from ladder.tables import TIME_COLUMN
from warehouse.compaction import arrow_rows
from warehouse.lake import Lake, LoggedFile

_COMMIT_ROWS = 1_000_000
_COMMIT_FILES = 500


def first_day_kept(retain: timedelta, now: datetime) -> datetime:
    """Rows from before this time go: the begin, in UTC, of the day that ``retain`` ago lies in."""
    return (now.astimezone(UTC) - retain).replace(hour=0, minute=0, second=0, microsecond=0)


def retire(lake: Lake, *, before: datetime, now: datetime) -> dict[str, int]:
    """Take the rows from before a time out of the lake; returns how many went, by table.

    Needs the upkeep lock.  Marts are built from scratch after it.  Events go before their sessions: an event without
    its session would be taken for an open one.
    """
    staying = (
        lake.scan("sessions")
        .filter((pl.col("started_at") < before) & (pl.col("ended_at") >= before))
        .select("source", "partition", "started_at", "sequence")
        .explode("sequence")
        .unnest("sequence")
        .select(
            "source",
            "partition",
            "event_id",
            occurred_at=pl.col("started_at") + pl.duration(microseconds="offset_us"),
        )
        .unique()
        .collect()
    )

    def events_that_stay(frame: pl.DataFrame) -> pl.DataFrame:
        settled = pl.lit(False)
        for source, partition in frame.select("source", "partition").unique().iter_rows():
            until = lake.settled_until(source, partition)
            own = (pl.col("source") == source) & (pl.col("partition") == partition)
            if source.startswith("file:"):  # a file's sessions are all cut with its one commit
                settled = settled | own
            elif until is not None:
                settled = settled | (own & (pl.col("occurred_at") < until))
        goes = (pl.col("occurred_at") < before) & (pl.col("late") | settled)
        keys = ["source", "partition", "event_id", "occurred_at"]
        going = frame.with_row_index().filter(goes).join(staying, on=keys, how="anti")["index"]
        return frame.with_row_index().filter(~pl.col("index").is_in(going.implode())).drop("index")

    def by(column: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
        return lambda frame: frame.filter(pl.col(column) >= before)

    gone = {"events": _keep_only(lake, "events", events_that_stay, before, now)}
    gone["sessions"] = _keep_only(lake, "sessions", by("ended_at"), before, now)
    for table in ("rejects", "checkpoints"):
        gone[table] = _keep_only(lake, table, by(TIME_COLUMN[table]), before, now)
    return gone


def _keep_only(
    lake: Lake, table: str, staying: Callable[[pl.DataFrame], pl.DataFrame], before: datetime, now: datetime
) -> int:
    return rewrite(lake, table, [f for f in lake.logged(table) if f.earliest < before], staying, now=now)


def rewrite(
    lake: Lake,
    table: str,
    files: Collection[LoggedFile],
    change: Callable[[pl.DataFrame], pl.DataFrame],
    *,
    now: datetime,
) -> int:
    """Put what ``change`` makes of each file's rows in its place; returns how many rows went.

    A file that comes out equal is left alone.  Not one commit for all: a commit for as many as memory should hold.
    """
    gone: list[str] = []
    parts: dict[date, list[pa.Table]] = {}
    went = 0

    def commit() -> None:
        if gone:
            one_per_day = [(landed, pa.concat_tables(tables)) for landed, tables in parts.items()]
            lake.replace(table, gone, one_per_day, rearranges=False, now=now)
        gone.clear()
        parts.clear()

    for file in sorted(files, key=lambda file: file.path):
        path = str(lake.root / table / file.path)
        frame = pl.read_parquet(Path(path).read_bytes())
        changed = change(frame)
        if changed.equals(frame):
            continue
        went += len(frame) - len(changed)
        gone.append(path)
        parts.setdefault(file.landed, []).append(arrow_rows(changed, table))
        if len(gone) >= _COMMIT_FILES or sum(t.num_rows for ts in parts.values() for t in ts) >= _COMMIT_ROWS:
            commit()
    commit()
    return went
