from __future__ import annotations

import os
import time
from uuid import uuid4

import pytest

from ladder.connection import KafkaConnection
from producers.kafka_publisher import KafkaPublisher
from producers.publisher import PublishError
from producers.records import Record
from producers.topics import end_offsets, ensure_topic
from tests.suites.apache_kafka import ApacheKafka
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


@pytest.mark.kafka
def test_a_record_that_the_topic_will_never_take_is_told_from_a_kafka_that_is_away(apache_kafka: ApacheKafka) -> None:
    topic = uuid4().hex
    connection = KafkaConnection(apache_kafka.bootstrap)
    ensure_topic(connection, topic, 1, 1, {"max.message.bytes": "2000"})
    publisher = KafkaPublisher(connection, topic)
    with pytest.raises(PublishError, match="MessageSizeTooLarge") as caught:
        publisher.publish([Record(None, os.urandom(5000), 0, ())]).result(timeout=10)
    assert caught.value.reason == "refused"
    publisher.close(timeout_s=5)
