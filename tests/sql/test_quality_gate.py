from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ladder.events import Event
from tests.suites.seeded_lake import LADDER, NOW, event_rows, land, seeded_events, session_rows
from warehouse.batches import Batches
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate, GateError
from warehouse.query import freshness, run_sql

MINUTE = timedelta(minutes=1)
EVENTS = seeded_events(71, visitors=12)


def test_a_failing_batch_is_named_and_held_back_while_later_good_ones_get_in(lake: Lake, gate: Gate) -> None:
    land(lake, EVENTS)
    assert build(lake, LADDER, gate=gate, now=NOW).held_back == ()
    before = visitors(lake)

    bad = changed(event_rows(events_of("bad")), "kind", "telepathy")
    lake.append("events", bad, now=NOW + MINUTE)
    lake.append("sessions", session_rows(events_of("bad")), now=NOW + MINUTE)
    result = build(lake, LADDER, gate=gate, now=NOW + MINUTE)
    assert not result.built
    (held,) = result.held_back
    assert held.rows == {"events": 3, "sessions": 1}
    version = lake.versions()["events"]
    assert held.versions == {"events": (version, version), "sessions": (lake.versions()["sessions"],) * 2}
    (failure,) = held.failures
    assert (failure.table, failure.rows, failure.of) == ("events", 3, 3)
    assert failure.sample[0]["kind"] == "telepathy"
    assert failure.sample[0]["row_id"] == "bad-0"
    assert failure.sample[0]["file"] in held.files["events"]
    message = result.held_back_message()
    for part in (held.name, f"version {version}", "kind is one of track, page", "3 of 3 rows", "bad-0", "--accept"):
        assert part in message
    assert visitors(lake) == before

    land(lake, events_of("good"), now=NOW + 2 * MINUTE, first=500)
    result = build(lake, LADDER, gate=gate, now=NOW + 2 * MINUTE)
    assert (result.built, result.full, len(result.held_back)) == (True, False, 1)
    assert visitors(lake) == before | {"good"}
    assert freshness(lake).held_back == result.held_back
    assert freshness(lake).unbuilt_files == 0

    assert build(lake, LADDER, gate=gate, full=True, now=NOW + 3 * MINUTE).held_back == result.held_back
    assert visitors(lake) == before | {"good"}


def test_an_accepted_batch_gets_in_and_stays_in(lake: Lake, gate: Gate) -> None:
    lake.append("events", changed(event_rows(events_of("odd")), "properties", "no json"), now=NOW)
    lake.append("sessions", session_rows(events_of("odd")), now=NOW)
    assert len(build(lake, LADDER, gate=gate, now=NOW).held_back) == 1
    assert visitors(lake) == set()
    result = build(lake, LADDER, gate=gate, accept=True, now=NOW + MINUTE)
    assert (result.built, result.held_back) == (True, ())
    assert visitors(lake) == {"odd"}
    (lake.root.parent / "marts.duckdb").unlink()
    assert build(lake, LADDER, gate=gate, now=NOW + 2 * MINUTE).held_back == ()
    assert visitors(lake) == {"odd"}


def test_a_mended_batch_is_looked_at_anew(lake: Lake, gate: Gate) -> None:
    land(lake, EVENTS)
    build(lake, LADDER, gate=gate, now=NOW)
    lake.append("sessions", changed(session_rows(events_of("v")), "events", 99), now=NOW + MINUTE)
    lake.append("events", event_rows(events_of("v"), first=900), now=NOW + MINUTE)
    assert len(build(lake, LADDER, gate=gate, now=NOW + MINUTE).held_back) == 1

    lake.table("sessions").update({"events": "3"}, predicate="visitor_id = 'v'")
    result = build(lake, LADDER, gate=gate, now=NOW + 2 * MINUTE)
    assert result.held_back == ()
    assert "v" in visitors(lake)


