"""The collector's publisher, as the settings want it: with a spool, or without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from producers.kafka_publisher import KafkaPublisher
from producers.publisher import Publisher
from producers.spool import Spool
from producers.spooling import SpoolState
from producers.spooling_publisher import SpoolingPublisher
from producers.topics import ensure_topic
from yesladder.settings import Settings

_CLOSE_WITHIN_S = 10.0


class Collecting(NamedTuple):
    """``spool``: how it is; None where there is none."""

    publisher: Publisher
    spool: Callable[[], SpoolState] | None


@contextmanager
def collecting(settings: Settings) -> Iterator[Collecting]:
    """A publisher to the settings' topic, which is made where it is missing.

    Raises ``YesladderError`` when Kafka cannot be reached and there is no spool, or one that never knew the topic.
    """
    connection = settings.connection()

    def connect() -> Publisher:
        ensure_topic(connection, settings.topic, settings.partitions, settings.replication)
        return KafkaPublisher(connection, settings.topic)

    if settings.spool_bytes == 0:
        publisher = connect()
        try:
            yield Collecting(publisher, None)
        finally:
            publisher.close(_CLOSE_WITHIN_S)
        return
    spool = Spool(settings.spool_folder())
    try:
        spooling = SpoolingPublisher(connect, spool, max_bytes=settings.spool_bytes)
    except BaseException:
        spool.close()
        raise
    try:
        yield Collecting(spooling, lambda: spooling.state)
    finally:
        spooling.close(_CLOSE_WITHIN_S)
