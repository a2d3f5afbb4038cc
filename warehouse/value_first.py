"""Does value come first?  How visits start, what had been given before each ask, and whether rewards arrived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from ladder.rates import standardised, wilson
from ladder.tiers import Ladder
from warehouse.asks import AfterYes, after_yes
from warehouse.counted import Slice, sums

Kind = Literal["gives", "takes", "both", "neither"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What the first event with a mark does; neither also where there is none."""

BUCKETS = ("0", "1", "2", "3+")


@dataclass(frozen=True)
class Start:
    """Units that started so, and their first ask above the lowest tier, from the start on.

    ``asks``: of these first asks, those whose conversion window has passed; ``in_flight`` the others.  Shares and rates
    with the ends of their 95 % intervals (0, 0 to 1 of none).  Adjusted: as if all kinds of start were asked for the
    same mix of tiers.
    """

    start: Kind
    units: int
    share: float
    share_low: float
    share_high: float
    asks: int
    yes: int
    in_flight: int
    yes_rate: float
    yes_rate_low: float
    yes_rate_high: float
    adjusted_rate: float
    adjusted_rate_low: float
    adjusted_rate_high: float


@dataclass(frozen=True)
class Given:
    """Asks above the lowest tier before which so much had been given; shares and rates as in ``Start``.

    ``given``: rewards, or gives: events with a reward or with a yes of the lowest tier.  ``share``: of all these asks.
    """

    given: str
    bucket: str
    asks: int
    share: float
    share_low: float
    share_high: float
    yes: int
    in_flight: int
    yes_rate: float
    yes_rate_low: float
    yes_rate_high: float
    adjusted_rate: float
    adjusted_rate_low: float
    adjusted_rate_high: float


@dataclass(frozen=True)
class Reward:
    """Of a step's yeses, those whose reward arrived, and how long it took (the median, within 1 %)."""

    tier: int
    step: str
    has_reward: bool
    yeses: int
    rewarded: int
    rewarded_share: float
    rewarded_share_low: float
    rewarded_share_high: float
    median_reward_seconds: float | None


@dataclass(frozen=True)
class Value:
    """Of some units.  ``starts`` by kind, ``gives`` by what is counted and bucket; none is left out."""

    units: int
    starts: tuple[Start, ...]
    gives: tuple[Given, ...]
    rewards: tuple[Reward, ...]


@dataclass(frozen=True)
class ValueFirst:
    """``by``: by the value of the slice's segment, that of most units first; empty without one."""

    of: Slice
    all: Value
    by: Mapping[str, Value]

    def to_dict(self) -> dict[str, Any]:
        """For ``yesladder value-first --json``."""
        found = {"unit": self.of.unit, **asdict(self.all)}
        if self.of.segment is not None:
            found |= {"segment": self.of.segment, "by": {value: asdict(one) for value, one in self.by.items()}}
        return found


def value_first(warehouse: Path, ladder: Ladder, of: Slice) -> ValueFirst:
    """Of units that began, asks that were made and yeses that were said on the days of the slice.

    Raises ``UsageError`` where no marts were built with this ladder.
    """
    whole = _by_value(warehouse, ladder, of.of_all).get("", _value({}, {}, ()))
    by = {} if of.segment is None else _by_value(warehouse, ladder, of)
    return ValueFirst(of, whole, dict(sorted(by.items(), key=lambda item: (-item[1].units, item[0]))))


_Strata = dict[int, Counter[str]]
"""Counts by the tier asked for, 0 where none was."""

_COUNTS = ("units", "asks", "yes", "in_flight")


def _by_value(warehouse: Path, ladder: Ladder, of: Slice) -> dict[str, Value]:
    starts: dict[str, dict[str, _Strata]] = {}
    for value, start, tier, *counts in sums(warehouse, ladder, "fct_starts", ("start", "tier"), _COUNTS, of):
        found = starts.setdefault(value, {}).setdefault(start, {})
        found[tier] = Counter(dict(zip(_COUNTS, counts, strict=True)))
    gives: dict[str, dict[tuple[str, str], _Strata]] = {}
    keys = ("given", "bucket", "tier")
    for value, given, bucket, tier, *counts in sums(warehouse, ladder, "fct_gives", keys, _COUNTS[1:], of):
        found = gives.setdefault(value, {}).setdefault((given, bucket), {})
        found[tier] = Counter(dict(zip(_COUNTS[1:], counts, strict=True)))
    rewards: dict[str, list[AfterYes]] = {}
    for row in after_yes(warehouse, ladder, of):
        rewards.setdefault(row.segment_value, []).append(row)
    values = {**starts, **gives, **rewards}
    return {value: _value(starts.get(value, {}), gives.get(value, {}), rewards.get(value, ())) for value in values}


def _value(
    starts: Mapping[str, _Strata], gives: Mapping[tuple[str, str], _Strata], rewards: Iterable[AfterYes]
) -> Value:
    found = tuple(_starts(starts))
    given = tuple(row for name in ("rewards", "gives") for row in _given(name, gives))
    return Value(sum(start.units for start in found), found, given, tuple(map(_reward, rewards)))


def _starts(found: Mapping[str, _Strata]) -> Iterator[Start]:
    weights = _asks_by_tier(found.values())
    all_units = sum(_sum(strata, "units") for strata in found.values())
    for kind in KINDS:
        strata = found.get(kind, {})
        units = _sum(strata, "units")
        yield Start(kind, units, *wilson(units, all_units), *_answers(strata, weights))


def _given(given: str, gives: Mapping[tuple[str, str], _Strata]) -> Iterator[Given]:
    weights = _asks_by_tier(strata for (name, _), strata in gives.items() if name == given)
    for bucket in BUCKETS:
        asks, *answers = _answers(gives.get((given, bucket), {}), weights)
        yield Given(given, bucket, asks, *wilson(asks, weights.total()), *answers)


def _answers(strata: _Strata, weights: Counter[int]) -> tuple[Any, ...]:
    """Asks, yeses, asks in flight, and the rate as it is and adjusted: each tier weighs what it has of all asks."""
    asks, yes = _sum(strata, "asks"), _sum(strata, "yes")
    known = [(weights[tier], counts["yes"], counts["asks"]) for tier, counts in strata.items() if counts["asks"] > 0]
    adjusted = standardised(known) if known else wilson(0, 0)
    return (asks, yes, _sum(strata, "in_flight"), *wilson(yes, asks), *adjusted)


def _asks_by_tier(found: Iterable[_Strata]) -> Counter[int]:
    weights: Counter[int] = Counter()
    for strata in found:
        weights.update({tier: counts["asks"] for tier, counts in strata.items()})
    return weights


def _sum(strata: _Strata, name: str) -> int:
    return sum(counts[name] for counts in strata.values())


def _reward(row: AfterYes) -> Reward:
    return Reward(**{field.name: getattr(row, field.name) for field in fields(Reward)})
