from __future__ import annotations

import polars as pl
import pytest

from ladder.tiers import Ladder, Mark, Rule, builtin_ladder
from stream.marks import MarkTable

ASK = Mark(1, "ask", "ask")
YES = Mark(2, "yes", "yes")
NO = Mark(2, "no", "no")


def ladder(*rules: Rule) -> Ladder:
    return Ladder("l", ("spark", "micro", "mini"), rules)


def marks(table: MarkTable, *events: tuple[str, str]) -> list[list[tuple[int | None, str | None, str | None]]]:
    """The marks of each event as a session's sequence holds them."""
    names, properties = [list(column) for column in zip(*events, strict=True)] if events else ([], [])
    combos = table.of(pl.Series(names, dtype=pl.String), pl.Series(properties, dtype=pl.String))
    rows = [range(table.first_row[combo], table.first_row[combo] + table.row_count[combo]) for combo in combos]
    return [
        [
            (table.row_tier[place].as_py(), table.row_role[place].as_py(), table.row_step[place].as_py())
            for place in places
        ]
        for places in rows
    ]


NONE = [(None, None, None)]


def test_an_event_that_no_rule_names_has_no_marks_and_stands_in_the_sequence_once() -> None:
    assert marks(MarkTable(ladder(Rule("a", {}, (ASK,)))), ("b", "{}")) == [NONE]


def test_a_ladder_without_rules_marks_nothing() -> None:
    assert marks(MarkTable(ladder()), ("a", "{}"), ("b", '{"x":1}')) == [NONE, NONE]


def test_no_events_have_no_marks() -> None:
    assert marks(MarkTable(ladder(Rule("a", {"x": 1}, (ASK,)), Rule(None, {"y": 1}, (NO,))))) == []
    assert marks(MarkTable(ladder(Rule("a", {"x": 1}, (ASK,))))) == []


def test_all_marks_of_all_matching_rules_are_kept_in_the_order_of_the_file_each_once() -> None:
    table = MarkTable(ladder(Rule("a", {"x": 1}, (YES, ASK)), Rule(None, {"y": 2}, (NO,)), Rule("a", {}, (ASK,))))
    assert marks(table, ("a", '{"x":1,"y":2}'), ("a", '{"y":2}'), ("a", "{}"), ("b", '{"y":2}'), ("b", "{}")) == [
        [(2, "yes", "yes"), (1, "ask", "ask"), (2, "no", "no")],
        [(2, "no", "no"), (1, "ask", "ask")],
        [(1, "ask", "ask")],
        [(2, "no", "no")],
        NONE,
    ]


@pytest.mark.parametrize(
    ("wanted", "found", "is_equal"),
    [
        (1, "1", True),
        (1, "1.0", True),
        (1, "1e0", True),
        (1, "true", False),
        (1, '"1"', False),
        (1.5, "1.5", True),
        (True, "true", True),
        (True, "1", False),
        (True, '"true"', False),
        (False, "0", False),
        (False, "null", False),
        ("", "null", False),
        ("", '""', True),
        ("pro", '"pro"', True),
        ("pro", '"\\u0070ro"', True),
        ("pro", '["pro"]', False),
        ("é\n", '"\\u00e9\\n"', True),
    ],
)
def test_conditions_compare_as_json_does(wanted: str | bool | int | float, found: str, is_equal: bool) -> None:
    table = MarkTable(ladder(Rule("a", {"key": wanted}, (ASK,))))
    for text in (f'{{"key":{found}}}', f'{{ "other" : [1, {{}}] , "key" : {found} }}'):
        assert marks(table, ("a", text)) == [[(1, "ask", "ask")] if is_equal else NONE]


def test_keys_may_be_any_text_and_are_compared_after_unescaping() -> None:
    table = MarkTable(ladder(Rule("a", {"": 1, "a b": 2, "class": 3, "ü": 4}, (ASK,))))
    found = marks(table, ("a", '{"":1,"a b":2,"cl\\u0061ss":3,"\\u00fc":4}'), ("a", '{"":1,"a b":2,"class":3}'))
    assert found == [[(1, "ask", "ask")], NONE]


def test_of_a_key_that_stands_there_twice_the_last_one_counts_as_everywhere() -> None:
    table = MarkTable(ladder(Rule("a", {"x": 2}, (ASK,))))
    assert marks(table, ("a", '{"x":1,"x":2}'), ("a", '{"x":2,"x":1}')) == [[(1, "ask", "ask")], NONE]


@pytest.mark.parametrize(
    "text", ["", "{", "nope", "[1]", "null", '{"x":}', "{" * 9000, '{"x":%s}' % ("[" * 9000), '{"x":%s}' % ("9" * 999)]
)
def test_properties_that_are_no_json_object_match_no_condition(text: str) -> None:
    table = MarkTable(ladder(Rule("a", {"x": 1}, (YES,)), Rule("a", {}, (ASK,))))
    assert marks(table, ("a", text), ("a", '{"x":1}')) == [
        [(1, "ask", "ask")],
        [(2, "yes", "yes"), (1, "ask", "ask")],
    ]


def test_the_built_in_ladder_finds_an_events_place_by_its_own_properties() -> None:
    table = MarkTable(builtin_ladder())
    assert marks(table, ("Poll", '{"tier":"micro","role":"yes"}'), ("Poll", '{"tier":"micro"}'), ("x", "{}")) == [
        [(2, "yes", "micro")],
        NONE,
        NONE,
    ]


def test_names_and_values_without_number_cost_no_memory() -> None:
    table = MarkTable(ladder(Rule("a", {"x": 1}, (YES,)), Rule(None, {"y": 1}, (NO,))))
    for n in range(0, 60_000, 6000):
        distinct = range(n, n + 6000)
        table.of(pl.Series([f"name {i}" for i in distinct]), pl.Series([f'{{"y":{i},"x":"{i}"}}' for i in distinct]))
    table.of(pl.Series(["a"]), pl.Series(['{"x":"%s"}' % ("long" * 1000)]))
    assert table.remembered <= 10_000
    assert marks(table, ("a", '{"x":1}'), ("name 7", '{"y":1}')) == [[(2, "yes", "yes")], [(2, "no", "no")]]


def test_counts_and_tiers_of_a_combination_are_those_of_its_marks() -> None:
    table = MarkTable(
        ladder(Rule("a", {}, (Mark(1, "yes", "s"), Mark(3, "yes", "s"), Mark(2, "ask", "s"), Mark(3, "ask", "t"))))
    )
    (combo,) = table.of(pl.Series(["a"]), pl.Series(["{}"]))
    assert {role: int(counts[combo]) for role, counts in table.counts.items()} == {
        "ask": 2,
        "yes": 2,
        "no": 0,
        "reward": 0,
        "cheer": 0,
        "regret": 0,
    }
    assert (table.highest_yes[combo], table.yes_bits[combo], table.lowest_ask[combo], table.highest_ask[combo]) == (
        3,
        0b101,
        2,
        3,
    )
