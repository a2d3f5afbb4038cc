"""What kind of fall it is: people saying no, people taking longer, or counts that are not made any more."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream.alerts_delay import stretched

Floats = NDArray[np.float64]

Kind = Literal["drop", "slow", "tracking", "outage"]
KINDS: tuple[Kind, ...] = ("drop", "slow", "tracking", "outage")
"""``drop``: fewer people say yes.  ``slow``: as many, but later.  ``tracking``: asks, or all yeses, are no longer
counted
though people go on.  ``outage``: nothing at all arrives."""

FACTORS = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
_MUCH_LONGER = 1.5
_FALLS = np.linspace(0.05, 0.98, 32)


def slower(asks: Floats, yeses: Floats, chance: Floats, arrived: Floats, change_age: int) -> tuple[float, float]:
    """How much better "they take longer" explains the cohorts in flight than "fewer say yes", and how much longer.

    All arrays are (ages, keys): cohorts from the oldest to the newest, ``arrived`` from age 0 on (``arrived_by``).  The
    first number is the difference of the two greatest log likelihoods; positive says longer.  ``change_age`` is the age
    of the first asks that changed; fewer yeses may be so for the asks since then, or for all that arrives since then.
    """
    age = np.arange(len(asks))[::-1]
    changed = (age <= change_age)[:, None]
    now = arrived[age]
    before = np.where(changed, 0.0, arrived[np.maximum(age - change_age - 1, 0)])
    fewer = max(
        max(
            _log_likelihood(asks, yeses, chance * np.where(changed, (1 - fall) * now, now)),
            _log_likelihood(asks, yeses, chance * (before + (1 - fall) * (now - before))),
        )
        for fall in _FALLS
    )
    longer = [
        _log_likelihood(asks, yeses, chance * np.where(changed, stretched(arrived, factor)[age], now))
        for factor in FACTORS
    ]
    best = int(np.argmax(longer))
    return longer[best] - fewer, FACTORS[best]


def back_on_time(asks: Floats, yeses: Floats, chance: Floats, arrived: Floats, oldest: int) -> float:
    """How much better the usual delays explain the cohorts than any that are ``_MUCH_LONGER`` or more.

    Shapes as in ``slower``; only cohorts up to the age ``oldest`` are asked.
    """
    age = np.arange(len(asks))[::-1]
    rows = age <= oldest
    age, asks, yeses, chance = age[rows], asks[rows], yeses[rows], chance[rows]
    longer = [
        _log_likelihood(asks, yeses, chance * stretched(arrived, factor)[age])
        for factor in FACTORS
        if factor >= _MUCH_LONGER
    ]
    return _log_likelihood(asks, yeses, chance * arrived[age]) - max(longer)


def _log_likelihood(asks: Floats, yeses: Floats, due: Floats) -> float:
    share = np.clip(due, 1e-9, 1 - 1e-9)
    return float((yeses * np.log(share) + (asks - yeses) * np.log1p(-share)).sum())
