"""The lake as DuckDB sees it: schema ``lake``, one view per table over an explicit list of files, and the ladder."""

from __future__ import annotations

import glob
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from ladder.tables import LANDED, TABLES
from ladder.tiers import Ladder, Mark

_TYPES: dict[pa.DataType, str] = {
    pa.string(): "varchar",
    pa.binary(): "blob",
    pa.bool_(): "boolean",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp with time zone",
}


def create_lake_views(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    known: Mapping[str, Collection[str]],
    new: Mapping[str, Collection[str]],
) -> None:
    """(Re)create the views ``lake.events``, ``lake.sessions``, ... in the connection's default database.

    Files are paths relative to ``root``, the lake's folder.  ``is_new`` is true in the rows of ``new``.
    A table without files becomes a view of no rows.
    """
    connection.execute("create schema if not exists lake")
    for table, schema in TABLES.items():
        parts = [_select(schema, root, known[table], "false"), _select(schema, root, new[table], "true")]
        body = " union all ".join(part for part in parts if part) or _no_rows(schema)
        connection.execute(f"create or replace view lake.{table} as {body}")


def create_ladder_tables(connection: duckdb.DuckDBPyConnection, ladder: Ladder) -> None:
    """(Re)create ``lake.ladder_tiers``, one row per tier, and ``lake.ladder_steps``, one row per tier and step."""
    connection.execute("create schema if not exists lake")
    connection.execute(
        "create or replace table lake.ladder_tiers"
        " (ladder varchar, tier smallint, name varchar, next_tier smallint, has_ask boolean, has_yes boolean,"
        " conversion_window_us bigint, stage varchar)"
    )
    connection.executemany("insert into lake.ladder_tiers values (?, ?, ?, ?, ?, ?, ?, ?)", tier_rows(ladder))
    connection.execute(
        "create or replace table lake.ladder_steps"
        " (ladder varchar, tier smallint, step varchar, has_reward boolean, has_cheer boolean)"
    )
    steps = step_rows(ladder)
    if steps:
        connection.executemany("insert into lake.ladder_steps values (?, ?, ?, ?, ?)", steps)


def tier_rows(ladder: Ladder) -> list[tuple[str, int, str, int | None, bool, bool, int, str]]:
    """The rows of ``lake.ladder_tiers``, in the order of its columns."""
    marks = {(mark.tier, mark.role) for rule in ladder.rules for mark in rule.marks}
    window_us = ladder.conversion_window // timedelta(microseconds=1)
    return [
        (
            ladder.name,
            tier,
            name,
            ladder.next_tier(tier),
            (tier, "ask") in marks,
            (tier, "yes") in marks,
            window_us,
            ladder.stage_of(tier),
        )
        for tier, name in enumerate(ladder.tiers, start=1)
    ]


def step_rows(ladder: Ladder) -> list[tuple[str, int, str, bool, bool]]:
    """The rows of ``lake.ladder_steps``, in the order of its columns."""
    every = {mark for rule in ladder.rules for mark in rule.marks}
    return [
        (ladder.name, tier, step, Mark(tier, "reward", step) in every, Mark(tier, "cheer", step) in every)
        for tier, step in sorted({(mark.tier, mark.step) for mark in every})
    ]


def read_parquet(root: Path, files: Collection[str], *, filename: bool = False) -> str:
    """The table function over these files; ``landed_date`` comes from their paths."""
    paths = ", ".join(_quote(glob.escape(str(root / file))) for file in sorted(files))
    options = "hive_partitioning = true, hive_types = {'landed_date': date}"
    return f"read_parquet([{paths}], {options}{', filename = true' if filename else ''})"


def duckdb_type(arrow: pa.DataType) -> str:
    """The DuckDB type that a lake column reads back as."""
    if pa.types.is_list(arrow):
        return f"{duckdb_type(arrow.value_type)}[]"
    if pa.types.is_struct(arrow):
        return f"struct({', '.join(f'{field.name} {duckdb_type(field.type)}' for field in arrow)})"
    return _TYPES[arrow]


def _select(schema: pa.Schema, root: Path, files: Collection[str], is_new: str) -> str:
    if not files:
        return ""
    return f"select {_columns(schema)}, {is_new} as is_new from {read_parquet(root, files)}"


def _no_rows(schema: pa.Schema) -> str:
    nulls = ", ".join(f'cast(null as {duckdb_type(field.type)}) as "{field.name}"' for field in schema)
    return f"select {nulls}, false as is_new where false"


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f'"{name}"' for name in schema.names)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


if LANDED.name != "landed_date":
    raise RuntimeError("the partition column is spelled out in read_parquet")
