"""What the marts say once late events are in their sessions and copies are gone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pyarrow as pa
from deltalake import DeltaTable

from answers.facts import Health, ReportFacts
from answers.gather import gather
from answers.report import render_report
from ladder.events import Event
from ladder.tables import CHECKPOINTS, REJECTS, Position
from stream.checkpoint import without_landed
from tests.suites.drop_off_found import drop_off_found
from tests.suites.seeded_lake import LADDER, NOW, event_rows, seeded_events, session_rows
from tests.suites.tier_oracle import drop_off_rows, sessions_of
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import run_sql
from yesladder.resessionise import resessionise

MINUTE = timedelta(minutes=1)
LONG_AFTER = NOW + timedelta(days=365)


def test_marts_after_a_repair_are_those_of_all_events_and_every_event_is_accounted_for(lake: Lake, gate: Gate) -> None:
    events = seeded_events(5, visitors=30)
    on_time, late = events[::2], events[1::2]
    copies = [received_later(event) for event in events[::9]]
    sent = len(events) + len(copies)
    land(lake, on_time, first=0)
    land(lake, [*late, *copies], first=10_000, late=True)
    build(lake, LADDER, gate=gate, now=NOW + MINUTE)
    before = health(lake, sent)
    assert (before.late, before.late_repaired) == (len(late), 0)
    assert (before.landed, before.duplicates, before.unaccounted) == (len(events), len(copies), 0)

    done = resessionise(lake, LADDER, now=NOW + 2 * MINUTE)
    assert (done.late, done.duplicates, done.waiting) == (len(late), len(copies), 0)
    between = health(lake, sent)
    assert (between.duplicates, between.unaccounted) == (len(copies), 0)
    assert between.unbuilt_files > 0

    result = build(lake, LADDER, gate=gate, now=NOW + 3 * MINUTE)
    assert (result.why, result.held_back) == ("rows that were built are gone from the lake", ())
    for unit in ("session", "visitor"):
        assert drop_off_found(lake.root.parent, "fct_tier_dropoff", "''", unit) == drop_off_rows(events, LADDER, unit)
    counts = run_sql(lake.root.parent, "select count(*) n, sum(events) e, sum(repeated_events) r from fct_sessions")
    assert counts.to_pylist() == [{"n": len(sessions_of(events, LADDER)), "e": len(events), "r": 0}]
    assert run_sql(lake.root.parent, "select count(*) n from staging.stg_event_copies").to_pylist() == [{"n": 0}]
    assert f"; {len(late)} more were put into theirs" in render_report(facts(lake, sent))
    after = health(lake, sent)
    assert (after.late, after.late_repaired) == (0, len(late))
    assert (after.landed, after.duplicates, after.unaccounted) == (len(events), len(copies), 0)

    assert not build(lake, LADDER, gate=gate, now=NOW + 4 * MINUTE).built


def test_a_repair_between_two_looks_of_a_build_is_seen_by_the_next_build(lake: Lake, gate: Gate) -> None:
    events = seeded_events(5, visitors=6)
    land(lake, events[::2], first=0)
    land(lake, events[1::2], first=10_000, late=True)
    build(lake, LADDER, gate=gate, now=NOW)

    class RepairedMeanwhile(Lake):
        is_due = True

        def table(self, name: str) -> DeltaTable:
            handle = super().table(name)
            if self.is_due:
                self.is_due = False
                resessionise(lake, LADDER, now=NOW + MINUTE)
            return handle

    assert not build(RepairedMeanwhile(lake.root), LADDER, gate=gate, now=NOW + 2 * MINUTE).built
    build(lake, LADDER, gate=gate, now=NOW + 3 * MINUTE)
    assert drop_off_found(lake.root.parent, "fct_tier_dropoff", "''", "session") == drop_off_rows(
        events, LADDER, "session"
    )


def land(lake: Lake, events: Sequence[Event], *, first: int, late: bool = False) -> None:
    """A worker's checkpoint after which long has passed; late events are in no session."""
    position = Position(first + len(events), LONG_AFTER, LONG_AFTER)
    counts = dict.fromkeys(("duplicates", "rejected", "skipped_offsets"), 0) | {
        "source": "kafka:events",
        "partition": 0,
        "first_offset": first,
        "next_offset": position.next_offset,
        "landed": len(events),
        "late": len(events) * late,
        "committed_at": NOW,
    }
    rows = {
        "events": event_rows(events, first=first, late=late),
        "rejects": without_landed(REJECTS).empty_table(),
        "checkpoints": pa.Table.from_pylist([counts], schema=without_landed(CHECKPOINTS)),
        "sessions": session_rows([] if late else events),
    }
    lake.claim("kafka:events", [0]).commit(rows, {0: position}, NOW)


def received_later(event: Event) -> Event:
    return msgspec.structs.replace(event, received_at=event.received_at + timedelta(days=1))


def health(lake: Lake, sent: int) -> Health:
    return facts(lake, sent).health


def facts(lake: Lake, sent: int) -> ReportFacts:
    return gather(lake.root.parent, LADDER, now=NOW, sent=sent)
