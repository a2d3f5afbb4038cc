"""Files written anew beside rows that are bad: what had passed stays in the marts, what is good gets in."""

from __future__ import annotations

import threading
from datetime import timedelta

import polars as pl
import pyarrow as pa

from ladder.events import Event
from tests.suites.seeded_lake import LADDER, NOW, event_rows, land, seeded_events, session_rows
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.maintain import maintain
from warehouse.quality import Gate
from warehouse.query import run_sql
from warehouse.retention import rewrite

MINUTE = timedelta(minutes=1)
EVENTS = seeded_events(71, visitors=12)


def events_of(visitor: str) -> list[Event]:
    at = NOW - timedelta(hours=5)
    return [
        Event(
            event_id=f"{visitor}-{n}",
            visitor_id=visitor,
            occurred_at=at + n * MINUTE,
            received_at=NOW,
            name="Page Shown",
        )
        for n in range(3)
    ]


def land_bad(lake: Lake, *visitors: str) -> None:
    events = [event for visitor in visitors for event in events_of(visitor)]
    rows = event_rows(events)
    kinds = pa.array(["telepathy"] * rows.num_rows)
    lake.append("events", rows.set_column(rows.schema.get_field_index("kind"), "kind", kinds), now=NOW)
    lake.append("sessions", session_rows(events), now=NOW)


def visitors(lake: Lake) -> set[str]:
    return set(run_sql(lake.root.parent, "select visitor_id from dim_visitors")["visitor_id"].to_pylist())


def without(lake: Lake, *gone: str) -> None:
    """As retention and erasure do, which leave the rest of a file in a file of its own."""
    for table in ("events", "sessions"):
        rewrite(lake, table, lake.logged(table), lambda rows: rows.filter(~pl.col("visitor_id").is_in(gone)), now=NOW)


def test_bad_rows_after_or_in_a_repair_are_held_alone(lake: Lake, gate: Gate) -> None:
    land(lake, EVENTS)
    build(lake, LADDER, gate=gate, now=NOW)
    before = visitors(lake)
    land_bad(lake, "bad", "gone")
    without(lake, "visitor-3", "gone")
    land_bad(lake, "worse")
    result = build(lake, LADDER, gate=gate, now=NOW + MINUTE)
    assert (result.built, result.full) == (True, True)
    assert [batch.rows for batch in result.held_back] == [{"events": 6, "sessions": 2}]
    assert visitors(lake) == before - {"visitor-3"}
    land(lake, events_of("good"), first=500)
    build(lake, LADDER, gate=gate, now=NOW + 2 * MINUTE)
    assert visitors(lake) == before - {"visitor-3"} | {"good"}


def test_what_was_let_in_stays_in_and_what_is_held_holds_nothing_else_when_they_are_written_anew(
    lake: Lake, gate: Gate
) -> None:
    land(lake, EVENTS)
    land_bad(lake, "odd", "odd too")
    build(lake, LADDER, gate=gate, now=NOW)
    build(lake, LADDER, gate=gate, accept=True, now=NOW + MINUTE)
    before = visitors(lake)
    land_bad(lake, "bad")
    land(lake, events_of("gone"), first=500)
    assert len(build(lake, LADDER, gate=gate, now=NOW + 2 * MINUTE).held_back) == 1

    assert {"odd", "odd too"} < before
    without(lake, "odd too", "gone")
    land(lake, events_of("good"), first=700)
    result = build(lake, LADDER, gate=gate, now=NOW + 3 * MINUTE)
    assert [batch.rows for batch in result.held_back] == [{"events": 3, "sessions": 1}]
    assert visitors(lake) == before - {"odd too"} | {"good"}


def test_rows_that_were_only_put_together_are_known_when_the_log_has_forgotten_it(lake: Lake, gate: Gate) -> None:
    for first in range(0, len(EVENTS), 100):
        land(lake, EVENTS[first : first + 100], first=first)
    build(lake, LADDER, gate=gate, now=NOW)
    before = visitors(lake)
    assert maintain(lake, keep=timedelta(days=1), now=NOW).files["events"] == 1
    for table in ("events", "sessions"):
        lake.sum_up(table)
        last = lake.versions()[table]
        for entry in (lake.root / table / "_delta_log").glob("*.json"):
            if int(entry.stem) < last:
                entry.unlink()
    land_bad(lake, "bad")
    for table in ("events", "sessions"):
        (lake.root / table / "_delta_log" / f"{lake.versions()[table] - 1:020d}.json").unlink()
    result = build(lake, LADDER, gate=gate, now=NOW + MINUTE)
    assert result.why == "rows that were built are gone from the lake"
    assert [batch.rows for batch in result.held_back] == [{"events": 3, "sessions": 1}]
    assert visitors(lake) == before


def test_a_build_that_ends_while_files_are_put_together_finds_each_row_once(lake: Lake, gate: Gate) -> None:
    """It has seen two of three new files; the pass that begins meanwhile means to make one of all three."""
    land(lake, EVENTS[:50])
    land(lake, EVENTS[50:100], first=50)
    planned = threading.Event()
    passes = [threading.Thread(target=lambda: maintain(lake, keep=timedelta(0), progress=tell, now=NOW + MINUTE))]

    def tell(what: str, done: int, total: int) -> None:
        if (what, total) == ("events", 3):
            planned.set()

    def begin_the_pass(words: str) -> None:
        if words == "looking at what has landed":
            land(lake, EVENTS[100:150], first=100)
            passes[0].start()
            assert planned.wait(60)

    build(lake, LADDER, gate=gate, progress=begin_the_pass, now=NOW)
    passes[0].join()
    assert len(lake.files("events")) == 3
    result = build(lake, LADDER, gate=gate, now=NOW + 2 * MINUTE)
    assert (result.full, result.landed["events"], result.held_back) == (False, 50, ())
    maintain(lake, keep=timedelta(0), now=NOW + 3 * MINUTE)
    assert len(lake.files("events")) == 1
