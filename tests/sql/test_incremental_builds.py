from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ladder.events import Event
from ladder.tiers import Ladder, Mark, Rule
from tests.suites.drop_off_found import drop_off_found
from tests.suites.seeded_lake import LADDER, NOW, event_rows, land, seeded_events, session_rows
from tests.suites.tier_oracle import Counts, drop_off_rows
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import open_marts, run_sql, tiers
from warehouse.tallies import COUNTED_LATE

TABLES = (
    "staging.stg_event_copies",
    "staging.stg_session_copies",
    "staging.stg_events",
    "staging.stg_sessions",
    "intermediate.int_identity_links",
    "intermediate.int_repeated_events",
    "intermediate.int_marks",
    "intermediate.int_session_steps",
    "intermediate.int_session_tiers",
    "intermediate.int_visitor_steps",
    "intermediate.int_visitor_tiers",
    "intermediate.int_outcomes",
    "intermediate.int_standings",
    "intermediate.int_life_events",
    "intermediate.int_starts",
    "intermediate.int_gives",
    "main.fct_starts",
    "main.fct_gives",
    "main.fct_standing",
    "main.fct_marks",
    "main.fct_sessions",
    "main.fct_tier_dropoff",
    "main.fct_step_dropoff",
    "main.fct_tier_totals",
    "main.dim_visitors",
    "main.fct_asks",
    "main.fct_leaps",
    "main.fct_momentum",
    "main.fct_momentum_totals",
    "main.fct_times",
    "main.fct_time_quantiles",
    "main.fct_hesitation",
    "main.fct_yeses",
    "main.fct_after_yes",
    "main.fct_too_soon",
    "main.meta_event_names",
)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("seed", [11])
def test_many_incremental_builds_give_row_for_row_what_one_full_build_gives(seed: int, lake: Lake, gate: Gate) -> None:
    """Sessions land in any order of dates, some visitors again and again, events also twice under other times."""
    chance = random.Random(seed)
    originals = seeded_events(seed, visitors=60)
    copies = [
        msgspec.structs.replace(
            event,
            occurred_at=event.occurred_at + timedelta(days=chance.choice([0, 3])),
            received_at=event.received_at + timedelta(days=chance.choice([-1, 3])),
            visitor_id=chance.choice([event.visitor_id, "visitor-other"]),
        )
        for event in chance.sample(originals, 60)
    ]
    copies = [msgspec.structs.replace(copy, occurred_at=min(copy.occurred_at, copy.received_at)) for copy in copies]
    landings = [
        *session_parts(chance, originals, 3),
        (event_rows(copies[:30], source="a", late=True), session_rows(copies).slice(0, 0)),
        (event_rows(copies[30:], source="b"), fresh_sessions(copies[30:], originals)),
        (event_rows(originals).slice(0, 0), session_rows(originals, source="a file again").slice(20, 30)),
    ]
    chance.shuffle(landings)
    fulls = []
    for n, (events, sessions) in enumerate(landings):
        now = NOW + n * MINUTE
        lake.append("events", events, now=now)
        lake.append("sessions", sessions, now=now)
        fulls.append(build(lake, LADDER, gate=gate, now=now).full)
    assert fulls == [True] + [False] * (len(landings) - 1)

    step_by_step = contents(lake.root.parent)
    assert build(lake, LADDER, gate=gate, full=True, now=NOW + 60 * MINUTE).full
    at_once = contents(lake.root.parent)
    for table in TABLES:
        assert step_by_step[table] == at_once[table], table
    assert step_by_step["late"] == at_once["late"] != []
    assert len(at_once["intermediate.int_repeated_events"]) > 5
    assert len(at_once["staging.stg_event_copies"]) == 2 * len(copies)
    assert len(at_once["staging.stg_events"]) == len(originals)
    assert len(at_once["staging.stg_session_copies"]) == 30


