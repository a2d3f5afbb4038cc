from __future__ import annotations

import pytest

from answers.leaks import Leak, find_leak, headline
from tests.suites.counted_rows import counted_tier
from warehouse.query import TierRow


def tier(number: int, name: str, asked: int, yes: int, *, implicit: int = 0) -> TierRow:
    return counted_tier(number, name, asked, yes, implicit=implicit)


SPARK = tier(1, "spark", 1000, 900)
MICRO = tier(2, "micro", 900, 300)
MINI = tier(3, "mini", 300, 110)
NEVER_ASKED = tier(4, "midi", 0, 0, implicit=7)
ONE_LOST = tier(5, "macro", 1, 0)


def test_the_leak_is_the_tier_with_the_highest_lower_end() -> None:
    assert find_leak([SPARK, MICRO]) == Leak(MICRO, ())


def test_a_tier_that_one_visitor_left_is_no_leak_but_a_rival() -> None:
    assert ONE_LOST.drop_off > MICRO.drop_off
    assert find_leak([SPARK, MICRO, ONE_LOST]) == Leak(MICRO, (ONE_LOST,))


def test_rivals_are_those_whose_interval_reaches_as_high_from_the_largest_drop_off() -> None:
    assert find_leak([SPARK, MINI, MICRO, ONE_LOST]) == Leak(MICRO, (ONE_LOST, MINI))


def test_an_interval_that_only_touches_the_lower_end_makes_a_rival() -> None:
    touching, clear = tier(3, "mini", 300, 120), tier(3, "mini", 300, 130)
    assert MICRO.drop_off_low < touching.drop_off_high < MICRO.drop_off
    assert find_leak([MICRO, touching]) == Leak(MICRO, (touching,))
    assert clear.drop_off_high < MICRO.drop_off_low
    assert find_leak([MICRO, clear]) == Leak(MICRO, ())


def test_of_two_equal_tiers_the_lower_one_is_named() -> None:
    again = tier(4, "midi", 900, 300)
    assert find_leak([again, MICRO]) == Leak(MICRO, (again,))


def test_tiers_that_nobody_was_asked_are_neither_leak_nor_rival() -> None:
    assert find_leak([NEVER_ASKED]) is None
    assert find_leak([]) is None
    assert find_leak([MICRO, NEVER_ASKED]) == Leak(MICRO, ())


def test_a_clear_leak_is_said_as_such() -> None:
    assert headline("session", [SPARK, MICRO, NEVER_ASKED]) == (
        "The largest drop-off is at tier 2, micro: of 900 sessions asked, 66.7% (95% interval 63.5% to 69.7%) "
        "did not go on to a yes, clearly more than at any other tier."
    )


def test_a_leak_with_rivals_is_said_to_seem_so() -> None:
    assert headline("visitor", [SPARK, MICRO, MINI, ONE_LOST]) == (
        "The largest drop-off seems to be at tier 2, micro: of 900 visitors asked, 66.7% "
        "(95% interval 63.5% to 69.7%) did not go on to a yes. More was measured at macro (100% of 1), of too few to "
        "be sure. It may be as large at mini."
    )


def test_with_one_tier_asked_nothing_is_compared() -> None:
    assert headline("session", [MICRO, NEVER_ASKED]).startswith("Only tier 2, micro, has asks on record: of 900 ")


def test_where_nobody_was_lost_the_headline_says_how_little_that_proves() -> None:
    assert headline("visitor", [tier(1, "spark", 1, 1), tier(2, "micro", 40, 40), NEVER_ASKED]) == (
        "Nobody was lost: at every tier all the visitors asked went on to a yes. Least is known of tier 1, spark: "
        "with 1 asked, up to 79.3% might drop off all the same (95% interval)."
    )


@pytest.mark.parametrize("tiers", [[], [tier(1, "spark", 0, 0), tier(2, "micro", 0, 0)]])
def test_with_zero_people_the_headline_says_so(tiers: list[TierRow]) -> None:
    assert headline("visitor", tiers) == (
        "Nobody has been asked anything yet: no visitor holds an ask or a yes of any tier."
    )


def test_with_yeses_but_no_asks_the_headline_says_how_far_people_came() -> None:
    assert headline("session", [tier(1, "spark", 0, 0, implicit=1200), NEVER_ASKED, tier(5, "macro", 0, 0)]) == (
        "No ask is on record, so no drop-off can be measured; 7 of the sessions said a yes of tier 4, midi, "
        "the highest that anyone reached."
    )


def test_visitors_of_some_days_are_those_first_asked_then() -> None:
    """Who was asked before them and lost in them is in no row."""
    none_lost = headline("visitor", [tier(1, "spark", 40, 40), NEVER_ASKED], of_days=True)
    assert none_lost.startswith("Nobody was lost: at every tier all the visitors first asked in these days went on to")
    assert "of 900 visitors first asked in these days, 66.7%" in headline("visitor", [SPARK, MICRO], of_days=True)
    assert "of 900 sessions asked, 66.7%" in headline("session", [SPARK, MICRO], of_days=True)
    assert headline("session", [MICRO], of_days=True).startswith(
        "Only tier 2, micro, has asks on record of these days:"
    )


def test_days_without_asks_are_not_said_to_be_all_there_were() -> None:
    empty = [tier(1, "spark", 0, 0)]
    assert headline("visitor", empty, of_days=True) == (
        "No visitor was first asked for any tier in these days, or first said a yes of one."
    )
    assert headline("session", empty, of_days=True) == "No session of these days holds an ask or a yes of any tier."
    only_yeses = headline("session", [tier(1, "spark", 0, 0, implicit=12)], of_days=True)
    assert only_yeses.startswith("No ask is on record of these days, so no drop-off can be measured; 12 of")
