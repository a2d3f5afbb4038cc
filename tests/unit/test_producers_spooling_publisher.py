from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from ladder.errors import YesladderError
from ladder.events import Event
from producers.partitioner import partition_of
from producers.publisher import MemoryPublisher, Publisher, PublishError, failed, new_future
from producers.records import Record, pack
from producers.spool import Spool, footprint
from producers.spooling_publisher import SpoolingPublisher
from tests.suites.collector_client import NOW, stored

PATIENCE_S = 0.1


class Picky(MemoryPublisher):
    """Refuses a whole publish for one record that begins with ``x``, as a broker does for one that is too large."""

    attempts = 0

    def publish(self, records: Sequence[Record]) -> Future[None]:
        self.attempts += 1
        if any(record.value.startswith(b"x") for record in records):
            return failed(new_future(), PublishError("refused", "MessageSizeTooLargeError"))
        return super().publish(records)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., SpoolingPublisher]]:
    """Begins publishers on one folder, one after the other."""
    running: list[SpoolingPublisher] = []

    def begin(kafka: Publisher | Callable[[], Publisher], max_bytes: int = 1_000_000) -> SpoolingPublisher:
        connect = kafka if callable(kafka) else lambda: kafka
        running.append(
            SpoolingPublisher(connect, Spool(tmp_path / "spool"), max_bytes=max_bytes, patience_s=PATIENCE_S)
        )
        return running[-1]

    yield begin
    for publisher in running:
        publisher.close(0)


def record(text: str, partition: int | None = 0) -> Record:
    return Record(None, text.encode(), partition, ())


def texts(kafka: MemoryPublisher, partition: int = 0) -> list[str]:
    return [one.value.decode() for one in kafka.records[partition]]


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def away() -> Publisher:
    raise YesladderError("no Kafka broker")


def test_a_silent_kafka_is_waited_for_as_long_as_said_and_after_that_not_at_all(
    begin: Callable[..., SpoolingPublisher],
) -> None:
    kafka = MemoryPublisher()
    publisher = begin(kafka)
    kafka.pause()
    began = time.monotonic()
    publisher.publish([record("1")]).result(timeout=5)
    assert PATIENCE_S <= time.monotonic() - began < PATIENCE_S + 1
    began = time.monotonic()
    for number in range(2, 10):
        publisher.publish([record(str(number))]).result(timeout=5)
    assert time.monotonic() - began < 1
    assert not publisher.state.is_direct
    kafka.resume()  # it had taken the first after all
    until(lambda: publisher.state.is_direct)
    assert texts(kafka) == [str(number) for number in range(1, 10)]
    assert publisher.state.oldest is None


