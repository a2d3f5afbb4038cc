"""Step minutes out of the lake: what the agent learns from, and what a backtest replays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest

import numpy as np
import numpy.typing as npt
import polars as pl

from ladder.tiers import Ladder
from stream.alerts_keys import Name
from stream.alerts_past import Past
from stream.marks import MarkTable
from stream.step_minutes import StepMinutes
from warehouse.lake import Lake

FOUR_WEEKS = timedelta(days=28)
_CHUNK = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Whole = npt.NDArray[np.int64]


def read_past(lake: Lake, ladder: Ladder, segments: Sequence[str], source: str, reach: timedelta = FOUR_WEEKS) -> Past:
    """The counts of all sources over the last ``reach`` of events, and how far the partitions of ``source`` had come.

    Positions are ends of committed checkpoints, which the records of step minutes are about: what is counted here and
    what they tell join without a gap and without an overlap.
    """
    # How far time has come first, then the offsets, then the events: whatever lands meanwhile is told of by records
    # beyond the offsets, and time must not have come further than what is counted.
    reached = lake.positions((source, partition) for partition in _positions(lake, source))
    positions = _positions(lake, source)
    places = lake.scan("events").select("source", "partition").unique().sort("source", "partition").collect().rows()
    newest = lake.scan("events").filter(~pl.col("late")).select(pl.col("occurred_at").max()).collect().item()
    reached_us = {
        partition: (place.newest - _EPOCH) // _MICROSECOND
        for (_, partition), place in reached.items()
        if place.newest is not None
    }
    if newest is None:
        return Past((), _rows([], 3), _rows([], 4), positions, reached_us)
    names: dict[Name, int] = {}
    asks: list[Whole] = []
    yeses: list[Whole] = []
    marks = MarkTable(ladder)
    for place, partition in places:
        end = positions.get(partition, 0) if place == source else None
        counted = StepMinutes(ladder, segments, marks=marks)
        for events in _events(lake, place, partition, newest - reach, end, segments):
            counts = counted.add(events)
            asks.append(_numbered(counts.asks, segments, ["minute"], names))
            yeses.append(_numbered(counts.yeses, segments, ["ask_minute", "delay"], names))
            if place.startswith("kafka:"):  # a file's events may stand in any order
                counted.forget(events.select(pl.col("occurred_at").max()).item())
    return Past(tuple(names), _rows(asks, 3), _rows(yeses, 4), positions, reached_us)


def _positions(lake: Lake, source: str) -> dict[int, int]:
    ends = (
        lake.scan("checkpoints").filter(source=source).group_by("partition").agg(pl.col("next_offset").max()).collect()
    )
    return dict(ends.sort("partition").rows())


def _events(
    lake: Lake, source: str, partition: int, since: datetime, end: int | None, segments: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """The events of a partition that are not late, in the order of their records, some at a time."""
    own = lake.scan("events").filter(
        (pl.col("source") == source)
        & (pl.col("partition") == partition)
        & ~pl.col("late")
        & (pl.col("occurred_at") >= since)
    )
    if end is not None:
        own = own.filter(pl.col("record_offset") < end)
    columns = ["record_offset", "visitor_id", "occurred_at", "received_at", "name", "properties", *segments]
    offsets = own.select("record_offset").collect()["record_offset"].sort()
    begins = offsets.gather_every(_CHUNK).to_list()
    for begin, stop in zip_longest(begins, begins[1:]):
        chunk = own.filter(pl.col("record_offset") >= begin)
        if stop is not None:
            chunk = chunk.filter(pl.col("record_offset") < stop)
        yield chunk.select(columns).sort("record_offset", maintain_order=True).collect()


def _numbered(counts: pl.DataFrame, segments: Sequence[str], times: Sequence[str], names: dict[Name, int]) -> Whole:
    """Rows (number of the name, times, count)."""
    parts = counts.select("tier", "step", *segments).unique(maintain_order=True)
    for tier, step, *values in parts.rows():
        names.setdefault((tier, step, tuple(values)), len(names))
    number = [names[tier, step, tuple(values)] for tier, step, *values in parts.rows()]
    numbered = counts.join(
        parts.with_columns(number=pl.Series(number, dtype=pl.Int64)), on=["tier", "step", *segments], how="left"
    )
    return numbered.select(pl.col("number", *times, "count").cast(pl.Int64)).to_numpy().reshape(-1, len(times) + 2)


def _rows(parts: Sequence[Whole], columns: int) -> Whole:
    return np.concatenate(parts) if parts else np.zeros((0, columns), np.int64)
