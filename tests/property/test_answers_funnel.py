"""The engine against the oracle, which enumerates every attempt: each option, each pair of options, all at random."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from answers.funnel_question import ask
from ladder.errors import UsageError
from tests.suites.funnel_asked import UNIT, Condition, answer_of, question_of
from tests.suites.funnel_oracle import Asked, Happened, counts

NAMES = ["A", "B", "C", "X"]
VALUES = st.sampled_from([None, "u", "v"])


def happened(most: int) -> st.SearchStrategy[list[Happened]]:
    one = st.builds(
        lambda unit, at, name, p, q: Happened(
            unit, at, name, {key: value for key, value in (("p", p), ("q", q)) if value is not None}
        ),
        st.sampled_from(["one", "two", "three"]),
        st.integers(0, 9),
        st.sampled_from(NAMES),
        VALUES,
        VALUES,
    )
    return st.lists(one, min_size=1, max_size=most)


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
    "since": lambda draw, steps: {"since": draw(st.integers(1, 5))},
    "until": lambda draw, steps: {"until": draw(st.integers(6, 9))},
}  # fmt: skip


def exclusion(draw: Any, steps: int) -> tuple[str, int, int]:
    after = int(draw(st.integers(1, steps - 1)))
    return draw(st.sampled_from(["X", "X", "C"])), after, int(draw(st.integers(after + 1, steps)))


@st.composite
def asked(draw: Any, chosen: tuple[str, ...] = ()) -> Asked:
    """A question with these options, or with any."""
    steps = draw(st.lists(st.sampled_from(NAMES[:3]), min_size=2, max_size=4))
    wanted = chosen or draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=6, unique=True))
    given_options: dict[str, Any] = {"window": draw(st.integers(0, 9))}
    for option in wanted:
        given_options |= OPTIONS[option](draw, len(steps))
    return Asked(tuple(steps), **given_options)


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
@given(happened(14), asked())
def test_the_engine_answers_as_the_oracle_does(events: list[Happened], question: Asked) -> None:
    check(events, question)


TOGETHER = [(option,) for option in OPTIONS] + list(combinations(OPTIONS, 2))


@pytest.mark.parametrize("options", TOGETHER, ids=" with ".join)
def test_each_option_and_each_pair_answers_as_the_oracle_does(options: tuple[str, ...]) -> None:
    @settings(max_examples=6, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(happened(12), asked(options))
    def compare(events: list[Happened], question: Asked) -> None:
        check(events, question)

    compare()


def test_a_question_that_is_refused_is_refused_for_its_pair_of_options() -> None:
    with pytest.raises(UsageError):
        ask(["A", "B"], order="strict", exclude=["X"])