def test_each_rule_names_the_rows_that_break_it(lake: Lake, gate: Gate) -> None:
    spoilt_events: list[tuple[str, Any, str]] = [
        ("visitor_id", "x" * 257, "visitor_id has 1 to 256 characters"),
        ("name", "", "name has 1 to 256 characters"),
        ("user_id", "", "user_id has 1 to 256 characters"),
        ("occurred_at", NOW + timedelta(days=900), "nothing occurs after it was received"),
        ("received_at", datetime(1999, 1, 1, tzinfo=UTC), "received_at lies from 2000 to 2100"),
        ("properties", "", "properties is a JSON object"),
        ("context", "[]", "context is a JSON object"),
        ("record_offset", -1, "offsets count from 0"),
        ("partition", -1, "partitions count from 0"),
    ]
    spoilt_sessions: list[tuple[str, Any, str]] = [
        ("events", 100, "events counts the distinct events of the sequence"),
        ("events", 0, "a session has at least one event"),
        ("yeses", 700, "yeses counts the marks of role yes in the sequence"),
        ("noes", -1, "noes is a count"),
        ("session_id", "same", "session_id is unique in its source"),
        ("session_id", "same", "session_id is unique in its source"),
        ("ended_at", NOW - timedelta(days=900), "a session ends at or after its start"),
        ("started_at", datetime(2100, 1, 1, tzinfo=UTC), "started_at lies from 2000 to 2100"),
        ("highest_tier", 6, "highest_tier is 1 to 5"),
        ("first_ask_tier", 0, "first_ask_tier is 1 to 5"),
        ("tiers_reached", [9], "tiers of the sequence and of tiers_reached are 1 to 5"),
        ("tiers_reached", [1, 2, 4, 5, 5], "highest_tier is the highest of tiers_reached"),
    ]
    events, sessions = event_rows(EVENTS), session_rows(EVENTS)
    for n, (column, value, _) in enumerate(spoilt_events):
        events = changed(events, column, value, row=n)
    for n, (column, value, _) in enumerate(spoilt_sessions):
        sessions = changed(sessions, column, value, row=n)
    found = verdict(lake, gate, {"events": events, "sessions": sessions})
    for n, (_, _, rule) in enumerate(spoilt_events):
        assert events["event_id"][n].as_py() in found["events", rule], rule
    for n, (_, _, rule) in enumerate(spoilt_sessions):
        assert sessions["session_id"][n].as_py() in found["sessions", rule], rule


