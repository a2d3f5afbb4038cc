"""The engine against the oracle, which enumerates every attempt: each option, each pair of options, all at random."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from answers.funnel_question import ask
from ladder.errors import UsageError
from tests.suites.funnel_asked import BEGIN, UNIT, answer_of, question_of
from tests.suites.funnel_cases import OPTIONS, cases
from tests.suites.funnel_oracle import Asked, Happened, booked, counts


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
