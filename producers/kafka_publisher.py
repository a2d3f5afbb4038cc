"""The publisher for Kafka, with kafka-python."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Literal

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from producers.kafka_client import client_settings, connecting, said
from producers.publisher import MAX_IN_FLIGHT_BYTES, InFlight, PublishError, check_partitions, failed, new_future
from producers.records import Record

_BATCH_BYTES = 900_000
"""Brokers take batches of up to 1,048,588 bytes by default."""

_MAX_BLOCK_MS = 250
"""For how long ``publish`` may hold its caller: only when the topic is gone from the cluster's metadata."""


class KafkaPublisher:
    """Publishes with acks=all and the idempotent producer: its own retries neither double nor reorder anything.

    A publish that Kafka has not acknowledged within ``delivery_timeout_s`` fails; one that would bring more than
    ``max_in_flight_bytes`` under way fails at once.
    Raises ``YesladderError`` within about ``connect_timeout_s`` when no broker answers or the topic is missing.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        *,
        delivery_timeout_s: float = 10.0,
        connect_timeout_s: float = 5.0,
        max_in_flight_bytes: int = MAX_IN_FLIGHT_BYTES,
        linger_ms: int = 2,
        compression: Literal["gzip"] | None = None,
    ) -> None:
        self._topic = topic
        self._brokers = connection.brokers
        self._budget = InFlight(max_in_flight_bytes)
        self._lock = threading.Lock()
        self._closed = False
        with connecting(connection, connect_timeout_s):
            self._producer = KafkaProducer(
                **client_settings(connection, connect_timeout_s),
                acks="all",
                enable_idempotence=True,
                allow_auto_create_topics=False,
                compression_type=compression,
                linger_ms=linger_ms,
                batch_size=_BATCH_BYTES,
                max_request_size=8 * _BATCH_BYTES,
                max_block_ms=_MAX_BLOCK_MS,
                delivery_timeout_ms=int(delivery_timeout_s * 1000),
                request_timeout_ms=int(delivery_timeout_s * 500),
            )
        try:
            self._partitions = len(self._producer.partitions_for(topic))
        except KafkaError as error:
            self.close(0)
            raise YesladderError(
                f"Kafka at {self._brokers} has no topic {topic!r} for us ({said(error)}); create it first"
            ) from None

    @property
    def partitions(self) -> int:
        return self._partitions

    def publish(self, records: Sequence[Record]) -> Future[None]:
        check_partitions(records, self._partitions)
        future = new_future()
        size = sum(record.size for record in records)

        def finish(error: Exception | None) -> None:
            with self._lock:
                self._budget.give_back(size)
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(PublishError("unavailable", f"Kafka at {self._brokers}: {said(error)}"))

        with self._lock:
            if self._closed:
                return failed(future, PublishError("closed", "the publisher was closed"))
            if not self._budget.take(size):
                return failed(future, self._budget.error())
        acknowledgements = _Countdown(len(records) + 1, finish)
        for place, record in enumerate(records):
            try:
                sent = self._producer.send(
                    self._topic, record.value, record.key, headers=list(record.headers), partition=record.partition
                )
            except Exception as error:  # whatever it is, the future has to end
                acknowledgements.failure(error, len(records) - place)
                break
            sent.add_callback(acknowledgements.success)
            sent.add_errback(acknowledgements.failure)
        acknowledgements.success()
        return future

    def close(self, timeout_s: float) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            self._producer.close(timeout=timeout_s)
        except KafkaTimeoutError:
            # kafka-python 3.0.12 leaves its sender running when the flush inside close() times out.
            self._producer._sender.force_close()
            self._producer._sender.join(timeout_s)
            self._producer.close(timeout=1)


class _Countdown:
    """Calls ``finish`` once, when all have come, with the first error among them.  Called from several threads."""

    def __init__(self, expected: int, finish: Callable[[Exception | None], None]) -> None:
        self._expected = expected
        self._finish = finish
        self._error: Exception | None = None
        self._lock = threading.Lock()

    def success(self, _: object = None) -> None:
        self._count(None, 1)

    def failure(self, error: Exception, count: int = 1) -> None:
        self._count(error, count)

    def _count(self, error: Exception | None, count: int) -> None:
        with self._lock:
            self._error = self._error or error
            self._expected -= count
            is_last = self._expected == 0
        if is_last:
            self._finish(self._error)
