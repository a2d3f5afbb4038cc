"""Funnels as data: what other systems count of the same events, and the edges of our own rules."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from answers.funnel_question import ask
from tests.suites.funnel_asked import SECOND, answer_of
from tests.suites.funnel_oracle import Happened

FOLDER = Path(__file__).parents[1] / "examples" / "funnels"
CASES: dict[str, dict[str, Any]] = {
    f"{path.stem}: {case['name']}": case
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text(encoding="utf-8"))["cases"]
}


@pytest.mark.parametrize("name", CASES)
def test_a_funnel_counts_what_its_example_says(name: str) -> None:
    case = CASES[name]
    events = [
        Happened(unit, at, name, *properties) for unit, rows in case["events"].items() for at, name, *properties in rows
    ]
    question = dict(case["question"])
    question |= {field: datetime.fromisoformat(question[field]) for field in ("since", "until") if field in question}
    found = answer_of(events, ask(**question), measure=SECOND)
    assert [step.count for step in found.steps] == case["counts"]
    if "by" in case:
        assert {value: [step.count for step in steps] for value, steps in found.by.items()} == case["by"]
    if "mean_seconds" in case:
        assert [step.mean_seconds for step in found.steps] == case["mean_seconds"]


def test_where_we_differ_from_others_the_example_says_why() -> None:
    differing = [case for case in CASES.values() if "theirs" in case]
    assert len(differing) >= 5
    assert all(case["why"] and case["theirs"] != case["counts"] for case in differing)
