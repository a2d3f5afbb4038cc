"""The rules turn by turn, with a clock of the test's own; tests/property/test_spooling.py mixes them."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import pytest

from producers.publisher import MemoryPublisher, PublishError, failed, new_future
from producers.records import Record
from producers.spool import Spool, footprint
from producers.spooling import Spooling

AT = datetime(2026, 11, 23, tzinfo=UTC)
ROOM = 10 * footprint(Record(None, b"a", 0, ()))


class Rig:
    """A direct way to Kafka to begin with."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder)
        self.kafka = MemoryPublisher(1)
        self.wakes = 0
        self.now = 0.0
        self.spooling = Spooling(self.spool, ROOM, 2.0, self._wake)
        self.spooling.connected(self.kafka)
        self.turn()
        assert self.spooling.state().is_direct

    def _wake(self) -> None:
        self.wakes += 1

    def turn(self, after_s: float = 0.0) -> None:
        self.now += after_s
        self.spooling.turn(self.now, AT)

    def publish(self, texts: str) -> list[bool]:
        """One publish each; whether they are answered."""
        self.futures = [self.spooling.publish([Record(None, text.encode(), 0, ())], self.now) for text in texts]
        return self.answered()

    def answered(self) -> list[bool]:
        return [future.done() and future.exception() is None for future in self.futures]

    @property
    def in_kafka(self) -> str:
        return "".join(one.value.decode() for one in self.kafka.records[0])

    @property
    def on_disk(self) -> str:
        return "".join(row.record.value.decode() for row in self.spool.first(10**9))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.spool.close()


def test_with_kafka_there_nothing_touches_the_disk(rig: Rig) -> None:
    assert rig.publish("abc") == [True] * 3
    rig.turn()
    assert (rig.in_kafka, rig.on_disk, rig.spool.records) == ("abc", "", 0)


def test_what_kafka_takes_after_all_is_not_sent_again_and_what_came_later_goes_behind_it(rig: Rig) -> None:
    rig.kafka.pause()
    assert rig.publish("ab") == [False, False]
    rig.turn(2.0)
    assert rig.answered() == [False, False]
    rig.turn(0.1)
    assert (rig.answered(), rig.on_disk) == ([True, True], "ab")
    assert rig.publish("c") == [False]
    rig.turn()
    assert (rig.answered(), rig.on_disk) == ([True], "abc")
    rig.kafka.resume()
    for _ in range(3):
        rig.turn(1.0)
    assert (rig.in_kafka, rig.on_disk, rig.spooling.state().is_direct) == ("abc", "", True)


def test_one_failure_sends_all_that_is_under_way_to_the_disk_in_its_order(rig: Rig) -> None:
    rig.kafka.pause()
    rig.publish("abc")
    rig.kafka.expire()
    rig.turn()
    assert (rig.answered(), rig.on_disk) == ([True] * 3, "abc")


def test_while_the_spool_waits_nothing_overtakes_it(rig: Rig) -> None:
    rig.kafka.pause()
    rig.publish("a")
    rig.kafka.expire()
    rig.turn()  # sends a
    rig.kafka.expire()
    rig.turn()  # finds that it failed, and pauses
    rig.kafka.resume()
    assert rig.publish("b") == [False]
    rig.turn()
    assert (rig.answered(), rig.in_kafka, rig.on_disk) == ([True], "", "ab")
    for _ in range(3):
        rig.turn(1.0)
    assert rig.in_kafka == "ab"


def test_while_the_last_batch_is_on_its_way_what_comes_waits_for_it_and_then_goes_direct(rig: Rig) -> None:
    rig.kafka.pause()
    rig.publish("a")
    rig.kafka.expire()
    rig.turn()  # sends a, which is all there is
    assert rig.publish("b") == [False]
    rig.turn(1.0)
    assert (rig.answered(), rig.on_disk) == ([False], "a")
    rig.kafka.resume()
    rig.turn()
    assert (rig.answered(), rig.in_kafka, rig.spooling.state().is_direct) == ([True], "ab", True)
    assert (rig.on_disk, rig.spool.records) == ("", 0)


