"""What kind of fall it is: people saying no, people taking longer, or counts that are not made any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream.alerts_delay import arrived_by, stretched

Floats = NDArray[np.float64]

Kind = Literal["drop", "slow", "tracking", "outage"]
KINDS: tuple[Kind, ...] = ("drop", "slow", "tracking", "outage")
"""``drop``: fewer people say yes.  ``slow``: as many, but later.  ``tracking``: asks, or all yeses, are no longer
counted
though people go on.  ``outage``: nothing at all arrives."""

FACTORS = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
_MUCH_LONGER = 1.5
OF_LATE = np.float32(0.5 ** (1 / 60))
"""What a minute leaves of the counts of yeses by delay: half of them are an hour old or less."""
_RATIOS = (0.05, 20.0)
_FALLS = np.linspace(0.05, 0.98, 32)


@dataclass(frozen=True)
class ByDelay:
    """Yeses of late by their delay, (delays, keys) from none on, a minute counting half as much as one an hour later.

    ``due`` and ``came``; ``shares`` of the usual yeses; ``of_asks``: those of ``due`` to asks since the change;
    ``of_arrivals``: those due since then, whoever was asked when.
    """

    due: Floats
    came: Floats
    shares: Floats
    of_asks: Floats
    of_arrivals: Floats


def by_delay(due: Floats, came: Floats, shares: Floats, expected: Floats, change_age: int) -> ByDelay:
    """``expected``: yeses of the asks of each minute in the end, (delays, keys), the newest first.

    ``change_age``: that of the first asks that changed.  Asks that are out of flight count as before the change.
    """
    of_asks, of_arrivals = np.zeros_like(due), np.zeros_like(due)
    kept = float(OF_LATE) ** np.arange(len(due))[:, None]
    for delay in range(len(due)):
        for part, last in ((of_asks, change_age), (of_arrivals, change_age + delay)):
            asked = expected[delay : last + 1]
            part[delay] = (asked * kept[: len(asked)]).sum(axis=0)
    return ByDelay(due, came, shares, np.minimum(of_asks * shares, due), np.minimum(of_arrivals * shares, due))


def slower(counts: ByDelay) -> tuple[float, float]:
    """How much better "they take longer" explains the yeses than "fewer say yes", and how many times longer.

    The first number is the difference of the two greatest Poisson log likelihoods; positive says longer.  Who says yes
    as often but later comes in other proportions than before.  Fewer yeses may be so for the asks since the change, or
    for all that arrives since then; when it began may be misjudged, so either may also have begun long ago.
    """
    due, came = counts.due, counts.came

    def likelihood(expected: Floats) -> float:
        share = np.where(due > 0, np.maximum(expected, 1e-3 * due) / np.maximum(due, 1e-30), 1.0)
        return float((came * np.log(share) - due * share).sum())

    arrived = arrived_by(counts.shares)
    fewer = max(likelihood(due - fall * part) for fall in _FALLS for part in (counts.of_asks, counts.of_arrivals, due))
    longer = []
    for factor in FACTORS:
        later = np.diff(stretched(arrived, factor), axis=0, prepend=0)
        more = np.clip(later / np.maximum(counts.shares, 1e-9), *_RATIOS) - 1
        longer.append(max(likelihood(due + more * part) for part in (counts.of_asks, due)))
    best = int(np.argmax(longer))
    return longer[best] - fewer, FACTORS[best]


def back_on_time(asks: Floats, yeses: Floats, chance: Floats, arrived: Floats, oldest: int) -> float:
    """How much better the usual delays explain the cohorts than any that are ``_MUCH_LONGER`` or more.

    All arrays are (ages, keys): cohorts from the oldest to the newest, ``arrived`` from age 0 on (``arrived_by``).
    Only cohorts up to the age ``oldest`` are asked.
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