def test_spoilt_sequences_are_refused(lake: Lake, gate: Gate) -> None:
    spoils: list[tuple[Callable[[list[dict[str, Any]]], list[dict[str, Any]]], str]] = [
        (lambda entries: entries[::-1], "the sequence is in order of time"),
        (lambda entries: entries[len(entries) // 2 :], "the sequence begins at the session's start"),
        (lambda entries: entries[: len(entries) // 2], "the sequence ends at the session's end"),
        (
            lambda entries: [entry | {"role": "bribe"} for entry in entries],
            "roles are ask, yes, no, reward, cheer, regret",
        ),
        (
            lambda entries: [entry | {"step": "x", "tier": None, "role": None} for entry in entries],
            "an entry has tier, role and step, or none of them",
        ),
        (
            lambda entries: [entry | {"tier": 6} for entry in entries],
            "tiers of the sequence and of tiers_reached are 1 to 5",
        ),
        (lambda entries: [], "events counts the distinct events of the sequence"),
    ]
    sessions = session_rows(EVENTS)
    long = [
        n for n, row in enumerate(sessions.to_pylist()) if row["events"] > 3 and row["started_at"] < row["ended_at"]
    ]
    wanted = dict(zip(long, spoils, strict=False))
    assert len(wanted) == len(spoils)
    for n, (spoil, _) in wanted.items():
        sessions = changed(sessions, "sequence", spoil(sessions["sequence"][n].as_py()), row=n)
    found = verdict(lake, gate, {"events": event_rows(EVENTS), "sessions": sessions})
    for n, (_, rule) in wanted.items():
        assert sessions["session_id"][n].as_py() in found["sessions", rule], rule


def test_a_session_that_was_built_before_is_refused(lake: Lake, gate: Gate) -> None:
    land(lake, EVENTS)
    build(lake, LADDER, gate=gate, now=NOW)
    lake.append("sessions", session_rows(EVENTS).slice(0, 2), now=NOW + MINUTE)
    (held,) = build(lake, LADDER, gate=gate, now=NOW + MINUTE).held_back
    assert [(failure.expectation, failure.rows) for failure in held.failures] == [
        ("no session of its source has been built before", 2)
    ]


def test_sessions_of_another_ladder_are_not_held_to_this_ones_tiers(lake: Lake, gate: Gate) -> None:
    sessions = changed(changed(session_rows(EVENTS), "ladder", "taller"), "first_ask_tier", 12)
    assert verdict(lake, gate, {"events": event_rows(EVENTS), "sessions": sessions}) == {}


def test_a_file_that_cannot_be_read_is_held_back(lake: Lake, gate: Gate) -> None:
    land(lake, EVENTS)
    build(lake, LADDER, gate=gate, now=NOW)
    before, known = visitors(lake), set(lake.files("events"))
    land(lake, events_of("torn"), first=700, now=NOW + MINUTE)
    (torn,) = set(lake.files("events")) - known
    Path(torn).write_bytes(Path(torn).read_bytes()[:-20])
    result = build(lake, LADDER, gate=gate, now=NOW + MINUTE)
    (held,) = result.held_back
    assert [(failure.table, failure.expectation) for failure in held.failures] == [("events", "its files can be read")]
    assert Path(torn).name in result.held_back_message()
    assert visitors(lake) == before
    page = (lake.root.parent / "quality" / held.name / "index.html").read_text()
    assert "cannot be read" in page


def test_the_pages_stand_alone(lake: Lake, gate: Gate) -> None:
    land(lake, EVENTS)
    lake.append("rejects", pa.Table.from_pylist([REJECT]), now=NOW)
    lake.append("checkpoints", pa.Table.from_pylist([CHECKPOINT]), now=NOW)
    build(lake, LADDER, gate=gate, now=NOW)
    quality = lake.root.parent / "quality"
    (batch,) = Batches(quality).of_state("passed")
    pages = {path.relative_to(quality).as_posix(): path.read_text() for path in quality.rglob("*.html")}
    tables = ("events", "sessions", "rejects", "checkpoints")
    assert set(pages) == {"index.html", *(f"{batch.name}/{name}.html" for name in ("index", *tables))}
    for name, page in pages.items():
        assert not re.findall(r"https?://|//cdn|<script|@import|url\(", page), name
        assert "<style>" in page, name
        for link in re.findall(r'href="([^"#]+)"', page):
            assert (quality / name).parent.joinpath(link).resolve().is_file(), (name, link)
    assert "nothing occurs after it was received" in pages[f"{batch.name}/events.html"]


def test_a_gate_that_died_says_so_and_the_marts_stay(lake: Lake) -> None:
    land(lake, EVENTS)
    with Gate() as broken:
        broken._process.kill()
        broken._process.wait()
        with pytest.raises(GateError, match="ended with code -9"):
            build(lake, LADDER, gate=broken, now=NOW)
    assert not (lake.root.parent / "marts.duckdb").exists()


REJECT = {
    "reason": "not_json",
    "field": "",
    "detail": "no",
    "raw": b"\xff",
    "rejected_at": NOW,
    "stage": "stream",
    "source": "kafka:events",
    "partition": 0,
    "record_offset": 3,
}
CHECKPOINT = {
    "source": "kafka:events",
    "partition": 0,
    "first_offset": 0,
    "next_offset": 9,
    "landed": 8,
    "duplicates": 0,
    "rejected": 1,
    "late": 0,
    "skipped_offsets": 0,
    "watermark": NOW,
    "open_since": None,
    "committed_at": NOW,
}


def verdict(lake: Lake, gate: Gate, rows: dict[str, pa.Table]) -> dict[tuple[str, str], set[str]]:
    """The rules that the gate finds broken in these rows, by table, with the rows it names."""
    batches = Batches(lake.root.parent / "quality")
    for table, content in rows.items():
        lake.append(table, content, now=NOW)
    files = {table: [str(Path(file).relative_to(lake.root)) for file in lake.files(table)] for table in rows}
    name = gate.ask(lake.root, LADDER, files, {}, batches, NOW)
    batch = gate.answer(name, files, NOW)
    assert not any(failure.error for failure in batch.failures), batch.failures
    return {
        (failure.table, failure.expectation): {row["row_id"] for row in failure.sample} for failure in batch.failures
    }


def changed(rows: pa.Table, column: str, value: object, row: int | None = None) -> pa.Table:
    """The rows with another value in one column: in one row, or in all."""
    place, field = rows.schema.get_field_index(column), rows.schema.field(column)
    values = rows[column].to_pylist()
    values[slice(None) if row is None else slice(row, row + 1)] = [value] * (len(values) if row is None else 1)
    return rows.set_column(place, field, pa.array(values, field.type))


def events_of(visitor: str) -> list[Event]:
    return [
        Event(
            event_id=f"{visitor}-{n}",
            visitor_id=visitor,
            occurred_at=NOW - timedelta(hours=5) + n * MINUTE,
            received_at=NOW,
            name="Page Shown",
        )
        for n in range(3)
    ]


def visitors(lake: Lake) -> set[str]:
    rows = run_sql(lake.root.parent, "select visitor_id from dim_visitors").to_pylist()
    return {row["visitor_id"] for row in rows}
