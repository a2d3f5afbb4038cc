from __future__ import annotations

import io

import pytest
from rich.console import Console

from answers.tiers_table import TiersTable
from ladder.tiers import Ladder, Mark, Rule
from tests.suites.counted_rows import counted_tier
from warehouse.query import TierRow


def tier(number: int, name: str, asked: int, yes: int, *, no: int = 0, implicit: int = 0) -> TierRow:
    return counted_tier(number, name, asked, yes, no=no, implicit=implicit)


def printed(tiers: list[TierRow], *, width: int = 80, encoding: str = "utf-8") -> list[str]:
    names = tuple(row.name for row in tiers)
    rules = tuple(Rule(None, {"n": n}, (Mark(n, "ask", "s"), Mark(n, "yes", "s"))) for n in range(1, len(names) + 1))
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    Console(file=out, width=width, color_system=None).print(TiersTable("session", tiers, [], Ladder("l", names, rules)))
    out.seek(0)
    return [line.rstrip() for line in out.read().splitlines()]


def test_the_table_holds_the_numbers_and_a_bar_of_the_answers() -> None:
    lines = printed([tier(1, "spark", 17602, 9253), tier(2, "micro", 9696, 2228, no=4000), tier(3, "mini", 0, 0)])
    assert lines[0] == "Drop-off per session"
    assert lines[lines.index("") + 1 :][:5] == [
        "   tier    asked    yes  drop-off  95% interval",
        "1  spark  17,602  9,253     47.4%  46.7% to 48.2%  ███████████·········",
        "2  micro   9,696  2,228     77.0%  76.2% to 77.8%  █████▒▒▒▒▒▒▒▒·······",
        "3  mini        0      0         -  nobody asked",
        "bar: █ yes  ▒ no  · silent, of those asked",
    ]


def test_yeses_without_an_ask_have_their_own_column_where_there_are_any() -> None:
    lines = printed([tier(1, "spark", 10, 5, implicit=1440)])
    assert "1  spark     10    5    1,440     50.0%  23.7% to 76.3%  ██████████··········" in lines
    assert "unasked: a yes with no ask of that tier on record; in no drop-off" in lines


def test_who_may_still_say_yes_is_told_apart_from_who_dropped_off() -> None:
    rows = [
        counted_tier(1, "spark", 100, 50, in_flight=20, matured=70, matured_yes=42),
        counted_tier(2, "micro", 9, 0, in_flight=9),
    ]
    lines = printed(rows)
    at = next(n for n, line in enumerate(lines) if line.startswith("In flight"))
    assert lines[at : at + 5] == [
        "In flight, not dropped off: sessions whose conversion window is still open, 20",
        "at spark and 9 at micro. Of those whose window has passed:",
        "tier   window passed  yes in it  drop-off  95% interval",
        "spark             70         42     40.0%  29.3% to 51.7%",
        "micro              0          0         -  nobody yet",
    ]


def test_who_reached_the_next_tier_is_a_share_of_who_reached_this_one() -> None:
    lines = printed([counted_tier(1, "spark", 100, 50, implicit=50, reached_next=10)])
    assert "spark      100        10  10.0%  5.5% to 17.4%" in lines


def test_what_to_look_at_next_stands_below() -> None:
    lines = printed([tier(1, "spark", 1000, 500)])
    assert lines[-3:] == [
        "What to look at next",
        "- Start at spark: 500 of 1,000 sessions asked did not go on to a yes, 50.0%",
        "  (46.9% to 53.1%).",
    ]


def test_one_answer_of_a_million_is_still_seen_in_the_bar() -> None:
    lines = printed([tier(1, "spark", 1_000_000, 999_998, no=1)])
    assert any(line.endswith("██████████████████▒·") for line in lines)


def test_eighty_columns_hold_millions_and_long_names() -> None:
    rows = [tier(n, f"a tier with a long name {n}", 12_345_678, 9_876_543, implicit=1_234_567) for n in range(1, 33)]
    lines = printed(rows)
    assert max(len(line) for line in lines) <= 80
    assert sum("12,345,678  9,876,543  1,234,567     20.0%  20.0% to 20.0%" in line for line in lines) == 32
    assert all(not line.endswith("…") for line in lines)


def test_a_terminal_of_ascii_alone_gets_ascii_bars() -> None:
    lines = printed([tier(1, "spark", 100, 50, no=25)], encoding="ascii")
    assert any(line.endswith("##########xxxxx.....") for line in lines)


@pytest.mark.parametrize("name", ["[red]micro[/red]", "[/]"])
def test_names_are_no_markup(name: str) -> None:
    assert any(name in line for line in printed([tier(1, name, 100, 50)]))


def test_names_cannot_command_the_terminal() -> None:
    lines = printed([tier(1, "a\x1b[2Jb\nc\u202e", 100, 50)])
    assert any("a\ufffd[2Jb\ufffdc\ufffd" in line for line in lines)
    assert not any("\x1b" in line or "\u202e" in line for line in lines)


def test_with_zero_people_the_table_still_prints() -> None:
    assert "1  spark      0    0         -  nobody asked" in printed([tier(1, "spark", 0, 0), tier(2, "micro", 0, 0)])
