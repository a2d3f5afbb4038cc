from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from answers.dashboard.page import Asked
from answers.dashboard.saving import save_funnel
from answers.dashboard.view import read_view
from answers.funnel_file import load_funnels
from answers.funnel_question import ask
from ladder.errors import UsageError
from ladder.tiers import builtin_ladder

LADDER = builtin_ladder()


def asked(funnels: Path, **given: list[str]) -> Asked:
    view = read_view({"since": given.pop("since", [""])[0]}, LADDER)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    return Asked(funnels.parent, LADDER, view, {name: tuple(texts) for name, texts in given.items()}, now, funnels)


@pytest.fixture
def funnels(tmp_path: Path) -> Path:
    return tmp_path / "funnels.toml"


def test_a_saved_funnel_is_the_one_that_was_built(funnels: Path) -> None:
    name = save_funnel(
        asked(
            funnels, steps=["A", "", 'B\'s "x"'], window=["2d"], optional=[" "], per=["session"], since=["2026-03-01"]
        ),
        "  my   first ",
    )
    assert name == "my first"
    since = datetime(2026, 3, 1, tzinfo=UTC)
    assert load_funnels(funnels) == {"my first": ask(["A", 'B\'s "x"'], window="2d", unit="session", since=since)}


def test_what_stands_in_the_file_stays_as_it_is(funnels: Path) -> None:
    before = "# ours\n[old]\nsteps = ['A']   # kept\n"
    funnels.write_text(before)
    save_funnel(asked(funnels, steps=["B"]), "new")
    assert funnels.read_text().startswith(before)
    assert list(load_funnels(funnels)) == ["old", "new"]


@pytest.mark.parametrize("name", ["", "a\nb]", "[x]", 'say "x"', "x" * 61, "=1", "<b>"])
def test_only_a_plain_name_is_taken(funnels: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        save_funnel(asked(funnels, steps=["A"]), name)
    assert not funnels.exists()


def test_a_name_that_is_taken_is_told(funnels: Path) -> None:
    save_funnel(asked(funnels, steps=["A"]), "one")
    with pytest.raises(UsageError, match="already"):
        save_funnel(asked(funnels, steps=["B"]), "one")
    assert list(load_funnels(funnels)) == ["one"]


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "choose"), ({"steps": ["tier:none"]}, "no such tier"), ({"steps": ["A"], "window": ["soon"]}, "window")],
)
def test_what_cannot_be_asked_is_not_saved(funnels: Path, given: dict[str, list[str]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        save_funnel(asked(funnels, **given), "one")
    assert not funnels.exists()
