"""Ordered and strict funnels: the best attempt of every unit, all units at once.

A later start is never worse: it leaves more of the window and makes an attempt faster.  So for each event and each step
that it may fill, one number says all: the latest start from which the event can be reached as that step.  Step windows,
exclusions and strictness only bound from where an event can be reached: the step before must lie in a range of events
right before it, so that the latest start is a maximum over that range.

Where steps are optional the number carries, below the start, which of them were filled: of the ways from one start to
one event the one with the most steps filled is best, of these the one that fills lower steps.

An exclusion whose second step is not reached asks for more: nothing of the kind may follow until the attempt's own
window ends, so that an earlier start may be clean where the latest one is spoiled.  Such an attempt is looked for by
itself, among the starts whose window ends before the spoiling event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from answers.funnel_stream import (
    Attempts,
    Events,
    Flags,
    Ints,
    Rules,
    best_of,
    first_reaching,
    grouped,
    no_attempts,
    range_maximum,
    ranges,
    smallest_of,
)

_NEVER = np.iinfo(np.int64).max
_BITS = 20
"""One per step that a funnel may have."""
_COUNT_BITS = 5


@dataclass(frozen=True)
class _Reached:
    """Of one step: the events that may fill it, and for each the latest start (0: it cannot be reached)."""

    events: Ints
    key: Ints


@dataclass(frozen=True)
class _Candidates:
    """Ends of attempts, unit after unit."""

    unit: Ints
    step: Ints
    event: Ints
    key: Ints


def best_ordered(events: Events, rules: Rules) -> Attempts:
    """The best attempt of each unit, by the rules of docs/funnel.md.

    A unit whose furthest attempt is spoiled by an exclusion, with no clean one as far, has none.
    """
    core = _Core(events, rules)
    reached = core.forward(with_exclusions=True)
    furthest = core.furthest(reached)
    if rules.exclusions:
        # As far as anyone got, spoiled or not: only who gets there cleanly counts.
        furthest = np.where(furthest == core.furthest(core.forward(with_exclusions=False)), furthest, 0)
    candidates = core.candidates(reached, furthest)
    spoiler = core.spoiler_time(candidates)
    spoiled = spoiler <= events.time[core.start_of(candidates.key)] + rules.window_us
    found = core.trace(reached, core.best(core.kept(candidates, ~spoiled)))
    if not spoiled.any():
        return found
    others = core.with_earlier_starts(core.kept(candidates, spoiled), spoiler[spoiled] - rules.window_us)
    both = Attempts(np.concatenate([found.unit, others.unit]), np.concatenate([found.at, others.at]))
    return best_of(both, events.time)


class _Core:
    def __init__(self, events: Events, rules: Rules) -> None:
        self._events = events
        self._rules = rules
        self._unit = events.unit
        self._shift = _BITS + _COUNT_BITS if rules.optional else 0
        self._last_excluded = [_last_before(flags) for flags in events.excluded]

    def forward(self, *, with_exclusions: bool) -> list[_Reached]:
        """Step by step, the latest start of every event."""
        events, rules = self._events, self._rules
        starts = np.flatnonzero(((events.fits & np.uint32(1)) != 0) & events.may_start)
        reached = [_Reached(starts, (starts + 1) << self._shift)]
        for step in range(2, rules.steps + 1):
            at = np.flatnonzero((events.fits & np.uint32(1 << (step - 1))) != 0)
            key = np.zeros(len(at), np.int64)
            for before in self._steps_before(step):
                earlier = reached[before - 1]
                key = np.maximum(key, self._latest(earlier, at, before, step, with_exclusions))
            start = self.start_of(key)
            in_time = (key > 0) & (events.time[at] - events.time[start] <= rules.window_us)
            reached.append(_Reached(at, np.where(in_time, key + self._worth(step), 0)))
        return reached

    def furthest(self, reached: list[_Reached]) -> Ints:
        """The last step that each unit reaches, 0 for none."""
        found = np.zeros(self._events.units, np.int64)
        for step, one in enumerate(reached, start=1):
            found[self._unit[one.events[one.key > 0]]] = step
        return found

    def candidates(self, reached: list[_Reached], furthest: Ints) -> _Candidates:
        """Every end of an attempt that gets as far as its unit does."""
        parts: list[tuple[Ints, ...]] = []
        for step, one in enumerate(reached, start=1):
            unit = self._unit[one.events]
            row = np.flatnonzero((one.key > 0) & (furthest[unit] == step))
            parts.append((unit[row], np.full(len(row), step, np.int64), one.events[row], one.key[row]))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        order = np.argsort(columns[0], kind="stable")
        return _Candidates(*(column[order] for column in columns))

    def kept(self, candidates: _Candidates, keep: Flags) -> _Candidates:
        one = candidates
        return _Candidates(one.unit[keep], one.step[keep], one.event[keep], one.key[keep])

    def best(self, candidates: _Candidates) -> _Candidates:
        """One of each unit: the fastest, with the most steps filled, begun first, the lower steps filled."""
        time = self._events.time
        measures: tuple[Callable[[_Candidates], Ints], ...] = (
            lambda ends: time[ends.event] - time[self.start_of(ends.key)],
            lambda ends: -((ends.key & ((1 << self._shift) - 1)) >> _BITS),
            lambda ends: ends.key >> self._shift,
            lambda ends: -ends.key,
            lambda ends: ends.event,
        )
        for measure in measures:
            one_each = bool((np.diff(candidates.unit) != 0).all())
            if one_each:
                break
            candidates = self.kept(candidates, smallest_of(candidates.unit, measure(candidates)))
        return candidates

    def spoiler_time(self, candidates: _Candidates) -> Ints:
        """When the first event comes that spoils an attempt which goes no further than this; ``_NEVER`` for none."""
        events = self._events
        found = np.full(len(candidates.unit), _NEVER, np.int64)
        for flags, (after, before) in zip(events.excluded, self._rules.exclusions, strict=True):
            rows = np.flatnonzero((candidates.step >= after) & (candidates.step < before))
            places = np.flatnonzero(flags)
            nth = np.searchsorted(places, candidates.event[rows], side="right")
            has_next = nth < len(places)
            rows, place = rows[has_next], places[nth[has_next]]
            same = self._unit[place] == candidates.unit[rows]
            found[rows[same]] = np.minimum(found[rows[same]], events.time[place[same]])
        return found

    def with_earlier_starts(self, ends: _Candidates, before: Ints) -> Attempts:
        """Attempts to these ends from a start that lies before a time of its own; several of one unit perhaps."""
        events, rules = self._events, self._rules
        low = first_reaching(
            events.time, events.first[ends.unit], ends.event, events.time[ends.event] - rules.window_us
        )
        rows, problem = ranges(low, ends.event + 1)
        if len(rows) == 0:
            return no_attempts(rules.steps)
        is_end = rows == ends.event[problem]
        bit = (np.int64(1) << (ends.step[problem] - 1)).astype(np.uint32)
        alone = events.take(rows, grouped(problem))
        alone = replace(
            alone,
            fits=np.where(is_end, bit, alone.fits & ~bit),
            may_start=alone.may_start & (alone.time < before[problem]),
        )
        core = _Core(alone, rules)
        reached = core.forward(with_exclusions=True)
        candidates = core.candidates(reached, core.furthest(reached))
        candidates = core.kept(candidates, candidates.step == ends.step[candidates.unit])
        found = core.trace(reached, core.best(candidates))
        return Attempts(ends.unit[found.unit], np.where(found.at >= 0, rows[found.at], -1))

    def trace(self, reached: list[_Reached], ends: _Candidates) -> Attempts:
        """The events of the attempts with these ends, each step as early as it can be."""
        at = np.full((len(ends.unit), self._rules.steps), -1, np.int64)
        step, event, key = ends.step.copy(), ends.event.copy(), ends.key.copy()
        for number in range(self._rules.steps, 0, -1):
            here = np.flatnonzero(step == number)
            at[here, number - 1] = event[here]
            key[here] -= self._worth(number) if number > 1 else 0
            for before in self._steps_before(number):
                earlier = reached[before - 1]
                open_rows = here[step[here] == number]
                low, high = self._range(earlier.events, event[open_rows], before, number, with_exclusions=True)
                low = np.maximum(low, np.searchsorted(earlier.events, self.start_of(key[open_rows])))
                place, row = ranges(np.minimum(low, high), high)
                fitting = earlier.key[place] == key[open_rows[row]]
                place, row = place[fitting], row[fitting]
                earliest = np.flatnonzero(np.diff(row, prepend=-1))
                found = open_rows[row[earliest]]
                step[found], event[found] = before, earlier.events[place[earliest]]
        return Attempts(ends.unit, at)

    def start_of(self, key: Ints) -> Ints:
        """The event that a key begins with; meaningless for 0."""
        return (key >> self._shift) - 1

    def _latest(self, earlier: _Reached, at: Ints, before: int, step: int, with_exclusions: bool) -> Ints:
        if self._is_bounded(before, step, with_exclusions):
            low, high = self._range(earlier.events, at, before, step, with_exclusions=with_exclusions)
            return range_maximum(earlier.key, low, high)
        # The latest start of all that came before is this unit's, or this unit has none.
        keys = np.zeros(len(self._unit) + 1, np.int64)
        keys[earlier.events + 1] = earlier.key
        latest = np.maximum.accumulate(keys, out=keys)[at]
        return np.where(self.start_of(latest) >= self._events.first[self._unit[at]], latest, 0)

    def _is_bounded(self, before: int, step: int, with_exclusions: bool) -> bool:
        rules = self._rules
        covered = any(after <= before and step <= end for after, end in rules.exclusions)
        return rules.order == "strict" or step in rules.step_windows or (with_exclusions and covered)

    def _range(self, earlier: Ints, at: Ints, before: int, step: int, *, with_exclusions: bool) -> tuple[Ints, Ints]:
        """Which of the earlier step's events may stand right before each of these, as places in ``earlier``.

        Where nothing bounds them the events of units before are among them; nobody starts there.
        """
        events, rules = self._events, self._rules
        high = np.searchsorted(earlier, at)
        if not self._is_bounded(before, step, with_exclusions):
            return np.zeros_like(high), high
        bound = events.first[self._unit[at]]
        if rules.order == "strict":
            bound = np.maximum(bound, at - 1)
        if with_exclusions:
            for last, (after, end) in zip(self._last_excluded, rules.exclusions, strict=True):
                if after <= before and step <= end:
                    bound = np.maximum(bound, last[at])
        low = np.searchsorted(earlier, bound)
        if step in rules.step_windows:
            low = first_reaching(events.time[earlier], low, high, events.time[at] - rules.step_windows[step])
        return low, high

    def _steps_before(self, step: int) -> list[int]:
        """Those that may come right before a step in an attempt, the nearest first."""
        found = []
        for before in range(step - 1, 0, -1):
            found.append(before)
            if before not in self._rules.optional:
                break
        return found

    def _worth(self, step: int) -> int:
        """What filling a step adds to a key."""
        return (1 << _BITS) + (1 << (_BITS - step)) if step in self._rules.optional else 0


def _last_before(flags: Flags) -> Ints:
    """For each event the last place before it that is flagged, -1 for none."""
    places = np.where(flags, np.arange(len(flags), dtype=np.int64), -1)
    return np.append(np.int64(-1), np.maximum.accumulate(places)[:-1]) if len(places) else places
