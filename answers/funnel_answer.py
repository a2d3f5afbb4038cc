"""From the best attempts of units to the answer: how many got to each step, how surely, and how fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import numpy as np

from answers.funnel_columns import NONE, Columns, Prepared, microseconds, prepare, rules_of
from answers.funnel_engine import best_attempts, best_attempts_within, best_of_units
from answers.funnel_question import Question
from answers.funnel_steps import Meaning
from answers.funnel_stream import Attempts, Ints, Rules, grouped
from answers.funnel_trend import Every, all_periods, has_matured, is_over, periods_of
from ladder.rates import Rate, wilson

EDGES_S = (0, 1, 10, 60, 600, 3600, 6 * 3600, 86_400, 7 * 86_400)
"""Where the bars of a histogram begin, in seconds; the last has no end."""

NEVER = np.iinfo(np.int64).min
"""For a time at which a step was reached."""


@dataclass(frozen=True)
class StepResult:
    """One step: who got there, out of whom, and how long it took them from the step before.

    ``previous``: the step that ``from_previous`` is a share of, the nearest before that is not optional; 0 for the
    first step, whose share is 1 (0 where nobody came).  Shares come with their 95 % interval; ``0/0`` is 0 (0 to 1).
    Seconds are None where nobody took that way.  ``histogram``: how many took at least each of ``EDGES_S`` and less
    than the next.  ``units``: their ids, where they were asked for.
    """

    step: int
    name: str
    count: int
    previous: int
    from_previous: Rate
    from_first: Rate
    median_seconds: float | None
    mean_seconds: float | None
    p90_seconds: float | None
    histogram: tuple[int, ...]
    units: tuple[str, ...] | None = None

    def row(self) -> dict[str, Any]:
        """Its numbers under the names that JSON and the Arrow table have, without histogram and units."""
        return {
            "step": self.step,
            "name": self.name,
            "count": self.count,
            "from_previous": self.from_previous.value,
            "from_previous_low": self.from_previous.low,
            "from_previous_high": self.from_previous.high,
            "from_first": self.from_first.value,
            "from_first_low": self.from_first.low,
            "from_first_high": self.from_first.high,
            "median_seconds": self.median_seconds,
            "mean_seconds": self.mean_seconds,
            "p90_seconds": self.p90_seconds,
        }


@dataclass(frozen=True)
class PeriodResult:
    """The units that entered in one period.  ``steps``: those whose window has passed.

    ``in_flight``: by step, how many of the others have come there so far.  ``is_mature``: nobody can be in flight.
    """

    begins: date
    is_mature: bool
    steps: tuple[StepResult, ...]
    in_flight: tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """``steps``: of all units.  ``by``: of the units with each value, the most frequent first.

    ``trend``: from the first period that anybody entered in to the last.  ``sums``: whether the values' counts add up
    to those of all units.
    """

    question: Question
    steps: tuple[StepResult, ...]
    by: Mapping[str, tuple[StepResult, ...]]
    trend: tuple[PeriodResult, ...] = ()

    @property
    def sums(self) -> bool:
        return self.question.attribution != "all"

    def to_dict(self, *, histogram: bool = False) -> dict[str, Any]:
        """For ``yesladder funnel --json``."""
        found: dict[str, Any] = {
            "unit": self.question.unit,
            "steps": [_as_json(step, histogram) for step in self.steps],
            "by": {value: [_as_json(step, histogram) for step in steps] for value, steps in self.by.items()},
        }
        if self.by:
            found["by_adds_up"] = self.sums
        if self.question.trend is not None:
            found["trend"] = [
                {
                    "period": period.begins.isoformat(),
                    "mature": period.is_mature,
                    "steps": [_as_json(step, histogram) for step in period.steps],
                    "in_flight": list(period.in_flight),
                }
                for period in self.trend
            ]
        return found


@dataclass(frozen=True)
class Counted:
    """Units by their best attempts.

    ``reached``: a row for each unit, when it came to each step; ``NEVER`` where it did not.  ``ids``: theirs, where
    they were read.  ``by_reached``, ``by_ids``, ``by_value``: the same for each value that a unit counts in (the places
    of its name in ``labels``).
    """

    reached: Ints
    ids: Sequence[str]
    by_reached: Ints
    by_ids: Sequence[str]
    by_value: Ints
    labels: Sequence[str]


@dataclass
class _Times:
    """Durations of one group of units, in microseconds, by step; grows part by part."""

    counts: Ints
    durations: list[list[Ints]]

    @classmethod
    def empty(cls, steps: int) -> _Times:
        return cls(np.zeros(steps, np.int64), [[] for _ in range(steps)])

    def add(self, reached: Ints) -> None:
        last = reached[:, 0]
        self.counts = self.counts + (reached != NEVER).sum(axis=0)
        for column in range(1, reached.shape[1]):
            rows = np.flatnonzero(reached[:, column] != NEVER)
            here = reached[rows, column]
            self.durations[column].append(here - last[rows])
            last = last.copy()
            last[rows] = here


def count(columns: Columns, question: Question, meaning: Meaning) -> Counted:
    """The best attempts of units, and the values that they count in.  Pure."""
    prepared = prepare(columns, question, meaning)
    events, rules = prepared.events, rules_of(question)
    if prepared.hold is None:
        attempts = best_attempts(events, rules)
    else:
        attempts = best_of_units(best_attempts_within(events, rules, prepared.hold)[0], events)

    def reached(found: Attempts) -> Ints:
        if len(events.time) == 0:
            return np.full(found.at.shape, NEVER, np.int64)
        return np.where(found.at >= 0, events.time[found.at], NEVER)

    def ids(found: Attempts) -> list[str]:
        return [columns.ids[code] for code in prepared.unit[events.first[found.unit]].tolist()] if columns.ids else []

    if prepared.by is None:
        none = np.zeros(0, np.int64)
        return Counted(reached(attempts), ids(attempts), none.reshape(0, rules.steps), [], none, [])
    if question.attribution == "all":
        by, value = _sharing(prepared, rules)
    else:
        by, value = attempts, _attributed(attempts, prepared.by, question)
    return Counted(reached(attempts), ids(attempts), reached(by), ids(by), value, [*prepared.labels, NONE])


@dataclass
class Tally:
    """What parts of the units add up to.

    ``listed``: the step whose units' ids are kept.  ``as_of``: up to when events are known; needed for a trend.
    """

    question: Question
    listed: int | None = None
    as_of: datetime | None = None
    _all: _Times = field(init=False)
    _by: dict[str, _Times] = field(init=False, default_factory=dict)
    _ids: list[str] = field(init=False, default_factory=list)
    _matured: dict[int, _Times] = field(init=False, default_factory=dict)
    _in_flight: dict[int, _Times] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._all = _Times.empty(len(self.question.steps))

    def add(self, counted: Counted) -> None:
        """Count units that no other part has."""
        self._all.add(counted.reached)
        if self.listed is not None:
            there = np.flatnonzero(counted.reached[:, self.listed - 1] != NEVER)
            self._ids += [counted.ids[row] for row in there.tolist()]
        if self.question.trend is not None:
            self._book(counted.reached, self.question.trend)
        # Rows of a value together: one look at all of them, not one for each value.
        order = np.argsort(counted.by_value, kind="stable")
        codes = counted.by_value[order]
        for first, end in pairwise(grouped(codes + 1).tolist() if len(codes) else []):
            times = self._by.setdefault(counted.labels[codes[first]], _Times.empty(len(self.question.steps)))
            times.add(counted.by_reached[order[first:end]])

    def _book(self, reached: Ints, every: Every) -> None:
        if self.as_of is None:
            raise ValueError("a trend needs to know up to when events are known")
        periods = periods_of(reached[:, 0], every)
        matured = has_matured(reached[:, 0], rules_of(self.question).window_us, microseconds(self.as_of))
        for flags, booked in ((matured, self._matured), (~matured, self._in_flight)):
            for period in np.unique(periods[flags]).tolist():
                times = booked.setdefault(period, _Times.empty(len(self.question.steps)))
                times.add(reached[flags & (periods == period)])

    def _trend(self) -> Iterator[PeriodResult]:
        question = self.question
        known = [*self._matured, *self._in_flight]
        if question.trend is None or self.as_of is None or not known:
            return
        nobody = _Times.empty(len(question.steps))
        for begins in all_periods(min(known), max(known), question.trend):
            period = (begins - date(1970, 1, 1)).days
            yield PeriodResult(
                begins,
                is_over(begins, question.trend, question.window, self.as_of),
                self._steps(self._matured.get(period, nobody), None),
                tuple(self._in_flight.get(period, nobody).counts.tolist()),
            )

    def answer(self) -> Answer:
        """What it comes to."""
        frequent = sorted(self._by.items(), key=lambda item: (-int(item[1].counts[0]), item[0]))
        return Answer(
            self.question,
            self._steps(self._all, self.listed),
            {value: self._steps(times, None) for value, times in frequent},
            tuple(self._trend()),
        )

    def _steps(self, times: _Times, listed: int | None) -> tuple[StepResult, ...]:
        question = self.question
        counts = [int(count) for count in times.counts]
        found = []
        previous = 0
        for step, text in enumerate(question.steps, start=1):
            before = counts[previous - 1] if previous else counts[0]
            durations = np.concatenate([*times.durations[step - 1], np.zeros(0, np.int64)])
            seconds = durations / 1e6
            found.append(
                StepResult(
                    step,
                    f"any {step} of {len(counts)}" if question.order == "unordered" else text,
                    counts[step - 1],
                    previous,
                    wilson(counts[step - 1], before),
                    wilson(counts[step - 1], counts[0]),
                    None if len(seconds) == 0 else float(np.median(seconds)),
                    None if len(seconds) == 0 else int(durations.sum()) / len(durations) / 1e6,
                    None if len(seconds) == 0 else float(np.quantile(seconds, 0.9)),
                    tuple(np.histogram(seconds, bins=[*EDGES_S, np.inf])[0].tolist()),
                    tuple(sorted(self._ids)) if step == listed else None,
                )
            )
            if step not in question.optional:
                previous = step
        return tuple(found)


def answer(
    parts: Iterable[Columns],
    question: Question,
    meaning: Meaning,
    *,
    listed: int | None = None,
    as_of: datetime | None = None,
) -> Answer:
    """The answer to a question about events in parts, each unit being in one part only.  Pure.

    Raises ``ValueError`` for a trend without ``as_of``.
    """
    tally = Tally(question, listed, as_of)
    for part in parts:
        tally.add(count(part, question, meaning))
    return tally.answer()


def _attributed(attempts: Attempts, values: Ints, question: Question) -> Ints:
    """The value that each attempt counts for, -1 for none."""
    of_steps = np.where(attempts.at >= 0, values[attempts.at], -1)
    if question.attributed_step is not None:
        return np.asarray(of_steps[:, question.attributed_step - 1], np.int64)
    if question.attribution == "last":
        of_steps = of_steps[:, ::-1]
    there = (of_steps >= 0).argmax(axis=1)
    return np.asarray(of_steps[np.arange(len(of_steps)), there], np.int64)


def _sharing(prepared: Prepared, rules: Rules) -> tuple[Attempts, Ints]:
    """For each unit and value the best attempt whose events all have that value, and the values."""
    if prepared.by is None:
        raise ValueError("there is no property to break down by")
    if prepared.hold is None:
        return best_attempts_within(prepared.events, rules, prepared.by)
    held = int(prepared.hold.max(initial=0)) + 1
    both = np.where((prepared.by >= 0) & (prepared.hold >= 0), prepared.by * held + prepared.hold, -1)
    attempts, value = best_attempts_within(prepared.events, rules, both)
    values = len(prepared.labels)
    pairs = Attempts(attempts.unit * values + value // held, attempts.at)
    best = best_of_units(pairs, prepared.events)
    return Attempts(best.unit // values, best.at), best.unit % values


def _as_json(step: StepResult, histogram: bool) -> dict[str, Any]:
    found = step.row()
    if histogram:
        ends = [*EDGES_S[1:], None]
        found["histogram"] = [
            {"from_seconds": begin, "to_seconds": end, "count": count}
            for begin, end, count in zip(EDGES_S, ends, step.histogram, strict=True)
        ]
    if step.units is not None:
        found["units"] = list(step.units)
    return found
