from __future__ import annotations

import shlex
from datetime import date
from typing import Any

import pytest

from answers.funnel_command import as_command, as_toml
from answers.funnel_file import parse_funnels
from answers.funnel_question import ask
from yesladder.cli import cli

FULL: dict[str, Any] = {
    "steps": ["Product Viewed", 'it\'s "quoted" \\ and\nlong \x7f \x00 🪜', "tier:macro"],
    "order": "ordered",
    "window": "2d",
    "step_window": ["2:1h"],
    "unit": "session",
    "exclude": ["Refund Asked:1:3"],
    "where": 'plan = \'pro\' and "odd name" != "x"',
    "step_where": ["3:seats >= 5"],
    "optional": ["2"],
    "first_ever": [],
    "first_matching": ["1"],
    "by": "utm_source",
    "attribution": "last",
    "hold": None,
    "since": date(2026, 3, 1),
    "until": date(2026, 3, 8),
    "trend": "week",
}


@pytest.mark.parametrize("given", [FULL, {"steps": ["A"]}, {"steps": ["A", "B"], "by": ""}])
def test_the_file_says_what_was_asked(given: dict[str, Any]) -> None:
    ((name, question),) = parse_funnels(as_toml("my first, (2)", given), "test").items()
    plain = {key: value for key, value in given.items() if value not in (None, "", [])}
    wanted = ask(plain.pop("steps"), **{key: value for key, value in plain.items() if key not in ("since", "until")})
    assert name == "my first, (2)"
    assert (question.steps, question.exclusions, question.where, question.step_where) == (
        wanted.steps, wanted.exclusions, wanted.where, wanted.step_where,
    )  # fmt: skip
    if "since" in given:
        assert question.since is not None
        assert question.since.date() == given["since"]


def test_a_shell_reads_the_command_as_it_was_meant() -> None:
    words = shlex.split(as_command({**FULL, "steps": ["it's", "$(x) `y`; rm"]}, ["--warehouse", "a b"]))
    assert words[:2] == ["yesladder", "funnel"]
    command = cli.commands["funnel"]
    parsed = command.make_context("funnel", words[2:]).params
    assert parsed["steps"] == ("it's", "$(x) `y`; rm")
    assert parsed["exclude"] == ("Refund Asked:1:3",)
    assert parsed["warehouse"] == "a b"
    assert parsed["where"] == FULL["where"]
    assert parsed["since"].date() == FULL["since"]


def test_what_needs_no_saying_is_left_out() -> None:
    assert as_command({"steps": ["A", "B"], "unit": "visitor", "order": "ordered"}) == "yesladder funnel --steps A B"
