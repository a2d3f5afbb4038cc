"""One kafka-python producer, from its connecting to its first serious failure."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from kafka import KafkaProducer
from kafka.errors import (
    InvalidRecordError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from producers.kafka_client import client_settings, connecting, said
from producers.publisher import PublishError
from producers.records import Record

_BATCH_BYTES = 900_000
"""Brokers take batches of up to 1,048,588 bytes by default; a larger record makes a batch of its own."""

_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError)
"""Answers that the same record will get again, from a topic with the same settings."""

_MAX_BLOCK_MS = 250
"""For how long ``send`` may hold its caller: only when the topic is gone from the cluster's metadata."""


@dataclass(frozen=True)
class SessionSettings:
    """``compression``: gzip is the only one that every Kafka client here reads without a further library."""

    delivery_timeout_s: float
    connect_timeout_s: float
    linger_ms: int
    compression: Literal["gzip"] | None


class KafkaSession:
    """Sends with acks=all and the idempotent producer until something fails; then ``trouble`` says what.

    Raises ``YesladderError`` when no broker answers or the topic is missing.
    """

    def __init__(self, connection: KafkaConnection, topic: str, settings: SessionSettings) -> None:
        self.trouble: str | None = None
        self._topic = topic
        self._brokers = connection.brokers
        self._overdue_after_s = settings.delivery_timeout_s + 1.0
        self._open: deque[_Delivery] = deque()
        self._lock = threading.Lock()
        with connecting(connection, settings.connect_timeout_s):
            self._producer = KafkaProducer(
                **client_settings(connection, settings.connect_timeout_s),
                acks="all",
                enable_idempotence=True,
                allow_auto_create_topics=False,
                compression_type=settings.compression,
                linger_ms=settings.linger_ms,
                batch_size=_BATCH_BYTES,
                max_request_size=8 * _BATCH_BYTES,
                max_block_ms=_MAX_BLOCK_MS,
                delivery_timeout_ms=int(settings.delivery_timeout_s * 1000),
                request_timeout_ms=int(settings.delivery_timeout_s * 500),
            )
        try:
            self.partitions = self._count_partitions(settings.connect_timeout_s)
        except KafkaError as error:
            self.shut()
            why = "create it first" if isinstance(error, KafkaTimeoutError) else said(error)
            raise YesladderError(f"Kafka at {self._brokers} shows us no topic {topic!r}: {why}") from None

    def _count_partitions(self, timeout_s: float) -> int:
        """Asks again and again: a topic that is not there looks like one that is not known yet."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return len(self._producer.partitions_for(self._topic))
            except KafkaTimeoutError:
                if time.monotonic() > deadline:
                    raise

    def send(self, records: Sequence[Record], ended: Callable[[PublishError | None], None]) -> None:
        """Send the records.  ``ended`` is called once, from any thread, when nothing of it is under way any more: with
        None, or with what went wrong first.
        """

        def finish(error: Exception | None, arrived: Collection[int]) -> None:
            if error is None:
                ended(None)
                return
            is_refused = isinstance(error, _REFUSALS)
            words = self._in_words(error)
            ended(PublishError("refused" if is_refused else "unavailable", words, acknowledged=arrived))

        delivery = _Delivery(len(records), time.monotonic() + self._overdue_after_s, self._in_trouble, finish)
        with self._lock:
            while self._open and self._open[0].is_finished:
                self._open.popleft()
            self._open.append(delivery)
        for place, record in enumerate(records):
            try:
                sent = self._producer.send(
                    self._topic, record.value, record.key, headers=list(record.headers), partition=record.partition
                )
            except Exception as error:  # whatever it is, the delivery has to end
                delivery.failed(error, len(records) - place)
                break
            sent.add_callback(delivery.arrived, place)
            sent.add_errback(delivery.failed)
        delivery.arrived(None)

    def _in_trouble(self, error: Exception) -> None:
        if self.trouble is None:
            self.trouble = self._in_words(error)

    def _in_words(self, error: Exception) -> str:
        return f"Kafka at {self._brokers}: {said(error)}"

    def check(self) -> None:
        """See to it that no delivery waits for ever, though its own timeout should have ended it."""
        with self._lock:
            overdue = [delivery for delivery in self._open if time.monotonic() > delivery.deadline]
        for delivery in overdue:
            delivery.give_up(TimeoutError(f"no acknowledgement within {self._overdue_after_s:g} s"))

    def shut(self) -> None:
        """Stop at once; whatever is not acknowledged has failed."""
        # kafka-python's own close() flushes first and, when that takes too long, leaves its sender running.
        self._producer._sender.force_close()
        self._producer._sender.join(timeout=2)
        with contextlib.suppress(KafkaError):
            self._producer.close(timeout=0)
        with self._lock:
            unfinished = list(self._open)
        for delivery in unfinished:
            delivery.give_up(ConnectionError("the connection was given up"))


class _Delivery:
    """Calls ``trouble`` at each failure, and ``finish`` once, when all have arrived or failed: with the first failure
    and the places of those that have arrived.  Called from several threads.
    """

    def __init__(
        self,
        records: int,
        deadline: float,
        trouble: Callable[[Exception], None],
        finish: Callable[[Exception | None, Collection[int]], None],
    ) -> None:
        self.deadline = deadline
        self.is_finished = False
        self._expected = records + 1  # the end of sending
        self._trouble = trouble
        self._finish = finish
        self._arrived: list[int] = []
        self._error: Exception | None = None
        self._lock = threading.Lock()

    def arrived(self, place: int | None, _: object = None) -> None:
        """``place``: None for the end of sending."""
        with self._lock:
            if place is not None and not self.is_finished:
                self._arrived.append(place)
            is_last = self._count_off(1)
        if is_last:
            self._finish(self._error, self._arrived)

    def failed(self, error: Exception, records: int = 1) -> None:
        if not self.is_finished:
            self._trouble(error)
        with self._lock:
            self._error = self._error or error
            is_last = self._count_off(records)
        if is_last:
            self._finish(self._error, self._arrived)

    def give_up(self, error: Exception) -> None:
        """Whatever has not arrived by now has failed."""
        self.failed(error, self._expected)

    def _count_off(self, records: int) -> bool:
        """Whether these were the last ones.  Locked."""
        self._expected -= records
        if self.is_finished or self._expected > 0:
            return False
        self.is_finished = True
        return True
