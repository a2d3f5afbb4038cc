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

from ladder.clock import Clock
from ladder.tables import TIME_COLUMN, Position
from warehouse.compaction import arrow_rows
from warehouse.lake import Lake
from warehouse.lake_files import Part
from warehouse.lake_reading import LoggedFile
from warehouse.standing import Standing, standings

_COMMIT_ROWS = 1_000_000
_COMMIT_FILES = 500


def first_day_kept(retain: timedelta, now: datetime) -> datetime:
    """Rows from before this time go: the begin, in UTC, of the day that ``retain`` ago lies in."""
    return (now.astimezone(UTC) - retain).replace(hour=0, minute=0, second=0, microsecond=0)


def retire(lake: Lake, *, before: datetime, now: datetime, clock: Clock | None = None) -> dict[str, int]:
    """Take the rows from before a time out of the lake; returns how many went, by table.

    ``clock``: as ``Lake.replace`` takes it.  Needs the upkeep lock.  Marts are built from scratch after it.  Events go
    before their sessions: an event without its session would be taken for an open one.
    """
    places = lake.scan("events").select("source", "partition").unique().collect().rows()
    # Asked before the sessions are read: these then hold all that was settled, and what lands meanwhile is left alone.
    positions = lake.positions(places)
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
        done = pl.lit(False)
        for source, partition in frame.select("source", "partition").unique().iter_rows():
            position = positions.get((source, partition), Position(0))
            own = (pl.col("source") == source) & (pl.col("partition") == partition)
            if source.startswith("file:"):  # its sessions are all cut with the commit that moves its offset
                settled = pl.lit(True)
            else:
                settled = pl.col("late") | (pl.col("occurred_at") < pl.lit(position.settled_until))
            done = done | (own & (pl.col("record_offset") < position.next_offset) & settled.fill_null(False))
        goes = (pl.col("occurred_at") < before) & done
        keys = ["source", "partition", "event_id", "occurred_at"]
        going = frame.with_row_index().filter(goes).join(staying, on=keys, how="anti")["index"]
        return frame.with_row_index().filter(~pl.col("index").is_in(going.implode())).drop("index")

    def by(column: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
        return lambda frame: frame.filter(pl.col(column) >= before)

    keep_only = {"events": events_that_stay, "sessions": by("ended_at")}
    keep_only |= {table: by(TIME_COLUMN[table]) for table in ("rejects", "checkpoints")}
    gone: dict[str, int] = {}
    for table, rows_that_stay in keep_only.items():
        old = [file for file in lake.logged(table) if file.earliest < before]
        gone[table] = rewrite(lake, table, old, rows_that_stay, now=now, clock=clock)
    return gone


def rewrite(
    lake: Lake,
    table: str,
    files: Collection[LoggedFile],
    change: Callable[[pl.DataFrame], pl.DataFrame],
    *,
    now: datetime,
    clock: Clock | None = None,
) -> int:
    """Put what ``change`` makes of each file's rows in its place; returns how many rows went.

    A file that comes out equal is left alone; rows that stand differently with the quality gate do not come into one.
    Not one commit for all: a commit for as many as memory should hold.  ``clock``: as ``Lake.replace`` takes it.
    """
    standing = standings(lake)
    gone: list[str] = []
    parts: dict[tuple[date, Standing], list[pa.Table]] = {}
    went = 0

    def commit() -> None:
        if gone:
            files = [Part(landed, pa.concat_tables(rows), stands) for (landed, stands), rows in parts.items()]
            lake.replace(table, gone, files, rearranges=False, now=now, clock=clock)
        gone.clear()
        parts.clear()

    for file in sorted(files, key=lambda file: file.path):
        path = str(lake.root / table / file.path)
        lake.fetch([path])
        frame = pl.read_parquet(Path(path).read_bytes())
        changed = change(frame)
        if changed.equals(frame):
            continue
        went += len(frame) - len(changed)
        gone.append(path)
        parts.setdefault((file.landed, standing(f"{table}/{file.path}")), []).append(arrow_rows(changed, table))
        if len(gone) >= _COMMIT_FILES or sum(t.num_rows for ts in parts.values() for t in ts) >= _COMMIT_ROWS:
            commit()
    commit()
    return went
