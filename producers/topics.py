"""The topic events travel on: created where it is missing, left alone where it is not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from producers.kafka_client import client_settings, connecting, said, wait_for_broker

_OPEN_TRANSACTION_S = 1.0
"""Where nothing more can be read for so long, what follows is not committed."""


@dataclass(frozen=True)
class TopicFound:
    """What ``ensure_topic`` found or made; ``str`` of it is a sentence for the user."""

    topic: str
    partitions: int
    was_created: bool
    wanted_partitions: int

    def __str__(self) -> str:
        size = f"{self.partitions} partition{'s' if self.partitions != 1 else ''}"
        if self.was_created:
            return f"created the topic {self.topic} with {size}"
        if self.partitions == self.wanted_partitions:
            return f"the topic {self.topic} is there, with {size}"
        return f"the topic {self.topic} is there with {size}, which stay ({self.wanted_partitions} were asked for)"


def ensure_topic(
    connection: KafkaConnection,
    topic: str,
    partitions: int,
    replication: int,
    config: Mapping[str, str] | None = None,
    *,
    timeout_s: float = 10.0,
) -> TopicFound:
    """Create the topic unless it exists; an existing one is not changed, whatever was asked for.

    ``config``: topic settings such as ``retention.ms``.  Raises ``YesladderError`` when Kafka cannot or will not.
    """
    with connecting(connection, timeout_s):
        admin = KafkaAdminClient(**client_settings(connection, timeout_s), request_timeout_ms=int(timeout_s * 1000))
    try:
        found = _partitions(admin, topic)
        if found is not None:
            return TopicFound(topic, found, was_created=False, wanted_partitions=partitions)
        wanted = {"num_partitions": partitions, "replication_factor": replication, "configs": dict(config or {})}
        try:
            admin.create_topics({topic: wanted})
        except TopicAlreadyExistsError:
            was_created = False  # somebody was faster
        else:
            was_created = True
        admin.wait_for_topics([topic], timeout_ms=int(timeout_s * 1000))
        found = _partitions(admin, topic)
    except KafkaError as error:
        raise YesladderError(f"Kafka at {connection.brokers} did not make the topic {topic!r}: {said(error)}") from None
    finally:
        admin.close()
    if found is None:
        raise YesladderError(f"Kafka at {connection.brokers} created the topic {topic!r} but does not show it")
    return TopicFound(topic, found, was_created=was_created, wanted_partitions=partitions)


def ensure_step_minutes(connection: KafkaConnection, topic: str, replication: int) -> TopicFound:
    """``ensure_topic`` for step minutes: one partition, so that one reader sees all of it in order, kept for a week.

    Raises ``YesladderError`` where the topic is there with more partitions, too.
    """
    config = {"retention.ms": str(7 * 24 * 3_600_000), "max.message.bytes": str(8 * 1024 * 1024)}
    found = ensure_topic(connection, topic, 1, replication, config)
    if found.partitions != 1:
        raise YesladderError(f"{found}; step minutes need a topic of one partition (--step-minutes takes another)")
    return found


def end_offsets(connection: KafkaConnection, topic: str, *, timeout_s: float = 10.0) -> dict[int, int]:
    """The offset after each partition's last record that can be read; 0 where there is none.

    A transaction's mark is no record, nor is what was aborted or is not committed yet.  Raises ``YesladderError`` when
    Kafka does not say.
    """
    with connecting(connection, timeout_s):
        consumer = KafkaConsumer(
            **client_settings(connection, timeout_s),
            group_id=None,
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
            isolation_level="read_committed",
        )
    try:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(places)
        found = _LastRecords(consumer, places, time.monotonic() + timeout_s).find()
        return {place.partition: found[place] for place in places}
    except KafkaError as error:
        raise YesladderError(
            f"Kafka at {connection.brokers} did not tell where {topic!r} ends: {said(error)}"
        ) from None
    except TimeoutError:
        raise YesladderError(f"Kafka at {connection.brokers} did not tell where {topic!r} ends") from None
    finally:
        consumer.close()


class _LastRecords:
    """Finds the last record of each partition by reading backwards, sixteen times as far each time."""

    def __init__(self, consumer: KafkaConsumer, places: list[TopicPartition], deadline: float) -> None:
        self._consumer = consumer
        self._deadline = deadline
        self._begins = consumer.beginning_offsets(places)
        # Asked for its latest offset, the embedded broker (Tansu 0.6) tells the one after the first record of the last
        # batch; the answer to a fetch tells the end.
        self._latest = consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, self._latest[place])
        while any(consumer.highwater(place) is None for place in places):
            self._poll()
        self._highs = {place: consumer.highwater(place) for place in places}

    def find(self) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = {}
        back = 1
        while left := [place for place in self._highs if place not in found]:
            self._consumer.assign(left)
            starts = {place: max(self._begins[place], self._highs[place] - back) for place in left}
            found |= self._last_after(starts)
            found |= {place: 0 for place in left if place not in found and starts[place] == self._begins[place]}
            back *= 16
        return found

    def _last_after(self, starts: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        for place, start in starts.items():
            self._consumer.seek(place, start)
        found: dict[TopicPartition, int] = {}
        moved = time.monotonic()
        while any(self._consumer.position(place) < self._highs[place] for place in starts):
            records = self._poll()
            found |= {place: batch[-1].offset + 1 for place, batch in records.items()}
            if records:
                moved = time.monotonic()
            elif time.monotonic() - moved > _OPEN_TRANSACTION_S and all(
                self._consumer.position(place) >= min(self._latest[place], self._highs[place]) for place in starts
            ):
                break
        return found

    def _poll(self) -> dict[TopicPartition, list[Any]]:
        if time.monotonic() > self._deadline:
            raise TimeoutError
        records: dict[TopicPartition, list[Any]] = self._consumer.poll(timeout_ms=100)
        return records


def is_reachable(connection: KafkaConnection, *, timeout_s: float = 2.0) -> bool:
    """Whether any broker answers now."""
    try:
        wait_for_broker(connection, timeout_s)
    except YesladderError:
        return False
    return True


def _partitions(admin: KafkaAdminClient, topic: str) -> int | None:
    """How many partitions the topic has, None where there is no such topic."""
    for described in admin.describe_topics([topic]):
        if described["name"] == topic and described["error_code"] == 0:
            return len(described["partitions"])
    return None
