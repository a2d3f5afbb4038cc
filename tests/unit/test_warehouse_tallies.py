from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import duckdb
import pytest

from warehouse.tallies import event_names, late_counts, late_events_of, note_events

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Event(NamedTuple):
    event_id: str
    visitor_id: str
    name: str
    at: datetime
    offset: int
    late: bool


class Session(NamedTuple):
    visitor_id: str
    begin: datetime
    end: datetime
    landed: date
    event_ids: tuple[str, ...]

    @property
    def session_id(self) -> str:
        return f"{self.visitor_id}@{self.begin:%j%H%M}"


@pytest.fixture
def marts() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    for schema in ("lake", "staging"):
        connection.execute(f"create schema {schema}")
    connection.execute(
        "create table lake.events (event_id varchar, visitor_id varchar, name varchar, properties varchar,"
        " occurred_at timestamptz, source varchar, partition int, record_offset bigint, late boolean, is_new boolean)"
    )
    connection.execute(
        "create table lake.sessions (source varchar, partition int, visitor_id varchar, session_id varchar,"
        " sequence struct(event_id varchar)[], landed_date date, is_new boolean)"
    )
    connection.execute(
        "create table staging.stg_event_copies (event_id varchar, copy bigint, visitor_id varchar,"
        " occurred_at timestamptz, source varchar, source_partition int, record_offset bigint)"
    )
    connection.execute("create table staging.stg_session_copies (session_id varchar, copies bigint)")
    connection.execute(
        "create table fct_sessions (session_id varchar, visitor_id varchar, started_at timestamptz,"
        " ended_at timestamptz, landed_date date)"
    )
    yield connection
    connection.close()


def land(marts: duckdb.DuckDBPyConnection, events: list[Event], sessions: list[Session]) -> None:
    """One build that finds these new."""
    for table in ("events", "sessions"):
        marts.execute(f"update lake.{table} set is_new = false")
    for e in events:
        row = [e.event_id, e.visitor_id, e.name, "{}", e.at, "s", 0, e.offset, e.late, True]
        marts.execute(f"insert into lake.events values ({', '.join('?' * len(row))})", row)
    for s in sessions:
        sequence: list[Any] = [{"event_id": one} for one in s.event_ids]
        marts.execute(
            "insert into lake.sessions values ('s', 0, ?, ?, ?, ?, true)",
            [s.visitor_id, s.session_id, sequence, s.landed],
        )
        marts.execute(
            "insert into fct_sessions values (?, ?, ?, ?, ?)", [s.session_id, s.visitor_id, s.begin, s.end, s.landed]
        )
    marts.execute(
        "create or replace table staging.stg_event_copies as select event_id,"
        " row_number() over (partition by event_id order by record_offset) as copy, visitor_id, occurred_at, source,"
        " partition as source_partition, record_offset from lake.events"
        " where event_id in (select event_id from lake.events group by event_id having count(*) > 1)"
    )
    note_events(marts)


@pytest.mark.parametrize("seed", range(4))
def test_after_each_build_the_tallies_are_those_of_all_that_landed(marts: duckdb.DuckDBPyConnection, seed: int) -> None:
    chance = Random(seed)
    events: list[Event] = []
    for visitor in range(6):
        for n in range(8):
            at = BEGIN + timedelta(days=n // 3, minutes=n % 3)
            events.append(Event(f"e{visitor}-{n}", f"v{visitor}", f"n{n % 3}", at, 0, chance.random() < 0.5))
    sessions = [
        Session(f"v{visitor}", found[0].at, found[-1].at, (BEGIN + timedelta(days=chance.randint(5, 7))).date(), ids)
        for visitor in range(6)
        for day in range(3)
        for found in [[e for e in events if e.visitor_id == f"v{visitor}" and (e.at - BEGIN).days == day]]
        for ids in [tuple(e.event_id for e in found if chance.random() < 0.8)]
    ]
    copies = [e._replace(late=chance.random() < 0.5) for e in chance.sample(events, 10)]
    arrived = chance.sample([*events, *copies], len(events) + len(copies))
    arrived = [e._replace(offset=n) for n, e in enumerate(arrived)]
    chance.shuffle(arrived)
    chance.shuffle(sessions)

    for n in range(4):
        land(marts, arrived[n::4], sessions[n::4])
        here, held = [e for m in range(n + 1) for e in arrived[m::4]], set[str]()
        for m in range(n + 1):
            held |= {one for session in sessions[m::4] for one in session.event_ids}
        first: dict[str, Event] = {}
        for event in sorted(here, key=lambda event: event.offset):
            first.setdefault(event.event_id, event)
        late = sorted(e.event_id for e in first.values() if e.late)
        assert late_counts(marts) == (len(late), sum(one in held for one in late))
        of_two = sorted((e.at, e.event_id) for e in first.values() if e.late and e.visitor_id in ("v1", "v2"))
        assert [(at, one) for one, _, at, _ in late_events_of(marts, ["v1", "v2"])] == of_two
        names = Counter(e.name for e in here)
        assert event_names(marts, 9) == sorted(names, key=lambda name: (-names[name], name))


def test_late_events_of_some_days_are_counted_apart(marts: duckdb.DuckDBPyConnection) -> None:
    days = [BEGIN + timedelta(days=n) for n in range(3)]
    land(marts, [Event(f"e{n}", "v", "n", day, n, True) for n, day in enumerate(days)], [])
    assert late_counts(marts, "occurred_at >= '2026-01-02'") == (2, 0)
