"""How many asks of each step were made in each minute, and how many of them were answered how much later.

Fed with the events of one Kafka partition in the order of its records: those that are kept and not late.  No Kafka, no
clock, no I/O, and no Python work per event.

An ask is answered by the first yes to its step from its moment on, before the step is asked again and within the
window: the rule of the mart ``fct_asks`` for visitors, with a window of its own.  Moments are ordered by
``occurred_at``, then ``received_at``; in one moment asks come first.

What ``add`` gives is the difference that its events make to the counts of all events so far.  So the counts of any
batches sum up to the same, whatever the order of arrival; a yes may come before its ask; and where an ask comes late
between another ask and its yes, that yes is taken back from the one and given to the other.

Events older than the watermark are late and never come here; so what lies further behind it than the window is
forgotten, and all that is remembered can be had again from the events of a stretch of time (``known_since``).
Visitors are told apart by 64 bits of a hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ladder.durations import in_microseconds
from ladder.errors import UsageError
from ladder.tiers import Ladder
from stream.cuts import Flags, Int64s
from stream.first_values import HOUR, FirstValues, VisitorHours, scattered
from stream.interned import Interned
from stream.marks import MarkTable
from stream.session_rows import FIRST_TOUCH
from stream.sorted_runs import Keys, SortedRuns, distinct, grouped, ordered
from stream.step_minutes_record import Asks, Yeses

WINDOW = timedelta(minutes=60)
NONE = "(none)"
"""The value of a segment of which nothing is known."""
SEGMENTS = FIRST_TOUCH
"""The columns of an event that asks can be told apart by."""

_MINUTE = 60_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _Counted(NamedTuple):
    """Counts in columns: the step with its tier, the segments' values, minutes, and the count."""

    steps: list[tuple[int, str]]
    values: list[tuple[str, ...]]
    minutes: list[Int64s]
    counts: Int64s


@dataclass(frozen=True)
class StepCounts:
    """What a batch adds; minutes are whole minutes since 1970."""

    segments: tuple[str, ...]
    of_asks: _Counted
    of_yeses: _Counted

    @cached_property
    def asks(self) -> pl.DataFrame:
        """Columns tier, step, one per segment, minute, count."""
        return self._frame(self.of_asks, ["minute"])

    @cached_property
    def yeses(self) -> pl.DataFrame:
        """Columns tier, step, one per segment, ask_minute, delay (minutes from the ask's to the yes's), count.

        ``count`` is negative where a yes is taken back.
        """
        return self._frame(self.of_yeses, ["ask_minute", "delay"])

    def ask_rows(self) -> tuple[Asks, ...]:
        """The asks for a record."""
        (minute,) = self.of_asks.minutes
        rows = zip(self.of_asks.steps, self.of_asks.values, minute.tolist(), self.of_asks.counts.tolist(), strict=True)
        return tuple(Asks(*step, values, minute, count) for step, values, minute, count in rows)

    def yes_rows(self) -> tuple[Yeses, ...]:
        """The yeses for a record."""
        steps, values, (minutes, delays), counts = self.of_yeses
        rows = zip(steps, values, minutes.tolist(), delays.tolist(), counts.tolist(), strict=True)
        return tuple(Yeses(*step, values, minute, delay, count) for step, values, minute, delay, count in rows)

    def _frame(self, counted: _Counted, minutes: Sequence[str]) -> pl.DataFrame:
        return pl.DataFrame(
            [
                pl.Series("tier", [tier for tier, _ in counted.steps], pl.Int16),
                pl.Series("step", [step for _, step in counted.steps], pl.String),
                *(
                    pl.Series(segment, [values[i] for values in counted.values], pl.String)
                    for i, segment in enumerate(self.segments)
                ),
                *(pl.Series(name, column) for name, column in zip(minutes, counted.minutes, strict=True)),
                pl.Series("count", counted.counts),
            ]
        )


class StepEvents(NamedTuple):
    """The columns of events that are counted, read once for all partitions of a batch.

    ``rows``: where the events stand in ``segments``, the other columns are theirs alone.
    """

    marks: npt.NDArray[np.int32]
    visitor: Keys
    at: Int64s
    received: Int64s
    offset: Int64s
    rows: Int64s
    segments: list[pa.Array]

    @classmethod
    def read(cls, events: pl.DataFrame, marks: MarkTable, segments: Sequence[str]) -> StepEvents:
        """Columns: record_offset, visitor_id, occurred_at, received_at, name, properties and the segments."""
        return cls(
            marks.of(events["name"], events["properties"]),
            events["visitor_id"].hash().to_numpy(),
            _us(events["occurred_at"]),
            _us(events["received_at"]),
            events["record_offset"].to_numpy(),
            np.arange(len(events)),
            [_text(events[segment]) for segment in segments],
        )

    def of_rows(self, rows: Int64s) -> StepEvents:
        """Some of them."""
        return StepEvents(
            self.marks[rows],
            self.visitor[rows],
            self.at[rows],
            self.received[rows],
            self.offset[rows],
            self.rows[rows],
            self.segments,
        )