def test_a_late_session_changes_its_own_dates(lake: Lake, gate: Gate) -> None:
    events = seeded_events(21, visitors=60)
    land_first = [event for event in events if event.visitor_id != "visitor-3"]
    land(lake, land_first)
    build(lake, LADDER, gate=gate, now=NOW)
    assert dropoff(lake) == drop_off_rows(land_first, LADDER, "visitor")

    land(lake, [event for event in events if event.visitor_id == "visitor-3"], now=NOW + MINUTE, first=10_000)
    result = build(lake, LADDER, gate=gate, now=NOW + MINUTE)
    assert (result.built, result.full) == (True, False)
    assert dropoff(lake) == drop_off_rows(events, LADDER, "visitor")


def test_an_earlier_session_moves_a_visitor_to_the_date_of_the_first_ask(lake: Lake, gate: Gate) -> None:
    later = at_day(10, "Page Shown", "late-1")
    land(lake, [later])
    build(lake, LADDER, gate=gate, now=NOW)
    earlier = at_day(2, "Page Shown", "early-1")
    land(lake, [earlier], now=NOW + MINUTE, first=10)
    build(lake, LADDER, gate=gate, now=NOW + MINUTE)
    assert [(str(day), tier) for day, tier, _ in sorted(dropoff(lake))] == [("2026-02-02", 1), ("2026-02-02", 2)]


def test_building_again_without_news_builds_nothing(lake: Lake, gate: Gate) -> None:
    land(lake, seeded_events(31, visitors=20))
    build(lake, LADDER, gate=gate, now=NOW)
    marts = lake.root.parent / "marts.duckdb"
    before, bytes_before = contents(lake.root.parent), marts.read_bytes()
    result = build(lake, LADDER, gate=gate, now=NOW + MINUTE)
    assert (result.built, result.full) == (False, False)
    assert marts.read_bytes() == bytes_before
    assert build(lake, LADDER, gate=gate, full=True, now=NOW + MINUTE).why == "it was asked for"
    assert contents(lake.root.parent) == before
    builds = run_sql(lake.root.parent, "select build, is_full, sessions from meta_builds order by build").to_pylist()
    sessions = len(before["main.fct_sessions"])
    assert builds == [{"build": n, "is_full": True, "sessions": sessions} for n in (1, 2)]


def test_a_changed_ladder_rebuilds_everything_by_itself(lake: Lake, gate: Gate) -> None:
    land(lake, seeded_events(41, visitors=30))
    build(lake, LADDER, gate=gate, now=NOW)
    holding = run_sql(lake.root.parent, "select sum(reached_next) n from fct_tier_totals where tier = 2").to_pylist()
    assert holding[0]["n"] > 0

    shorter = replace(LADDER, rules=tuple(rule for rule in LADDER.rules if rule.event != "Signed Up"))
    result = build(lake, shorter, gate=gate, now=NOW + MINUTE)
    assert (result.full, result.why) == (True, "the ladder has changed")
    assert tiers(lake.root.parent, shorter, "session").tiers[1].reached_next != holding[0]["n"]

    other = Ladder("other", ("a", "b"), (Rule("Voted", {}, (Mark(1, "yes", "x"),)),))
    result = build(lake, other, gate=gate, now=NOW + 2 * MINUTE)
    sessions = lake.scan("sessions").collect().height
    assert result.warnings == (f"{sessions} sessions are left out: they were cut by the ladder 'small'",)
    assert "warning: " in result.summary()
    assert [row.reached for row in tiers(lake.root.parent, other, "session").tiers] == [0, 0]
    assert run_sql(lake.root.parent, "select count(*) n from fct_sessions").to_pylist() == [{"n": 0}]


def test_overlapping_sessions_of_one_visitor_are_a_warning(lake: Lake, gate: Gate) -> None:
    land(lake, [at_day(3, "Page Shown", "a", hour=1), at_day(3, "Page Read", "b", hour=1, minute=20)])
    land(lake, [at_day(3, "Voted", "c", hour=1, minute=10)], source="file:x", first=10)
    result = build(lake, LADDER, gate=gate, now=NOW)
    assert [warning.split(":")[0] for warning in result.warnings] == ["sessions_of_a_visitor_do_not_overlap"]


