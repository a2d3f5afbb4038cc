from __future__ import annotations

import io
from datetime import UTC, datetime

import pyarrow as pa
from rich.console import Console

from answers.result_table import result_table


def printed(rows: pa.Table, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(result_table(rows))
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
