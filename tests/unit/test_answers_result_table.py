from __future__ import annotations

import io
from datetime import UTC, datetime

import pyarrow as pa
from rich.console import Console

from answers.result_table import ResultTable


def printed(rows: pa.Table, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(ResultTable(rows))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_rows_stand_under_their_columns_numbers_to_the_right() -> None:
    rows = pa.table(
        {
            "tier": ["spark", "micro"],
            "asked": [9, 17602],
            "share": [0.5, None],
            "at": pa.array([datetime(2026, 11, 3, 9, tzinfo=UTC), None], pa.timestamp("us", tz="UTC")),
        }
    )
    assert printed(rows) == [
        "tier   asked  share  at",
        "spark      9    0.5  2026-11-03 09:00:00+00:00",
        "micro  17602",
        "2 rows",
    ]


def test_two_columns_of_one_name_both_stand() -> None:
    rows = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["n", "n"])
    assert printed(rows) == ["n  n", "1  2", "1 row"]


def test_no_rows_are_said_to_be_none() -> None:
    assert printed(pa.table({"n": pa.array([], pa.int64())})) == ["n", "0 rows"]


def test_of_many_rows_the_first_thousand_are_shown() -> None:
    lines = printed(pa.table({"n": range(1001)}))
    assert lines[-2:] == ["999", "1,001 rows; the first 1,000 are shown (add a LIMIT, or --json for all)"]


def test_names_and_values_are_neither_markup_nor_commands() -> None:
    lines = printed(pa.table({"[b]x": ["[red]\x1b[2J"]}))
    assert lines[:2] == ["[b]x", "[red]\ufffd[2J"]


WIDE = pa.table(
    {
        "session_id": ["otto-1@1661714854992000", None],
        "visitor_id": ["otto-1", "otto-2"],
        "n": [1, 17],
        "started_at": pa.array([datetime(2026, 11, 3, 9, tzinfo=UTC), None], pa.timestamp("us", tz="UTC")),
        "words": ["a sentence that is a good deal longer than what is left of the line", "short"],
    }
)


def test_rows_that_are_too_wide_are_printed_one_after_the_other_with_a_line_for_each_column() -> None:
    lines = printed(WIDE, width=50)
    assert [line.rstrip("─ ") for line in lines] == [
        "row 1",
        "session_id  otto-1@1661714854992000",
        "visitor_id  otto-1",
        "n           1",
        "started_at  2026-11-03 09:00:00+00:00",
        "words       a sentence that is a good deal longer",
        "            than what is left of the line",
        "row 2",
        "session_id",
        "visitor_id  otto-2",
        "n           17",
        "started_at",
        "words       short",
        "2 rows",
    ]
    assert max(map(len, lines)) == 50


def test_it_depends_on_one_letter_whether_rows_fit() -> None:
    rows = pa.table({"a": ["x" * 10], "b": ["y z" * 3]})
    assert printed(rows, width=21) == ["a           b", "xxxxxxxxxx  y zy zy z", "1 row"]
    assert [line.rstrip("─ ") for line in printed(rows, width=20)] == [
        "row 1", "a  xxxxxxxxxx", "b  y zy zy z", "1 row",
    ]  # fmt: skip


def test_nothing_is_lost_of_a_word_that_no_line_has_room_for() -> None:
    lines = printed(pa.table({"id": ["x" * 30], "b": [1]}), width=15)
    assert "".join(lines).count("x") == 30
    assert max(map(len, lines)) <= 15


def test_wide_columns_without_rows_are_not_folded_either() -> None:
    assert printed(pa.table({f"column_{n}": pa.array([], pa.int64()) for n in range(9)}), width=40) == ["0 rows"]
