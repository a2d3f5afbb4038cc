"""The counts of all partitions that a worker owns, as the records that it publishes of its checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from ladder.tiers import Ladder
from stream.cuts import Int64s
from stream.marks import MarkTable
from stream.step_minutes import StepEvents, StepMinutes
from stream.step_minutes_record import StepMinutesRecord

COUNTED = ("partition", "record_offset", "visitor_id", "occurred_at", "received_at", "name", "properties")
"""The columns of an event that are needed, with those of the segments."""

_MOST_EVENTS = 20_000
"""Of one record, over the number of columns that tell asks apart: so even one of a replay is far from a megabyte."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Stretch:
    """The offsets [first, next) of a committed checkpoint of a partition, and its earliest event (None: unknown)."""

    first: int
    next: int
    earliest: datetime | None


class StepCounting:
    """Where a partition's counts have come is always the end of a checkpoint."""

    def __init__(self, ladder: Ladder, source: str, segments: Sequence[str], most_events: int = _MOST_EVENTS) -> None:
        self.columns = [*COUNTED, *segments]
        self._ladder = ladder
        self._source = source
        self._segments = tuple(segments)
        self._marks = MarkTable(ladder)
        self._most_events = max(1, most_events // (1 + len(segments)))
        self._partitions: dict[int, StepMinutes] = {}

    def known_since(self, newest: datetime | None, last: Stretch | None) -> datetime | None:
        """The earliest event needed by ``restore``; None where none is."""
        times = [None if newest is None else newest - self._ladder.lateness, None if last is None else last.earliest]
        oldest = min((at for at in times if at is not None), default=None)
        return None if oldest is None else StepMinutes(self._ladder).known_since(oldest)

    def keep(self, partitions: Collection[int]) -> None:
        """Forget all other partitions."""
        self._partitions = {number: counter for number, counter in self._partitions.items() if number in partitions}

    def restore(
        self, partition: int, events: pl.DataFrame, newest: datetime | None, last: Stretch | None
    ) -> list[StepMinutesRecord]:
        """Go on where a partition's checkpoints end; gives the records of the last of them once more.

        ``events``: of the partition since ``known_since``, those that are not late, up to the end of ``last``.
        """
        events = events.sort("record_offset")
        before = events if last is None else events.filter(pl.col("record_offset") < last.first)
        self._of(partition).add(before)
        if last is None:
            return []
        told = StepEvents.read(events[len(before) :], self._marks, self._segments)
        return list(self._told(partition, told, last.first, last.next, newest))

    def records(
        self, events: pl.DataFrame, stretches: Mapping[int, tuple[int, int]], newest: Mapping[int, datetime | None]
    ) -> list[StepMinutesRecord]:
        """Count a checkpoint's stretches [first, next) in.

        ``events``: kept, those of each partition in the order of their records, with the column ``late``.  What stands
        before its partition's stretch was counted already.
        """
        read = StepEvents.read(events, self._marks, self._segments)
        partitions, on_time = events["partition"].to_numpy(), ~events["late"].to_numpy()
        found: list[StepMinutesRecord] = []
        for partition, (first, end) in stretches.items():
            rows = np.flatnonzero((partitions == partition) & on_time & (read.offset >= first))
            found += self._told(partition, read.of_rows(rows), first, end, newest[partition])
        return found

    def heartbeat(self, partition: int, position: int, reached: datetime) -> StepMinutesRecord:
        """Nothing came up to ``position``, and time has come to ``reached``."""
        return StepMinutesRecord(
            ladder=self._ladder.name,
            source=self._source,
            partition=partition,
            first=position,
            next=position,
            reached_us=_us(reached),
            segments=self._segments,
        )

    def _told(
        self, partition: int, events: StepEvents, first: int, end: int, newest: datetime | None
    ) -> Iterator[StepMinutesRecord]:
        """One record, or several where there is much to tell.  What it is cut by is the same when it is told again."""
        counter = self._of(partition)
        cuts = _cuts(events.offset, self._most_events)
        begins = [first, *events.offset[cuts[1:-1]].tolist()]
        for row, row_end, begin, until in zip(cuts, cuts[1:], begins, [*begins[1:], end], strict=False):
            counts = counter.count(events.of_rows(np.arange(row, row_end)))
            yield StepMinutesRecord(
                ladder=self._ladder.name,
                source=self._source,
                partition=partition,
                first=begin,
                next=until,
                reached_us=None if newest is None or until != end else _us(newest),
                segments=self._segments,
                asks=counts.ask_rows(),
                yeses=counts.yes_rows(),
            )
        if newest is not None:
            counter.forget(newest)

    def _of(self, partition: int) -> StepMinutes:
        counter = self._partitions.get(partition)
        if counter is None:
            counter = self._partitions[partition] = StepMinutes(self._ladder, self._segments, marks=self._marks)
        return counter


def _cuts(offsets: Int64s, most: int) -> list[int]:
    """Rows from 0 to the end at which pieces of about ``most`` rows begin, none within a record."""
    cuts = [0]
    while cuts[-1] + most < len(offsets):
        cut = int(np.searchsorted(offsets, offsets[cuts[-1] + most], side="left"))
        if cut <= cuts[-1]:
            cut = int(np.searchsorted(offsets, offsets[cuts[-1]], side="right"))
        if cut >= len(offsets):
            break
        cuts.append(cut)
    return [*cuts, len(offsets)]


def _us(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
