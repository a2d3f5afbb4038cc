"""The last hour of a unit, minute by minute: yeses that were expected, and those that came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.alerts_state import State

_DIGITS = 2


@dataclass(frozen=True)
class SeriesMinute:
    """``expected`` and ``came``: yeses that arrive in ``minute`` (whole minutes since 1970), rounded to 0.01."""

    minute: int
    expected: float
    came: float


def series_of(state: State, members: NDArray[np.int64]) -> tuple[SeriesMinute, ...]:
    """The minutes of the window up to the last one taken in, oldest first, summed over these keys."""
    due = state.due[:, members].sum(axis=1, dtype=np.float64)
    came = state.came[:, members].sum(axis=1, dtype=np.float64)
    first = int(state.minute[0]) - len(due) + 1
    return tuple(
        SeriesMinute(first + row, round(float(due[row]), _DIGITS), round(float(came[row]), _DIGITS))
        for row in range(len(due))
    )
