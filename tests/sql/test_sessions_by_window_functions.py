"""Sessions cut a second time, by SQL alone, from the lake's own events: a check on the stream that shares no code."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from tests.suites.seeded_lake import LADDER, NOW, event_rows, land, seeded_events
from warehouse.lake import Lake
from warehouse.views import create_lake_views

SESSIONISED = """
with

events as (
    select * from lake.events where not late
),

with_pauses as (
    select
        *,
        occurred_at - lag(occurred_at) over visitor as pause
    from events
    window visitor as (partition by visitor_id order by occurred_at, received_at, event_id)
),

numbered as (
    select
        *,
        count(*) filter (where pause is null or pause > ?) over visitor as session
    from with_pauses
    window visitor as (
        partition by visitor_id order by occurred_at, received_at, event_id rows unbounded preceding
    )
)

select
    visitor_id,
    min(occurred_at) as started_at,
    max(occurred_at) as ended_at,
    count(*) as events,
    max_by(user_id, (occurred_at, received_at, event_id)) filter (where user_id is not null) as user_id,
    min_by(page_url, (occurred_at, received_at, event_id)) filter (where page_url is not null) as page_url,
    list(event_id order by occurred_at, received_at, event_id) as event_ids
from numbered
group by visitor_id, session
order by visitor_id, started_at
"""

STREAMED = """
select
    visitor_id,
    started_at,
    ended_at,
    events,
    user_id,
    page_url,
    list_filter(
        list_transform(sequence, lambda e: e.event_id),
        lambda id, n: n = 1 or id <> sequence[n - 1].event_id
    ) as event_ids
from lake.sessions
order by visitor_id, started_at
"""


@pytest.mark.parametrize("seed", [101, 102, 103])
@pytest.mark.parametrize("gap", [timedelta(minutes=30), timedelta(hours=12)])
def test_the_lakes_sessions_are_those_of_sql_over_its_events(seed: int, gap: timedelta, lake: Lake) -> None:
    land(
        lake,
        seeded_events(seed, visitors=120),
        ladder=replace(LADDER, session_gap=gap, max_session_length=timedelta(days=99)),
    )
    late = seeded_events(seed + 1, visitors=3, prefix="late-")
    lake.append("events", event_rows(late, late=True, first=50_000), now=NOW)
    by_sql, streamed = answers(lake, SESSIONISED, [gap]), answers(lake, STREAMED, [])
    assert len(by_sql) > 200
    assert streamed == by_sql


def answers(lake: Lake, sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    connection = duckdb.connect(":memory:")
    try:
        connection.execute("set TimeZone = 'UTC'")
        files = {table: [file.removeprefix(f"{lake.root}/") for file in lake.files(table)] for table in lake.versions()}
        create_lake_views(connection, lake.root, {table: [] for table in files}, files)
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()
