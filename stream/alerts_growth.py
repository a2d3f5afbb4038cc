"""A detector that gets more to watch while it runs: what it knows of the rest stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from stream.alerts_learning import History, first_state
from stream.alerts_state import State

Members = Sequence[int]

_BY_UNIT = frozenset(
    {
        "by_cohort", "by_minute", "log_mixture", "excess", "since", "due_then", "came_then", "kind", "raised",
        "change_point", "alarm_due", "alarm_came", "fall", "factor", "recovery",
    }
)  # fmt: skip


def grown(state: State, keys: int, before: Sequence[Members], groups: Sequence[Members]) -> State:
    """The state with room for ``keys`` keys and for ``groups``, of which those of ``before`` come first.

    New keys know nothing.  A key that joins a group is counted there from now on.
    """
    window, old = state.asks.shape
    nothing = np.zeros((0, keys - old))
    history = History(int(state.minute[0]) + 1, nothing, nothing, np.zeros((window, keys - old)))
    fresh = first_state(history, len(groups) - len(before))
    parts = {}
    for field in fields(State):
        was, new = getattr(state, field.name), getattr(fresh, field.name)
        if field.name == "minute":
            parts[field.name] = was.copy()
        elif field.name == "coefficients":
            parts[field.name] = np.concatenate([was, new])
        elif field.name in _BY_UNIT:
            pieces = [was[..., :old], new[..., : keys - old], was[..., old:], new[..., keys - old :]]
            parts[field.name] = np.concatenate(pieces, axis=-1)
        else:
            parts[field.name] = np.concatenate([was, new], axis=-1)
    larger = State(**parts)
    for number, (members, was_members) in enumerate(zip(groups, before, strict=False)):
        joined = sorted(set(members) - set(was_members))
        due, came = larger.due_total[joined].sum(), larger.came_total[joined].sum()
        larger.due_then[..., keys + number] += due
        larger.came_then[..., keys + number] += came
        larger.alarm_due[keys + number] += due
        larger.alarm_came[keys + number] += came
    return larger
