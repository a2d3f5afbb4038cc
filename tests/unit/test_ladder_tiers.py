from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ladder.errors import UsageError
from ladder.tiers import ROLES, Ladder, Mark, Rule, builtin_ladder, load_ladder, parse_ladder

HEAD = 'name = "trial"\ntiers = ["spark", "micro"]\n'
ON = HEAD + '[[on]]\nevent = "a"\n'
IS = 'is = [{ tier = "micro", role = "yes" }]\n'
RULE = '[[on]]\nevent = "seen"\nis = [{ tier = "spark", role = "ask" }]\n'

ASK, YES, NO = Mark(1, "ask", "s"), Mark(2, "yes", "s"), Mark(2, "no", "s")


def ladder(*rules: Rule) -> Ladder:
    return Ladder("l", ("spark", "micro", "mini", "midi"), rules)


def test_a_ladder_file_in_full() -> None:
    text = """
name = "trial"
session_gap = "45m"
lateness = "0s"
conversion_window = "14d"
max_session_length = "1d"
max_session_events = 500
tiers = ["spark", "micro", "mini"]

[[on]]
event = "Pop-up Viewed"
is = [{ tier = "micro", role = "ask", step = "pop-up" }]

[[on]]
event = "Added"
where = { plan = "pro", seats = 2, trial = false, share = 0.5 }
is = [{ tier = "mini", role = "yes" }, { tier = "spark", role = "cheer" }]

[[on]]
where = { kind = "poll" }
is = [{ tier = "spark", role = "yes" }]
"""
    assert parse_ladder(text, "f") == Ladder(
        name="trial",
        tiers=("spark", "micro", "mini"),
        rules=(
            Rule("Pop-up Viewed", {}, (Mark(2, "ask", "pop-up"),)),
            Rule(
                "Added",
                {"plan": "pro", "seats": 2, "trial": False, "share": 0.5},
                (Mark(3, "yes", "Added"), Mark(1, "cheer", "Added")),
            ),
            Rule(None, {"kind": "poll"}, (Mark(1, "yes", "spark"),)),
        ),
        session_gap=timedelta(minutes=45),
        lateness=timedelta(),
        conversion_window=timedelta(days=14),
        max_session_length=timedelta(days=1),
        max_session_events=500,
    )


def test_what_a_file_leaves_out_has_its_default() -> None:
    found = parse_ladder(HEAD, "f")
    assert (found.session_gap, found.lateness) == (timedelta(minutes=30), timedelta(hours=2))
    assert found.conversion_window == timedelta(days=1)
    assert (found.max_session_length, found.max_session_events) == (timedelta(hours=24), 10_000)
    assert found.rules == ()


