"""Questions to the marts of asks and yeses: leaps, momentum, hesitation, and what follows on a yes.

Each is of a ``Slice`` of the counts: all visitors over all days, unless it says otherwise.
Each raises ``UsageError`` where no marts were built with this ladder.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ladder.gradient import gradient
from ladder.rates import standardised, wilson
from ladder.tiers import Ladder
from ladder.time_buckets import seconds_at
from warehouse.counted import Slice, sums, times

_ALL = Slice()
_SINCE = ("under a minute", "under an hour", "under a day", "a day or more")


@dataclass(frozen=True)
class Leap:
    """Asks of ``tier`` to people who held ``held_tier`` (0: none); the rate with the ends of its 95 % interval.

    ``asks``, and all that is counted of them, are those whose conversion window has passed.  ``lost``: people
    below the top whose last ask it was and who never said yes again.
    """

    segment_value: str
    held_tier: int
    tier: int
    asks: int
    yes: int
    no: int
    silent: int
    in_flight: int
    lost: int
    yes_rate: float
    yes_rate_low: float
    yes_rate_high: float


@dataclass(frozen=True)
class Momentum:
    """The yes-rate of asks in one ``bucket``, as it is and with every tier asked weighing alike in all buckets."""

    segment_value: str
    grouped_by: str
    bucket: str
    asks: int
    yes: int
    yes_rate: float
    yes_rate_low: float
    yes_rate_high: float
    adjusted_rate: float
    adjusted_rate_low: float
    adjusted_rate_high: float


@dataclass(frozen=True)
class Hesitation:
    """How long people take from the ask of a step to their answer; shares with the ends of their 95 % interval.

    Quantiles are within 1 % of the exact ones (``ladder.time_buckets``).
    """

    segment_value: str
    tier: int
    step: str
    answers: int
    p10_seconds: float
    median_seconds: float
    p90_seconds: float
    unthinking: int
    unthinking_share: float
    unthinking_share_low: float
    unthinking_share_high: float
    pondered: int
    pondered_share: float
    pondered_share_low: float
    pondered_share_high: float


@dataclass(frozen=True)
class AfterYes:
    """What follows on the yeses of a step: its reward, a cheer within 10 seconds, and the answer to the next ask.

    ``has_reward`` and ``has_cheer``: whether the ladder names an event for it.  Shares and rates with the ends of their
    95 % intervals; rates are of next asks whose conversion window has passed.  The median is within 1 %.
    """

    segment_value: str
    tier: int
    step: str
    has_reward: bool
    has_cheer: bool
    yeses: int
    rewarded: int
    rewarded_share: float
    rewarded_share_low: float
    rewarded_share_high: float
    median_reward_seconds: float | None
    cheered: int
    cheered_share: float
    cheered_share_low: float
    cheered_share_high: float
    next_asks_cheered: int
    next_yes_cheered: int
    next_rate_cheered: float
    next_rate_cheered_low: float
    next_rate_cheered_high: float
    next_asks_uncheered: int
    next_yes_uncheered: int
    next_rate_uncheered: float
    next_rate_uncheered_low: float
    next_rate_uncheered_high: float


@dataclass(frozen=True)
class GradientScore:
    """How evenly the log-odds of a yes fall (``ladder.gradient``), with its 95 % interval."""

    segment_value: str
    score: float
    low: float
    high: float


@dataclass(frozen=True)
class Leaps:
    """All leaps, and what share of the people lost was lost on those of more than one tier.

    ``gradients``: by segment value, but for those where nobody was asked for a second tier.
    """

    leaps: tuple[Leap, ...]
    lost: int
    lost_on_long_leaps: int
    long_leap_share: float
    long_leap_share_low: float
    long_leap_share_high: float
    gradients: tuple[GradientScore, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def leaps(warehouse: Path, ladder: Ladder, of: Slice = _ALL) -> Leaps:
    """By segment value, tier held and tier asked."""
    counts = ("asks", "yes", "no", "silent", "in_flight", "lost")
    rows = sums(warehouse, ladder, "fct_leaps", ("held_tier", "tier"), counts, of)
    found = tuple(Leap(*(*row, *wilson(row[4], row[3]))) for row in rows)
    lost = sum(leap.lost for leap in found)
    on_long = sum(leap.lost for leap in found if leap.tier - leap.held_tier > 1)
    gradients = []
    for value, group in groupby(found, key=lambda leap: leap.segment_value):
        of_value = gradient({(leap.held_tier, leap.tier): (leap.asks, leap.yes) for leap in group})
        if of_value is not None:
            gradients.append(GradientScore(value, *of_value))
    return Leaps(found, lost, on_long, *wilson(on_long, lost), tuple(gradients))


def momentum(warehouse: Path, ladder: Ladder, of: Slice = _ALL) -> tuple[Momentum, ...]:
    """By what is grouped by, segment value and bucket; buckets of time from the shortest to the longest.

    A tier weighs as much in every bucket of a grouping as it has of all asks there; it is left out of a bucket that
    was never asked for it.
    """
    keys = ("grouped_by", "bucket", "tier")
    rows = sums(warehouse, ladder, "fct_momentum", keys, ("asks", "yes"), of)
    weights: Counter[tuple[str, str, int]] = Counter()
    for value, grouped_by, _, tier, asks, _ in rows:
        weights[grouped_by, value, tier] += asks
    strata: dict[tuple[str, str, str], list[tuple[int, int, int]]] = {}
    for value, grouped_by, bucket, tier, asks, yes in rows:
        strata.setdefault((grouped_by, value, bucket), []).append((weights[grouped_by, value, tier], yes, asks))
    found = []
    for grouped_by, value, bucket in sorted(strata, key=_from_least_to_most):
        tiers = strata[grouped_by, value, bucket]
        yes, asks = sum(yes for _, yes, _ in tiers), sum(asks for _, _, asks in tiers)
        found.append(Momentum(value, grouped_by, bucket, asks, yes, *wilson(yes, asks), *standardised(tiers)))
    return tuple(found)


def _from_least_to_most(key: tuple[str, str, str]) -> tuple[str, str, int, str]:
    grouped_by, value, bucket = key
    place = _SINCE.index(bucket) if bucket in _SINCE else int(bucket.rstrip("+"))
    return grouped_by, value, place, bucket


def hesitation(warehouse: Path, ladder: Ladder, of: Slice = _ALL) -> tuple[Hesitation, ...]:
    """By segment value, tier and step; a step that nobody answered has no row."""
    rows = sums(warehouse, ladder, "fct_hesitation", ("tier", "step"), ("answers", "unthinking", "pondered"), of)
    took = times(warehouse, ladder, "answer", of)
    found = []
    for value, tier, step, answers, unthinking, pondered in rows:
        p10, p50, p90 = (seconds_at(percent, took[value, tier, step]) or 0.0 for percent in (10, 50, 90))
        shares = (unthinking, *wilson(unthinking, answers), pondered, *wilson(pondered, answers))
        found.append(Hesitation(value, tier, step, answers, p10, p50, p90, *shares))
    return tuple(found)


def after_yes(warehouse: Path, ladder: Ladder, of: Slice = _ALL) -> tuple[AfterYes, ...]:
    """By segment value, tier and step; a step that nobody said yes to has no row."""
    keys = ("tier", "step", "has_reward", "has_cheer")
    counts = ("yeses", "rewarded", "cheered")
    next_asks = ("next_asks_cheered", "next_yes_cheered", "next_asks_uncheered", "next_yes_uncheered")
    took = times(warehouse, ladder, "reward", of)
    found = []
    for row in sums(warehouse, ladder, "fct_after_yes", keys, (*counts, *next_asks), of):
        value, tier, step, has_reward, has_cheer, yeses, rewarded, cheered, *after = row
        shares = (rewarded, *wilson(rewarded, yeses), seconds_at(50, took.get((value, tier, step), {})))
        cheers = (cheered, *wilson(cheered, yeses))
        rates = [part for asks, yes in (after[:2], after[2:]) for part in (asks, yes, *wilson(yes, asks))]
        found.append(AfterYes(*(value, tier, step, has_reward, has_cheer, yeses, *shares, *cheers, *rates)))
    return tuple(found)
