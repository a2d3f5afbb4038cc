"""The judge's truth, worked out in expectation, against what the simulator draws."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import exp, log

import numpy as np
import pytest

from producers.script import script_of
from producers.simulation import Simulation
from producers.walks import walk
from tests.suites.expected_walks import highest_tiers, share_within, situations
from tests.suites.judge import CLIMB, LADDER, NOTHING, truth

VISITS = 40_000


@pytest.mark.parametrize("simulation", [CLIMB, NOTHING], ids=["climb", "nothing"])
def test_asks_are_put_as_often_and_answered_yes_as_often_as_expected(simulation: Simulation) -> None:
    simulation = replace(simulation, visits_per_visitor=1, visitors=VISITS, seed=99)
    _, drawn = walk(simulation, LADDER, script_of(LADDER), np.random.default_rng(99))
    expected: dict[tuple[int, int, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in situations(simulation, LADDER):
        sums = expected[one.tier, one.tier - one.held, one.yeses]
        sums[0] += one.weight
        sums[1] += one.weight * one.yes
    keys = list(zip((drawn.rung + 1).tolist(), drawn.leap.tolist(), drawn.earlier_yeses.tolist(), strict=True))
    assert set(keys) <= set(expected)
    for cell, (weight, yes) in expected.items():
        here = np.array([key == cell for key in keys])
        deviation = (VISITS * weight * (1 - weight)) ** 0.5
        assert here.sum() == pytest.approx(VISITS * weight, abs=4.5 * deviation + 1), cell
        if here.sum() > 30:
            spread = drawn.probability[here].std() / here.sum() ** 0.5
            assert drawn.probability[here].mean() == pytest.approx(yes / weight, abs=4.5 * spread + 1e-9), cell


def test_shares_of_the_highest_tiers_are_those_drawn_and_add_up() -> None:
    simulation = replace(CLIMB, visitors=VISITS, seed=98)
    events, _ = walk(simulation, LADDER, script_of(LADDER), np.random.default_rng(98))
    templates = script_of(LADDER).templates
    tier_of = np.array([t.marks[0].tier if t.has("yes") else 0 for t in templates])[events.template]
    highest = np.zeros(VISITS, np.int64)
    np.maximum.at(highest, events.visitor, tier_of)
    shares = highest_tiers(situations(simulation, LADDER), 5)
    assert sum(shares) == pytest.approx(1)
    for tier, share in enumerate(shares):
        deviation = (share * (1 - share) / VISITS) ** 0.5
        assert (highest == tier).mean() == pytest.approx(share, abs=4.5 * deviation)


@pytest.mark.parametrize("limit_s", [1.0, 10.0, 59.0])
def test_pauses_together_are_as_long_as_drawn_ones(limit_s: float) -> None:
    assert share_within(1, limit_s, 15) == pytest.approx(1 - exp(-limit_s / 15))
    drawn = np.clip(np.random.default_rng(1).exponential(15, (200_000, 3)), 0.2, 60)
    for pauses in (2, 3):
        together = drawn[:, :pauses].sum(axis=1)
        assert share_within(pauses, limit_s, 15) == pytest.approx((together <= limit_s).mean(), abs=0.005)
    assert log(2) * 15 == pytest.approx(np.median(drawn), rel=0.01)


def test_without_any_effect_only_groups_with_the_same_tiers_may_be_compared() -> None:
    """Nobody with a yes is asked for the lowest tier again, so the adjusted rates of few yeses hold an easier tier."""
    flat = replace(NOTHING, yes_rates=(0.7, 0.6, 0.5, 0.45, 0.4))
    true = truth(flat)
    assert true["with an earlier yes less without: yes-rate"] == pytest.approx(0)
    assert true["earlier yeses 0: adjusted"] - true["earlier yeses 3+: adjusted"] > 0.1
