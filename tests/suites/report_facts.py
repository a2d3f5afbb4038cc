"""What the sections of a report say of people who never were."""

from __future__ import annotations

from answers.facts import AskFacts
from ladder.comparisons import compared
from ladder.rates import difference, wilson
from warehouse.asks import AfterYes, GradientScore, Hesitation, Leap, Leaps, Momentum
from warehouse.too_soon import Asked, AskedStep, FirstAsk, TooSoon

BUCKETS = {"earlier yeses": ("0", "3+"), "since the last yes": ("under a minute",), "tier held": ("2",)}


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
        after_yes=(AfterYes("", 1, step, True, True, 80, *shares), AfterYes("", 2, step, False, False, 80, *shares)),
        of_a_cheer=compared({1: (60, 100)}, {1: (59, 100)}),
        hesitation=(
            Hesitation("", 1, step, 100, 0.05, 4.0, 40.0, 30, *wilson(30, 100), 3, *wilson(3, 100)),
            Hesitation("", 2, step, 100, 4.0, 90_000.0, 900_000.0, 0, *wilson(0, 100), 100, *wilson(100, 100)),
        ),
    )