def test_but_not_for_longer_than_kafka_is_given(rig: Rig) -> None:
    rig.kafka.pause()
    rig.publish("a")
    rig.kafka.expire()
    rig.turn()
    rig.publish("b")
    rig.turn(2.1)
    assert (rig.answered(), rig.on_disk) == ([True], "ab")


def test_what_has_no_room_gets_kafkas_own_word(rig: Rig) -> None:
    rig.kafka.pause()
    rig.publish("abcdefghijkl")
    rig.turn(2.1)
    assert (rig.answered(), rig.on_disk) == ([True] * 10 + [False] * 2, "abcdefghij")
    rig.kafka.expire()
    for future in rig.futures[10:]:
        with pytest.raises(PublishError, match="unavailable"):
            future.result(timeout=0)
    rig.publish("m")
    with pytest.raises(PublishError, match="the spool is full"):
        rig.futures[0].result(timeout=0)


def test_a_full_disk_is_told_at_once_and_what_kafka_has_meanwhile_is_not_sent_again(rig: Rig) -> None:
    rig.kafka.pause()
    rig.publish("a")
    rig.kafka.expire()
    rig.turn()  # sends a
    rig.kafka.resume()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))  # what a full disk is to SQLite: no write works
    try:
        rig.turn()  # cannot take a off the disk, and goes direct
        rig.turn()
        assert rig.publish("b") == [True]
        rig.kafka.pause()
        rig.publish("c")
        rig.kafka.expire()
        rig.turn()
        with pytest.raises(PublishError, match="disk") as caught:
            rig.futures[0].result(timeout=0)
        assert (caught.value.reason, rig.spooling.state().is_full) == ("overloaded", True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    rig.kafka.resume()
    rig.turn()
    assert rig.publish("d") == [True]
    rig.turn()
    assert (rig.in_kafka, rig.on_disk) == ("abd", "")
    assert not rig.spooling.state().is_full


def test_a_turn_is_asked_for_whenever_there_is_something_to_do(rig: Rig) -> None:
    wakes = rig.wakes
    rig.publish("a")
    assert rig.wakes == wakes
    rig.kafka.pause()
    rig.publish("b")
    rig.kafka.expire()
    assert rig.wakes > wakes
    rig.turn()
    wakes = rig.wakes
    rig.publish("c")
    assert rig.wakes > wakes
    wakes = rig.wakes
    rig.kafka.resume()
    assert rig.wakes > wakes


def put(*records: tuple[str, int]) -> list[Record]:
    return [Record(None, text.encode(), partition, ()) for text, partition in records]


class Halved(MemoryPublisher):
    """Partition 1 has no leader while ``is_broken``."""

    is_broken = True

    def publish(self, records: Sequence[Record]) -> Future[None]:
        if not self.is_broken:
            return super().publish(records)
        taken = [place for place, record in enumerate(records) if record.partition != 1]
        super().publish([records[place] for place in taken])
        if len(taken) == len(records):
            return super().publish([])
        return failed(new_future(), PublishError("unavailable", "no leader", acknowledged=taken))


def test_while_one_partition_fails_the_others_get_each_record_once(tmp_path: Path) -> None:
    kafka = Halved(2)
    spool = Spool(tmp_path)
    spooling = Spooling(spool, 10_000, 2.0, lambda: None)
    spooling.connected(kafka)
    spooling.turn(0.0, AT)
    direct = spooling.publish(put(("a", 0), ("b", 1), ("c", 0)), 0.0)
    spooling.turn(0.0, AT)
    spooled = spooling.publish(put(("d", 1), ("e", 0)), 0.0)
    for now in range(1, 20, 3):
        spooling.turn(float(now), AT)
    assert (direct.exception(0), spooled.exception(0)) == (None, None)
    assert [[one.value for one in taken] for taken in kafka.records] == [[b"a", b"c", b"e"], []]
    assert [row.record.value for row in spool.first(10_000)] == [b"b", b"d"]
    kafka.is_broken = False
    for now in range(20, 30, 3):
        spooling.turn(float(now), AT)
    assert [[one.value for one in taken] for taken in kafka.records] == [[b"a", b"c", b"e"], [b"b", b"d"]]
    assert (spool.records, spooling.state().is_direct) == (0, True)
    spool.close()


class Meanwhile(MemoryPublisher):
    """Fails ``when`` it is given this, after something else has come."""

    when = b"none"
    comes: Callable[[], object]

    def publish(self, records: Sequence[Record]) -> Future[None]:
        if records[0].value == self.when:
            self.comes()
            return failed(new_future(), PublishError("unavailable", "gone again"))
        return super().publish(records)


def test_what_fails_when_it_is_handed_over_stays_before_what_came_after_it(tmp_path: Path) -> None:
    kafka = Meanwhile(1)
    spool = Spool(tmp_path)
    spool.remember(1)
    spooling = Spooling(spool, 10_000, 2.0, lambda: None)
    spooling.publish(put(("a", 0)), 0.0)
    spooling.turn(0.0, AT)
    kafka.pause()
    spooling.connected(kafka)
    spooling.turn(0.0, AT)  # sends a
    spooling.publish(put(("b", 0)), 0.0)
    kafka.when, kafka.comes = b"b", lambda: spooling.publish(put(("c", 0)), 0.0)
    kafka.resume()
    spooling.turn(0.0, AT)  # hands b over
    assert [row.record.value for row in spool.first(10_000)] == [b"b", b"c"]
    spool.close()


def test_a_disk_that_takes_writes_again_is_found_out_without_anybody_sending_anything(rig: Rig) -> None:
    rig.kafka.pause()
    rig.spool.remember(1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        rig.publish("a")
        rig.kafka.expire()
        rig.turn()
        rig.turn(6.0)
        assert rig.spooling.state().is_full
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    rig.turn(4.0)
    assert rig.spooling.state().is_full
    rig.turn(1.1)
    assert not rig.spooling.state().is_full


def test_room_that_has_come_back_is_told_without_anybody_sending_anything(rig: Rig) -> None:
    rig.kafka.pause()
    rig.publish("abcdefghij")
    rig.kafka.expire()
    rig.turn()
    rig.publish("k")
    assert rig.spooling.state().is_full
    with pytest.raises(PublishError) as caught:
        rig.futures[0].result(timeout=0)
    assert caught.value.retry_after_s == 5.0
    rig.spool.remove([rig.spool.first(1)[0].id])
    assert not rig.spooling.state().is_full


def test_whoever_found_no_room_while_kafka_was_silent_is_told_to_come_as_late_as_all_others(rig: Rig) -> None:
    rig.kafka.pause()
    rig.publish("abcdefghijk")
    rig.kafka.expire()
    with pytest.raises(PublishError, match="unavailable") as caught:
        rig.futures[10].result(timeout=0)
    assert caught.value.retry_after_s == 5.0


class Surprising(Spool):
    def append(self, records: Sequence[tuple[Record, int]], at: datetime) -> list[int]:
        raise ZeroDivisionError("nobody expected this")


def test_an_error_that_nobody_expected_is_an_answer_too(tmp_path: Path) -> None:
    spool = Surprising(tmp_path)
    spool.remember(1)
    spooling = Spooling(spool, 10_000, 2.0, lambda: None)
    future = spooling.publish(put(("a", 0)), 0.0)
    spooling.turn(0.0, AT)
    with pytest.raises(PublishError, match="nobody expected this"):
        future.result(timeout=0)
    assert spooling.is_idle
    spool.close()
