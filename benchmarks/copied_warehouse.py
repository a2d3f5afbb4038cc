"""A built warehouse several times over, as one: what a build of so much would take hours for on a small machine.

Each copy's visitors, sessions and events have names of their own (``s1-v7`` becomes ``s3-v7``, ...), counts are as many
times as large, and rows that people are looked up in lie as the models lay them.  Only what pages read is copied: such
a warehouse is to be looked at, not built further.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path

import duckdb
import pyarrow as pa

from ladder.tables import CHECKPOINTS, EVENTS, REJECTS, SESSIONS, TABLES, Position
from ladder.tiers import Ladder
from stream.checkpoint import without_landed
from warehouse.built import read_built, write_built
from warehouse.lake import Lake
from warehouse.tallies import note_events
from warehouse.views import create_ladder_tables, create_lake_views

_BY_VISITOR = ("fct_asks", "fct_sessions", "dim_visitors")
_NAMES = ("visitor_id", "session_id", "event_id", "unit_id")
_ONLY_FOR_BUILDS = (
    "int_gives", "int_life_events", "int_marks", "int_session_steps", "int_session_tiers", "int_visitor_steps",
    "int_visitor_tiers", "int_starts", "int_standings", "fct_yeses",
)  # fmt: skip


def copied(once: Path, folder: Path, ladder: Ladder, copies: int, seeds: int) -> None:
    """``seeds``: how many simulations, numbered from 1, the visitors of ``once`` come from."""
    _copy_lake(once, folder, copies, seeds)
    _copy_marts(once, folder, ladder, copies, seeds)


def _renamed(column: str, copy: object, seeds: int) -> str:
    rest = f"substr({column}, instr({column}, '-'))"
    seed = f"cast(substr({column}, 2, instr({column}, '-') - 2) as integer)"
    return f"'s' || cast({seed} + {seeds} * {copy} as varchar) || {rest}"


def _copy_lake(once: Path, folder: Path, copies: int, seeds: int) -> None:
    lake, old = Lake(folder / "lake"), Lake(once / "lake")
    database = duckdb.connect()
    database.execute("set TimeZone = 'UTC'")

    def rows(table: str, schema: pa.Schema, source: str, changes: str) -> pa.Table:
        query = (
            f"select * replace ({changes}) from read_parquet({old.files(table)!r}, hive_partitioning = false)"
            f" where source = '{source}'"
        )
        found: pa.Table = database.sql(query).to_arrow_table()
        return found.select(without_landed(schema).names).cast(without_landed(schema))

    for seed in range(1, seeds + 1):
        for copy in range(copies):
            source = f"copy:{seed}:{copy}"
            claim = lake.claim(source, [0])
            if claim.next_offset(0) > 0:
                continue
            entry = f"struct_update(entry, event_id := {_renamed('entry.event_id', copy, seeds)})"
            changes = f"'{source}' as source, {_renamed('visitor_id', copy, seeds)} as visitor_id"
            events = rows(
                "events", EVENTS, f"simulated:{seed}", f"{changes}, {_renamed('event_id', copy, seeds)} as event_id"
            )
            sessions = rows(
                "sessions",
                SESSIONS,
                f"simulated:{seed}",
                f"{changes}, {_renamed('session_id', copy, seeds)} as session_id,"
                f" list_transform(sequence, lambda entry: {entry}) as sequence",
            )
            # Marts know on which day a session landed.
            ((landed,),) = database.sql(
                f"select distinct landed_date from read_parquet({old.files('events')!r}, hive_partitioning = true,"
                f" hive_types = {{'landed_date': date}}) where source = 'simulated:{seed}'"
            ).fetchall()
            now = datetime.combine(landed, time(), UTC)
            checkpoint = {field.name: 0 for field in CHECKPOINTS} | {"source": source, "next_offset": len(events)}
            checkpoint |= {"landed": len(events), "committed_at": now, "watermark": None, "open_since": None}
            tables = {
                "events": events,
                "sessions": sessions,
                "rejects": without_landed(REJECTS).empty_table(),
                "checkpoints": pa.Table.from_pylist([checkpoint], schema=without_landed(CHECKPOINTS)),
            }
            claim.commit(tables, {0: Position(len(events))}, now)


def _copy_marts(once: Path, folder: Path, ladder: Ladder, copies: int, seeds: int) -> None:
    path = folder / "marts.duckdb"
    built = read_built(once / "marts.duckdb")
    if built is None:
        raise SystemExit(f"{once} was never built")
    lake = Lake(folder / "lake")
    files = {
        table: frozenset(
            f"{table}/{Path(file).relative_to(lake.root / table).as_posix()}" for file in lake.files(table)
        )
        for table in TABLES
    }
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as marts:
        marts.execute("set TimeZone = 'UTC'")
        create_lake_views(marts, lake.root, files, {table: frozenset() for table in TABLES})
        create_ladder_tables(marts, ladder)
        marts.execute(f"attach '{once / 'marts.duckdb'}' as old (read_only)")
        tables = marts.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'old' and schema_name <> 'lake'"
            " and not starts_with(table_name, 'meta_') order by all"
        ).fetchall()
        for schema, table in tables:
            if table not in _ONLY_FOR_BUILDS:
                _copy_table(marts, schema, table, copies, seeds)
        views = marts.execute(
            "select sql from duckdb_views() where database_name = 'old' and schema_name in"
            " ('staging', 'intermediate', 'main') and not internal"
        ).fetchall()
        marts.execute("detach old")
        _create_views(marts, [sql for (sql,) in views])
        write_built(marts, replace(built, root=str(lake.root), versions=lake.versions(), files=files), folder / "none")
        note_events(marts)
        marts.execute("checkpoint")


def _copy_table(marts: duckdb.DuckDBPyConnection, schema: str, table: str, copies: int, seeds: int) -> None:
    columns = marts.execute(
        "select column_name, data_type from duckdb_columns()"
        " where database_name = 'old' and schema_name = ? and table_name = ? order by column_index",
        [schema, table],
    ).fetchall()
    marts.execute(f"create schema if not exists {schema}")
    if any(name in _NAMES for name, _ in columns):
        parts = [
            f'{_renamed(name, "copies.nth", seeds)} as "{name}"' if name in _NAMES else f'"{name}"'
            for name, _ in columns
        ]
        rest = f" cross join range({copies}) as copies(nth)"
        rest += " order by visitor_id" if table in _BY_VISITOR else ""
    else:
        parts = [f'"{name}" * {copies} as "{name}"' if kind == "BIGINT" else f'"{name}"' for name, kind in columns]
        rest = ""
    marts.execute(f"create table {schema}.{table} as select {', '.join(parts)} from old.{schema}.{table}{rest}")


def _create_views(marts: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    """All that can be made, in whatever order they need one another."""
    while statements:
        left = []
        for statement in statements:
            try:
                marts.execute(statement)
            except duckdb.Error:
                left.append(statement)
        if len(left) == len(statements):
            return
        statements = left
