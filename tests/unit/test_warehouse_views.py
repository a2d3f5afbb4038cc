from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ladder.tables import TABLES
from ladder.tiers import Ladder, Mark, Rule
from warehouse.lake import Lake
from warehouse.views import create_ladder_tables, create_lake_views, duckdb_type

NOW = datetime(2026, 3, 1, 23, tzinfo=UTC)
NOTHING: dict[str, list[str]] = {table: [] for table in TABLES}


@pytest.fixture
def connection() -> Any:
    made = duckdb.connect(":memory:")
    made.execute("set TimeZone = 'UTC'")
    yield made
    made.close()


def test_tables_without_files_are_views_of_the_contracts_columns(connection: Any, tmp_path: Path) -> None:
    create_lake_views(connection, tmp_path, NOTHING, NOTHING)
    for table, schema in TABLES.items():
        rows = connection.sql(f"select * from lake.{table}").to_arrow_table()
        assert rows.num_rows == 0
        assert rows.column_names == [*schema.names, "is_new"]


@pytest.mark.parametrize("table", TABLES)
def test_a_column_reads_back_as_the_type_that_an_empty_table_shows(table: str) -> None:
    empty = TABLES[table].empty_table()
    described = duckdb.from_arrow(empty)
    shown = [str(kind).lower().replace('"', "") for kind in described.types]
    assert [duckdb_type(field.type).replace(" ", "") for field in TABLES[table]] == [
        kind.replace(" ", "") for kind in shown
    ]


def test_rows_know_whether_their_file_is_new_and_when_it_landed(connection: Any, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "it's [here] * or ?" / "lake")
    row = {
        "reason": "not_json",
        "field": "",
        "detail": "",
        "raw": b"",
        "rejected_at": NOW,
        "stage": "file",
        "source": "file",
        "partition": 0,
    }
    for offset in (1, 2):
        lake.append("rejects", pa.Table.from_pylist([row | {"record_offset": offset}]), now=NOW)
    files = [file.removeprefix(f"{lake.root}/") for file in lake.files("rejects")]
    create_lake_views(connection, lake.root, {**NOTHING, "rejects": files[:1]}, {**NOTHING, "rejects": files[1:]})
    found = connection.execute("select is_new, landed_date, rejected_at from lake.rejects order by is_new").fetchall()
    assert found == [(False, date(2026, 3, 1), NOW), (True, date(2026, 3, 1), NOW)]


def test_the_ladders_tiers_become_a_table_that_can_be_made_again(connection: Any) -> None:
    ladder = Ladder(
        "it's mine",
        ("look", "nothing", "buy"),
        (
            Rule("a", {}, (Mark(1, "yes", "a"), Mark(3, "ask", "b"), Mark(1, "cheer", "a"))),
            Rule("b", {}, (Mark(3, "yes", "b"), Mark(3, "reward", "c"))),
        ),
    )
    create_ladder_tables(connection, ladder)
    create_ladder_tables(connection, replace(ladder, name="mine"))
    day = 24 * 3600 * 1_000_000
    assert connection.execute("select * from lake.ladder_tiers order by tier").fetchall() == [
        ("mine", 1, "look", 3, False, True, day, "aware"),
        ("mine", 2, "nothing", 3, False, False, day, "aware"),
        ("mine", 3, "buy", None, True, True, day, "committed"),
    ]
    assert connection.execute("select * from lake.ladder_steps order by tier, step").fetchall() == [
        ("mine", 1, "a", False, True),
        ("mine", 3, "b", False, False),
        ("mine", 3, "c", True, False),
    ]
