from __future__ import annotations

from pathlib import Path

import pytest

from ladder.tiers import load_ladder
from yesladder.datasets import example_ladder, names

FOLDER = Path(__file__).parents[2] / "ladders"
FILES = sorted(FOLDER.glob("*.toml"))


def test_there_is_a_ladder_for_every_data_set_and_for_a_shop_a_trial_and_a_course() -> None:
    assert {"shop", "saas_trial", "course", *names()} == {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_ladder_loads_and_is_called_what_its_file_is(path: Path) -> None:
    ladder = load_ladder(path)
    assert ladder.name == path.stem
    assert example_ladder(path.stem) == ladder
    assert any(mark.role == "yes" for rule in ladder.rules for mark in rule.marks)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_ask_of_an_example_ladder_can_be_answered_at_its_own_step(path: Path) -> None:
    marks = [mark for rule in load_ladder(path).rules for mark in rule.marks]
    asked = {(mark.tier, mark.step) for mark in marks if mark.role == "ask"}
    answered = {(mark.tier, mark.step) for mark in marks if mark.role == "yes"}
    assert asked <= answered


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_step_of_an_example_ladder_belongs_to_one_tier(path: Path) -> None:
    tiers: dict[str, set[int]] = {}
    for rule in load_ladder(path).rules:
        for mark in rule.marks:
            tiers.setdefault(mark.step, set()).add(mark.tier)
    assert {step: found for step, found in tiers.items() if len(found) > 1} == {}