def test_2_and_32_tiers_are_allowed() -> None:
    for count in (2, 32):
        names = [f"t{n}" for n in range(count)]
        assert parse_ladder(f'name = "l"\ntiers = {names}', "f").tiers == tuple(names)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1, name: is missing"),
        ('name = "x"', "line 1, tiers: is missing"),
        ('name = 5\ntiers = ["a", "b"]', "line 1, name: Expected `str`, got `int`"),
        ('name = ""\ntiers = ["a", "b"]', "line 1, name: Expected `str` of length >= 1"),
        (f'name = "{"x" * 101}"\ntiers = ["a", "b"]', "line 1, name: Expected `str` of length <= 100"),
        ('name = "x"\ntiers = ["a"]', "line 2, tiers: a ladder has 2 to 32 tiers, this one has 1"),
        (
            f'name = "x"\n\ntiers = {[f"t{n}" for n in range(33)]}',
            "line 3, tiers: a ladder has 2 to 32 tiers, this one has 33",
        ),
        ('name = "x"\ntiers = [\n"a",\n"b",\n"a"]', "line 2, tiers: 'a' stands there twice"),
        ('name = "x"\ntiers = [\n"a",\n7]', "line 2, tiers[1]: Expected `str`, got `int`"),
        ('name = "x"\ntiers = ["a", ""]', "line 2, tiers[1]: Expected `str` of length >= 1"),
        (HEAD + "colour = 1", "line 3, colour: there is no such key"),
        (
            HEAD + 'session_gap = "soon"',
            "line 3, session_gap: 'soon' is no duration; write for example 90s, 30m, 2h, 1h30m or 14d",
        ),
        (HEAD + "session_gap = 30", "line 3, session_gap: Expected `str`, got `int`"),
        (HEAD + 'session_gap = "0s"', "line 3, session_gap: must be longer than 0"),
        (HEAD + 'session_gap = "0.0001ms"', "line 3, session_gap: must be longer than 0"),
        (HEAD + 'lateness = "-1h"', "line 3, lateness: '-1h' is no duration"),
        (HEAD + 'lateness = "36501d"', "line 3, lateness: must be at most 36500d"),
        (HEAD + 'lateness = "999999999999999d"', "line 3, lateness: '999999999999999d' is longer than any duration"),
        (
            HEAD + 'session_gap = "2h"\nmax_session_length = "1h"',
            "line 4, max_session_length: must be at least session_gap",
        ),
        (HEAD + 'conversion_window = "0s"', "line 3, conversion_window: must be longer than 0"),
        (HEAD + "max_session_events = 1", "line 3, max_session_events: Expected `int` >= 2"),
        (HEAD + 'max_session_events = "9"', "line 3, max_session_events: Expected `int`, got `str`"),
        (HEAD + "on = 5", "line 3, on: Expected `array`, got `int`"),
        (
            HEAD + '[[on]]\nis = [{ tier = "spark", role = "ask" }]',
            "line 3, on[0]: needs `event`, `where` or both; as it stands it would mean every event",
        ),
        (HEAD + '[[on]]\nwhere = {}\nis = [{ tier = "spark", role = "ask" }]', "line 3, on[0]: needs `event`"),
        (HEAD + '\n[[on]]\nevent = "a"', "line 4, on[0].is: is missing"),
        (ON + "is = []", "line 5, on[0].is: Expected `array` of length >= 1"),
        (
            HEAD + '[[on]]\nevent = ""\nis = [{ tier = "spark", role = "ask" }]',
            "line 4, on[0].event: Expected `str` of length >= 1",
        ),
        (HEAD + RULE + '\n[[on]]\nevnt = "a"', "line 8, on[1].evnt: there is no such key"),
        (
            HEAD
            + RULE
            + '[[on]]\nevent = "a"\nis = [{ tier = "micro", role = "yes" },\n{ tier = "mini", role = "no" }]',
            "line 8, on[1].is[1].tier: 'mini' is none of the tiers spark, micro",
        ),
        (ON + 'is = [{ tier = "micro" }]', "line 5, on[0].is[0].role: is missing"),
        (
            ON + 'is = [{ tier = "micro", role = "maybe" }]',
            "line 5, on[0].is[0].role: Invalid enum value 'maybe'",
        ),
        (
            ON + '[[on.is]]\ntier = "micro"\nrole = "yes"\n[[on.is]]\ntier = "no"\nrole = "yes"',
            "line 3, on[0].is[1].tier: 'no' is none of the tiers spark, micro",
        ),
        (
            ON + 'is = [{ tier = "micro", role = "yes", step = "" }]',
            "line 5, on[0].is[0].step: Expected `str` of length >= 1",
        ),
        (
            ON + 'is = [{ tier = "micro", role = "yes", stp = "x" }]',
            "line 5, on[0].is[0].stp: there is no such key",
        ),
        (
            ON + IS + '[on.where]\nx = 1\n"a b" = [1]',
            "line 8, on[0].where.a b: must be text, a number that JSON has, or true or false",
        ),
        (ON + "where = { x = nan }\n" + IS, "line 5, on[0].where.x: must"),
        (ON + "where = { x = -inf }\n" + IS, "line 5, on[0].where.x: must"),
        (ON + "where = { x = 2020-01-01 }\n" + IS, "line 5, on[0].where.x: must"),
        (ON + "where = 5\n" + IS, "line 5, on[0].where: Expected `object`, got `int`"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_the_line_the_key_and_the_reason(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_ladder(text, "shop.toml")
    assert str(refused.value).startswith(f"shop.toml, {told}")
    assert "\n" not in str(refused.value)


def test_what_is_no_toml_is_refused_with_its_place() -> None:
    for text, told in [
        (HEAD + "x = = 1", r"f: no TOML: Invalid value \(at line 3, column 5\)"),
        (HEAD + 'name = "again"', r"f: no TOML: Cannot overwrite a value \(at end of document\)"),
    ]:
        with pytest.raises(UsageError, match=told):
            parse_ladder(text, "f")


def test_a_file_that_cannot_be_read_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.toml: there is no such ladder file"):
        load_ladder(tmp_path / "no.toml")
    with pytest.raises(UsageError, match="cannot be read as a ladder file"):
        load_ladder(tmp_path)
    (tmp_path / "latin.toml").write_bytes('name = "Caf\xe9"'.encode("latin-1"))
    with pytest.raises(UsageError, match=r"latin\.toml: cannot be read as a ladder file"):
        load_ladder(tmp_path / "latin.toml")


def test_a_file_is_read_from_its_path(tmp_path: Path) -> None:
    (tmp_path / "l.toml").write_text(HEAD + RULE, encoding="utf-8")
    assert load_ladder(tmp_path / "l.toml").rules == (Rule("seen", {}, (Mark(1, "ask", "seen"),)),)


def test_the_built_in_ladder_marks_every_role_of_every_tier_by_the_events_own_properties() -> None:
    builtin = builtin_ladder()
    assert builtin.tiers == ("spark", "micro", "mini", "midi", "macro")
    for number, tier in enumerate(builtin.tiers, start=1):
        for role in ROLES:
            assert builtin.marks_of("anything", {"tier": tier, "role": role}) == (Mark(number, role, tier),)
    assert builtin.marks_of("anything", {"tier": "spark"}) == ()


# --- marks ---


def test_an_event_has_the_marks_of_all_rules_it_matches_in_the_order_of_the_file_each_once() -> None:
    found = ladder(
        Rule("a", {"x": 1}, (YES,)), Rule(None, {"y": 1}, (NO, YES)), Rule("a", {}, (ASK, YES)), Rule("b", {}, (NO,))
    )
    assert found.marks_of("a", {"x": 1, "y": 1}) == (YES, NO, ASK)
    assert found.marks_of("a", {}) == (ASK, YES)
    assert found.marks_of("c", {"y": 1}) == (NO, YES)
    assert found.marks_of("c", {}) == ()


def test_one_event_may_be_the_yes_of_one_tier_and_the_ask_of_the_next() -> None:
    both = (Mark(1, "yes", "s"), Mark(2, "ask", "s"))
    assert ladder(Rule("a", {}, both)).marks_of("a", {}) == both


def test_names_are_compared_exactly() -> None:
    found = ladder(Rule("Added", {}, (YES,)))
    assert [found.marks_of(name, {}) for name in ("Added", "added", "Added ", "")] == [(YES,), (), (), ()]


def test_all_conditions_of_a_rule_must_hold() -> None:
    found = ladder(Rule("a", {"x": 1, "y": "b"}, (YES,)))
    assert found.marks_of("a", {"x": 1, "y": "b", "z": 0}) == (YES,)
    assert found.marks_of("a", {"x": 1}) == ()
    assert found.marks_of("a", {"x": 1, "y": None}) == ()


@pytest.mark.parametrize(
    ("wanted", "found", "is_equal"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1.0, 1, True),
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        (False, 0, False),
        (False, None, False),
        (0, None, False),
        ("1", 1, False),
        (1, "1", False),
        ("true", True, False),
        ("", "", True),
        ("a", "A", False),
        ("a", ["a"], False),
        (2**53, float(2**53), True),
        (2**53 + 1, float(2**53), False),
        (0, -0.0, True),
    ],
)
def test_equality_is_jsons(wanted: str | bool | int | float, found: object, is_equal: bool) -> None:
    assert Rule("a", {"x": wanted}, (YES,)).matches("a", {"x": found}) is is_equal


def test_the_next_tier_is_the_next_one_up_that_any_event_can_be_a_yes_of() -> None:
    found = ladder(Rule("a", {}, (Mark(1, "yes", "s"), Mark(2, "ask", "s"))), Rule("b", {}, (Mark(4, "yes", "s"),)))
    assert [found.next_tier(tier) for tier in (0, 1, 2, 3, 4)] == [1, 4, 4, 4, None]
    assert ladder().next_tier(1) is None


@pytest.mark.parametrize(
    ("tiers_with_yes", "stages"),
    [
        ([1, 2], "curious aware committed"),
        ([1, 2, 3], "curious aware evaluating committed"),
        ([1, 2, 3, 4], "curious aware aware evaluating committed"),
        ([1, 2, 3, 4, 5], "curious aware aware evaluating evaluating committed"),
        (list(range(1, 33)), " ".join(["curious"] + ["aware"] * 16 + ["evaluating"] * 15 + ["committed"])),
        ([2], "curious aware committed"),
        ([1, 2, 5], "curious aware evaluating evaluating evaluating committed"),
    ],
)
def test_a_stage_is_a_place_among_the_tiers_that_can_be_said_yes_to(tiers_with_yes: list[int], stages: str) -> None:
    marks = tuple(Mark(tier, "yes", "s") for tier in tiers_with_yes)
    names = tuple(f"t{n}" for n in range(1, max(tiers_with_yes) + 1))
    climbed = Ladder("l", names, (Rule("e", {}, marks),))
    assert " ".join(climbed.stage_of(tier) for tier in range(len(names) + 1)) == stages
