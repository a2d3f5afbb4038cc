"""The friction points that are known by name, on ladders as teams write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from answers.audit_kinds import bridges_on, kind_of, kinds
from ladder.tiers import Ladder, Mark, Rule, load_ladder
from tests.suites.audited import ANSWERED

LADDERS = Path(__file__).parents[2] / "ladders"


def ladder(*steps: str, event: str = "{step}") -> Ladder:
    """A tier for each step; the events are named after the steps."""
    rules = (
        Rule(event.format(step=step) + f" {role}", {}, (Mark(tier, role, step),))
        for tier, step in enumerate(steps, start=1)
        for role in ANSWERED
    )
    return Ladder("named", tuple(f"tier {n}" for n in range(1, len(steps) + 1)), tuple(rules))


@pytest.mark.parametrize(
    ("file", "step", "held", "name"),
    [
        ("shop", (3, "leave an email address"), 1, "cold lead"),
        ("shop", (3, "leave an email address"), 2, None),
        ("shop", (4, "start the checkout"), 3, "cart abandonment"),
        ("shop", (5, "place the order"), 4, "cart abandonment"),
        ("shop", (3, "add to cart"), 1, None),
        ("saas_trial", (4, "book a demo"), 3, "demo anxiety"),
        ("saas_trial", (4, "start a trial"), 3, None),
        ("course", (4, "enrol"), 3, None),
        ("otto_mini", (5, "order"), 3, "cart abandonment"),
        ("moodle_edify", (5, "hand the work in"), 4, None),
    ],
)
def test_steps_of_the_ladders_that_come_along_get_the_name_that_fits_or_none(
    file: str, step: tuple[int, str], held: int, name: str | None
) -> None:
    found = kind_of(step, held, load_ladder(LADDERS / f"{file}.toml"))
    assert (found.name if found is not None else None) == name


def test_an_order_without_a_cart_on_the_ladder_is_no_cart_abandonment() -> None:
    assert kind_of((2, "order a brochure"), 1, ladder("read", "order a brochure")) is None


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("order", "cart abandonment"),
        ("Orders", "cart abandonment"),
        ("OrderPlaced", "cart abandonment"),
        ("pay now", "cart abandonment"),
        ("sort order changed", None),
        ("pay attention", None),
        ("order of the lessons", None),
    ],
)
def test_an_order_is_one_by_its_whole_name_or_by_what_is_done_with_it(step: str, name: str | None) -> None:
    of = ladder("add to cart", step, event="{step}")
    rules = tuple(
        Rule(rule.event.removesuffix(" ask").removesuffix(" yes"), {}, rule.marks) for rule in of.rules if rule.event
    )
    found = kind_of((2, step), 1, Ladder(of.name, of.tiers, rules))
    assert (None if found is None else found.name) == name


def test_the_name_of_an_event_tells_as_well_as_that_of_a_step() -> None:
    found = kind_of((2, "step two"), 0, ladder("look", "step two", event="Newsletter {step}"))
    assert found is not None
    assert found.name == "cold lead"


def test_the_steps_in_between_are_those_of_the_ladder_below_the_ask() -> None:
    asked = (4, "book a demo")
    assert bridges_on(ladder("read", "watch the video", "sign up", "book a demo", "tour the office")) == {
        asked: ((2, "watch the video"),)
    }
    assert bridges_on(ladder("read", "vote", "sign up", "book a demo")) == {}


def test_every_kind_says_what_is_lacking_and_how_it_is_known() -> None:
    assert [kind.name for kind in kinds()] == ["cold lead", "demo anxiety", "cart abandonment"]
    assert all(kind.asks and kind.bridges and kind.lacks.endswith(".") for kind in kinds())
