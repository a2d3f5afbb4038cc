"""Which segments carry a fall: what each of them lost, and what its people say for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.alerts_evidence import DELTAS, by_cohort
from stream.alerts_state import State


@dataclass(frozen=True)
class Contribution:
    """One key's part in a fall: yeses ``lost`` (95% interval) against its own usual rate, their ``share`` of all lost.

    ``evidence``: the sum of log L of its cohorts, which over the keys adds up to that of the group.
    """

    key: int
    lost: float
    lost_low: float
    lost_high: float
    share: float
    evidence: float


def contributions(state: State, keys: NDArray[np.int64], since: int, fall: float) -> tuple[Contribution, ...]:
    """What each key contributes to a ``fall`` since a minute, most first; of the minutes in flight at the longest.

    Each key is held against its own usual rate, so that a shift of people between keys of different rates is nobody's
    loss.
    """
    ages = len(state.asks)
    rows = slice(max(0, ages - (int(state.minute[0]) - since + 1)), None)
    due, came = state.due[rows][:, keys].sum(axis=0), state.came[rows][:, keys].sum(axis=0)
    rate = state.chance[-1, 1, keys]
    uncertain = np.sqrt(state.level_variance[1, keys] + state.baseline_error[keys] ** 2) * (1 - rate)
    half = 1.96 * np.sqrt(np.maximum(came, 1.0) + (due * uncertain) ** 2)
    arrived = np.cumsum(state.shares[:, keys], axis=0)[::-1].astype(np.float32)
    evidence = by_cohort(
        state.asks[rows][:, keys],
        state.yeses[rows][:, keys],
        (state.chance[:, :, keys] * np.minimum(arrived, 1)[:, None, :])[rows],
        state.epsilon[:, keys],
    )[:, 1, int(np.argmin(abs(DELTAS - fall)))].sum(axis=0)
    lost = due - came
    share = lost / max(float(lost.sum()), 1e-9)
    order = np.argsort(-lost, kind="stable")
    return tuple(
        Contribution(
            key=int(keys[i]),
            lost=float(lost[i]),
            lost_low=float(lost[i] - half[i]),
            lost_high=float(lost[i] + half[i]),
            share=float(share[i]),
            evidence=float(evidence[i]),
        )
        for i in order
    )
