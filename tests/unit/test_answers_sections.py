"""What the sections of the report say: never more than their numbers do."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from answers.sections.after_yes import after_yes_section
from answers.sections.drop_off import drop_off_section
from answers.sections.hesitation import hesitation_section
from answers.sections.leaps import leaps_section
from answers.sections.momentum import momentum_section
from answers.sections.section import more_or_less
from answers.sections.standing import standing_section
from answers.sections.too_soon import too_soon_section
from answers.sections.value_first import value_first_section
from ladder.comparisons import compared
from ladder.rates import Rate, difference, wilson
from ladder.tiers import Ladder
from tests.suites.counted_rows import counted_tier
from tests.suites.report_facts import stands, value, weeks
from warehouse.asks import AfterYes, GradientScore, Hesitation, Leap, Leaps, Momentum
from warehouse.counted import Slice
from warehouse.drop_off import DropOff
from warehouse.too_soon import Asked, AskedStep, FirstAsk, TooSoon

LADDER = Ladder("trial", ("spark", "micro", "mini"), ())


def leap(held: int, tier: int, asks: int, yes: int, lost: int) -> Leap:
    return Leap("", held, tier, asks, yes, 0, asks - yes, 2, lost, *wilson(yes, asks))


def all_leaps(*found: Leap) -> Leaps:
    lost = sum(one.lost for one in found)
    on_long = sum(one.lost for one in found if one.tier - one.held_tier > 1)
    return Leaps(found, lost, on_long, *wilson(on_long, lost), (GradientScore("", 0.4, 0.305, 0.6),))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Rate(0.031, 0.01, 0.052), "3.1 points more (1.0 to 5.2)"),
        (Rate(-0.031, -0.052, -0.01), "3.1 points less (1.0 to 5.2)"),
        (
            Rate(0.02, -0.01, 0.05),
            "a difference cannot be told from so few: anything from 1.0 points less to 5.0 points more",
        ),
        (
            Rate(0.02, 0.0, 0.04),
            "a difference cannot be told from so few: anything from 0.0 points less to 4.0 points more",
        ),
    ],
)
def test_a_difference_is_claimed_only_where_its_interval_leaves_out_0(found: Rate, said: str) -> None:
    assert more_or_less(found) == said


def test_leaps_tell_where_most_were_lost_and_stand_in_a_grid() -> None:
    """Also where they held that tier, or a higher one, already."""
    found = all_leaps(leap(0, 1, 900, 600, 30), leap(0, 3, 60, 6, 50), leap(2, 3, 20, 0, 20), leap(3, 1, 400, 9, 90))
    section = leaps_section(found, LADDER)
    assert section is not None
    assert section.said[1:] == (
        "Of 190 people lost, 50 were lost on a leap of more than one tier: 26.3% (20.6% to 33.0%).",
        "Most people were lost when asked for spark while they held mini: 90.",
    )
    assert section.facts["asked"] == [(1, "spark"), (3, "mini")]
    rows = section.facts["rows"]
    assert isinstance(rows, list)
    assert [(row["name"], [cell is not None for cell in row["cells"]]) for row in rows] == [
        ("nothing", [True, True]),
        ("micro", [False, True]),
        ("mini", [True, False]),
    ]


def test_where_nobody_is_lost_nothing_is_made_of_it() -> None:
    section = leaps_section(all_leaps(leap(0, 1, 900, 900, 0)), LADDER)
    assert section is not None
    assert section.said[1:] == ("Nobody is known to be lost.",)


def test_one_person_lost_is_one() -> None:
    section = leaps_section(all_leaps(leap(0, 3, 9, 0, 1)), LADDER)
    assert section is not None
    assert section.said[1].startswith("Of 1 person lost, 1 was lost on a leap of more than one tier: 100%")


def test_of_a_single_step_there_is_no_gradient_score() -> None:
    section = leaps_section(replace(all_leaps(leap(1, 2, 4, 0, 4)), gradients=()), LADDER)
    assert section is not None
    assert section.said[0].startswith("There is no gradient score: people were asked for no two ways up")


def test_nothing_to_show_is_no_section() -> None:
    assert standing_section(None, LADDER) is None
    assert standing_section(stands({}, LADDER.tiers), LADDER) is None
    assert drop_off_section(None) is None
    assert drop_off_section(DropOff(Slice(), "week", (counted_tier(1, "spark", 0, 0),), {}, ())) is None
    assert value_first_section(None, None, LADDER) is None
    assert leaps_section(None, LADDER) is None
    assert leaps_section(all_leaps(), LADDER) is None
    assert too_soon_section(None, LADDER) is None
    assert momentum_section((), None, LADDER) is None
    assert after_yes_section((), None, LADDER) is None
    assert hesitation_section((), LADDER) is None


def asked(asks: int, yes: int, lost: int) -> Asked:
    return Asked(asks, yes, lost, 0, *wilson(yes, asks), *wilson(lost, asks))


def soon(too_soon: Asked, in_order: Asked) -> TooSoon:
    yes = difference(wilson(too_soon.yes, too_soon.asks), wilson(in_order.yes, in_order.asks))
    lost = difference(wilson(too_soon.lost, too_soon.asks), wilson(in_order.lost, in_order.asks))
    step = AskedStep(3, "sign up", 50, 5, 0, 45, 0, 4, *wilson(5, 50), *wilson(4, 50))
    return TooSoon("", too_soon, in_order, *yes, *lost, (step,), (FirstAsk(step, None, None, None),))


def test_too_soon_is_told_against_in_order() -> None:
    section = too_soon_section(soon(asked(200, 20, 100), asked(800, 400, 390)), LADDER)
    assert section is not None
    yes, lost = section.said
    assert yes == (
        "200 of 1,000 asks came too soon. Of these 10.0% got a yes, of those in order 50.0%: "
        "40.0 points less (34.0 to 44.9)."
    )
    assert lost.startswith("Share of asks on which somebody was lost: 50.0% against 48.8%: a difference cannot be told")


@pytest.mark.parametrize(
    ("too_soon", "in_order", "said"),
    [
        (asked(0, 0, 0), asked(9, 3, 1), "None of 9 asks came too soon."),
        (asked(9, 3, 1), asked(0, 0, 0), "All of 9 asks came too soon."),
        (asked(0, 0, 0), asked(0, 0, 0), "No ask's conversion window has passed yet."),
    ],
)
def test_without_both_kinds_of_asks_nothing_is_compared(too_soon: Asked, in_order: Asked, said: str) -> None:
    section = too_soon_section(soon(too_soon, in_order), LADDER)
    assert section is not None
    assert section.said == (said,)


def test_momentum_is_told_with_its_limits() -> None:
    rates = (*wilson(40, 100), *wilson(50, 100))
    rows = [Momentum("", "earlier yeses", "3+", 100, 40, *rates), Momentum("", "tier held", "0", 100, 40, *rates)]
    section = momentum_section(rows, compared({1: (60, 100)}, {1: (40, 100)}), LADDER)
    assert section is not None
    assert section.said == (
        "After at least one yes people said yes to 60.0% of what they were asked, before any to 40.0%, as if both had "
        "been asked for the same tiers: 20.0 points more (6.1 to 32.8).",
        "Whether the yes made the difference, or the shorter leap, or willing people say yes more often anyway, these "
        "numbers cannot tell.",
    )
    assert section.facts["groups"] == [
        ("By how many yeses came before", [("3+", rows[0])]),
        ("By the highest tier held", [("nothing", rows[1])]),
    ]
    nothing = momentum_section(rows, None, LADDER)
    assert nothing is not None
    assert nothing.said == ("No tier was asked both of people who had said yes before and of people who had not.",)


def after(*, reward: bool, cheer: bool, rewarded: int = 0, cheered: int = 0) -> AfterYes:
    nothing = wilson(0, 0)
    shares = (rewarded, *wilson(rewarded, 80), 9.0 if rewarded else None, cheered, *wilson(cheered, 80))
    return AfterYes("", 1, "read", reward, cheer, 80, *shares, 0, 0, *nothing, 0, 0, *nothing)


def test_rewards_and_cheers_count_only_steps_that_have_them() -> None:
    both = (after(reward=True, cheer=False, rewarded=20), after(reward=False, cheer=True, cheered=40))
    section = after_yes_section(both, compared({1: (60, 100)}, {1: (55, 100)}), LADDER)
    assert section is not None
    rewards, cheers, effect = section.said
    assert rewards == "Of 80 yeses that a reward was promised for, 25.0% got it (16.8% to 35.5%)."
    assert cheers == "Of 80 yeses that may be cheered, 50.0% were within 10 seconds (39.3% to 60.7%)."
    assert effect.startswith(
        "After a cheer people said yes to 60.0% of what they were asked next, without one to 55.0%, step by step: "
        "a difference cannot be told from so few"
    )


def test_a_ladder_without_rewards_and_cheers_is_said_to_have_none() -> None:
    section = after_yes_section((after(reward=False, cheer=False),), None, LADDER)
    assert section is not None
    assert section.said == ("The ladder names no event for a reward.", "The ladder names no event for a cheer.")


def hesitating(tier: int, step: str, answers: int, median: float, unthinking: int) -> Hesitation:
    quick, pondered = wilson(unthinking, answers), wilson(0, answers)
    return Hesitation("", tier, step, answers, median / 5, median, median * 5, unthinking, *quick, 0, *pondered)


def test_hesitation_names_the_slowest_and_the_thoughtless() -> None:
    found = [hesitating(1, "read", 100, 4, 0), hesitating(2, "vote", 100, 1, 60), hesitating(3, "buy", 29, 900, 0)]
    section = hesitation_section(found, LADDER)
    assert section is not None
    assert section.said == (
        "Of the 2 steps with 30 answers or more the longest thought about is “read” of tier spark: half of "
        "100 answers took more than 4.0 s, a tenth more "
        "than 20 s.",
        "“vote” of tier micro is answered without thinking, in under a second, 60.0% of the time (50.2% to 69.1%).",
    )
    rows = section.facts["rows"]
    assert isinstance(rows, list)
    for _, row, places in rows:
        assert 0 < places[0] < places[1] < places[2] < 100, row
    assert rows[0][2][1] == pytest.approx(100 * 1.602 / 6, abs=0.1)


def test_no_step_is_called_the_slowest_where_chance_may_have_made_it_so() -> None:
    found = [hesitating(1, "read", 100, 4, 0), hesitating(2, "vote", 100, 4.5, 0), hesitating(2, "quiz", 100, 3, 0)]
    section = hesitation_section(found, LADDER)
    assert section is not None
    assert section.said == ("No step stands out: their median times lie between 3.0 s and 4.5 s.",)


def test_what_is_said_of_steps_with_enough_answers_is_said_of_no_others() -> None:
    few = hesitating(3, "buy", 29, 60, 0)
    even = [hesitating(1, "read", 100, 4, 0), hesitating(2, "vote", 100, 4.5, 0)]
    of_two = hesitation_section([*even, few], LADDER)
    assert of_two is not None
    assert of_two.said == (
        "Of the 2 steps with 30 answers or more none stands out: their median times lie between 4.0 s and 4.5 s.",
    )
    of_one = hesitation_section([even[0], few], LADDER)
    assert of_one is not None
    assert of_one.said == ("Only “read” of tier spark has 30 answers or more: the median time of 100 is 4.0 s.",)
    alone = hesitation_section(even[:1], LADDER)
    assert alone is not None
    assert alone.said[0].startswith("The longest thought about is “read” of tier spark")


def test_few_answers_say_nothing() -> None:
    section = hesitation_section([hesitating(1, "read", 29, 4, 2)], LADDER)
    assert section is not None
    assert section.said == ("No step has 30 answers yet.",)


def test_the_gradient_score_is_told_with_its_interval_and_what_it_means() -> None:
    section = leaps_section(all_leaps(leap(0, 1, 900, 600, 30)), LADDER)
    assert section is not None
    assert section.said[0] == "The gradient score is 0.40 (0.30 to 0.60): 1 is an even climb, 0 one cliff."


def test_standing_tells_both_ends_and_the_stages() -> None:
    section = standing_section(stands({0: 500, 1: 300, 3: 200}, LADDER.tiers), LADDER)
    assert section is not None
    assert section.said == (
        "Of 1,000 visitors 500 said yes to nothing: 50.0% (46.9% to 53.1%). 200 stand at mini, the top: "
        "20.0% (17.6% to 22.6%).",
        "50.0% are curious.",
    )


def test_of_one_person_the_sentences_are_of_one() -> None:
    alone = standing_section(stands({0: 0, 3: 1}, LADDER.tiers), LADDER, when="first seen in these days")
    assert alone is not None
    assert alone.said[0].startswith("Of 1 visitor first seen in these days 0 said yes to nothing: 0% ")
    assert "1 stands at mini" in alone.said[0]


def test_who_may_still_say_yes_is_counted_tier_by_tier() -> None:
    rows = (counted_tier(1, "spark", 100, 60), counted_tier(2, "micro", 80, 20, in_flight=12))
    section = drop_off_section(DropOff(Slice(), "week", rows, {}, ()))
    assert section is not None
    assert section.said == (
        "Not dropped off, since they may still say yes: 12 who were asked for micro. They are in no drop-off here.",
    )
    done = drop_off_section(DropOff(Slice(), "week", rows[:1], {}, ()))
    assert done is not None
    assert done.said == ("Nobody's conversion window is open any more: who has not said yes has dropped off.",)


def test_weeks_make_lines_that_end_where_nothing_is_known() -> None:
    section = drop_off_section(weeks("spark", tiers=1))
    assert section is not None
    ((row, lines),) = cast(list[tuple[object, list[str]]], section.facts["rows"])
    assert row == counted_tier(1, "spark", 300, 130, in_flight=30)
    assert lines == ["0.0,14.4 33.3,12.0"], "60 and 50 % of 24 from the top; the last week stands alone"


def test_how_visitors_begin_is_told_with_what_goes_together() -> None:
    section = value_first_section(value(600, 350), compared({2: (60, 100)}, {2: (40, 100)}), LADDER)
    assert section is not None
    begin, effect = section.said
    assert begin == (
        "Of 1,000 visitors 60.0% (56.9% to 63.0%) were given something first, and of 35.0% (32.1% to 38.0%) something "
        "was wanted first."
    )
    assert effect == (
        "To their first ask above spark people said yes 60.0% of the time where something was given first, 40.0% where "
        "something was wanted first, tier by tier: 20.0 points more (6.1 to 32.8). What goes together need not be what "
        "causes it."
    )
    alone = value_first_section(value(600, 0), None, LADDER)
    assert alone is not None
    assert len(alone.said) == 1
    assert [name for name, _ in cast(list[tuple[str, object]], alone.facts["starts"])] == ["something given", "neither"]
