from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from ladder.events import Event
from ladder.tables import CHECKPOINTS, REJECTS, Position
from stream.checkpoint import without_landed
from stream.decoding import frame_of
from stream.history import sessionise_history
from stream.sessions import HELD
from tests.suites.seeded_lake import LADDER, event_rows
from warehouse.lake import Lake
from warehouse.retention import first_day_kept, retire

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 11, 15, 30, tzinfo=UTC)
SOURCE = "kafka:events"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def event(event_id: str, minutes: float, visitor: str) -> Event:
    at = MIDNIGHT + timedelta(minutes=minutes)
    return Event(event_id=event_id, visitor_id=visitor, occurred_at=at, received_at=at, name="Page Read")


def test_days_are_kept_whole_in_utc() -> None:
    assert first_day_kept(timedelta(days=10), NOW) == MIDNIGHT
    assert first_day_kept(timedelta(days=10), MIDNIGHT + timedelta(days=10)) == MIDNIGHT


def land(
    lake: Lake, sessions: list[list[Event]], late: list[Event], open_events: list[Event], source: str = SOURCE
) -> None:
    closed = [event for events in sessions for event in events]
    first = event_rows([*closed, *open_events], source=source)
    rows = {
        "events": pa.concat_tables([first, event_rows(late, source=source, late=True, first=first.num_rows)]),
        "sessions": sessionise_history(frame_of(closed, 0, range(len(closed))), LADDER, source),
        "rejects": pa.table(
            {
                "reason": ["not_json"] * 2,
                "field": [""] * 2,
                "detail": [""] * 2,
                "raw": [b"old", b"new"],
                "rejected_at": [MIDNIGHT - timedelta(microseconds=1), MIDNIGHT],
                "stage": ["stream"] * 2,
                "source": [source] * 2,
                "partition": [0] * 2,
                "record_offset": [0, 1],
            },
            schema=without_landed(REJECTS),
        ),
        "checkpoints": without_landed(CHECKPOINTS).empty_table(),
    }
    settled = None if source.startswith("file:") else min((e.occurred_at for e in open_events), default=NOW)
    lake.claim(source, [0]).commit(rows, {0: Position(len(closed) + 9, NOW, settled)}, NOW)


def ids(lake: Lake) -> list[str]:
    return sorted(lake.scan("events").collect()["event_id"].to_list())


def test_a_session_and_its_events_go_together_and_one_that_reaches_over_stays_whole(lake: Lake) -> None:
    gone = [event("gone", -300, "ann"), event("gone too", -280, "ann")]
    over = [event("before", -10, "bob"), event("after", 10, "bob")]
    stays = [event("stays", 0, "cid")]
    late = [event("late old", -100, "dan"), event("late new", 1, "dan")]
    land(lake, [gone, over, stays], late, [])
    assert retire(lake, before=MIDNIGHT, now=NOW) == {"events": 3, "sessions": 1, "rejects": 1, "checkpoints": 0}
    assert ids(lake) == ["after", "before", "late new", "stays"]
    assert sorted(lake.scan("sessions").collect()["visitor_id"].to_list()) == ["bob", "cid"]
    assert lake.scan("rejects").collect()["raw"].to_list() == [b"new"]
    assert retire(lake, before=MIDNIGHT, now=NOW) == {"events": 0, "sessions": 0, "rejects": 0, "checkpoints": 0}


def test_open_events_stay_however_old_and_the_next_worker_finds_them(lake: Lake) -> None:
    land(lake, [[event("gone", -300, "ann")]], [], [event("open", -200, "bob"), event("open too", -190, "bob")])
    before = lake.claim(SOURCE, [0]).open_events(HELD)
    assert retire(lake, before=MIDNIGHT, now=NOW)["events"] == 1
    assert ids(lake) == ["open", "open too"]
    assert lake.claim(SOURCE, [0]).open_events(HELD).sort("event_id").equals(before.sort("event_id"))
    assert lake.claim(SOURCE, [0]).next_offset(0) == 10


def test_a_files_sessions_are_all_cut_so_none_of_its_events_is_open(lake: Lake) -> None:
    land(lake, [[event("gone", -300, "ann")], [event("stays", 5, "ann")]], [], [], source="file:abc")
    assert retire(lake, before=MIDNIGHT, now=NOW)["events"] == 1
    assert ids(lake) == ["stays"]


def test_a_backfill_that_died_before_its_sessions_landed_keeps_its_events(lake: Lake) -> None:
    events = [event("old", -300, "ann"), event("old too", -290, "ann")]
    lake.append("events", event_rows(events, source="file:abc"), now=NOW)
    assert retire(lake, before=MIDNIGHT, now=NOW)["events"] == 0
    land(lake, [events], [], [], source="file:def")
    assert retire(lake, before=MIDNIGHT, now=NOW)["events"] == 2
    assert lake.scan("events").select("source").unique().collect()["source"].to_list() == ["file:abc"]


class LandsMeanwhile(Lake):
    """A worker replays history: once the sessions have been read, it commits another one, which reaches over."""

    def __init__(self, root: Path, meanwhile: Callable[[], None]) -> None:
        super().__init__(root)
        self.meanwhile = [meanwhile]

    def scan(self, name: str) -> pl.LazyFrame:
        found = super().scan(name)
        if name != "sessions" or not self.meanwhile:
            return found
        rows = found.collect()
        self.meanwhile.pop()()
        return rows.lazy()


def test_a_session_that_lands_while_the_events_are_looked_at_keeps_its_events(lake: Lake) -> None:
    land(lake, [[event("gone", -3000, "ann")]], [], [event("open", -2990, "cid")])
    over = [event("before", -10, "bob"), event("after", 10, "bob")]
    settled = MIDNIGHT + timedelta(days=1)

    def commit() -> None:
        rows = {
            "events": event_rows(over, first=10),
            "sessions": sessionise_history(frame_of(over, 0, range(10, 12)), LADDER, SOURCE),
            "rejects": without_landed(REJECTS).empty_table(),
            "checkpoints": without_landed(CHECKPOINTS).empty_table(),
        }
        lake.claim(SOURCE, [0]).commit(rows, {0: Position(12, settled, settled)}, NOW)

    busy = LandsMeanwhile(lake.root, commit)
    assert retire(busy, before=MIDNIGHT, now=NOW)["events"] == 1
    assert busy.meanwhile == []
    assert ids(lake) == ["after", "before", "open"]


def test_files_without_old_rows_are_not_written_anew(lake: Lake) -> None:
    land(lake, [[event("stays", 5, "ann")]], [], [])
    files = lake.files("events")
    retire(lake, before=MIDNIGHT, now=NOW)
    assert lake.files("events") == files
    assert lake.scan("rejects").select(pl.len()).collect().item() == 1
