from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from ladder.tables import TABLES, Position
from stream.checkpoint import without_landed
from tests.suites.seeded_lake import LADDER, NOW, event_rows, land, seeded_events, session_rows
from warehouse.build import build
from warehouse.check import check
from warehouse.lake import Lake
from warehouse.maintain import last_upkeep, maintain
from warehouse.quality import Gate
from warehouse.query import freshness, run_sql

EVENTS = seeded_events(7, visitors=30)
AT_ONCE = timedelta(0)
LATER = NOW + timedelta(minutes=1)
MUCH_LATER = NOW + timedelta(days=3650)


def on_disk(lake: Lake) -> set[str]:
    return {str(path) for path in lake.root.glob("*/landed_date=*/*.parquet")}


def current(lake: Lake) -> set[str]:
    return {path for table in lake.versions() for path in lake.files(table)}


def count(lake: Lake, table: str) -> int:
    rows: int = run_sql(lake.root.parent, f"select count(*) as n from {table}").to_pylist()[0]["n"]
    return rows


def parts(lake: Lake, begin: int, end: int) -> None:
    for first in range(begin, end, 50):
        land(lake, EVENTS[first : first + 50], first=first)


def test_the_marts_and_their_views_answer_all_the_time_and_compacted_rows_are_not_new(lake: Lake, gate: Gate) -> None:
    parts(lake, 0, 200)
    build(lake, LADDER, gate=gate, now=NOW)
    tiers = run_sql(lake.root.parent, "select * from fct_tier_totals order by all")
    parts(lake, 200, 300)

    done = maintain(lake, keep=AT_ONCE, now=MUCH_LATER)
    assert done.compacted["events"].files_before == 6
    assert done.files == {"events": 2, "rejects": 0, "checkpoints": 0, "sessions": 2}, "built and unbuilt stay apart"
    assert last_upkeep(lake.root.parent) == MUCH_LATER
    assert done.vacuumed.files == 4, "what no mart names is gone, whose files were replaced before they were built"
    assert count(lake, "lake.events") == 200, "the views name the files that were replaced"
    assert run_sql(lake.root.parent, "select * from fct_tier_totals order by all").equals(tiers)

    result = build(lake, LADDER, gate=gate, now=LATER)
    assert (result.full, result.landed["events"]) == (False, 100)
    assert count(lake, "lake.events") == 300
    maintain(lake, keep=AT_ONCE, now=MUCH_LATER)
    assert count(lake, "lake.events") == 300
    assert not build(lake, LADDER, gate=gate, now=LATER).landed, "the same rows in one file"
    maintain(lake, keep=AT_ONCE, now=MUCH_LATER + timedelta(hours=1))
    assert on_disk(lake) == current(lake)
    assert len(lake.files("events")) == 1
    assert count(lake, "lake.events") == 300

    step_by_step = run_sql(lake.root.parent, "select * from fct_sessions order by session_id")
    build(lake, LADDER, gate=gate, full=True, now=LATER)
    assert run_sql(lake.root.parent, "select * from fct_sessions order by session_id").equals(step_by_step)


def test_what_is_held_back_or_was_let_in_keeps_its_files(lake: Lake, gate: Gate) -> None:
    parts(lake, 0, 100)
    build(lake, LADDER, gate=gate, now=NOW)
    for first in (100, 150):
        rows = event_rows(EVENTS[first : first + 50], first=first)
        kinds = pa.array(["telepathy"] * rows.num_rows)
        lake.append("events", rows.set_column(rows.schema.get_field_index("kind"), "kind", kinds), now=LATER)
    lake.append("sessions", session_rows(EVENTS[100:200]), now=LATER)
    (held,) = build(lake, LADDER, gate=gate, now=LATER).held_back
    maintain(lake, keep=AT_ONCE, now=MUCH_LATER)
    assert set(held.files["events"]) < {f"events/{file.path}" for file in lake.logged("events")}
    assert freshness(lake).unbuilt_files == 2, "the compacted ones, whose rows were built"
    assert build(lake, LADDER, gate=gate, now=LATER).held_back == (held,)
    assert build(lake, LADDER, gate=gate, accept=True, now=LATER).held_back == ()
    maintain(lake, keep=AT_ONCE, now=MUCH_LATER)
    assert set(held.files["events"]) < {f"events/{file.path}" for file in lake.logged("events")}
    (lake.root.parent / "marts.duckdb").unlink()
    assert build(lake, LADDER, gate=gate, now=LATER).held_back == ()


def test_what_retention_takes_is_gone_from_the_marts_with_the_next_build(lake: Lake, gate: Gate) -> None:
    nothing = {table: without_landed(TABLES[table]).empty_table() for table in ("rejects", "checkpoints")}
    rows = {"events": event_rows(EVENTS, source="file:abc"), "sessions": session_rows(EVENTS, source="file:abc")}
    lake.claim("file:abc", [0]).commit(rows | nothing, {0: Position(len(EVENTS))}, NOW)
    build(lake, LADDER, gate=gate, now=NOW)
    middle = sorted(event.occurred_at for event in EVENTS)[len(EVENTS) // 2]
    before = count(lake, "fct_sessions")
    done = maintain(lake, keep=AT_ONCE, retain=NOW - middle, now=NOW)
    assert 0 < done.retired["sessions"] < before
    assert count(lake, "fct_sessions") == before, "until then they are as they were"
    result = build(lake, LADDER, gate=gate, now=LATER)
    assert result.why == "rows that were built are gone from the lake"
    assert count(lake, "fct_sessions") == before - done.retired["sessions"]
    assert count(lake, "lake.events") == len(EVENTS) - done.retired["events"]
    assert [fault for fault in check(lake) if "next to come" not in fault.what] == [], "appended rows have no offsets"
    assert Path(lake.files("events")[0]).exists()
