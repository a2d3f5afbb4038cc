"""What the funnel's core reads and gives: events of many units as arrays, and the best attempt of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Masks = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Rules:
    """What makes an attempt, in numbers.  Steps count from 1; durations are whole microseconds.

    ``step_windows``: from the step before, by step.  ``exclusions``: (after, before), one for each column of flags that
    the events have.
    """

    steps: int
    order: str
    window_us: int
    step_windows: dict[int, int] = field(default_factory=dict)
    optional: frozenset[int] = frozenset()
    exclusions: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Events:
    """Events of units, unit after unit, each unit's in the order of time and arrival.

    ``first``: where each unit's events begin, and at the end how many there are; no unit is empty.
    ``fits``: bit k-1 says that the event may fill step k.  ``may_start``: that an attempt may begin with it.
    ``excluded``: for each exclusion, which events are of the kind that spoils.
    """

    first: Ints
    time: Ints
    fits: Masks
    may_start: Flags
    excluded: tuple[Flags, ...] = ()

    @property
    def units(self) -> int:
        return len(self.first) - 1

    @property
    def unit(self) -> Ints:
        """The unit of each event, counted from 0."""
        return np.repeat(np.arange(self.units, dtype=np.int64), np.diff(self.first))

    def take(self, rows: Ints, first: Ints) -> Events:
        """Events from other places, in units that begin at ``first``."""
        return Events(
            first,
            self.time[rows],
            self.fits[rows],
            self.may_start[rows],
            tuple(flags[rows] for flags in self.excluded),
        )


@dataclass(frozen=True)
class Attempts:
    """The best attempt of each unit that has one, in the order of units.

    ``at[n, k-1]``: the place of the event that fills step k; -1 where none does.  Of unordered funnels the place of the
    event with which k steps were complete.
    """

    unit: Ints
    at: Ints

    @property
    def furthest(self) -> Ints:
        """The last step that is filled."""
        steps = np.arange(1, self.at.shape[1] + 1, dtype=np.int64)
        return np.asarray(np.where(self.at >= 0, steps, 0).max(axis=1, initial=0), np.int64)


def no_attempts(steps: int) -> Attempts:
    """Nobody's."""
    return Attempts(np.zeros(0, np.int64), np.zeros((0, steps), np.int64))


def best_of(attempts: Attempts, time: Ints) -> Attempts:
    """Of several attempts with the same unit the best: furthest, fastest, most steps filled, earliest begun.

    Of two that still are alike, the one that fills lower steps, then the one that ends first.  ``time``: of the events
    that they lie in.
    """
    if len(attempts.unit) == 0:
        return attempts
    at, furthest = attempts.at, attempts.furthest
    filled = at >= 0
    last = at[np.arange(len(at)), furthest - 1]
    weights = 1 << np.arange(at.shape[1], dtype=np.int64)[::-1]
    keys = (
        last,
        -(filled * weights).sum(axis=1),
        at[:, 0],
        -filled.sum(axis=1),
        time[last] - time[at[:, 0]],
        -furthest,
        attempts.unit,
    )
    order = np.lexsort(keys)
    unit = attempts.unit[order]
    chosen = order[np.flatnonzero(np.diff(unit, prepend=-1))]
    return Attempts(attempts.unit[chosen], at[chosen])


def grouped(owner: Ints) -> Ints:
    """Where each run of equal owners begins, and at the end how many there are."""
    return np.append(np.flatnonzero(np.diff(owner, prepend=-1)), len(owner)).astype(np.int64)


def smallest_of(owner: Ints, values: Ints) -> Flags:
    """Which values are the smallest of their owner; owners stand together."""
    if len(owner) == 0:
        return np.zeros(0, np.bool_)
    first = grouped(owner)
    least = np.minimum.reduceat(values, first[:-1])
    return np.asarray(values == np.repeat(least, np.diff(first)), np.bool_)


def ranges(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """All numbers of [low, high) of each row, one after the other, and the row of each; no row runs backwards."""
    lengths = high - low
    row = np.repeat(np.arange(len(low), dtype=np.int64), lengths)
    begun = np.cumsum(lengths) - lengths
    return np.arange(len(row), dtype=np.int64) - begun[row] + low[row], row


def first_reaching(values: Ints, low: Ints, high: Ints, bound: Ints) -> Ints:
    """For each row the first place in [low, high) whose value is at least ``bound``; ``high`` where there is none.

    Values must not fall within a row's range.
    """
    low, high = low.copy(), high.copy()
    open_rows = np.flatnonzero(low < high)
    while len(open_rows):
        middle = (low[open_rows] + high[open_rows]) >> 1
        reached = values[middle] >= bound[open_rows]
        high[open_rows[reached]] = middle[reached]
        low[open_rows[~reached]] = middle[~reached] + 1
        open_rows = open_rows[low[open_rows] < high[open_rows]]
    return low


def range_maximum(values: Ints, low: Ints, high: Ints) -> Ints:
    """For each row the largest value in [low, high); 0 where that is empty.  No value is negative."""
    found = np.zeros(len(low), np.int64)
    length = high - low
    width = 1
    level = values
    while True:
        rows = np.flatnonzero((length >= width) & (length < 2 * width))
        found[rows] = np.maximum(level[low[rows]], level[high[rows] - width])
        if not np.any(length >= 2 * width):
            return found
        level = np.maximum(level[:-width], level[width:])
        width *= 2
