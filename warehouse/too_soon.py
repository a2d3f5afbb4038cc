"""Is too much asked too soon?  Asks more than one tier above what people held, and the first ask after landing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ladder.rates import difference, wilson
from ladder.tiers import Ladder
from ladder.time_buckets import seconds_at
from warehouse.counted import Slice, sums, times

_COUNTS = ("asks", "yes", "no", "silent", "in_flight", "lost")


@dataclass(frozen=True)
class AskedStep:
    """Asks of a step whose conversion window has passed, with rates and the ends of their 95 % intervals.

    ``in_flight``: those whose window is open, which are in no other number.  ``lost``: people below the top whose last
    ask it was and who never said yes again.
    """

    tier: int
    step: str
    asks: int
    yes: int
    no: int
    silent: int
    in_flight: int
    lost: int
    yes_rate: float
    yes_rate_low: float
    yes_rate_high: float
    lost_share: float
    lost_share_low: float
    lost_share_high: float


@dataclass(frozen=True)
class FirstAsk:
    """A step as the first ask, with how many seconds after the session's first event it came (within 1 %).

    Several asks of the first event that asks are each a first ask.
    """

    asked: AskedStep
    p10_seconds: float | None
    median_seconds: float | None
    p90_seconds: float | None


@dataclass(frozen=True)
class Asked:
    """All steps together."""

    asks: int
    yes: int
    lost: int
    in_flight: int
    yes_rate: float
    yes_rate_low: float
    yes_rate_high: float
    lost_share: float
    lost_share_low: float
    lost_share_high: float


@dataclass(frozen=True)
class TooSoon:
    """One segment value.  Differences are those asked too soon less those asked in order, with 95 % intervals.

    ``too_soon`` and ``in_order``: asks, yes, lost of all their steps.  ``worst``: steps asked too soon, most people
    lost first.  ``first``: the most asked first.
    """

    segment_value: str
    too_soon: Asked
    in_order: Asked
    yes_rate_difference: float
    yes_rate_difference_low: float
    yes_rate_difference_high: float
    lost_share_difference: float
    lost_share_difference_low: float
    lost_share_difference_high: float
    worst: tuple[AskedStep, ...]
    first: tuple[FirstAsk, ...]


def too_soon(warehouse: Path, ladder: Ladder, of: Slice) -> tuple[TooSoon, ...]:
    """By segment value; a value of which nobody was asked has no row.

    Raises ``UsageError`` where no marts were built with this ladder.
    """
    rows = sums(warehouse, ladder, "fct_too_soon", ("asked", "tier", "step"), _COUNTS, of)
    took = times(warehouse, ladder, "first ask", of)
    steps: dict[str, dict[str, list[AskedStep]]] = {}
    for value, asked, tier, step, asks, yes, no, silent, in_flight, lost in rows:
        rates = (*wilson(yes, asks), *wilson(lost, asks))
        found = AskedStep(tier, step, asks, yes, no, silent, in_flight, lost, *rates)
        steps.setdefault(value, {}).setdefault(asked, []).append(found)
    return tuple(_of_value(value, steps[value], took) for value in sorted(steps))


def _of_value(value: str, steps: dict[str, list[AskedStep]], took: dict[tuple[str, int, str], Counter[int]]) -> TooSoon:
    soon, in_order = (_all(steps.get(asked, [])) for asked in ("too soon", "in order"))
    yes = difference(wilson(soon.yes, soon.asks), wilson(in_order.yes, in_order.asks))
    lost = difference(wilson(soon.lost, soon.asks), wilson(in_order.lost, in_order.asks))
    first = []
    for step in sorted(steps.get("first", []), key=lambda step: -step.asks):
        spread = took.get((value, step.tier, step.step), Counter())
        first.append(FirstAsk(step, *(seconds_at(percent, spread) for percent in (10, 50, 90))))
    worst = sorted(steps.get("too soon", []), key=lambda step: -step.lost)
    return TooSoon(value, soon, in_order, *yes, *lost, tuple(worst), tuple(first))


def _all(steps: Sequence[AskedStep]) -> Asked:
    asks, yes = sum(step.asks for step in steps), sum(step.yes for step in steps)
    lost, in_flight = sum(step.lost for step in steps), sum(step.in_flight for step in steps)
    return Asked(asks, yes, lost, in_flight, *wilson(yes, asks), *wilson(lost, asks))
