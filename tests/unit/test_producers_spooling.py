"""The rules turn by turn, with a clock of the test's own; tests/property/test_spooling.py mixes them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from producers.publisher import MemoryPublisher, PublishError
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
