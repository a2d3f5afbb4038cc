from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ladder.errors import UsageError, YesladderError
from ladder.events import Event, decode
from ladder.rejects import REJECT_HEADER, decode_reject
from producers.partitioner import partition_of
from producers.publisher import MemoryPublisher, PublishError
from producers.records import Record
from producers.replay import Pace, Replayed, paced, parse_speed, replay

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def elapsed_s(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Unreliable(MemoryPublisher):
    """Fails as often as told, after having taken all, some or none of the records."""

    def __init__(self, failures: Sequence[int]) -> None:
        super().__init__(partitions=2)
        self._failures = list(failures)

    def publish(self, records: Sequence[Record]) -> Future[None]:
        if not self._failures:
            return super().publish(records)
        super().publish(records[: self._failures.pop(0)])
        future: Future[None] = Future()
        future.set_exception(PublishError("unavailable", "no", retry_after_s=2.0))
        return future


def event(at_s: float) -> Event:
    return Event(
        event_id=f"e{at_s}", visitor_id="v", occurred_at=NOON + timedelta(seconds=at_s), received_at=NOON, name="n"
    )


def write(folder: Path, count: int) -> Path:
    path = folder / "a.ndjson"
    with path.open("w") as file:
        for n in range(count):
            at = NOON + timedelta(seconds=n)
            line = {
                "type": "track", "messageId": f"m{n}", "userId": f"v{n % 5}", "event": "E", "timestamp": at.isoformat()
            }  # fmt: skip
            file.write(json.dumps(line) + "\n")
            if n % 100 == 0:
                file.write("bad line\n")
    return path


def stored(publisher: MemoryPublisher) -> list[list[str]]:
    """Event ids by partition."""
    return [
        [
            decode(line, NOON).event_id
            for record in taken
            if REJECT_HEADER not in record.headers
            for line in record.value.split(b"\n")
        ]
        for taken in publisher.records
    ]


def expected(count: int, partitions: int) -> list[list[str]]:
    ids: list[list[str]] = [[] for _ in range(partitions)]
    for n in range(count):
        ids[partition_of(f"v{n % 5}", partitions)].append(f"m{n}")
    return ids


def test_every_event_of_a_file_is_published_in_its_order_and_every_bad_line_as_a_dead_letter(tmp_path: Path) -> None:
    path = write(tmp_path, 25_000)
    publisher = MemoryPublisher(partitions=3)
    read_bytes: list[int] = []
    done = replay([path], publisher, progress=read_bytes.append)
    assert done == Replayed(read=25_250, published=25_000, rejected=250)
    assert stored(publisher) == expected(25_000, 3)
    letters = [
        decode_reject(record.value)
        for taken in publisher.records
        for record in taken
        if REJECT_HEADER in record.headers
    ]
    assert [letter.raw for letter in letters] == [b"bad line"] * 250
    assert sum(read_bytes) == path.stat().st_size
    assert len(read_bytes) > 1


@pytest.mark.parametrize("failures", [[0], [1, 0], [2, 1, 2]])
def test_what_kafka_did_not_acknowledge_is_published_again_with_all_that_follows(
    tmp_path: Path, failures: list[int]
) -> None:
    clock = Clock()
    publisher = Unreliable(failures)
    done = replay([write(tmp_path, 45_000)], publisher, elapsed_s=clock.elapsed_s, sleep=clock.sleep)
    assert done.published == 45_000
    for ids, complete in zip(stored(publisher), expected(45_000, 2), strict=True):
        last_time = {event_id: place for place, event_id in enumerate(ids)}
        assert sorted(last_time, key=lambda event_id: last_time[event_id]) == complete


def test_it_gives_up_when_kafka_takes_nothing_for_too_long(tmp_path: Path) -> None:
    clock = Clock()
    with pytest.raises(YesladderError, match="Kafka took nothing for 60 s: unavailable: no"):
        replay([write(tmp_path, 10)], Unreliable([0] * 1000), elapsed_s=clock.elapsed_s, sleep=clock.sleep)
    assert 160 < clock.now_s < 170


def test_what_comes_before_a_place_where_the_file_breaks_is_published(tmp_path: Path) -> None:
    publisher = MemoryPublisher(partitions=1)
    with pytest.raises(YesladderError, match="missing"):
        replay([write(tmp_path, 10), tmp_path / "missing.ndjson"], publisher)
    assert stored(publisher) == expected(10, 1)


def test_an_event_is_due_when_its_own_time_has_passed_at_the_speed_asked() -> None:
    pace = Pace(NOON, begun_s=100.0, speed=60.0)
    assert [pace.due_s(event(at_s)) for at_s in (0, 60, 90, -500)] == [100.0, 101.0, 101.5, 100.0]


def groups_of(
    times: Sequence[float], clock: Clock, on_group: Callable[[], None] = lambda: None
) -> list[tuple[float, list[float]]]:
    """When each group came, and its events' times."""
    pace = Pace(NOON, clock.now_s, speed=10.0)
    found = []
    for group in paced([event(at_s) for at_s in times], pace.due_s, clock.elapsed_s, clock.sleep):
        found.append((clock.now_s, [(each.occurred_at - NOON).total_seconds() for each in group]))
        on_group()
    return found


def test_events_come_in_groups_as_they_get_due_and_none_waits_for_a_later_one() -> None:
    assert groups_of([0, 0.05, 10, 3, 10.02, 40], Clock()) == [
        (100.0, [0, 0.05]),
        (101.0, [10, 3, 10.02]),
        (104.0, [40]),
    ]


def test_time_lost_in_publishing_is_made_good() -> None:
    clock = Clock()
    assert groups_of([0, 10, 20, 40], clock, on_group=lambda: clock.sleep(2.5)) == [
        (100.0, [0]),
        (102.5, [10, 20]),
        (105.0, [40]),
    ]


def test_a_paced_replay_takes_as_long_as_its_events_did_divided_by_the_speed(tmp_path: Path) -> None:
    clock = Clock()
    publisher = MemoryPublisher(partitions=1)
    replay([write(tmp_path, 121)], publisher, speed=60.0, elapsed_s=clock.elapsed_s, sleep=clock.sleep)
    assert clock.now_s == pytest.approx(102.0)
    assert stored(publisher) == expected(121, 1)
    assert len(publisher.records[0]) > 100


@pytest.mark.parametrize(("text", "speed"), [("60x", 60.0), ("1", 1.0), ("0.5x", 0.5), (" 2x ", 2.0)])
def test_a_speed_is_how_many_times_as_fast(text: str, speed: float) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "x", "0x", "-1x", "fast", "1e3", "60xx"])
def test_what_is_no_speed_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no pace; write for example 60x"):
        parse_speed(text)
