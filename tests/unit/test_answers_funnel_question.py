from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from answers.funnel_conditions import Compare
from answers.funnel_file import load_funnels, parse_funnels
from answers.funnel_question import Exclusion, Question, ask
from ladder.errors import UsageError


def test_steps_alone_are_an_ordered_funnel_of_visitors_within_fourteen_days() -> None:
    assert ask(["A", "B"]) == Question(("A", "B"), order="ordered", window=timedelta(days=14), unit="visitor")


def test_everything_that_can_be_asked_is_read() -> None:
    assert ask(
        ["A", "B", "C"],
        window="1h30m",
        step_window=["3:10m", "2:0s"],
        unit="user",
        exclude=["Time: out:1:2"],
        where="plan = 'pro'",
        step_where=["2:seats > 1"],
        optional=[3],
        first_ever=[1],
        first_matching=[3],
        by="country",
        attribution="step:3",
        hold="cart",
        since=datetime(2026, 1, 1, tzinfo=UTC),
        until=datetime(2026, 2, 1, tzinfo=UTC),
    ) == Question(
        ("A", "B", "C"),
        window=timedelta(minutes=90),
        step_windows=((2, timedelta()), (3, timedelta(minutes=10))),
        unit="user",
        exclusions=(Exclusion("Time: out", 1, 2),),
        where=Compare("plan", "=", ("pro",)),
        step_where=((2, Compare("seats", ">", (1,))),),
        optional=(3,),
        first_ever=(1,),
        first_matching=(3,),
        by="country",
        attribution="step:3",
        hold="cart",
        since=datetime(2026, 1, 1, tzinfo=UTC),
        until=datetime(2026, 2, 1, tzinfo=UTC),
    )


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"steps": []}, "steps: a funnel has 1 to 20 steps, this one has 0"),
    ({"steps": ["A"] * 21}, "steps: a funnel has 1 to 20 steps, this one has 21"),
    ({"steps": ["A", ""]}, "steps: a step needs a name"),
    ({"order": "any"}, "order: 'any' is none of ordered, strict, unordered"),
    ({"window": "soon"}, "window: 'soon' is no duration; write for example 90s, 30m, 2h, 1h30m or 14d"),
    ({"window": timedelta(days=-1)}, "window: must be 0s to 36500d"),
    ({"step_window": ["1h"]}, "step_window: '1h' names no step; write it as '2:1h'"),
    ({"step_window": ["1:1h"]}, "step_window: step 1 has no step before it; `window` is for all of the attempt"),
    ({"step_window": ["9:1h"]}, "step_window: '9' is no step; there are 1 to 3"),
    ({"step_window": ["2:1h", "2:2h"]}, "step_window: step 2 has two; join them"),
    ({"step_window": ["2:x"]}, "step_window: 'x' is no duration"),
    ({"exclude": [":1:2"]}, "exclude: ':1:2' names no event; write it as 'Refund Asked:1:2'"),
    ({"exclude": ["X:2:2"]}, "exclude: 'X:2:2': step 2 does not come before step 2"),
    ({"exclude": ["X:1:7"]}, "exclude: '7' is no step; there are 1 to 3"),
    ({"exclude": ["X:1:3"], "optional": [3]}, "exclude: step 3 is optional; an exclusion lies between two that are"),
    ({"exclude": ["X"], "order": "strict"}, "exclude: says nothing of a strict funnel"),
    ({"exclude": ["X"], "order": "unordered"}, "exclude: says nothing of an unordered funnel"),
    ({"optional": [2], "order": "unordered"}, "optional: says nothing of an unordered funnel"),
    ({"step_window": ["2:1h"], "order": "unordered"}, "step_window: says nothing of an unordered funnel"),
    ({"where": "plan"}, "where: 'plan': at its end: here belongs one of"),
    ({"step_where": ["plan = 1"]}, "step_where: 'plan = 1' names no step; write it as \"2:plan = 'pro'\""),
    ({"step_where": ["2:plan"]}, "step_where: 'plan': at its end"),
    ({"optional": [1]}, "optional: step 1 begins the attempt and cannot be optional"),
    ({"optional": [4]}, "optional: 4 is no step; there are 1 to 3"),
    ({"optional": [True]}, "optional: True is no step"),
    ({"first_ever": [0]}, "first_ever: 0 is no step"),
    ({"first_ever": [2], "first_matching": [2]}, "first_matching: step 2 has first_ever already; choose"),
    ({"attribution": "last"}, "attribution: says which value counts for `by`, which is missing"),
    ({"by": "a", "attribution": "middle"}, "attribution: 'middle' is none of first, last, all, and step:1 to step:3"),
    ({"by": "a", "attribution": "step:4"}, "attribution: 'step:4' is none of"),
    ({"by": ""}, "by: is empty; name a property"),
    ({"unit": ""}, "unit: is empty; name a property"),
    ({"since": datetime(2026, 1, 1)}, "since: 2026-01-01 00:00:00 has no zone; give one, such as 2026-01-01 00:00:00"),
    (
        {"since": datetime(2026, 1, 2, tzinfo=UTC), "until": datetime(2026, 1, 2, tzinfo=UTC)},
        "until: must be later than since",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_a_wrong_question_is_refused_with_the_field_and_the_fix(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ask(**{"steps": ["A", "B", "C"], **given})
    assert str(caught.value).startswith(message)


def test_an_exclusion_without_places_is_for_all_of_the_way() -> None:
    assert ask(["A", "B", "C"], exclude=["X", "Y:5 o'clock"]).exclusions == (
        Exclusion("X", 1, 3),
        Exclusion("Y:5 o'clock", 1, 3),
    )


def test_a_field_is_called_as_its_source_calls_it() -> None:
    with pytest.raises(UsageError, match=r"^--step-window: 'x' names no step"):
        ask(["A"], step_window=["x"], name=lambda field: "--" + field.replace("_", "-"))


SAVED = """
[sign-up]
steps = ["A", "B"]
window = "7d"
since = 2026-01-01
until = 2026-02-01T00:00:00

[paid]
steps = ["A", "tier:macro"]
optional = [2]
"""


def test_saved_funnels_are_questions_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "funnels.toml").write_text(SAVED.replace("optional = [2]", ""))
    assert load_funnels(tmp_path / "funnels.toml") == {
        "sign-up": Question(
            ("A", "B"),
            window=timedelta(days=7),
            since=datetime(2026, 1, 1, tzinfo=UTC),
            until=datetime(2026, 2, 1, tzinfo=UTC),
        ),
        "paid": Question(("A", "tier:macro")),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "funnels.toml: no TOML: "),
        ("[a]\nwindow = '7d'", "funnels.toml, funnel 'a', all of it: Object missing required field `steps`"),
        ("[a]\nsteps = ['A']\nwindows = '7d'", "funnels.toml, funnel 'a', windows: there is no such key; there are "),
        ("[a]\nsteps = 'A'", "funnels.toml, funnel 'a', steps: Expected `array`, got `str`"),
        ("[a]\nsteps = ['A']\nwindow = 'x'", "funnels.toml, funnel 'a', window: 'x' is no duration"),
        ("[a]\nsteps = ['A']\nsince = 'x'", "funnels.toml, funnel 'a', since: 'x' is no date; write it as 2026-03-01"),
        ("a = 1", "funnels.toml, funnel 'a', all of it: Expected `object`, got `int`"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_funnel_key_and_reason(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_funnels(text, "funnels.toml")
    assert str(caught.value).startswith(message)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file of funnels"):
        load_funnels(tmp_path / "no.toml")
