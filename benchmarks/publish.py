"""Publishing to Kafka: one event a record against packed records, and kafka-python against librdkafka.

    python benchmarks/publish.py [--events 100000] [--runs 3]

The embedded broker takes the records; acks=all, idempotent, four partitions, 64 publishes under way.  A publish holds
the events of one request.  Connecting and a first record are not counted.  Every run against a broker of its own, the
contenders interleaved.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from statistics import median
from typing import Literal

from kafka.record import util
from measured import Result, machine, write_result
from workload import events

from ladder.connection import KafkaConnection
from ladder.events import Event
from producers.embedded import EmbeddedBroker
from producers.kafka_publisher import KafkaPublisher
from producers.records import pack
from producers.topics import ensure_topic

PARTITIONS = 4
UNDER_WAY = 64

Send = Callable[[Sequence[Event]], None]
"""Returns once all of the events are acknowledged."""


def kafka_python(connection: KafkaConnection, per_request: int, compression: Literal["gzip"] | None = None) -> Send:
    publisher = KafkaPublisher(connection, "events", compression=compression, delivery_timeout_s=60)

    def send(sent: Sequence[Event]) -> None:
        under_way: deque[Future[None]] = deque()
        for begin in range(0, len(sent), per_request):
            if len(under_way) == UNDER_WAY:
                under_way.popleft().result()
            under_way.append(publisher.publish(pack(sent[begin : begin + per_request], PARTITIONS)))
        for future in under_way:
            future.result()

    return send


def librdkafka(connection: KafkaConnection, per_request: int) -> Send:
    from confluent_kafka import Producer

    producer = Producer(
        {"bootstrap.servers": connection.brokers, "enable.idempotence": True, "linger.ms": 2, "log_level": 0}
    )

    def send(sent: Sequence[Event]) -> None:
        for begin in range(0, len(sent), per_request):
            for record in pack(sent[begin : begin + per_request], PARTITIONS):
                producer.produce(
                    "events", record.value, record.key, partition=record.partition or 0, headers=list(record.headers)
                )
            producer.poll(0)
        producer.flush(60)

    return send


CONTENDERS: dict[str, Callable[[KafkaConnection], Send]] = {
    "kafka-python, 1 event a request": partial(kafka_python, per_request=1),
    "kafka-python, 10 events a request": partial(kafka_python, per_request=10),
    "kafka-python, 100 events a request": partial(kafka_python, per_request=100),
    "kafka-python, 100 events a request, gzip": partial(kafka_python, per_request=100, compression="gzip"),
    "librdkafka, 1 event a request": partial(librdkafka, per_request=1),
    "librdkafka, 100 events a request": partial(librdkafka, per_request=100),
}


def rate(connect: Callable[[KafkaConnection], Send], sent: Sequence[Event]) -> float:
    """Events/s."""
    with EmbeddedBroker() as broker:
        ensure_topic(broker.connection, "events", PARTITIONS, 1)
        send = connect(broker.connection)
        send(sent[:1])
        begun = time.perf_counter()
        send(sent)
        return len(sent) / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    sent = list(events(options.events, options.events // 10))
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(options.runs):
        for name, connect in CONTENDERS.items():
            rates[name].append(rate(connect, sent[: len(sent) // 5] if "1 event" in name else sent))
    middle = {name: median(found) for name, found in rates.items()}
    packed = middle["kafka-python, 100 events a request"]
    checksums = "in C" if util.crc32c_c is not None else "in Python, without the package crc32c"
    write_result(
        Result(
            title="publish",
            conditions=f"{options.events:,} events; kafka-python computes its checksums {checksums}",
            rates=rates,
            ratios={
                "packed / one event a record": packed / middle["kafka-python, 1 event a request"],
                "kafka-python / librdkafka, both packed": packed / middle["librdkafka, 100 events a request"],
                "gzip / not compressed": middle["kafka-python, 100 events a request, gzip"] / packed,
            },
        ),
        machine(),
    )


if __name__ == "__main__":
    main()
