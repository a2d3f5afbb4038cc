"""The funnel's core: the best attempt of each unit, of columns, touching nothing else."""

from __future__ import annotations

import numpy as np

from answers.funnel_ordered import best_ordered
from answers.funnel_stream import Attempts, Events, Ints, Rules, best_of, no_attempts
from answers.funnel_unordered import best_unordered


def best_attempts(events: Events, rules: Rules) -> Attempts:
    """The best attempt of each unit that has one.  Pure; its places are those of ``events``."""
    if rules.order == "unordered":
        return best_unordered(events, rules)
    return best_ordered(events, rules)


def best_attempts_within(events: Events, rules: Rules, values: Ints) -> tuple[Attempts, Ints]:
    """The best attempt of each unit for each value, whose events all have it, and the value of each attempt.

    As though each unit were several, one for each value; events without one (-1) are as if they were not.
    """
    unit = events.unit
    kept = np.flatnonzero(values >= 0)
    if len(kept) == 0:
        return no_attempts(rules.steps), np.zeros(0, np.int64)
    rows = kept[np.lexsort((values[kept], unit[kept]))]
    change = (np.diff(unit[rows], prepend=-1) != 0) | (np.diff(values[rows], prepend=-1) != 0)
    first = np.append(np.flatnonzero(change), len(rows)).astype(np.int64)
    found = best_attempts(events.take(rows, first), rules)
    owner = rows[first[found.unit]]
    at = np.where(found.at >= 0, rows[found.at], -1)
    return Attempts(unit[owner], at), values[owner]


def best_of_units(attempts: Attempts, events: Events) -> Attempts:
    """One attempt a unit, the best of several."""
    return best_of(attempts, events.time)
