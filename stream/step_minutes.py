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

import numpy as np
import numpy.typing as npt
import polars as pl

from ladder.durations import in_microseconds
from ladder.errors import UsageError
from ladder.tiers import Ladder
from stream.cuts import Flags, Int64s
from stream.first_values import HOUR, FirstValues, scattered
from stream.marks import MarkTable
from stream.sessions import FIRST_TOUCH
from stream.sorted_runs import SortedRuns

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
        self._remembered = SortedRuns("group", "at")
        self._first_values = [FirstValues() for _ in segments]

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

    def add(self, events: pl.DataFrame) -> StepCounts:
        """Count a batch in, rows in the order of their records.

        Columns used: record_offset, visitor_id, occurred_at, received_at, name, properties and the segments.
        """
        rows, steps, is_yes = self._steps.of(self._marks.of(events["name"], events["properties"]))
        visitor = events["visitor_id"].hash().to_numpy()
        at = _us(events["occurred_at"])
        new = pl.DataFrame(
            {
                "group": visitor[rows] ^ scattered(steps),
                "at": at[rows],
                "received": _us(events["received_at"])[rows],
                "is_yes": is_yes,
                "step": steps,
            }
        )
        if self.segments:
            # The values of every mark, though only asks need theirs: nothing is gained by telling them apart.
            offsets = events["record_offset"].to_numpy()
            until = np.searchsorted(offsets, offsets[rows], side="right") - 1
            hour = at // HOUR
            new = new.with_columns(
                first.add(events[name], visitor, hour, rows, until).fill_null(NONE).alias(name)
                for name, first in zip(self.segments, self._first_values, strict=True)
            )
        old = self._remembered.rows_of(np.unique(new["group"].to_numpy()))
        answered = [self._answered(new if old is None else pl.concat([old, new]), 1)]
        if old is not None:
            answered.append(self._answered(old, -1))
        self._remembered.add(new)
        asks = new.filter(~pl.col("is_yes")).with_columns(minute=pl.col("at") // _MINUTE, count=1)
        return StepCounts(self._summed([asks], ["minute"]), self._summed(answered, ["ask_minute", "delay"]))

    def _answered(self, marks: pl.DataFrame, count: int) -> pl.DataFrame:
        """The answered among all asks of some groups; ``marks`` of one moment in the order of their arrival."""
        marks = marks.sort("group", "at", "received", "is_yes", maintain_order=True)
        group, at, is_yes = (marks[name].to_numpy() for name in ("group", "at", "is_yes"))
        # Between an ask and the next there is nothing but yeses to it, so the first of them stands next to it.
        follows = ~is_yes[:-1] & is_yes[1:] & (group[:-1] == group[1:]) & (at[1:] - at[:-1] <= self._window)
        asks = np.flatnonzero(follows)
        minute = at[asks] // _MINUTE
        return marks[asks].with_columns(
            ask_minute=pl.Series(minute), delay=pl.Series(at[asks + 1] // _MINUTE - minute), count=count
        )

    def _summed(self, counted: list[pl.DataFrame], minutes: list[str]) -> pl.DataFrame:
        keys = ["step", *self.segments, *minutes]
        rows = pl.concat([frame.select(*keys, pl.col("count").cast(pl.Int64)) for frame in counted])
        sums = rows.group_by(keys).agg(pl.col("count").sum()).filter(pl.col("count") != 0).sort(keys)
        return sums.select(*self._steps.named(sums["step"]), *self.segments, *minutes, "count")


class _Steps:
    """The steps of a ladder, by number; and which of them each combination of marks asks for or says yes to."""

    def __init__(self, marks: MarkTable) -> None:
        self._marks = marks
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

    def named(self, numbers: pl.Series) -> list[pl.Series]:
        """The columns tier and step."""
        tiers, steps = [tier for tier, _ in self._numbers], [step for _, step in self._numbers]
        index = numbers.cast(pl.UInt32)
        return [
            pl.Series("tier", tiers, pl.Int16).gather(index),
            pl.Series("step", steps, pl.String).gather(index),
        ]

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
        self._count = np.array(counts, np.int64)
        self._first = np.cumsum(self._count) - self._count
        self._step = np.array(steps, np.int64)
        self._is_yes = np.array(is_yes, bool)


def _us(times: pl.Series) -> Int64s:
    found: Int64s = times.to_physical().to_numpy()
    return found
