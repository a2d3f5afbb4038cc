"""What every build notes of the events themselves, so that pages need not look through all of the lake for it.

In the marts' file: ``meta_event_names``, how often each event landed; ``meta_late_events``, what came too late for the
stream; ``meta_late_held``, which of these are in sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import duckdb

_LATE = ("event_id", "visitor_id", "name", "properties", "occurred_at", "source", "partition", "record_offset")

_HELD = """
insert into main.meta_late_held
select distinct source, partition, visitor_id, event_id
from (
    select source, partition, visitor_id, unnest(list_transform(sequence, lambda entry: entry.event_id)) as event_id
    from lake.sessions
    where {which} and visitor_id in (select visitor_id from main.meta_late_events)
)
semi join main.meta_late_events using (source, partition, visitor_id, event_id)
anti join main.meta_late_held using (source, partition, visitor_id, event_id)
"""

COUNTED_LATE = """(
    select late.*
    from main.meta_late_events as late
    left join staging.stg_event_copies as copies on copies.event_id = late.event_id and copies.copy = 1
    where copies.event_id is null or (
        copies.source = late.source and copies.source_partition = late.partition
        and copies.record_offset = late.record_offset and copies.visitor_id = late.visitor_id
        and copies.occurred_at = late.occurred_at
    )
)"""
"""The late events that count: of several copies the first, where that one is late.  Stands for a table."""


def note_events(marts: duckdb.DuckDBPyConnection) -> None:
    """Bring the tables up to date with the lake as this build sees it; all of it where they are not there yet.

    Rows never leave the lake without the marts being built from scratch, so what was noted stays true.
    """
    is_there = marts.execute("select 1 from duckdb_tables() where table_name = 'meta_late_events'").fetchall()
    new = "is_new" if is_there else "true"
    before = "select name, events from main.meta_event_names union all" if is_there else ""
    marts.execute(
        "create or replace table main.meta_event_names as select name, sum(events)::bigint as events from"
        f" ({before} select name, count(*) as events from lake.events where {new} group by name) group by name"
    )
    late = f"select {', '.join(_LATE)} from lake.events where late and {new}"
    if not is_there:
        marts.execute(f"create table main.meta_late_events as {late} order by visitor_id")
        marts.execute(
            "create table main.meta_late_held as"
            " select source, partition, visitor_id, event_id from main.meta_late_events where false"
        )
        if _any_late(marts):
            marts.execute(_HELD.format(which="true"))
        return
    marts.execute(f"create temp table new_late as {late}")
    marts.execute("insert into main.meta_late_events from new_late")
    if _any_late(marts):
        marts.execute(_HELD.format(which="is_new"))
        known = _known_sessions(marts)
        if known:
            marts.execute(_HELD.format(which=known))
    marts.execute("drop table new_late")


def event_names(marts: duckdb.DuckDBPyConnection, most: int) -> list[str]:
    """What events are called, the most frequent first."""
    rows = marts.execute("select name from main.meta_event_names order by events desc, name limit ?", [most])
    return [name for (name,) in rows.fetchall()]


def late_counts(marts: duckdb.DuckDBPyConnection, condition: str = "true") -> tuple[int, int]:
    """How many late events there are of which the ``condition`` holds, and how many of them are in sessions."""
    ((late, held),) = marts.execute(
        f"with late as (from {COUNTED_LATE} where {condition}) select (select count(*) from late), (select count(*)"
        " from late semi join main.meta_late_held using (source, partition, visitor_id, event_id))"
    ).fetchall()
    return late, held


def late_events_of(marts: duckdb.DuckDBPyConnection, visitors: Sequence[str]) -> list[tuple[str, str, datetime, str]]:
    """Id, name, time and properties of the late events of some visitors, by time."""
    return marts.execute(
        f"select event_id, name, occurred_at, properties from {COUNTED_LATE}"
        " where visitor_id in (select unnest($1)) order by occurred_at, event_id",
        [list(visitors)],
    ).fetchall()


def _any_late(marts: duckdb.DuckDBPyConnection) -> bool:
    return bool(marts.execute("select 1 from main.meta_late_events limit 1").fetchall())


def _known_sessions(marts: duckdb.DuckDBPyConnection) -> str:
    """The condition on ``lake.sessions`` for those built before that may hold a new late event; empty: there is none.

    A session holds no event from before its begin or after its end, and the marts know the day on which it landed.
    """
    found: list[tuple[Any, ...]] = marts.execute(
        "select distinct sessions.landed_date, copies.session_id is not null"
        " from new_late inner join main.fct_sessions as sessions on sessions.visitor_id = new_late.visitor_id"
        " and new_late.occurred_at between sessions.started_at and sessions.ended_at"
        " left join staging.stg_session_copies as copies on copies.session_id = sessions.session_id"
    ).fetchall()
    if not found:
        return ""
    of_visitors = "not is_new and visitor_id in (select visitor_id from new_late)"
    if any(is_copied for _, is_copied in found):
        return of_visitors
    days = ", ".join(f"date '{day}'" for day in sorted({day for day, _ in found}))
    return f"{of_visitors} and landed_date in ({days})"
