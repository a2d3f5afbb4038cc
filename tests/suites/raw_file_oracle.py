"""The tier table of a data set, by DuckDB straight from its raw file and its ladder's TOML.  Nothing of the product."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import duckdb

GAP_S = 1800

_EVENTS = """
create table events as
select row_number() over () as line, "userId" as actor, epoch_us("timestamp"::timestamptz) as us, event
from read_json(?, format = 'newline_delimited',
               columns = {'userId': 'varchar', 'timestamp': 'varchar', 'event': 'varchar'})
"""
_UNITS = """
create table units as
with paused as (
    select *, us - lag(us) over (partition by actor order by us, line) as pause from events
)
select
    *,
    actor as visitor,
    actor || '/' || count(*) filter (pause is null or pause > ? * 1000000)
        over (partition by actor order by us, line rows unbounded preceding) as session
from paused
"""
_TABLE = """
with answers as (
    select
        {unit} as unit,
        tier,
        min(us) filter (role = 'ask') as first_ask,
        max(us) filter (role = 'yes') as last_yes
    from units join marks using (event)
    group by all
),
judged as (
    select
        unit,
        tier,
        first_ask is not null as asked,
        coalesce(last_yes >= first_ask, false) as yes,
        first_ask is null and last_yes is not null as implicit,
        last_yes is not null as reached
    from answers
)
select
    names.tier,
    names.name,
    count(*) filter (one.asked) as asked,
    count(*) filter (one.yes) as yes,
    0 as no,
    count(*) filter (one.asked and not one.yes) as silent,
    count(*) filter (one.implicit) as implicit,
    count(*) filter (one.reached) as reached,
    count(*) filter (one.reached and next.reached) as reached_next
from names
left join judged as one using (tier)
left join judged as next on next.unit = one.unit and next.tier = (
    select min(marks.tier) from marks where marks.role = 'yes' and marks.tier > names.tier
)
group by names.tier, names.name
order by names.tier
"""


def tier_table(events: Path, ladder: Path, unit: str) -> list[dict[str, Any]]:
    """One row per tier with its counts; for ladders without refusals, and events that are sent by users only."""
    rules = tomllib.loads(ladder.read_text(encoding="utf-8"))
    tiers = rules["tiers"]
    marks = [
        (rule["event"], tiers.index(mark["tier"]) + 1, mark["role"]) for rule in rules["on"] for mark in rule["is"]
    ]
    connection = duckdb.connect(":memory:")
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(_EVENTS, [str(events)])
        connection.execute(_UNITS, [GAP_S])
        connection.execute("create table marks (event varchar, tier integer, role varchar)")
        connection.executemany("insert into marks values (?, ?, ?)", marks)
        connection.execute("create table names (tier integer, name varchar)")
        connection.executemany("insert into names values (?, ?)", list(enumerate(tiers, start=1)))
        rows: list[dict[str, Any]] = connection.sql(_TABLE.format(unit=unit)).to_arrow_table().to_pylist()
        return rows
    finally:
        connection.close()