def test_compaction_is_no_news_and_lost_rows_are(lake: Lake, gate: Gate) -> None:
    events = seeded_events(51, visitors=30)
    half = len(events) // 2
    land(lake, events[:half])
    build(lake, LADDER, gate=gate, now=NOW)
    lake.append("events", event_rows(events[half:], first=half), now=NOW)
    before = contents(lake.root.parent)
    lake.table("sessions").optimize.compact()
    lake.table("events").optimize.compact()
    result = build(lake, LADDER, gate=gate, now=NOW + MINUTE)
    assert (result.built, result.full) == (True, False)
    after = contents(lake.root.parent)
    assert after["main.fct_sessions"] == before["main.fct_sessions"]
    assert len(after["staging.stg_events"]) == len(events)

    gone = events[0].visitor_id
    lake.table("sessions").delete(f"visitor_id = '{gone}'")
    result = build(lake, LADDER, gate=gate, now=NOW + 2 * MINUTE)
    assert (result.full, result.why) == (True, "rows that were built are gone from the lake")
    assert gone not in {row["visitor_id"] for row in run_sql(lake.root.parent, "from dim_visitors").to_pylist()}


def test_a_moved_warehouse_builds_and_answers_where_it_is_now(lake: Lake, gate: Gate, tmp_path: Path) -> None:
    land(lake, seeded_events(61, visitors=10))
    build(lake, LADDER, gate=gate, now=NOW)
    there = tmp_path / "there"
    lake.root.parent.rename(there)
    moved = Lake(there / "lake")
    result = build(moved, LADDER, gate=gate, now=NOW + MINUTE)
    assert (result.built, result.full) == (True, False)
    assert run_sql(there, "select count(*) > 0 as yes from lake.events").to_pylist() == [{"yes": True}]


def test_an_empty_lake_builds_and_answers_with_zeros(lake: Lake) -> None:
    assert build(lake, LADDER, now=NOW).built
    table = tiers(lake.root.parent, LADDER, "session")
    assert [(row.tier, row.asked, row.reached) for row in table.tiers] == [(n, 0, 0) for n in range(1, 6)]
    assert run_sql(lake.root.parent, "from lake.sessions").num_rows == 0


def session_parts(chance: random.Random, events: Sequence[Event], parts: int) -> list[tuple[pa.Table, pa.Table]]:
    """The sessions of the events dealt out at random, each part with its events."""
    rows, sessions = event_rows(events), session_rows(events)
    part_of = [chance.randrange(parts) for _ in range(sessions.num_rows)]
    found = []
    for part in range(parts):
        mine = sessions.filter(pa.array([n == part for n in part_of]))
        ids = [entry["event_id"] for sequence in mine["sequence"].to_pylist() for entry in sequence]
        found.append((rows.filter(pc.is_in(rows["event_id"], pa.array(ids, pa.string()))), mine))
    return found


def fresh_sessions(copies: Sequence[Event], originals: Sequence[Event]) -> pa.Table:
    """Sessions of the copies, as a stream that had forgotten the originals would cut them; no id twice."""
    taken = set(session_rows(originals)["session_id"].to_pylist())
    rows = session_rows(copies, source="b")
    return rows.filter(pa.array([session not in taken for session in rows["session_id"].to_pylist()]))


def at_day(day: int, name: str, event_id: str, *, hour: int = 12, minute: int = 0) -> Event:
    at = NOW.replace(month=2, day=day, hour=hour, minute=minute)
    return Event(event_id=event_id, visitor_id="v", occurred_at=at, received_at=at, name=name)


def dropoff(lake: Lake) -> dict[tuple[date, int, str], Counts]:
    return drop_off_found(lake.root.parent, "fct_tier_dropoff", "''", "visitor")


def contents(warehouse: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, sorted, without the mark of what was new to the build."""
    with open_marts(warehouse) as marts:
        found = {}
        for table in TABLES:
            columns = "* exclude (is_new)" if table.startswith("staging") and "copies" not in table else "*"
            found[table] = marts.execute(f"select {columns} from {table} order by all").fetchall()
        found["late"] = marts.execute(
            "select late.*, held.event_id is not null from "
            f"{COUNTED_LATE} as late left join main.meta_late_held as held"
            " using (source, partition, visitor_id, event_id) order by all"
        ).fetchall()
        return found
