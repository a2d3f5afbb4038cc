"""The engine against the oracle, which enumerates every attempt: each option, each pair of options, all at random."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from answers.funnel_question import ask
from ladder.errors import UsageError
from tests.suites.funnel_asked import BEGIN, UNIT, Condition, answer_of, question_of
from tests.suites.funnel_oracle import Asked, Happened, booked, counts

VALUES = st.sampled_from(["u", "u", "v", None])


@st.composite
def happened(draw: Any, steps: tuple[str, ...], most: int) -> list[Happened]:
    """Events of two units, of names that the steps have, close together and often at one instant."""
    found = []
    for unit in draw(st.sampled_from([["one"], ["one", "two"]])):
        at = 0
        for _ in range(draw(st.integers(1, most))):
            at += draw(st.sampled_from([0, 1, 1, 2]))
            properties = {key: value for key in ("p", "q") if (value := draw(VALUES)) is not None}
            found.append(Happened(unit, at, draw(st.sampled_from([*steps, *steps, "X"])), properties))
    return found


CONDITIONS = st.builds(Condition, st.sampled_from(["p", "q"]), st.sampled_from(["u", "v"]))


def numbered(draw: Any, steps: int, first: int = 1) -> int:
    return int(draw(st.integers(first, steps)))


OPTIONS: dict[str, Callable[[Any, int], dict[str, Any]]] = {
    "strict": lambda draw, steps: {"order": "strict"},
    "unordered": lambda draw, steps: {"order": "unordered"},
    "step window": lambda draw, steps: {"step_windows": {numbered(draw, steps, 2): draw(st.integers(0, 4))}},
    "exclude": lambda draw, steps: {"exclusions": tuple(exclusion(draw, steps) for _ in range(numbered(draw, 2)))},
    "where": lambda draw, steps: {"where": draw(CONDITIONS)},
    "step where": lambda draw, steps: {"step_where": {numbered(draw, steps): draw(CONDITIONS)}},
    "optional": lambda draw, steps: {"optional": draw(st.frozensets(st.integers(2, steps), min_size=1, max_size=2))},
    "first ever": lambda draw, steps: {"first_ever": frozenset({numbered(draw, steps)})},
    "first matching": lambda draw, steps: {"first_matching": frozenset({numbered(draw, steps)})},
    "by first": lambda draw, steps: {"by": "p", "attribution": "first"},
    "by last": lambda draw, steps: {"by": "p", "attribution": "last"},
    "by step": lambda draw, steps: {"by": "p", "attribution": f"step:{numbered(draw, steps)}"},
    "by all": lambda draw, steps: {"by": "p", "attribution": "all"},
    "hold": lambda draw, steps: {"hold": "q"},
    "since": lambda draw, steps: {"since": draw(st.integers(1, 3))},
    "until": lambda draw, steps: {"until": draw(st.integers(3, 7))},
}  # fmt: skip


def exclusion(draw: Any, steps: int) -> tuple[str, int, int]:
    after = int(draw(st.integers(1, steps - 1)))
    return draw(st.sampled_from(["X", "X", "A", "B"])), after, int(draw(st.integers(after + 1, steps)))


@st.composite
def cases(draw: Any, chosen: tuple[str, ...] = (), most: int = 8) -> tuple[list[Happened], Asked]:
    """A question with these options, or with any, and events."""
    steps = tuple(
        draw(st.sampled_from([["A", "B"], ["A", "B", "C"], ["A", "A"], ["A", "B", "A"], ["A", "B", "C", "B"]]))
    )
    wanted = chosen or draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=5, unique=True))
    options: dict[str, Any] = {"window": draw(st.sampled_from([3, 5, 9, 1, 0, 2, 4]))}
    for option in wanted:
        options |= OPTIONS[option](draw, len(steps))
    return draw(happened(steps, most)), Asked(steps, **options)


def check(events: list[Happened], question: Asked) -> None:
    """Compare, unless the question is refused as one that makes no sense."""
    try:
        understood = question_of(question)
    except UsageError:
        return
    found = answer_of(events, understood, parts=2)
    total, by, durations = counts(events, question)
    assert [step.count for step in found.steps] == total
    assert {value: [step.count for step in steps] for value, steps in found.by.items()} == by
    for step, expected in zip(found.steps, durations, strict=True):
        seconds = np.array(expected) * UNIT.total_seconds()
        if len(seconds) == 0:
            assert step.median_seconds is step.mean_seconds is step.p90_seconds is None
            continue
        said = (step.mean_seconds, step.median_seconds, step.p90_seconds, sum(step.histogram))
        assert said == pytest.approx((seconds.mean(), np.median(seconds), np.quantile(seconds, 0.9), len(seconds)))
    if question.by is not None and question.attribution != "all":
        assert [sum(steps[n].count for steps in found.by.values()) for n in range(len(total))] == total


@settings(max_examples=300, deadline=None)
@given(cases())
def test_the_engine_answers_as_the_oracle_does(case: tuple[list[Happened], Asked]) -> None:
    check(*case)


TOGETHER = [(option,) for option in OPTIONS] + list(combinations(OPTIONS, 2))


@pytest.mark.parametrize("options", TOGETHER, ids=" with ".join)
def test_each_option_and_each_pair_answers_as_the_oracle_does(options: tuple[str, ...]) -> None:
    @settings(max_examples=6, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(cases(options))
    def compare(case: tuple[list[Happened], Asked]) -> None:
        check(*case)

    compare()


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 20))
def test_a_trend_books_units_on_the_day_of_their_entry_as_the_oracle_does(
    case: tuple[list[Happened], Asked], as_of: int
) -> None:
    events, question = case
    try:
        understood = question_of(question, trend="day")
    except UsageError:
        return
    found = answer_of(events, understood, parts=2, as_of=BEGIN + as_of * UNIT)
    expected = booked(events, question, as_of, lambda at: at * UNIT // timedelta(days=1))
    nobody = ([0] * len(question.steps),) * 2
    for period in found.trend:
        day = (period.begins - BEGIN.date()).days
        matured, in_flight = expected.pop(day, nobody)
        assert ([step.count for step in period.steps], list(period.in_flight)) == (matured, in_flight)
        assert not (period.is_mature and any(in_flight))
    assert expected == {}


def test_a_question_that_is_refused_is_refused_for_its_pair_of_options() -> None:
    with pytest.raises(UsageError):
        ask(["A", "B"], order="strict", exclude=["X"])
