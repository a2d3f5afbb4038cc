"""Brokers that a test may run on: the embedded one and Apache Kafka, looking alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ladder.connection import KafkaConnection
from producers.embedded import EmbeddedBroker
from tests.suites.apache_kafka import ApacheKafka


@dataclass(frozen=True)
class Broker:
    """One for everybody: use a topic and a group of your own, and do it no harm."""

    connection: KafkaConnection

    @property
    def brokers(self) -> str:
        return self.connection.brokers


@dataclass(frozen=True)
class Breakable(Broker):
    """One that may be harmed; it is well again for the next test.

    ``restart``: after ``kill``, at the same address; returns when it answers.  ``keeps``: what was in it is then still
    there (the embedded broker forgets its topics, too).
    """

    pause: Callable[[], None]
    resume: Callable[[], None]
    kill: Callable[[], None]
    restart: Callable[[], None]
    keeps: bool


def breakable_apache(kafka: ApacheKafka) -> Breakable:
    """Of one broker."""

    def restart() -> None:
        kafka.start(0)
        kafka.wait_ready()

    return Breakable(
        KafkaConnection(kafka.bootstrap),
        pause=lambda: kafka.pause(0),
        resume=lambda: kafka.resume(0),
        kill=lambda: kafka.kill(0),
        restart=restart,
        keeps=True,
    )


def breakable_embedded(broker: EmbeddedBroker) -> Breakable:
    """Started with a port of its own choice."""
    port = int(broker.brokers.rpartition(":")[2])
    running = [broker]

    def restart() -> None:
        running[:] = [EmbeddedBroker(port=port)]
        running[0].start()

    return Breakable(
        broker.connection,
        pause=lambda: running[0].pause(),
        resume=lambda: running[0].resume(),
        kill=lambda: running[0].stop(),
        restart=restart,
        keeps=False,
    )
