"""Two groups compared stratum by stratum, so that what they were asked for is no difference between them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

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
