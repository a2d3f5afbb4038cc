"""How even the gradient of the ladder is: one number for how the log-odds of a yes fall along the ways people take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Way = tuple[int, int]
"""The tier held when asked (0: none) and the tier asked."""

_Draws = npt.NDArray[np.float64]

UNFELT = 0.02
"""A fall that nobody feels, half a point of a yes-rate at most.  Every fall has it, so that falls of next to nothing
are even, whatever their order."""

DRAWS = 2000
_SEED = 1


class Gradient(NamedTuple):
    """The score from 0 (one cliff carries the whole fall) to 1 (every step costs alike) and its 95 % interval."""

    score: float
    low: float
    high: float


def gradient(asks: Mapping[Way, tuple[int, int]]) -> Gradient | None:
    """The gradient score of asks and yeses by way; None with fewer than two falls, of which none is steeper.

    A way climbs if it asks for more than is held.  Its fall is the log-odds of a yes to the tier held (to all climbing
    asks of it; of the next lower tier that was asked for, where it was not) less the log-odds of a yes on this way,
    and 0 where they rise.  Who holds less than the lowest tier asked falls from that one; onto it there is no fall.
    The score is ``1 - G / (1 - w)``: G is Gini's coefficient of the falls (each with ``UNFELT``), a way weighing what
    it has of the asks, and w the weight of the steepest, so that 0 is reached however many took it.  It falls when the
    steepest way grows steeper.

    Log-odds are of ``(yes + 1/2) / (no yes + 1/2)``: Haldane (1956), Anscombe (1956).  The interval is of ``DRAWS``
    draws of all ways' rates, Beta(yes + 1/2, no yes + 1/2) (Jeffreys), with the score itself in it; the same counts
    give the same interval.  Raises ``ValueError`` for counts that cannot be.
    """
    if any(not 0 <= yes <= asked for asked, yes in asks.values()):
        raise ValueError("each way takes asks and how many of them got a yes")
    climbing = {way: asks[way] for way in sorted(asks) if way[1] > way[0] and asks[way][0] > 0}
    by_tier: dict[int, list[Way]] = {}
    for way in climbing:
        by_tier.setdefault(way[1], []).append(way)
    falling = {way: _from(way[0], by_tier) for way in climbing if way[1] > _from(way[0], by_tier)}
    if len(falling) < 2:
        return None
    weights = np.array([climbing[way][0] for way in falling], float)
    weights /= weights.sum()

    def score(to: Callable[[Way], _Draws], onto: Callable[[int], _Draws]) -> _Draws:
        falls = np.stack([np.maximum(0.0, onto(tier) - to(way)) for way, tier in falling.items()]) + UNFELT
        return _evenness(falls, weights)

    (point,) = score(
        lambda way: _log_odds(*climbing[way]),
        lambda tier: _log_odds(
            sum(climbing[way][0] for way in by_tier[tier]), sum(climbing[way][1] for way in by_tier[tier])
        ),
    )
    random = np.random.default_rng(_SEED)
    rates = {way: random.beta(yes + 0.5, asked - yes + 0.5, DRAWS) for way, (asked, yes) in climbing.items()}
    drawn = score(
        lambda way: _logit(rates[way]),
        lambda tier: _logit(
            np.average(
                [rates[way] for way in by_tier[tier]], axis=0, weights=[climbing[way][0] for way in by_tier[tier]]
            )
        ),
    )
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Gradient(float(point), float(min(low, point)), float(max(high, point)))


def _from(held: int, by_tier: Mapping[int, list[Way]]) -> int:
    """The tier whose yes brought people to ``held``."""
    return max((tier for tier in by_tier if tier <= held), default=min(by_tier))


def _evenness(falls: _Draws, weights: _Draws) -> _Draws:
    """``falls``: a row per way, above 0; a column per draw."""
    steepest = weights[np.argmax(falls, axis=0)]
    apart = sum(
        weights[one] * weights[other] * np.abs(falls[one] - falls[other])
        for one in range(len(falls))
        for other in range(one)
    )
    gini = apart / (weights @ falls)
    evenness: _Draws = 1 - gini / np.where(steepest < 1, 1 - steepest, 1.0)
    return np.clip(evenness, 0.0, 1.0)


def _log_odds(asked: int, yes: int) -> _Draws:
    return np.log([(yes + 0.5) / (asked - yes + 0.5)])


def _logit(rates: _Draws) -> _Draws:
    inside = np.clip(rates, 1e-12, 1 - 1e-12)
    return np.log(inside / (1 - inside))
