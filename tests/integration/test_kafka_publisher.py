from __future__ import annotations

import time
from uuid import uuid4

import pytest

from producers.kafka_publisher import KafkaPublisher
from producers.publisher import PublishError
from producers.records import Record
from producers.topics import end_offsets, ensure_topic
from tests.suites.brokers import Breakable

RECORDS = [Record(b"k", b"v", 1, ())]


def test_a_broker_that_died_and_came_back_is_found_again_and_failures_come_at_once_meanwhile(
    breakable: Breakable,
) -> None:
    topic = uuid4().hex
    ensure_topic(breakable.connection, topic, 2, 1)
    publisher = KafkaPublisher(breakable.connection, topic, delivery_timeout_s=2.0)
    publisher.publish(RECORDS).result(timeout=10)
    breakable.kill()
    with pytest.raises(PublishError, match="unavailable"):
        publisher.publish(RECORDS).result(timeout=10)
    begin = time.monotonic()
    for _ in range(100):
        with pytest.raises(PublishError, match="unavailable"):
            publisher.publish(RECORDS).result(timeout=0)
    assert time.monotonic() - begin < 0.5
    breakable.restart()
    ensure_topic(breakable.connection, topic, 2, 1)
    deadline = time.monotonic() + 20
    while publisher.publish(RECORDS).exception(timeout=10) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert end_offsets(breakable.connection, topic) == {0: 0, 1: 2 if breakable.keeps else 1}
    publisher.close(timeout_s=5)


def test_a_publisher_can_be_closed_while_its_broker_is_away(breakable: Breakable) -> None:
    topic = uuid4().hex
    ensure_topic(breakable.connection, topic, 2, 1)
    publisher = KafkaPublisher(breakable.connection, topic, delivery_timeout_s=1.0)
    breakable.kill()
    publisher.publish(RECORDS).exception(timeout=10)
    begin = time.monotonic()
    publisher.close(timeout_s=5)
    assert time.monotonic() - begin < 5
    with pytest.raises(PublishError, match="closed"):
        publisher.publish(RECORDS).result(timeout=0)
