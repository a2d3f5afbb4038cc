"""The ladder file: what it says, and how a wrong one is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ladder.errors import UsageError
from ladder.tiers import Ladder, Mark, builtin_ladder, load_ladder, parse_ladder

TEXT = """\
name = "trial"
session_gap = "30m"
lateness = "2h"
tiers = ["spark", "micro", "mini"]

[[on]]
event = "Pop-up Viewed"
is = [{ tier = "micro", role = "ask", step = "e-mail" }]

[[on]]
event = "Product Added"
where = { plan = "pro", seats = 1 }
is = [{ tier = "micro", role = "yes" }, { tier = "mini", role = "ask", step = "checkout" }]

[[on]]
where = { paid = true }
is = [{ tier = "mini", role = "yes" }]
"""


@pytest.fixture
def ladder() -> Ladder:
    return parse_ladder(TEXT, "ladder.toml")


def test_one_event_may_carry_the_yes_of_one_tier_and_the_ask_of_the_next(ladder: Ladder) -> None:
    assert ladder.marks_of("Product Added", {"plan": "pro", "seats": 1}) == (
        Mark(2, "yes", "Product Added"),
        Mark(3, "ask", "checkout"),
    )


def test_marks_of_several_rules_come_in_the_order_of_the_file(ladder: Ladder) -> None:
    marks = ladder.marks_of("Product Added", {"plan": "pro", "seats": 1, "paid": True})
    assert marks == (Mark(2, "yes", "Product Added"), Mark(3, "ask", "checkout"), Mark(3, "yes", "mini"))


def test_an_event_that_no_rule_names_has_no_marks(ladder: Ladder) -> None:
    assert ladder.marks_of("Something else", {}) == ()


@pytest.mark.parametrize(
    ("properties", "matches"),
    [
        ({"plan": "pro", "seats": 1}, True),
        ({"plan": "pro", "seats": 1.0}, True),
        ({"plan": "pro", "seats": True}, False),
        ({"plan": "pro", "seats": "1"}, False),
        ({"plan": "Pro", "seats": 1}, False),
        ({"plan": "pro"}, False),
        ({"plan": None, "seats": 1}, False),
    ],
)
def test_equality_of_properties_is_jsons(ladder: Ladder, properties: dict[str, object], matches: bool) -> None:
    assert bool(ladder.marks_of("Product Added", properties)) is matches


def test_true_is_no_one(ladder: Ladder) -> None:
    assert ladder.marks_of("x", {"paid": 1}) == ()
    assert ladder.marks_of("x", {"paid": True}) == (Mark(3, "yes", "mini"),)


def test_the_next_tier_is_the_next_that_anyone_can_say_yes_to(ladder: Ladder) -> None:
    assert [ladder.next_tier(tier) for tier in (1, 2, 3)] == [2, 3, None]
    empty_in_between = parse_ladder(TEXT.replace('tier = "micro", role = "yes"', 'tier = "micro", role = "no"'), "x")
    assert empty_in_between.next_tier(1) == 3


def test_defaults_are_half_an_hour_two_hours_and_a_day() -> None:
    ladder = parse_ladder('name = "x"\ntiers = ["a", "b"]', "x")
    assert (ladder.session_gap, ladder.lateness) == (timedelta(minutes=30), timedelta(hours=2))
    assert (ladder.max_session_length, ladder.max_session_events) == (timedelta(days=1), 10_000)


@pytest.mark.parametrize("tiers", [2, 32])
def test_a_ladder_has_2_to_32_tiers(tiers: int) -> None:
    names = ", ".join(f'"t{n}"' for n in range(tiers))
    assert len(parse_ladder(f'name = "x"\ntiers = [{names}]', "x").tiers) == tiers


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ('name = "trial"\n', "", "line 1, name: is missing"),
        ('"spark", "micro", "mini"', '"spark"', "line 4, tiers: a ladder has 2 to 32 tiers, this one has 1"),
        (
            '"spark", "micro", "mini"',
            ", ".join(f'"t{n}"' for n in range(33)),
            "line 4, tiers: a ladder has 2 to 32 tiers, this one has 33",
        ),
        ('"spark", "micro", "mini"', '"micro", "micro", "mini"', "line 4, tiers: 'micro' stands there twice"),
        ('"30m"', '"30"', "line 2, session_gap: '30' is no duration"),
        ('"30m"', '"0s"', "line 2, session_gap: must be longer than 0"),
        ('"2h"', "2", "line 3, lateness: Expected `str`, got `int`"),
        ('tier = "micro", role = "ask"', 'tier = "micr", role = "ask"', "line 8, on[0].is[0].tier: 'micr' is none of"),
        ('role = "ask", step = "e-mail"', 'role = "asks"', "line 8, on[0].is[0].role: Invalid enum value 'asks'"),
        ('event = "Product Added"', 'evnt = "Product Added"', "line 11, on[1].evnt: there is no such key"),
        ("where = { paid = true }\n", "", "line 15, on[2]: needs `event`, `where` or both"),
        ("{ paid = true }", "{ paid = [1] }", "line 16, on[2].where"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line_key_and_reason(right: str, wrong: str, says: str) -> None:
    assert right in TEXT
    with pytest.raises(UsageError) as refusal:
        parse_ladder(TEXT.replace(right, wrong, 1), "ladder.toml")
    assert str(refusal.value).startswith(f"ladder.toml, {says}")


def test_what_is_no_toml_is_refused_with_its_line() -> None:
    with pytest.raises(UsageError, match=r"ladder\.toml: no TOML: .*line 2"):
        parse_ladder('name = "x"\ntiers == 3', "ladder.toml")


def test_a_missing_file_and_one_that_is_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such ladder file"):
        load_ladder(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"bytes\.toml: cannot be read"):
        load_ladder(tmp_path / "bytes.toml")


def test_the_built_in_ladder_takes_tier_and_role_from_the_event_itself() -> None:
    assert builtin_ladder().marks_of("anything", {"tier": "mini", "role": "no"}) == (Mark(3, "no", "mini"),)
    assert builtin_ladder().tiers == ("spark", "micro", "mini", "midi", "macro")
