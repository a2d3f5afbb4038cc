"""Two groups compared: stratum by stratum, so that what they were asked for is no difference; or many pairs at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeVar

from ladder.clusters import Clustered
from ladder.rates import Rate, difference, standardised

Stratum = TypeVar("Stratum", bound=Hashable)


@dataclass(frozen=True)
class Compared:
    """``one`` and ``other`` as if both had the same mix of strata, and ``one - other``, with 95 % intervals.

    ``trials``: of each, in the strata that both have; of others there is nothing to compare with.
    """

    one: Rate
    other: Rate
    difference: Rate
    trials: tuple[int, int]

    @property
    def is_told(self) -> bool:
        """Whether the interval leaves out that there is no difference."""
        return self.difference.low > 0 or self.difference.high < 0


def compared(one: Mapping[Stratum, tuple[int, int]], other: Mapping[Stratum, tuple[int, int]]) -> Compared | None:
    """By stratum (successes, trials) of each.  A stratum weighs as much as it has of all trials; None: none in common.

    Direct standardisation over the common strata (``ladder.rates.standardised``); the interval of the difference is
    Newcombe's of the two (``ladder.rates.difference``).
    """
    common = [key for key, (_, trials) in one.items() if trials > 0 and other.get(key, (0, 0))[1] > 0]
    if not common:
        return None
    weights = {key: one[key][1] + other[key][1] for key in common}
    rates = [standardised([(weights[key], *of[key]) for key in common]) for of in (one, other)]
    trials = (sum(one[key][1] for key in common), sum(other[key][1] for key in common))
    return Compared(rates[0], rates[1], difference(rates[0], rates[1]), trials)


ENOUGH_CLUSTERS = 10
"""People on each side before a change between two periods is told: with fewer, no interval of clusters holds."""


def point_for(comparisons: int) -> float:
    """The point of the normal distribution at which so many 95 % intervals hold all at once, by Bonferroni.

    It asks nothing of how the comparisons hang together, as those of a tier and its steps do.
    """
    return NormalDist().inv_cdf(1 - 0.05 / (2 * max(1, comparisons)))


@dataclass(frozen=True)
class Change:
    """The shares of an earlier and a later time, each with its own 95 % interval, and ``later - earlier``.

    The interval of the difference is one of many that hold at once (``point_for``).
    """

    earlier: Rate
    later: Rate
    difference: Rate
    is_enough: bool

    @property
    def is_told(self) -> bool:
        """Whether the interval leaves out that nothing changed."""
        return self.is_enough and (self.difference.low > 0 or self.difference.high < 0)


def is_enough(earlier: Clustered, later: Clustered) -> bool:
    """Whether there are people enough on both sides for a change to be told, whatever they answered."""
    return min(earlier.clusters, later.clusters) >= ENOUGH_CLUSTERS


def change(earlier: Clustered, later: Clustered, comparisons: int) -> Change:
    """One of so many changes; the interval is Newcombe's (``ladder.rates.difference``).

    It takes the two times as independent.  People who are in both make them more alike, which makes it too wide.
    """
    plain, wide = point_for(1), point_for(comparisons)
    return Change(
        earlier.rate(plain),
        later.rate(plain),
        difference(later.rate(wide), earlier.rate(wide)),
        is_enough(earlier, later),
    )