class _Marks(NamedTuple):
    """Asks and yeses in columns; times in microseconds, step and values by code."""

    step: Int64s
    at: Int64s
    received: Int64s
    is_yes: Flags
    values: Int64s


class StepMinutes:
    """The counts of one partition.

    ``segments``: columns of ``SEGMENTS``.  An ask's value of each is the first to arrive, with the ask's record or
    before it, of the visitor's events of the clock hour before the ask's, else of the ask's own clock hour.
    ``few_values``: so many distinct ones are no reason to look which of them can be forgotten.
    """

    def __init__(
        self,
        ladder: Ladder,
        segments: Sequence[str] = (),
        *,
        window: timedelta = WINDOW,
        marks: MarkTable | None = None,
        few_values: int = 100_000,
    ) -> None:
        unknown = [segment for segment in segments if segment not in SEGMENTS]
        if unknown:
            raise UsageError(f"there is no segment {unknown[0]!r}; take {', '.join(SEGMENTS)}")
        self.segments = tuple(segments)
        self._window = in_microseconds(window)
        self._lateness = in_microseconds(ladder.lateness)
        self._marks = marks or MarkTable(ladder)
        self._steps = _Steps(self._marks)
        self._remembered = SortedRuns("at")
        self._first_values = [FirstValues(few_values) for _ in segments]
        self._values: Interned[tuple[str, ...]] = Interned((NONE,) * len(segments), few_values)

    @property
    def remembered(self) -> int:
        """How many asks and yeses are remembered."""
        return len(self._remembered)

    @property
    def names_remembered(self) -> int:
        """How many values, and combinations of them, are remembered."""
        return sum(len(first.names) for first in self._first_values) + len(self._values.names)

    def known_since(self, oldest: datetime) -> datetime:
        """The earliest event that must have been added for what occurs from ``oldest`` on to be counted rightly."""
        asked = (oldest - _EPOCH) // _MICROSECOND - self._window
        return _EPOCH + (asked // HOUR - 1) * HOUR * _MICROSECOND

    def forget(self, newest: datetime) -> None:
        """Forget what is of no use to events that are not late by the newest event time seen."""
        watermark = (newest - _EPOCH) // _MICROSECOND - self._lateness
        self._remembered.forget(watermark - self._window)
        for values in self._first_values:
            values.forget(watermark)
        if self._values.are_many:
            self._remembered.recode("values", self._values.keep(self._remembered.values("values")))

    def add(self, events: pl.DataFrame) -> StepCounts:
        """Count a batch in, rows in the order of their records; columns as for ``StepEvents.read``."""
        return self.count(StepEvents.read(events, self._marks, self.segments))

    def count(self, events: StepEvents) -> StepCounts:
        """``add`` of events read already, with the marks given."""
        rows, step, is_yes = self._steps.of(events.marks)
        values = self._values_of(events, rows)
        new = _Marks(step, events.at[rows], events.received[rows], is_yes, values)
        keys = events.visitor[rows] ^ self._steps.keys[step]
        groups, _, of_new = distinct(keys)
        of_old, found = self._remembered.rows_of(groups)
        self._remembered.add(keys, new._asdict())

        group = np.concatenate((of_old, of_new))
        marks = _Marks(*(np.concatenate((found[name], own)) for name, own in new._asdict().items())) if found else new
        arrival = np.arange(len(group))
        order = ordered(group, marks.at, marks.received, marks.is_yes.astype(np.int64), arrival)
        now = self._answered(group, marks, order)
        before = self._answered(group, marks, order[order < len(of_old)])
        asks = np.flatnonzero(~is_yes)
        ones = np.ones(len(asks), np.int64)
        return StepCounts(
            self.segments,
            self._summed(step[asks], values[asks], [new.at[asks] // _MINUTE], ones),
            self._difference(marks, now, before),
        )

    def _values_of(self, events: StepEvents, rows: Int64s) -> Int64s:
        """The values of the segments at some rows, as codes.  Only asks need theirs; yeses have them all the same."""
        if not self.segments or not len(events.rows):
            return np.zeros(len(rows), np.int64)
        until = np.searchsorted(events.offset, events.offset[rows], side="right") - 1
        pairs = VisitorHours.of(events.visitor, events.at)
        columns = [
            first.add(column, events.rows, pairs, rows, until)
            for column, first in zip(events.segments, self._first_values, strict=True)
        ]
        order, starts = grouped(*columns)
        names = [
            [first.names[code] if code else NONE for code in codes[order[starts]].tolist()]
            for first, codes in zip(self._first_values, columns, strict=True)
        ]
        found = np.empty(len(rows), np.int64)
        codes = self._values.codes(list(zip(*names, strict=True)))
        found[order] = np.repeat(codes, np.diff(np.append(starts, len(rows))))
        return found

    def _answered(self, group: Int64s, marks: _Marks, order: Int64s) -> tuple[Int64s, Int64s]:
        """The answered asks of all marks of some groups, and the yeses that answer them."""
        # Between an ask and the next there is nothing but yeses to it, so the first of them stands next to it.
        is_yes = marks.is_yes[order]
        place = np.flatnonzero(~is_yes[:-1] & is_yes[1:])
        ask, yes = order[place], order[place + 1]
        follows = (group[ask] == group[yes]) & (marks.at[yes] - marks.at[ask] <= self._window)
        return ask[follows], yes[follows]

    def _difference(self, marks: _Marks, now: tuple[Int64s, Int64s], before: tuple[Int64s, Int64s]) -> _Counted:
        ask, yes = (np.concatenate(pair) for pair in zip(now, before, strict=True))
        counts = np.where(np.arange(len(ask)) < len(now[0]), 1, -1)
        minute = marks.at[ask] // _MINUTE
        return self._summed(marks.step[ask], marks.values[ask], [minute, marks.at[yes] // _MINUTE - minute], counts)

    def _summed(self, step: Int64s, values: Int64s, minutes: list[Int64s], counts: Int64s) -> _Counted:
        order, starts = grouped(step, values, *minutes)
        sums = np.add.reduceat(counts[order], starts) if len(starts) else counts
        first = order[starts][sums != 0]
        return _Counted(
            [self._steps.names[number] for number in step[first].tolist()],
            [self._values.names[code] for code in values[first].tolist()],
            [column[first] for column in minutes],
            sums[sums != 0],
        )


class _Steps:
    """The steps of a ladder, by number; and which of them each combination of marks asks for or says yes to.

    ``names``: tier and step of each number.  ``keys``: the number spread over 64 bits.
    """

    def __init__(self, marks: MarkTable) -> None:
        self._marks = marks
        self._numbers: dict[tuple[int, str], int] = {}
        self._read()

    def of(self, combinations: npt.NDArray[np.int32]) -> tuple[Int64s, Int64s, Flags]:
        """Of each ask and yes its row among the events, its step, and whether it is a yes."""
        if self._combinations != len(self._marks.first_row):
            self._read()
        rows = np.flatnonzero(self._count[combinations])
        own = combinations[rows]
        counts = self._count[own]
        places = np.arange(int(counts.sum())) + np.repeat(self._first[own] - (np.cumsum(counts) - counts), counts)
        return np.repeat(rows, counts), self._step[places], self._is_yes[places]

    def _read(self) -> None:
        marks = self._marks
        self._combinations = len(marks.first_row)
        tiers, roles, names = (column.to_pylist() for column in (marks.row_tier, marks.row_role, marks.row_step))
        counts: list[int] = []
        steps: list[int] = []
        is_yes: list[bool] = []
        for first, count in zip(marks.first_row.tolist(), marks.row_count.tolist(), strict=True):
            before = len(steps)
            for row in range(first, first + count):
                if roles[row] in ("ask", "yes"):
                    steps.append(self._numbers.setdefault((tiers[row], names[row]), len(self._numbers)))
                    is_yes.append(roles[row] == "yes")
            counts.append(len(steps) - before)
        self.names = list(self._numbers)
        self.keys = scattered(np.arange(len(self.names)))
        self._count = np.array(counts, np.int64)
        self._first = np.cumsum(self._count) - self._count
        self._step = np.array(steps, np.int64)
        self._is_yes = np.array(is_yes, bool)


def _us(times: pl.Series) -> Int64s:
    return times.to_numpy().view(np.int64)


def _text(series: pl.Series) -> pa.Array:
    array = series.to_arrow()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
