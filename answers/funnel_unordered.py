"""Unordered funnels: as many steps as possible within the window, in any order, each filled by an event of its own.

For every event and every number r, one number says all: the latest start from which r steps are complete by that event.
Steps that share no events are independent of one another: the latest start of one step is the last event that fits it,
and r steps are complete from the r-th latest of these.  Where steps share events, who fills what matters; by Hall's
theorem r of n steps can be filled from some events exactly if each set of k steps finds at least r - (n - k) of them.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from answers.funnel_stream import Attempts, Events, Flags, Ints, Masks, Rules, first_reaching, no_attempts, smallest_of
from ladder.errors import UsageError

MOST_ENTANGLED = 10
"""Steps that share events with one another: the sets to look at double with each."""


def best_unordered(events: Events, rules: Rules) -> Attempts:
    """The best attempt of each unit, by the rules of docs/funnel.md.

    Raises ``UsageError`` where more than ``MOST_ENTANGLED`` steps share events.
    """
    if len(events.time) == 0:
        return no_attempts(rules.steps)
    complete = _complete_from(events.fits, rules.steps)
    unit = events.unit
    began = events.first[unit]
    everywhere = np.arange(len(unit), dtype=np.int64)
    last_start = np.maximum.accumulate(np.where(events.may_start & (events.fits > 0), everywhere, -1))
    start = np.minimum(complete, last_start[:, None])
    inside = start >= began[:, None]
    start = np.maximum(start, 0)
    good = inside & events.may_start[start] & (events.time[:, None] - events.time[start] <= rules.window_us)

    furthest = np.zeros(events.units, np.int64)
    for number in range(1, rules.steps + 1):
        furthest[unit[good[:, number - 1]]] = number
    wanted = furthest[unit]
    ends = np.flatnonzero((wanted > 0) & good[everywhere, wanted - 1])
    begins = start[ends, wanted[ends] - 1]
    fastest = smallest_of(unit[ends], events.time[ends] - events.time[begins])
    ends, begins = ends[fastest], begins[fastest]
    begun_first = smallest_of(unit[ends], begins)
    ends, begins = ends[begun_first], begins[begun_first]
    ended_first = smallest_of(unit[ends], ends)
    ends, begins = ends[ended_first], begins[ended_first]

    at = np.full((len(ends), rules.steps), -1, np.int64)
    for number in range(1, rules.steps + 1):
        rows = np.flatnonzero(furthest[unit[ends]] >= number)
        at[rows, number - 1] = first_reaching(complete[:, number - 1], begins[rows], ends[rows], begins[rows])
    return Attempts(unit[ends], at)


def _complete_from(fits: Masks, steps: int) -> Ints:
    """[n, r-1]: the latest event from which, up to the n-th, r steps can be filled; -1 where they cannot."""
    columns: list[Ints] = []
    for members in _entangled(fits, steps):
        if len(members) > MOST_ENTANGLED:
            raise UsageError(
                f"steps: {len(members)} steps of this unordered funnel share events; at most {MOST_ENTANGLED} may"
            )
        columns += _of_entangled(fits, members)
    return np.asarray(-np.sort(-np.stack(columns, axis=1), axis=1), np.int64)


def _entangled(fits: Masks, steps: int) -> list[list[int]]:
    """The steps (from 0) in groups that share no events with one another."""
    group = list(range(steps))
    for mask in np.unique(fits).tolist():
        members = [step for step in range(steps) if mask >> step & 1]
        for other in members[1:]:
            old, new = group[other], group[members[0]]
            group = [new if one == old else one for one in group]
    return [[step for step in range(steps) if group[step] == one] for one in sorted(set(group))]


def _of_entangled(fits: Masks, members: list[int]) -> list[Ints]:
    """For r = 1, 2, ...: the latest event from which r of these steps can be filled."""
    latest = [np.full(len(fits), np.iinfo(np.int64).max, np.int64) for _ in members]
    for size in range(1, len(members) + 1):
        for some in combinations(members, size):
            flags = (fits & np.uint32(sum(1 << step for step in some))) > 0
            for number in range(1, len(members) + 1):
                needed = number - (len(members) - size)
                if needed > 0:
                    latest[number - 1] = np.minimum(latest[number - 1], _nth_last(flags, needed))
    return latest


def _nth_last(flags: Flags, nth: int) -> Ints:
    """For each event the place of the n-th last that is flagged, itself included; -1 where there are fewer."""
    places = np.concatenate([np.full(nth, -1, np.int64), np.flatnonzero(flags)])
    seen: npt.NDArray[np.int64] = np.cumsum(flags)
    return places[seen]