def test_without_kafka_it_begins_only_where_the_topic_was_known_and_then_at_once(
    begin: Callable[..., SpoolingPublisher], tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    with pytest.raises(YesladderError, match="no Kafka broker"):
        SpoolingPublisher(away, spool, max_bytes=1)
    spool.close()
    begin(MemoryPublisher(3)).close(0)

    kafka = MemoryPublisher(3)
    is_there = threading.Event()
    publisher = begin(lambda: kafka if is_there.is_set() else away())
    assert publisher.partitions == 3
    publisher.publish([record("1"), record("2", 2)]).result(timeout=5)
    is_there.set()
    until(lambda: publisher.state.is_direct)
    assert (texts(kafka), texts(kafka, 2)) == (["1"], ["2"])


def test_what_kafka_has_not_acknowledged_at_the_end_is_sent_by_the_next_process(
    begin: Callable[..., SpoolingPublisher],
) -> None:
    kafka = MemoryPublisher()
    kafka.pause()
    publisher = begin(kafka)
    futures = [publisher.publish([record(str(number))]) for number in range(3)]
    publisher.close(0)
    assert [future.result(timeout=0) for future in futures] == [None] * 3
    with pytest.raises(PublishError, match="closed"):
        publisher.publish([record("late")]).result(timeout=0)

    next_one = MemoryPublisher()
    publisher = begin(next_one)
    publisher.publish([record("3")]).result(timeout=5)
    until(lambda: publisher.state.is_direct)
    assert texts(next_one) == ["0", "1", "2", "3"]


def test_a_full_spool_refuses_and_says_when_to_come_again_until_there_is_room(
    begin: Callable[..., SpoolingPublisher],
) -> None:
    kafka = MemoryPublisher()
    publisher = begin(kafka, max_bytes=2 * footprint(record("x" * 100)))
    kafka.pause()
    publisher.publish([record("a" * 100)]).result(timeout=5)
    publisher.publish([record("b" * 100)]).result(timeout=5)
    assert not publisher.state.is_full
    with pytest.raises(PublishError, match="the spool is full") as caught:
        publisher.publish([record("c" * 100)]).result(timeout=0)
    assert (caught.value.reason, caught.value.retry_after_s) == ("overloaded", 5.0)
    assert publisher.state.is_full
    kafka.resume()
    until(lambda: publisher.state.is_direct)
    assert not publisher.state.is_full
    publisher.publish([record("c" * 100)]).result(timeout=5)
    assert [text[0] for text in texts(kafka)] == ["a", "b", "c"]


def test_a_record_that_kafka_refuses_is_kept_aside_and_tried_again_by_the_next_process(
    begin: Callable[..., SpoolingPublisher], caplog: pytest.LogCaptureFixture
) -> None:
    kafka = Picky()
    publisher = begin(kafka)
    for text in ("1", "x2", "3", "x4", "5"):
        publisher.publish([record(text)]).result(timeout=5)
    until(lambda: publisher.state.is_direct)
    assert texts(kafka) == ["1", "3", "5"]
    assert (publisher.state.refused, publisher.state.records) == (2, 2)
    assert kafka.attempts < 20
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert len(told) == 2
    assert "is not sent: refused: MessageSizeTooLargeError" in told[0]
    publisher.close(0)

    mended = MemoryPublisher()
    publisher = begin(mended)
    until(lambda: publisher.state.is_direct)
    assert texts(mended) == ["x2", "x4"]
    assert publisher.state.records == 0


@pytest.mark.parametrize("partitions", [2, 12])
def test_records_are_packed_anew_for_a_topic_that_has_other_partitions_by_now(
    begin: Callable[..., SpoolingPublisher], partitions: int
) -> None:
    kafka = MemoryPublisher(4)
    kafka.pause()
    publisher = begin(kafka)
    events = [
        Event(event_id=f"e{n}", visitor_id=f"v{n % 7}", occurred_at=NOW, received_at=NOW, name="x") for n in range(50)
    ]
    for event in events:
        publisher.publish(pack([event], 4)).result(timeout=5)
    publisher.publish([Record(None, b"anywhere", None, (("other", b"kind"),))]).result(timeout=5)
    publisher.close(0)

    changed = MemoryPublisher(partitions)
    publisher = begin(changed)
    until(lambda: publisher.state.is_direct)
    assert publisher.partitions == partitions
    assert [one.value for one in changed.records[0] if one.partition is None] == [b"anywhere"]
    packed = [[one for one in taken if one.partition is not None] for taken in changed.records]
    for number, taken in enumerate(packed):
        there = stored([taken])[0]
        assert {partition_of(event.visitor_id, partitions) for event in there} <= {number}
        assert [event.event_id for event in there] == [
            event.event_id for event in events if partition_of(event.visitor_id, partitions) == number
        ]
    assert len(stored(packed)[0]) == 50


def test_one_that_cannot_be_packed_anew_is_kept_aside_and_holds_up_nobody(
    begin: Callable[..., SpoolingPublisher],
) -> None:
    kafka = MemoryPublisher(4)
    kafka.pause()
    publisher = begin(kafka)
    publisher.publish([record("no event", 3)]).result(timeout=5)
    event = Event(event_id="e1", visitor_id="v1", occurred_at=NOW, received_at=NOW, name="x")
    publisher.publish(pack([event], 4)).result(timeout=5)
    publisher.close(0)
    changed = MemoryPublisher(2)
    publisher = begin(changed)
    until(lambda: publisher.state.is_direct)
    assert stored(changed.records)[0] == [event]
    assert (publisher.state.refused, publisher.state.records) == (1, 1)
