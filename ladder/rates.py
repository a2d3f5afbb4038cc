"""Rates with their uncertainty: one definition for tables, marts and pages."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

Z_95 = 1.959963984540054
"""The 97.5 % point of the standard normal distribution."""


class Rate(NamedTuple):
    """A share between 0 and 1, or the difference of two, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(successes: float, trials: float, z: float = Z_95) -> Rate:
    """A proportion with Wilson's score interval, at 95 % or at another point ``z`` of the normal distribution.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22: 209-212.
    Holds its level for small counts and for shares near 0 and 1.  ``0/0`` is 0 with the interval 0 to 1.
    Raises ``ValueError`` unless ``0 <= successes <= trials``.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials cannot be")
    if trials == 0:
        return Rate(0.0, 0.0, 1.0)
    share = successes / trials
    z2 = z * z
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = z * sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials)) / (1 + z2 / trials)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Rate(share, low, high)


def drop_off(yes: int, asked: int) -> Rate:
    """``1 - yes/asked`` with its 95 % interval; 0 where nobody was asked."""
    if asked == 0:
        return wilson(0, 0)
    return wilson(asked - yes, asked)


def difference(one: Rate, other: Rate) -> Rate:
    """``one - other`` of two independent proportions, each by ``wilson``, with its interval: the hybrid score method.

    Newcombe (1998), "Interval estimation for the difference between independent proportions: comparison of eleven
    methods", Statistics in Medicine 17: 873-890, method 10.
    """
    below = sqrt((one.value - one.low) ** 2 + (other.high - other.value) ** 2)
    above = sqrt((one.high - one.value) ** 2 + (other.value - other.low) ** 2)
    value = one.value - other.value
    return Rate(value, value - below, value + above)


def standardised(strata: Sequence[tuple[int, int, int]]) -> Rate:
    """The rate that there would be if strata weighed otherwise: (weight, successes, trials) of each, trials > 0.

    Direct standardisation; the interval is Wilson's with the effective number of trials of weighted samples,
    (Σw)² / Σ(w²/n): Kish (1965), Survey Sampling.  Raises ``ValueError`` without strata.
    """
    if not strata:
        raise ValueError("a rate of no strata cannot be")
    weight = sum(weight for weight, _, _ in strata)
    share = min(1.0, sum(weight * successes / trials for weight, successes, trials in strata) / weight)
    effective = weight * weight / sum(weight * weight / trials for weight, _, trials in strata)
    return Rate(share, *wilson(share * effective, effective)[1:])
