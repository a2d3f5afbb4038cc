"""Which leaps lose more people than their neighbours: never by chance, never by a trifle."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import exp, log
from statistics import median

import pytest

from answers.audit_leaps import FEWEST, MATERIAL, comparisons, rungs
from ladder.tiers import Ladder, Mark, Rule
from tests.suites.audited import ANSWERED, in_order, ladder, way
from warehouse.ways import Way

EVEN = (0.80, 0.74, 0.67, 0.59, 0.51)


def frictions(*ways: Way, of: Ladder | None = None, family: int | None = None) -> list[tuple[int, int, str]]:
    found = comparisons(ways, of or ladder())
    return [(one.way.held_tier, one.way.tier, one.way.step) for one in found if one.is_friction(family or len(found))]


def odds(rate: float) -> float:
    return rate / (1 - rate)


def test_an_even_climb_has_no_friction_however_many_climb_it() -> None:
    assert len(comparisons(in_order(*EVEN), ladder())) == 5
    assert frictions(*in_order(*EVEN, asked=10_000_000)) == []
    assert frictions(*in_order(*[0.5] * 5, asked=10_000_000)) == []
    assert frictions(*in_order(0.7, 0.575, 0.45, 0.325, 0.2, asked=10_000_000)) == []
    assert frictions(*in_order(*reversed(EVEN), asked=10_000_000)) == []


@pytest.mark.parametrize("steep", range(1, 6))
def test_a_dent_is_found_at_each_rung_and_nowhere_else(steep: int) -> None:
    rates = [rate / 3 if tier == steep else rate for tier, rate in enumerate(EVEN, start=1)]
    assert [tier for _, tier, _ in frictions(*in_order(*rates))] == [steep]


@pytest.mark.parametrize("steep", range(2, 6))
def test_a_cliff_after_which_it_stays_hard_is_found_where_it_begins(steep: int) -> None:
    rates = [0.8 if tier < steep else 0.3 for tier in range(1, 6)]
    assert [tier for _, tier, _ in frictions(*in_order(*rates))] == [steep]


def test_the_excess_of_a_way_in_order_is_its_fall_less_the_median_of_the_others() -> None:
    rates = (0.8, 0.7, 0.3, 0.25, 0.2)
    found = {one.way.tier: one for one in comparisons(in_order(*rates, asked=10**9), ladder())}
    falls = [log(odds(before) / odds(after)) for before, after in pairwise(rates)]
    assert found[3].excess == pytest.approx(falls[1] - median([falls[0], falls[2], falls[3]]), abs=1e-6)
    assert found[3].against == "how steep the other leaps are"
    assert odds(found[3].expected_rate) == pytest.approx(odds(0.3) * exp(found[3].excess), rel=1e-6)


def test_a_leap_over_rungs_is_measured_by_the_same_step_then_by_its_tier_then_by_the_next_tier() -> None:
    two = Ladder(
        "two", ("a", "b", "c", "d"),
        tuple(Rule(f"{step} {role}", {}, (Mark(tier, role, step),)) for tier, step in
              ((1, "a"), (2, "b"), (3, "c"), (3, "c too"), (4, "d")) for role in ANSWERED),
    )  # fmt: skip
    leap = way(0, 3, 10_000, 2000, "c")
    same, other, higher = way(2, 3, 9000, 4500, "c"), way(2, 3, 9000, 5400, "c too"), way(3, 4, 9000, 3600, "d")
    for ways, against, rate in (
        ((leap, same, other, higher), "the same step asked in order", 0.5),
        ((leap, other, higher), "what is asked of this tier in order", 0.6),
        ((leap, higher), "the next tier asked in order", 0.4),
    ):
        found = {one.way: one for one in comparisons(ways, two)}[leap]
        assert found.against == against
        assert found.excess == pytest.approx(log(odds(rate) / odds(0.2)), abs=1e-3)
        assert found.expected_rate == pytest.approx(rate, abs=1e-3)
    assert comparisons((leap,), two) == ()
    few = replace(same, asked=FEWEST - 1, yes=1)
    found = {one.way: one for one in comparisons((leap, few, other), two)}[leap]
    assert found.against == "what is asked of this tier in order"


def test_a_leap_over_rungs_that_people_take_as_gladly_is_no_friction() -> None:
    assert frictions(*in_order(*EVEN), way(0, 3, 100_000, 67_000)) == []
    assert frictions(*in_order(*EVEN), way(0, 3, 100_000, 30_000)) == [(0, 3, "sign up")]


def test_too_few_people_are_never_judged_and_never_judge() -> None:
    few = way(0, 3, FEWEST - 1, 0)
    assert few not in {one.way for one in comparisons((*in_order(*EVEN), few), ladder())}
    enough = replace(few, asked=FEWEST)
    assert enough in {one.way for one in comparisons((*in_order(*EVEN), enough), ladder())}
    assert comparisons((way(0, 3, 1000, 0), way(2, 3, FEWEST - 1, 20)), ladder()) == ()


def test_a_rung_of_too_few_people_is_nobodys_neighbour() -> None:
    few = way(2, 3, FEWEST - 1, 1)
    others = (*in_order(0.8, 0.7), *in_order(*EVEN)[3:])
    with_it, without = (
        {one.way.tier: one.excess for one in comparisons(ways, ladder())} for ways in ((*others, few), others)
    )
    assert with_it == without
    assert with_it.keys() == {1, 2, 4, 5}


def test_a_ladder_with_a_single_fall_has_nothing_to_compare_it_with() -> None:
    assert comparisons(in_order(0.9, 0.01), ladder()) == ()
    assert comparisons((), ladder()) == ()


def test_steps_that_the_ladder_knows_no_yes_of_are_left_out() -> None:
    only_asked = way(2, 3, 1000, 0, "newsletter")
    assert only_asked not in {one.way for one in comparisons((*in_order(*EVEN), only_asked), ladder())}


def test_the_more_leaps_are_compared_the_surer_each_must_be() -> None:
    rates = [rate * 0.55 if tier == 4 else rate for tier, rate in enumerate(EVEN, start=1)]
    some = in_order(*rates, asked=400)
    assert frictions(*some, family=1) == [(3, 4, "try")]
    assert frictions(*some, family=10_000) == []
    one = comparisons(some, ladder())[3]
    value, low, high = one.times(20)
    assert one.times(1)[1] > low > one.times(1000)[1]
    assert value == pytest.approx((low * high) ** 0.5)


def test_a_difference_that_is_sure_and_small_is_no_friction() -> None:
    fall = MATERIAL * 0.95
    harder = odds(EVEN[3]) / fall
    rates = [harder / (1 + harder) if tier == 4 else rate for tier, rate in enumerate(EVEN, start=1)]
    assert frictions(*in_order(*rates, asked=10_000_000)) == []
    harder = odds(EVEN[3]) / (MATERIAL * 1.1)
    rates[3] = harder / (1 + harder)
    assert frictions(*in_order(*rates, asked=10_000_000)) == [(3, 4, "try")]


def test_the_same_counts_give_the_same_answer_in_any_order() -> None:
    some = (*in_order(0.8, 0.7, 0.2, 0.6, 0.5, asked=300), way(1, 3, 50, 2))
    assert comparisons(some, ladder()) == comparisons(reversed(some), ladder())


def test_rungs_are_the_tiers_with_a_yes() -> None:
    assert rungs(ladder(("read", "", "sign up", "", "buy"))) == (1, 3, 5)
    empty = ladder(("read", "", "sign up", "", "buy"))
    gaps = (way(0, 1, 9000, 8000), way(1, 3, 9000, 1000), way(3, 5, 9000, 4000))
    assert frictions(*gaps, of=empty) == [(1, 3, "sign up")]
