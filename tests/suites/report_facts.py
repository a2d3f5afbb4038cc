"""What the sections of a report say of people who never were."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from answers.facts import AskFacts
from ladder.comparisons import compared
from ladder.rates import difference, wilson
from ladder.tiers import Stage
from tests.suites.counted_rows import counted_tier
from warehouse.asks import AfterYes, GradientScore, Hesitation, Leap, Leaps, Momentum
from warehouse.counted import Slice
from warehouse.drop_off import DropOff, Period
from warehouse.query import TierRow
from warehouse.stands import StageStand, Stands, TierStand
from warehouse.too_soon import Asked, AskedStep, FirstAsk, TooSoon
from warehouse.value_first import Given, Kind, Start, Value

BUCKETS = {"earlier yeses": ("0", "3+"), "since the last yes": ("under a minute",), "tier held": ("2",)}


def stands(units: dict[int, int], names: tuple[str, ...]) -> Stands:
    """So many visitors at each tier; stages are those of the tiers in thirds."""
    everybody = sum(units.values())
    tiers = []
    for tier, name in enumerate(("none", *names)):
        here, at_least = units.get(tier, 0), sum(n for other, n in units.items() if other >= tier)
        stage: Stage = "curious" if tier == 0 else "committed" if tier == len(names) else "aware"
        shares = (here, *wilson(here, everybody), at_least, *wilson(at_least, everybody))
        tiers.append(TierStand(tier, name, stage, *shares))
    curious = StageStand("curious", units.get(0, 0), *wilson(units.get(0, 0), everybody))
    return Stands(everybody, tuple(tiers), (curious,))


def weeks(name: str, tiers: int) -> DropOff[TierRow]:
    """Four weeks, of which the third has nobody whose window has passed and the last some who may still say yes."""
    asked = [(100, 60, 0), (100, 50, 0), (0, 0, 0), (100, 20, 30)]
    trend = tuple(
        Period(
            date(2026, 3, 2) + timedelta(weeks=week),
            tuple(counted_tier(tier, name, n, yes, in_flight=waiting) for tier in range(1, tiers + 1)),
            {},
        )
        for week, (n, yes, waiting) in enumerate(asked)
    )
    rows = tuple(counted_tier(tier, name, 300, 130, in_flight=30) for tier in range(1, tiers + 1))
    return DropOff(Slice(), "week", rows, {}, trend)


def value(gives: int, takes: int) -> Value:
    """So many visitors who began with something given, and with something wanted."""
    kinds: dict[Kind, int] = {"gives": gives, "takes": takes, "both": 0, "neither": 50}
    said: tuple[Any, ...] = (20, 3, *wilson(20, 40), *wilson(18, 40))
    starts = tuple(Start(kind, units, *wilson(units, sum(kinds.values())), 40, *said) for kind, units in kinds.items())
    given = tuple(
        Given(name, bucket, 40, *wilson(40, 160), *said)
        for name in ("rewards", "gives")
        for bucket in ("0", "1", "2", "3+")
    )
    return Value(sum(kinds.values()), starts, given, ())


def ask_facts(step: str, tiers: int) -> AskFacts:
    """All sections, with a step of this name; leaps from every tier to every tier."""
    found = tuple(
        Leap("", held, tier, 1000, 700 - 100 * tier, 10, 290, 3, 40, *wilson(max(0, 700 - 100 * tier), 1000))
        for held in range(tiers)
        for tier in range(1, tiers + 1)
    )
    rates = (*wilson(40, 100), *wilson(50, 100))
    buckets = (
        ("earlier yeses", "0"),
        ("earlier yeses", "3+"),
        ("since the last yes", "under a minute"),
        ("tier held", "2"),
    )
    asked = AskedStep(2, step, 500, 50, 0, 450, 3, 44, *wilson(50, 500), *wilson(44, 500))
    soon, in_order = wilson(50, 500), wilson(250, 500)
    lost = wilson(44, 500)
    shares = (60, *wilson(60, 80), 9.0, 40, *wilson(40, 80), 40, 30, *wilson(30, 40), 0, 0, *wilson(0, 0))
    return AskFacts(
        standing=stands({0: 500, 1: 300, tiers: 200}, tuple(f"{step} {tier}" for tier in range(1, tiers + 1))),
        drop_off=weeks(step, tiers),
        leaps=Leaps(found, 1000, 300, *wilson(300, 1000), (GradientScore("", 0.4, 0.3, 0.6),)),
        momentum=tuple(Momentum("", by, bucket, 100, 40, *rates) for by, bucket in buckets),
        of_an_earlier_yes=compared({1: (60, 100)}, {1: (40, 100)}),
        too_soon=TooSoon(
            "",
            Asked(500, 50, 44, 3, *soon, *lost),
            Asked(500, 250, 44, 0, *in_order, *lost),
            *difference(soon, in_order),
            *difference(lost, lost),
            (asked,),
            (FirstAsk(asked, 0.4, 4.0, 40.0),),
        ),
        value=value(600, 100),
        of_a_gift=compared({2: (60, 100)}, {2: (40, 100)}),
        after_yes=(AfterYes("", 1, step, True, True, 80, *shares), AfterYes("", 2, step, False, False, 80, *shares)),
        of_a_cheer=compared({1: (60, 100)}, {1: (59, 100)}),
        hesitation=(
            Hesitation("", 1, step, 100, 0.05, 4.0, 40.0, 30, *wilson(30, 100), 3, *wilson(3, 100)),
            Hesitation("", 2, step, 100, 4.0, 90_000.0, 900_000.0, 0, *wilson(0, 100), 100, *wilson(100, 100)),
        ),
    )
