"""The topic of step minutes, for those who write it: aiokafka, on the loop that Faust runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from ladder import metrics
from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from stream.authentication import credentials
from stream.step_minutes_record import StepMinutesRecord, encode

_LARGEST = 16 * 1024 * 1024
"""Bytes of a record before it is compressed."""

_PATIENCE_S = 20.0
"""For an acknowledgement, over all attempts."""


class NotTold(YesladderError):
    """Kafka has not acknowledged what was counted.  ``may_pass``: it is away; it has not refused."""

    def __init__(self, message: str, *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


def _may_pass(error: Exception) -> bool:
    # Where the topic is gone, a worker that starts anew makes it again.
    if isinstance(error, UnknownTopicOrPartitionError):
        return False
    return isinstance(error, TimeoutError | KafkaTimeoutError) or bool(getattr(error, "retriable", False))


class StepMinutesTopic:
    """Records go to partition 0, in their order, each acknowledged by all copies."""

    def __init__(self, connection: KafkaConnection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, records: Sequence[StepMinutesRecord]) -> None:
        """Return once Kafka has them.  Raises ``NotTold``."""
        try:
            if self._producer is None:
                self._producer = await self._started()
            sent = [await self._producer.send(self._topic, encode(record), partition=0) for record in records]
            await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as error:
            metrics.STEP_MINUTES_FAILED.inc()
            said = f"the topic {self._topic} did not take what was counted: {type(error).__name__} {error}".rstrip()
            raise NotTold(said, may_pass=_may_pass(error)) from None
        for record in records:
            kind = "heartbeat" if record.first == record.next else "counts"
            metrics.STEP_MINUTES_RECORDS.labels(kind=kind).inc()

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        auth: Any = credentials_to_aiokafka_auth(credentials(self._connection))
        producer = AIOKafkaProducer(
            bootstrap_servers=self._connection.addresses,
            acks="all",
            compression_type="gzip",
            max_request_size=_LARGEST,
            request_timeout_ms=int(_PATIENCE_S * 1000),
            **auth,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer
