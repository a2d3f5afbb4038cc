"""Which leaps lose more people than their neighbours, beyond chance and by more than a trifle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ladder.tiers import Ladder
from warehouse.ways import Way

FEWEST = 30
"""Of fewer people asked nothing is judged."""

MATERIAL = 1.5
"""The odds of a yes must be lower by this factor at least, all of the interval; no ladder is even to the last digit."""

_DRAWS = 4000
_SEED = 1

_Draws = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A way up against what it is compared with, in log-odds of a yes: ``excess`` is how much lower they are.

    ``expected_rate``: the yes-rate, were the way like its neighbours.
    """

    way: Way
    against: str
    excess: float
    deviation: float
    expected_rate: float

    def times(self, family: int) -> tuple[float, float, float]:
        """How many times lower the odds are, with an interval at 95 % for all of so many comparisons (Bonferroni)."""
        z = NormalDist().inv_cdf(1 - 0.05 / (2 * max(1, family)))
        half = z * self.deviation
        return exp(self.excess), exp(self.excess - half), exp(self.excess + half)

    def is_friction(self, family: int) -> bool:
        """Whether all of that interval lies above ``MATERIAL``."""
        return self.times(family)[1] > MATERIAL


def rungs(ladder: Ladder) -> tuple[int, ...]:
    """The tiers that any event is a yes of, from the lowest."""
    found: list[int] = []
    tier = ladder.next_tier(0)
    while tier is not None:
        found.append(tier)
        tier = ladder.next_tier(tier)
    return tuple(found)


def below(tier: int, ladder: Ladder) -> int:
    """The next lower rung, 0 for none."""
    return max((rung for rung in rungs(ladder) if rung < tier), default=0)


def comparisons(ways: Iterable[Way], ladder: Ladder) -> tuple[Comparison, ...]:
    """Every way that can be judged; of the others too few were asked, or nothing is there to compare with.

    A way is a *leap over* rungs where those asked hold less than the next lower rung.  It is compared with the same
    step asked in order; where too few were, with the steps of the tier asked in order; else with the next higher tier
    asked in order, which should be harder.  A way in order is compared with how steeply it gets harder elsewhere: its
    fall is the log-odds of a yes on the rung before (for the first: on the next one) less its own, and the excess is
    its fall less the median fall between the other neighbouring rungs, which counts as 0 where it rises.

    Log-odds are of (yes + 1/2) / (no yes + 1/2); deviations are those of draws of all rates, Beta(yes + 1/2,
    no yes + 1/2) (Jeffreys).  The same counts give the same answer.  Steps that the ladder knows no yes of are left
    out.
    """
    answerable = {(mark.tier, mark.step) for rule in ladder.rules for mark in rule.marks if mark.role == "yes"}
    known = sorted(
        (way for way in ways if (way.tier, way.step) in answerable and way.asked > 0),
        key=lambda way: (way.tier, way.held_tier, way.step),
    )
    judge = _Judge(known, ladder)
    found = (judge.judged(way) for way in known if way.asked >= FEWEST)
    return tuple(one for one in found if one is not None)


class _Judge:
    def __init__(self, known: Sequence[Way], ladder: Ladder) -> None:
        self._ladder = ladder
        random = np.random.default_rng(_SEED)
        self._drawn = {way: random.beta(way.yes + 0.5, way.asked - way.yes + 0.5, _DRAWS) for way in known}
        self._below = {tier: below(tier, ladder) for tier in rungs(ladder)}
        pools = {
            tier: [way for way in known if way.tier == tier and way.held_tier == lower]
            for tier, lower in self._below.items()
        }
        self._pools = {tier: pool for tier, pool in pools.items() if _asked(pool) >= FEWEST}
        self._path = list(self._pools)

    def judged(self, way: Way) -> Comparison | None:
        return self._leap_over(way) if way.held_tier < self._below[way.tier] else self._in_order(way)

    def _leap_over(self, way: Way) -> Comparison | None:
        same_step = [other for other in self._pools.get(way.tier, ()) if other.step == way.step]
        higher = next((tier for tier in self._path if tier > way.tier), None)
        for pool, against in (
            (same_step, "the same step asked in order"),
            (self._pools.get(way.tier, []), "what is asked of this tier in order"),
            ([] if higher is None else self._pools[higher], "the next tier asked in order"),
        ):
            if _asked(pool) >= FEWEST:
                return self._compared(way, against, self._log_odds(pool) - self._log_odds([way]))
        return None

    def _in_order(self, way: Way) -> Comparison | None:
        if way.tier not in self._pools:
            return None
        place = self._path.index(way.tier)
        own = max(place, 1)
        falls = [
            self._log_odds(self._pools[before]) - self._log_odds(self._pools[after])
            for n, (before, after) in enumerate(zip(self._path, self._path[1:], strict=False), start=1)
            if n != own
        ]
        if not falls:
            return None
        typical = np.maximum(0.0, np.median(np.stack(falls), axis=0))
        neighbour = self._pools[self._path[place - 1 if place > 0 else 1]]
        fall = self._log_odds(neighbour) - self._log_odds([way])
        return self._compared(way, "how steep the other leaps are", fall - typical)

    def _log_odds(self, pool: Sequence[Way]) -> _Draws:
        """The estimate, then the draws."""
        asked, yes = _asked(pool), sum(way.yes for way in pool)
        shares = np.average([self._drawn[way] for way in pool], axis=0, weights=[way.asked for way in pool])
        inside = np.clip(np.concatenate([[(yes + 0.5) / (asked + 1)], shares]), 1e-12, 1 - 1e-12)
        found: _Draws = np.log(inside / (1 - inside))
        return found

    def _compared(self, way: Way, against: str, excess: _Draws) -> Comparison:
        value = float(excess[0])
        own = log((way.yes + 0.5) / (way.asked - way.yes + 0.5))
        return Comparison(way, against, value, float(np.std(excess[1:])), 1 / (1 + exp(-(own + value))))


def _asked(pool: Sequence[Way]) -> int:
    return sum(way.asked for way in pool)
