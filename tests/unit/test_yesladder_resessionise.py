from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ladder.errors import UsageError
from ladder.events import Event, encode
from ladder.tables import REMOVED_COPIES
from ladder.tiers import Ladder
from stream.checkpoint import Hold
from stream.rejects import RejectBrake
from tests.suites.consumed import CANONICAL, Record
from warehouse.lake import Lake
from warehouse.locks import Locked, upkeep_lock
from yesladder.cli import cli
from yesladder.resessionise import Resessionised, resessionise

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 3, 9, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
LADDER = Ladder("test", ("spark",), (), session_gap=timedelta(minutes=30), lateness=2 * HOUR)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "a ware[house] 100%" / "lake")


class Topic:
    """A worker on one partition; ``land`` sends events in one record and commits them.  A `tick` only moves time."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.offset = 0
        self.restart()

    def restart(self) -> None:
        self.hold = Hold(self.lake, LADDER, "events", [0], RejectBrake(share=1, run=10**6))

    def land(self, *events: Event, now: datetime = NOW) -> None:
        timestamp = int(NOW.timestamp() * 1000)
        value = b"\n".join(map(encode, events))
        self.hold.checkpoint([Record(value, CANONICAL, self.offset, 0, timestamp)], now=now)
        self.offset += 1

    def tick(self, hours: float, now: datetime = NOW) -> None:
        self.hold.checkpoint([], now=now, idle_until={0: NOON + hours * HOUR})


def event(event_id: str, minutes: float, visitor: str = "v", received: float | None = None) -> Event:
    """An event so many minutes after noon; received (minutes after the next noon) in the order of the ids."""
    at = NOON + timedelta(minutes=minutes)
    received_at = NOON + 24 * HOUR + timedelta(minutes=len(event_id) if received is None else received)
    return Event(event_id=event_id, visitor_id=visitor, occurred_at=at, received_at=received_at, name="n")


def sessions(lake: Lake) -> list[tuple[str, float, list[str]]]:
    """Visitor, start in minutes after noon, and the events."""
    return sorted(
        (row["visitor_id"], (row["started_at"] - NOON) / timedelta(minutes=1), [e["event_id"] for e in row["sequence"]])
        for row in lake.scan("sessions").collect().to_dicts()
    )


def landed(lake: Lake) -> list[str]:
    return sorted(lake.scan("events").collect()["event_id"].to_list())


def test_a_late_event_comes_into_its_session_and_stays_marked_as_late(lake: Lake) -> None:
    topic = Topic(lake)
    topic.land(event("a", 0), event("b", 20), event("other", 0, "w"))
    topic.tick(10)
    topic.land(event("late", 40))
    assert sessions(lake) == [("v", 0, ["a", "b"]), ("w", 0, ["other"])]

    done = resessionise(lake, LADDER, now=NOW)
    assert done == Resessionised(visitors=1, late=1, sessions_removed=1, sessions_added=1)
    assert sessions(lake) == [("v", 0, ["a", "b", "late"]), ("w", 0, ["other"])]
    assert lake.scan("events").filter("late").collect()["event_id"].to_list() == ["late"]
    assert "1 late events put into sessions" in done.summary()


def test_a_pass_without_anything_to_do_commits_nothing(lake: Lake) -> None:
    assert resessionise(lake, LADDER, now=NOW) == Resessionised()
    topic = Topic(lake)
    topic.land(event("a", 0))
    topic.tick(10)
    topic.land(event("late", 0))
    resessionise(lake, LADDER, now=NOW)
    versions = lake.versions()
    assert resessionise(lake, LADDER, now=NOW) == Resessionised()
    assert lake.versions() == versions


def test_a_late_event_beside_an_open_one_waits_until_the_worker_has_closed_it(lake: Lake) -> None:
    """`old` and `open` are an hour apart, `late` is half way; the worker will close `open` by itself."""
    topic = Topic(lake)
    topic.land(event("old", 0), event("open", 60), event("clock", 151, "w"))
    topic.tick(2.9)
    topic.land(event("late", 30))
    assert sessions(lake) == [("v", 0, ["old"])]
    done = resessionise(lake, LADDER, now=NOW)
    assert (done.late, done.waiting) == (0, 1)
    assert "1 late events or copies wait for the sessions around them to close" in done.summary()
    topic.restart()
    assert topic.hold.sessioniser.open_events() == 2
    topic.tick(10)
    assert sessions(lake) == [("v", 0, ["old"]), ("v", 60, ["open"]), ("w", 151, ["clock"])]
    assert resessionise(lake, LADDER, now=NOW).late == 1
    assert sessions(lake) == [("v", 0, ["old", "late", "open"]), ("w", 151, ["clock"])]


def test_of_copies_beyond_the_streams_reach_the_first_by_arrival_stays_whoever_it_is_of(lake: Lake) -> None:
    topic = Topic(lake)
    topic.land(event("x", 0, received=5), event("a", 10))
    topic.tick(10)
    topic.land(event("x", 600, "w", received=4), event("x", 5, received=6))
    topic.tick(20)
    assert sessions(lake) == [("v", 0, ["x", "a"]), ("w", 600, ["x"])]
    done = resessionise(lake, LADDER, now=NOW)
    assert done == Resessionised(visitors=1, duplicates=2, sessions_removed=1, sessions_added=1)
    assert sessions(lake) == [("v", 10, ["a"]), ("w", 600, ["x"])]
    assert landed(lake) == ["a", "x"]
    assert lake.tally("events", REMOVED_COPIES) == 2
    topic.restart()
    assert topic.hold.sessioniser.open_events() == 0


def test_copies_alike_in_everything_even_their_record_leave_one(lake: Lake) -> None:
    topic = Topic(lake)
    topic.land(event("a", 0))
    topic.tick(10)
    topic.land(*[event("late", 20)] * 3, event("w1", 20, "w"))
    assert landed(lake) == ["a", "late", "late", "late", "w1"]
    done = resessionise(lake, LADDER, now=NOW)
    assert (done.late, done.duplicates) == (2, 2)
    assert landed(lake) == ["a", "late", "w1"]
    assert sessions(lake) == [("v", 0, ["a", "late"]), ("w", 20, ["w1"])]


def test_only_files_of_touched_rows_are_rewritten_and_rows_keep_the_day_they_landed(lake: Lake) -> None:
    topic = Topic(lake)
    first, second = NOW - 72 * HOUR, NOW - 48 * HOUR
    topic.land(event("a", 0), event("b", 0, "w"), now=first)
    topic.tick(10, now=first)
    topic.land(event("c", 600, "u"), now=second)
    topic.tick(20, now=second)
    topic.land(event("late", 10), event("b", 1, "w"), now=NOW)
    before = {table: set(lake.files(table)) for table in ("events", "sessions")}
    done = resessionise(lake, LADDER, now=NOW)
    assert (done.late, done.duplicates) == (1, 1)
    after = {table: set(lake.files(table)) for table in ("events", "sessions")}
    assert [days(before["sessions"] - after["sessions"]), days(after["sessions"] - before["sessions"])] == [
        [first.date()],
        [first.date(), NOW.date()],
    ]
    assert [days(before["events"] - after["events"]), days(after["events"] - before["events"])] == [
        [NOW.date()],
        [NOW.date()],
    ]
    assert sessions(lake) == [("u", 600, ["c"]), ("v", 0, ["a", "late"]), ("w", 0, ["b"])]


def test_since_leaves_what_landed_before_for_another_time(lake: Lake) -> None:
    topic = Topic(lake)
    topic.land(event("a", 0), event("b", 0, "w"), event("c", 0, "u"), event("d", 0, "t"), now=NOW - 72 * HOUR)
    topic.tick(10)
    topic.land(event("late", 10), event("c", 9, "u"), now=NOW - 48 * HOUR)
    topic.land(event("late too", 10, "w"), event("d", 9, "t"), now=NOW)
    done = resessionise(lake, LADDER, since=NOW.date(), now=NOW)
    assert (done.late, done.duplicates) == (1, 1)
    assert landed(lake) == ["a", "b", "c", "c", "d", "late", "late too"]
    done = resessionise(lake, LADDER, now=NOW)
    assert (done.late, done.duplicates) == (1, 1)
    assert sessions(lake) == [("t", 0, ["d"]), ("u", 0, ["c"]), ("v", 0, ["a", "late"]), ("w", 0, ["b", "late too"])]


def test_what_a_crash_left_beyond_the_sessions_is_not_looked_at(lake: Lake) -> None:
    topic = Topic(lake)
    topic.land(event("a", 0))
    topic.tick(10)
    prepared = topic.hold.prepare([record(1, event("late", 10))], now=NOW)
    assert prepared is not None
    lake.append("events", prepared.rows["events"], now=NOW)
    assert resessionise(lake, LADDER, now=NOW) == Resessionised()
    topic.hold.commit(prepared)
    assert resessionise(lake, LADDER, now=NOW).waiting == 0


def test_only_one_upkeep_at_a_time(lake: Lake) -> None:
    with upkeep_lock(lake.root.parent, NOW), pytest.raises(Locked, match="is at its upkeep"):
        resessionise(lake, LADDER, now=NOW)


def record(offset: int, *events: Event) -> Record:
    return Record(b"\n".join(map(encode, events)), CANONICAL, offset, 0, int(NOW.timestamp() * 1000))


def days(files: Sequence[str] | set[str]) -> list[date]:
    return sorted(date.fromisoformat(Path(file).parent.name.partition("=")[2]) for file in files)


def test_the_command_says_what_it_did(lake: Lake, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ladder = tmp_path / "ladder.toml"
    ladder.write_text('name = "test"\ntiers = ["spark", "micro"]\nlateness = "2h"\n', encoding="utf-8")
    topic = Topic(lake)
    topic.land(event("a", 0))
    topic.tick(10)
    topic.land(event("late", 10), event("a", 5))
    common = ["resessionise", "--warehouse", str(lake.root.parent), "--ladder", str(ladder)]
    cli.main([*common, "--since", "2026-03-10", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == Resessionised().to_dict()
    cli.main(common, standalone_mode=False)
    assert capsys.readouterr().out == (
        "1 late events put into sessions, 1 copies removed: 1 sessions of 1 visitors replaced by 1\n"
    )
    with pytest.raises(UsageError, match="holds no lake yet"):
        cli.main(["resessionise", "--warehouse", str(tmp_path / "none")], standalone_mode=False)


@pytest.mark.parametrize("dies_at", [1, 2])
def test_a_pass_that_dies_at_either_of_its_commits_is_done_by_the_next(dies_at: int, tmp_path: Path) -> None:
    class DyingLake(Lake):
        replaced = 0

        def replace(self, *arguments: Any, **named: Any) -> list[str]:
            self.replaced += 1
            if self.replaced == dies_at:
                raise OSError(f"no room for {arguments[0]}")
            return super().replace(*arguments, **named)

    lake = DyingLake(tmp_path / "lake")
    topic = Topic(lake)
    topic.land(event("x", 0, received=5), event("a", 10))
    topic.tick(10)
    topic.land(event("x", 600, received=6), event("b", 610))
    topic.tick(20)
    with pytest.raises(OSError, match="no room for " + ("sessions" if dies_at == 1 else "events")):
        resessionise(lake, LADDER, now=NOW)
    topic.restart()
    assert topic.hold.sessioniser.open_events() == 0
    assert resessionise(lake, LADDER, now=NOW).duplicates == 1
    assert sessions(lake) == [("v", 0, ["x", "a"]), ("v", 610, ["b"])]
    assert landed(lake) == ["a", "b", "x"]
