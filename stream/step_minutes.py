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
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from ladder.durations import in_microseconds
from ladder.errors import UsageError
from ladder.tiers import Ladder
from stream.cuts import Flags, Int64s
from stream.first_values import HOUR, FirstValues, VisitorHours, scattered
from stream.interned import Interned
from stream.marks import MarkTable
from stream.sessions import FIRST_TOUCH
from stream.sorted_runs import Keys, SortedRuns, distinct, grouped, ordered

WINDOW = timedelta(minutes=60)
NONE = "(none)"
"""The value of a segment of which nothing is known."""
SEGMENTS = FIRST_TOUCH
"""The columns of an event that asks can be told apart by."""

_MINUTE = 60_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class StepCounts:
    """What a batch adds.

    ``asks``: columns tier, step, one per segment, minute, count.  ``yeses``: tier, step, one per segment, ask_minute,
    delay (minutes from the ask's to the yes's), count, which is negative where a yes is taken back.  Minutes are whole
    minutes since 1970.
    """

    asks: pl.DataFrame
    yeses: pl.DataFrame


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
    """

    def __init__(
        self,
        ladder: Ladder,
        segments: Sequence[str] = (),
        *,
        window: timedelta = WINDOW,
        marks: MarkTable | None = None,
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
        self._first_values = [FirstValues() for _ in segments]
        self._values: Interned[tuple[str, ...]] = Interned((NONE,) * len(segments))

    @property
    def remembered(self) -> int:
        """How many asks and yeses are remembered."""
        return len(self._remembered)

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
        """Count a batch in, rows in the order of their records.

        Columns used: record_offset, visitor_id, occurred_at, received_at, name, properties and the segments.
        """
        rows, step, is_yes = self._steps.of(self._marks.of(events["name"], events["properties"]))
        visitor = events["visitor_id"].hash().to_numpy()
        at = _us(events["occurred_at"])
        new = _Marks(
            step, at[rows], _us(events["received_at"])[rows], is_yes, self._values_of(events, rows, visitor, at)
        )
        keys = visitor[rows] ^ scattered(step)
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
        return StepCounts(
            self._told(step[asks], new.values[asks], {"minute": new.at[asks] // _MINUTE}, np.ones(len(asks), np.int64)),
            self._told_answers(marks, *(np.concatenate(pair) for pair in zip(now, before, strict=True)), len(now[0])),
        )

    def _values_of(self, events: pl.DataFrame, rows: Int64s, visitor: Keys, at: Int64s) -> Int64s:
        """The values of the segments at some rows, as codes.  Only asks need theirs; yeses have them all the same."""
        if not self.segments:
            return np.zeros(len(rows), np.int64)
        offsets = events["record_offset"].to_numpy()
        until = np.searchsorted(offsets, offsets[rows], side="right") - 1
        pairs = VisitorHours.of(visitor, at)
        columns = [
            first.add(events[name], pairs, rows, until)
            for name, first in zip(self.segments, self._first_values, strict=True)
        ]
        order, starts = grouped(*columns)
        names = [
            [first.names[code] if code else NONE for code in codes[order[starts]].tolist()]
            for first, codes in zip(self._first_values, columns, strict=True)
        ]
        found = np.empty(len(rows), np.int64)
        found[order] = np.repeat(
            self._values.codes(list(zip(*names, strict=True))), np.diff(np.append(starts, len(rows)))
        )
        return found

    def _answered(self, group: Int64s, marks: _Marks, order: Int64s) -> tuple[Int64s, Int64s]:
        """The answered asks of all marks of some groups, and the yeses that answer them."""
        # Between an ask and the next there is nothing but yeses to it, so the first of them stands next to it.
        ask, yes = order[:-1], order[1:]
        follows = ~marks.is_yes[ask] & marks.is_yes[yes] & (group[ask] == group[yes])
        follows &= marks.at[yes] - marks.at[ask] <= self._window
        return ask[follows], yes[follows]

    def _told_answers(self, marks: _Marks, asks: Int64s, yeses: Int64s, now: int) -> pl.DataFrame:
        """The first ``now`` of these pairs are answers from now on, the others were answers until now."""
        minute = marks.at[asks] // _MINUTE
        minutes = {"ask_minute": minute, "delay": marks.at[yeses] // _MINUTE - minute}
        return self._told(marks.step[asks], marks.values[asks], minutes, np.where(np.arange(len(asks)) < now, 1, -1))

    def _told(self, step: Int64s, values: Int64s, minutes: dict[str, Int64s], counts: Int64s) -> pl.DataFrame:
        order, starts = grouped(step, values, *minutes.values())
        sums = np.add.reduceat(counts[order], starts) if len(starts) else counts
        first = order[starts][sums != 0]
        steps = [self._steps.names[number] for number in step[first].tolist()]
        names = [self._values.names[code] for code in values[first].tolist()]
        return pl.DataFrame(
            [
                pl.Series("tier", [tier for tier, _ in steps], pl.Int16),
                pl.Series("step", [name for _, name in steps], pl.String),
                *(pl.Series(column, [own[i] for own in names], pl.String) for i, column in enumerate(self.segments)),
                *(pl.Series(column, own[first]) for column, own in minutes.items()),
                pl.Series("count", sums[sums != 0]),
            ]
        )


class _Steps:
    """The steps of a ladder, by number; and which of them each combination of marks asks for or says yes to."""

    def __init__(self, marks: MarkTable) -> None:
        self._marks = marks
        self.names: list[tuple[int, str]] = []
        self._numbers: dict[tuple[int, str], int] = {}
        self._combinations = 0

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
        self._count = np.array(counts, np.int64)
        self._first = np.cumsum(self._count) - self._count
        self._step = np.array(steps, np.int64)
        self._is_yes = np.array(is_yes, bool)


def _us(times: pl.Series) -> Int64s:
    found: Int64s = times.to_physical().to_numpy()
    return found
