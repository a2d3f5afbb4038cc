from __future__ import annotations

import pytest

from answers.next_steps import next_steps, worst_steps
from ladder.tiers import Ladder, Mark, Rule
from tests.suites.counted_rows import counted_step, counted_tier
from warehouse.query import StepRow, TierRow, Unit

TIERS = ("spark", "micro", "mini")


def ladder(*marks: Mark) -> Ladder:
    return Ladder("test", TIERS, tuple(Rule(f"event {n}", {}, (mark,)) for n, mark in enumerate(marks)))


FULL = ladder(*[mark for n in (1, 2, 3) for mark in (Mark(n, "ask", "only"), Mark(n, "yes", "only"))])


def tier(number: int, asked: int, yes: int, *, no: int = 0, implicit: int = 0) -> TierRow:
    return counted_tier(number, TIERS[number - 1], asked, yes, no=no, implicit=implicit)


def step(number: int, name: str, asked: int, yes: int, unit: Unit = "session") -> StepRow:
    return counted_step(number, name, asked, yes, unit=unit)


def test_where_nobody_is_lost_nothing_stands_out() -> None:
    rows = [tier(1, 200, 200), tier(2, 200, 200), tier(3, 200, 200)]
    assert next_steps("visitor", rows, [], FULL) == ("Nothing stands out: no visitor asked was lost at any tier.",)


def test_the_worst_leak_comes_first_and_names_its_worst_step() -> None:
    rows = [tier(1, 2000, 1500), tier(2, 1500, 300), tier(3, 300, 240)]
    steps = [
        step(2, "poll", 900, 250),
        step(2, "quiz", 800, 60),
        step(2, "quiz", 9, 9, "visitor"),
        step(1, "article", 2000, 0),
    ]
    names = ladder(*[Mark(row.tier, "yes", row.step) for row in steps])
    assert next_steps("session", rows, steps, names)[0] == (
        "Start at micro: 1,200 of 1,500 sessions asked did not go on to a yes, 80.0% (77.9% to 81.9%). "
        "Its worst step is “quiz”: 92.5% (90.5% to 94.1%) of 800 asked."
    )


def test_a_tier_of_one_step_does_not_repeat_it() -> None:
    rows = [tier(1, 2000, 500), tier(2, 200, 190), tier(3, 190, 180)]
    (said,) = next_steps("session", rows, [step(1, "only", 2000, 500)], FULL)
    assert said == "Start at spark: 1,500 of 2,000 sessions asked did not go on to a yes, 75.0% (73.1% to 76.8%)."


def test_where_most_people_are_lost_is_said_when_it_is_another_tier() -> None:
    rows = [tier(1, 20000, 12000), tier(2, 960, 300), tier(3, 300, 290)]
    assert next_steps("session", rows, [], FULL)[1] == (
        "In numbers, most sessions are lost at spark: 8,000 of 20,000 asked. Each point of drop-off won there keeps "
        "200 sessions, at micro 9.6."
    )


def test_where_few_were_asked_nothing_is_said_of_a_point_won_there() -> None:
    rows = [tier(1, 20000, 19000), tier(2, 4, 0), tier(3, 3, 3)]
    found = next_steps("session", rows, [], FULL)
    assert [sentence for sentence in found if "Each point" in sentence or "In numbers" in sentence] == []
    assert any(sentence.startswith("Too few sessions to judge: micro") for sentence in found)


def test_visitors_of_some_days_are_those_first_asked_then() -> None:
    """Of those who were asked before, and came again, these rows know nothing."""
    rows = [tier(1, 2000, 1500), tier(2, 0, 0), tier(3, 300, 300)]
    (said,) = next_steps("visitor", rows, [], FULL, of_days=True)
    assert said == (
        "Start at spark: 500 of 2,000 visitors first asked in these days did not go on to a yes, 25.0% (23.2% "
        "to 26.9%)."
    )
    assert next_steps("session", rows, [], FULL, of_days=True)[-1].startswith(
        "No session holds an ask or a yes of micro"
    )
    none_lost = [tier(n, 200, 200) for n in (1, 2, 3)]
    assert next_steps("visitor", none_lost, [], FULL, of_days=True) == (
        "Nothing stands out: no visitor first asked in these days was lost at any tier.",
    )


def test_refusals_are_told_from_silence() -> None:
    rows = [tier(1, 1000, 900, no=80), tier(2, 900, 700, no=90), tier(3, 700, 690, no=9)]
    assert next_steps("visitor", rows, [], FULL)[1:] == (
        "People refuse rather than overlook what is asked at spark (80 of the 100 visitors without a yes). "
        "Change the ask itself, not its place.",
    )


def test_too_few_people_are_told_and_never_the_place_to_start() -> None:
    rows = [tier(1, 12, 2), tier(2, 2, 2), tier(3, 0, 0, implicit=1)]
    assert next_steps("visitor", rows, [], FULL)[0] == (
        "Too few visitors to judge: spark (12 asked, a drop-off of 55.2% to 95.3%) and micro (2 asked, a drop-off of "
        "0% to 65.8%). Wait for more before you change anything there."
    )


def test_ninety_three_asked_are_enough_and_ninety_two_are_not() -> None:
    def said(asked: int) -> str:
        return next_steps("visitor", [tier(1, asked, asked // 2)], [], FULL)[0]

    assert said(93).startswith("Start at spark")
    assert said(92).startswith("Too few visitors")


@pytest.mark.parametrize(
    ("rules", "advice"),
    [
        (
            ladder(Mark(1, "yes", "a")),
            'The ladder names no ask there; give the event that shows it role = "ask" to see the drop-off.',
        ),
        (
            ladder(Mark(1, "yes", "a"), Mark(1, "ask", "a")),
            "The ladder names an ask there, but none arrived: check that the page sends it.",
        ),
    ],
)
def test_a_tier_where_nobody_is_asked_is_named_with_the_way_out(rules: Ladder, advice: str) -> None:
    assert next_steps("session", [tier(1, 0, 0, implicit=1440)], [], rules) == (
        f"Yeses without any ask on record: spark (1,440 sessions). {advice}",
    )


def test_an_empty_tier_is_told_from_one_that_the_ladder_leaves_out() -> None:
    rules = ladder(Mark(1, "ask", "a"), Mark(2, "yes", "a"))
    assert next_steps("visitor", [tier(1, 0, 0), tier(2, 0, 0), tier(3, 0, 0)], [], rules) == (
        "The ladder has no event for mini, so nothing is measured there.",
        "No visitor holds an ask or a yes of spark or micro: nobody came there, or nothing is sent.",
    )


def test_a_step_whose_ask_has_no_yes_in_the_ladder_is_no_worst_step_but_named() -> None:
    rules = ladder(Mark(1, "ask", "banner"), Mark(1, "yes", "article"), Mark(1, "ask", "article"))
    steps = [step(1, "banner", 500, 0), step(1, "article", 500, 400)]
    assert worst_steps("session", steps, rules) == [steps[1]]
    assert next_steps("session", [tier(1, 500, 500)], steps, rules)[-1] == (
        "The ladder names no yes for “banner” (spark): give an ask and its yes the same step to see its drop-off."
    )


def test_steps_are_ranked_by_what_is_lost_for_sure() -> None:
    sure, once, never, other = (
        step(1, "a", 1000, 500),
        step(1, "b", 1, 0),
        step(1, "c", 0, 0),
        step(1, "d", 1000, 100, "visitor"),
    )
    rules = ladder(*[Mark(1, "yes", row.step) for row in (sure, once, never, other)])
    assert worst_steps("session", [never, once, other, sure], rules) == [sure, once]
