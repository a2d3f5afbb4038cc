from __future__ import annotations

import numpy as np
import pytest

from answers.funnel_conditions import DEEPEST, Coded, Combined, Compare, all_of, parse_condition
from ladder.errors import UsageError

VALUES: list[object] = ["pro", "free", 1, 1.5, True, False, [1], {"a": 1}, "1"]
PLAN = Coded(np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, -1], np.int32), VALUES)


def of_plan(text: str) -> list[object]:
    """The values that a condition on `plan` is true of; None stands for an absent one."""
    return [
        None if code < 0 else VALUES[code]
        for code, flag in zip(PLAN.codes, parse_condition(text).flags({"plan": PLAN}), strict=True)
        if flag
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plan = 'pro'", ["pro"]),
        ('plan = "pro"', ["pro"]),
        ("plan=1", [1]),
        ("plan = 1.0", [1]),
        ("plan = true", [True]),
        ("plan = FALSE", [False]),
        ("plan != 'pro'", ["free", 1, 1.5, True, False, [1], {"a": 1}, "1"]),
        ("plan > 1", [1.5]),
        ("plan >= 1", [1, 1.5]),
        ("plan < 1.5", [1]),
        ("plan <= 1.5e0", [1, 1.5]),
        ("plan > -2", [1, 1.5]),
        ("plan < 'g'", ["free", "1"]),
        ("plan in ('pro', 1, true)", ["pro", 1, True]),
        ("plan = 'pro' or plan = 'free'", ["pro", "free"]),
        ("plan > 0 and plan < 1.2", [1]),
        ("plan = 'free' or plan > 0 and plan < 1.2", ["free", 1]),
        ("(plan = 'free' or plan > 0) and plan != 1", ["free", 1.5]),
        ("plan = 'pro' OR plan IN ('free')", ["pro", "free"]),
    ],
)
def test_a_condition_is_true_of_what_it_says(text: str, expected: list[object]) -> None:
    assert of_plan(text) == expected


def test_a_quote_within_text_is_doubled() -> None:
    assert parse_condition("a = 'it''s'") == Compare("a", "=", ("it's",))
    assert parse_condition('a = "say ""no"""') == Compare("a", "=", ('say "no"',))


def test_a_strange_property_stands_in_double_quotes() -> None:
    assert parse_condition('"Preis in €; drop table" > 3') == Compare("Preis in €; drop table", ">", (3,))
    assert parse_condition("$current.url-x = 'a'") == Compare("$current.url-x", "=", ("a",))


def test_a_condition_knows_its_properties() -> None:
    assert parse_condition("a = 1 and (b = 2 or c in (3))").properties() == {"a", "b", "c"}


def test_all_of_several_is_their_conjunction() -> None:
    one, two = Compare("a", "=", (1,)), Compare("b", "=", (2,))
    assert all_of([]) is None
    assert all_of([one]) == one
    assert all_of([one, two]) == Combined("and", (one, two))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'': at its end: here belongs the name of a property (in double quotes where it is no plain word)"),
        ("plan", "'plan': at its end: here belongs one of = != < <= > >= in"),
        ("plan = pro", "at character 8, 'pro': here belongs a value: text in quotes such as 'pro', a number, true or"),
        ("plan == 'a'", "at character 7, '=': here belongs a value"),
        ("plan = 'a' plan = 'b'", "at character 12, 'plan': here belongs `and`, `or` or the end"),
        ("(plan = 'a'", "at its end: here belongs `)`"),
        ("plan in 'a'", "at character 9, \"'a'\": here belongs `(`"),
        ("plan in ()", "at character 10, ')': here belongs a value"),
        ("plan = 'a", 'at character 8, "\'": here belongs a value'),
        ("plan = 1x", "at character 8, '1': here belongs a value"),
        ("plan = 01", "here belongs a value"),
        ("plan = 1e999", "here belongs a number that JSON has"),
        ("and = 1", "at character 1, 'and': here belongs the name of a property"),
        ("plan = 1; drop", "at character 9, ';': here belongs `and`"),
        ("(" * (DEEPEST + 1) + "a = 1", f"here belongs no more than {DEEPEST} brackets within one another"),
    ],
)
def test_a_wrong_condition_is_refused_with_the_place_and_what_belongs_there(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_condition(text)
    assert message in str(caught.value)
