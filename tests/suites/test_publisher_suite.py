"""What every publisher promises: the one in memory, the one for Kafka, and the one with a spool."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, TopicPartition

from producers.embedded import EmbeddedBroker
from producers.kafka_publisher import KafkaPublisher
from producers.publisher import MemoryPublisher, Publisher, PublishError
from producers.records import Record
from producers.spool import Spool
from producers.spooling_publisher import SpoolingPublisher
from producers.topics import ensure_topic

PARTITIONS = 4
MAX_IN_FLIGHT_BYTES = 1000


@dataclass(frozen=True)
class Rig:
    """A publisher, and a hand on what lies behind it."""

    publisher: Publisher
    pause: Callable[[], None]
    resume: Callable[[], None]
    expire: Callable[[], None]
    stored: Callable[[], list[list[Record]]]


def memory_rig() -> Iterator[Rig]:
    publisher = MemoryPublisher(PARTITIONS, MAX_IN_FLIGHT_BYTES)
    yield Rig(publisher, publisher.pause, publisher.resume, publisher.expire, lambda: publisher.records)
    publisher.close(0)


def kafka_rig() -> Iterator[Rig]:
    topic = f"events-{uuid4().hex}"
    with EmbeddedBroker() as broker:
        ensure_topic(broker.connection, topic, PARTITIONS, 1)
        publisher = KafkaPublisher(
            broker.connection, topic, delivery_timeout_s=1.0, max_in_flight_bytes=MAX_IN_FLIGHT_BYTES
        )
        yield Rig(
            publisher, broker.pause, broker.resume, lambda: time.sleep(1.5), lambda: consumed(broker.brokers, topic)
        )
        broker.resume()
        publisher.close(0)


def spooling_rig(max_bytes: int) -> Iterator[Rig]:
    kafka = MemoryPublisher(PARTITIONS, MAX_IN_FLIGHT_BYTES)
    with TemporaryDirectory() as folder:
        spooling = SpoolingPublisher(lambda: kafka, Spool(Path(folder)), max_bytes=max_bytes, patience_s=0.1)
        yield Rig(spooling, kafka.pause, kafka.resume, kafka.expire, lambda: all_stored(spooling, kafka))
        kafka.resume()
        spooling.close(1)


def all_stored(spooling: SpoolingPublisher, kafka: MemoryPublisher) -> list[list[Record]]:
    """What Kafka has, once the spool has given it all that was acknowledged."""
    deadline = time.monotonic() + 10
    while spooling.state.records:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return kafka.records


FORGETFUL: dict[str, Callable[[], Iterator[Rig]]] = {
    "memory": memory_rig,
    "kafka": kafka_rig,
    "spool without room": lambda: spooling_rig(max_bytes=1),
}
"""Without Kafka they can keep nothing."""

RIGS = FORGETFUL | {"spool": lambda: spooling_rig(max_bytes=10_000_000)}


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    yield from RIGS[request.param]()


@pytest.fixture(params=FORGETFUL)
def forgetful(request: pytest.FixtureRequest) -> Iterator[Rig]:
    yield from FORGETFUL[request.param]()


def consumed(brokers: str, topic: str) -> list[list[Record]]:
    """Everything in the topic, by partition."""
    consumer = KafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest", enable_auto_commit=False)
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    consumer.assign(places)
    ends = consumer.end_offsets(places)
    taken: list[list[Record]] = [[] for _ in places]
    while any(consumer.position(place) < ends[place] for place in places):
        for place, messages in consumer.poll(timeout_ms=1000).items():
            taken[place.partition] += [
                Record(message.key, message.value, place.partition, tuple(message.headers)) for message in messages
            ]
    consumer.close()
    return taken


def record(partition: int | None, value: bytes, key: bytes | None = None) -> Record:
    return Record(key, value, partition, (("kind", b"test"), ("empty", b"")))


def eventually_published(rig: Rig, records: list[Record]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            rig.publisher.publish(records).result(timeout=10)
            return
        except PublishError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_what_is_acknowledged_is_stored_with_key_value_and_headers_in_the_order_of_its_partition(rig: Rig) -> None:
    first = [record(1, b"a", b"v1"), record(3, b"b"), record(1, b"c", b"v2")]
    second = [record(1, b"", b"v1"), record(0, "ü\n\x00".encode())]
    futures = [rig.publisher.publish(first), rig.publisher.publish(second)]
    assert [future.result(timeout=10) for future in futures] == [None, None]
    assert rig.stored() == [[second[1]], [first[0], first[2], second[0]], [], [first[1]]]


def test_a_record_without_a_partition_goes_to_one_of_them(rig: Rig) -> None:
    rig.publisher.publish([record(None, b"anywhere")]).result(timeout=10)
    assert [(one.value, one.key) for taken in rig.stored() for one in taken] == [(b"anywhere", None)]


def test_nothing_to_publish_is_acknowledged_at_once(rig: Rig) -> None:
    rig.pause()
    assert rig.publisher.publish([]).result(timeout=0) is None


def test_it_knows_the_partitions_of_the_topic_and_refuses_any_other(rig: Rig) -> None:
    assert rig.publisher.partitions == PARTITIONS
    for partition in (-1, PARTITIONS):
        with pytest.raises(ValueError, match=f"there is no partition {partition}; the topic has 4"):
            rig.publisher.publish([record(0, b"good"), record(partition, b"bad")])
    assert rig.stored() == [[], [], [], []]


def test_a_record_that_kafka_would_not_take_is_refused_before_anything_is_sent(rig: Rig) -> None:
    with pytest.raises(ValueError, match=r"a record of 1,000,001 bytes is larger than Kafka takes \(1,000,000\)"):
        rig.publisher.publish([record(0, b"good"), record(0, b"x" * 1_000_000, b"k")])
    largest = record(0, b"x" * 1_000_000)
    rig.publisher.publish([largest]).result(timeout=10)
    assert rig.stored() == [[largest], [], [], []]


def test_publishing_never_waits_and_ends_with_an_error_when_the_acknowledgement_does_not_come(forgetful: Rig) -> None:
    forgetful.publisher.publish([record(0, b"before")]).result(timeout=10)
    forgetful.pause()
    begin = time.monotonic()
    future = forgetful.publisher.publish([record(0, b"lost?"), record(1, b"lost?")])
    assert time.monotonic() - begin < 0.5
    assert not future.done()
    forgetful.expire()
    with pytest.raises(PublishError, match="unavailable") as caught:
        future.result(timeout=10)
    assert caught.value.reason == "unavailable"
    assert caught.value.retry_after_s > 0


def test_after_a_silence_it_publishes_again_by_itself_and_in_order(forgetful: Rig) -> None:
    forgetful.publisher.publish([record(0, b"before")]).result(timeout=10)
    forgetful.pause()
    future = forgetful.publisher.publish([record(0, b"during")])
    forgetful.expire()
    with pytest.raises(PublishError):
        future.result(timeout=10)
    forgetful.resume()
    eventually_published(forgetful, [record(0, b"after 1"), record(2, b"elsewhere")])
    forgetful.publisher.publish([record(0, b"after 2")]).result(timeout=10)
    values = [one.value for one in forgetful.stored()[0] if one.value != b"during"]
    assert values == [b"before", b"after 1", b"after 2"]


def test_more_than_the_limit_under_way_is_refused_until_there_is_room_again(forgetful: Rig) -> None:
    forgetful.pause()
    accepted = forgetful.publisher.publish([record(0, b"x" * 600)])
    with pytest.raises(PublishError, match="overloaded") as caught:
        forgetful.publisher.publish([record(1, b"y" * 600)]).result(timeout=0)
    assert caught.value.reason == "overloaded"
    also_accepted = forgetful.publisher.publish([record(1, b"z" * 300)])
    forgetful.resume()
    accepted.result(timeout=10)
    also_accepted.result(timeout=10)
    forgetful.publisher.publish([record(1, b"y" * 600)]).result(timeout=10)
    assert [[one.value[:1] for one in taken] for taken in forgetful.stored()] == [[b"x"], [b"z", b"y"], [], []]


def test_a_publish_larger_than_the_limit_goes_through_when_nothing_else_is_under_way(rig: Rig) -> None:
    large = record(2, b"x" * (MAX_IN_FLIGHT_BYTES + 1))
    rig.publisher.publish([large]).result(timeout=10)
    assert rig.stored()[2] == [large]


def test_an_accepted_publish_cannot_be_cancelled(rig: Rig) -> None:
    rig.pause()
    future = rig.publisher.publish([record(0, b"x")])
    assert not future.cancel()
    rig.resume()
    future.result(timeout=10)


def test_closing_waits_for_what_is_under_way(rig: Rig) -> None:
    futures = [rig.publisher.publish([record(i % PARTITIONS, b"%d" % i)]) for i in range(40)]
    rig.publisher.close(timeout_s=10)
    assert [future.exception(timeout=0) for future in futures] == [None] * 40
    assert sum(len(taken) for taken in rig.stored()) == 40


def test_closing_gives_up_what_is_not_acknowledged_in_time_and_refuses_what_comes_after(forgetful: Rig) -> None:
    forgetful.pause()
    future = forgetful.publisher.publish([record(0, b"x")])
    begin = time.monotonic()
    forgetful.publisher.close(timeout_s=0.2)
    assert time.monotonic() - begin < 3
    for late in (future, forgetful.publisher.publish([record(0, b"y")])):
        with pytest.raises(PublishError, match="closed") as caught:
            late.result(timeout=1)
        assert caught.value.reason == "closed"
    forgetful.publisher.close(timeout_s=0.2)


def test_threads_may_publish_together_and_each_keeps_its_order(rig: Rig) -> None:
    def publish(thread: int) -> None:
        futures = [rig.publisher.publish([record(1, b"%d %02d" % (thread, i))]) for i in range(25)]
        for future in futures:
            future.result(timeout=10)

    threads = [threading.Thread(target=publish, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = [one.value for one in rig.stored()[1]]
    assert len(values) == 100
    for number in range(4):
        own = [value for value in values if value.startswith(b"%d " % number)]
        assert own == [b"%d %02d" % (number, i) for i in range(25)]
