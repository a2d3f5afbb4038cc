"""Clients as released, sending to a running collector on a running broker: each message arrives, once by its id."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from uuid import uuid4

import pytest
import rudderstack.analytics.client as rudder
import segment.analytics.client as segment
from kafka import KafkaConsumer, TopicPartition

from ladder.events import CANONICAL_HEADER, Event, decode
from producers.collector import create_app
from producers.embedded import EmbeddedBroker
from producers.kafka_publisher import KafkaPublisher
from producers.publisher import Publisher, PublishError
from producers.records import Record
from producers.serving import serving
from producers.topics import ensure_topic, is_reachable
from tests.suites.collector_client import NOW

CLIENTS = Path(__file__).parents[1] / "clients"
KEY = "WRITEKEY"
COUNT = 120


class Troubled:
    """A Kafka publisher whose first publish fails, though perhaps only after Kafka has it all."""

    def __init__(self, publisher: Publisher, *, stores_all_the_same: bool) -> None:
        self._publisher = publisher
        self._stores_all_the_same = stores_all_the_same
        self.failures = 0

    @property
    def partitions(self) -> int:
        return self._publisher.partitions

    def publish(self, records: Sequence[Record]) -> Future[None]:
        if self.failures > 0:
            return self._publisher.publish(records)
        self.failures += 1
        if self._stores_all_the_same:
            self._publisher.publish(records).result(timeout=10)
        failed: Future[None] = Future()
        failed.set_exception(PublishError("unavailable", "made to fail", retry_after_s=1))
        return failed

    def close(self, timeout_s: float) -> None:
        self._publisher.close(timeout_s)


@pytest.fixture
def topic(embedded_broker: EmbeddedBroker) -> str:
    name = f"events-{uuid4().hex}"
    ensure_topic(embedded_broker.connection, name, partitions=3, replication=1)
    return name


@pytest.fixture
def kafka(embedded_broker: EmbeddedBroker, topic: str) -> Iterator[KafkaPublisher]:
    publisher = KafkaPublisher(embedded_broker.connection, topic)
    yield publisher
    publisher.close(5)


@pytest.fixture(scope="session")
def node_clients(pytestconfig: pytest.Config) -> Path:
    """The Node clients of tests/clients, installed from their lock file into pytest's cache."""
    lock = (CLIENTS / "package-lock.json").read_bytes()
    folder = Path(pytestconfig.rootpath) / ".pytest_cache" / "node-clients" / hashlib.sha256(lock).hexdigest()[:16]
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(CLIENTS / name, folder)
        subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=folder, check=True, capture_output=True, timeout=240)
        (folder / "installed").touch()
    for script in CLIENTS.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def landed(broker: EmbeddedBroker, topic: str) -> list[Event]:
    """Every event on the topic, duplicates too."""
    consumer = KafkaConsumer(bootstrap_servers=broker.brokers, group_id=None, enable_auto_commit=False)
    try:
        partitions = [TopicPartition(topic, number) for number in range(3)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        events: list[Event] = []
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    assert list(record.headers) == [CANONICAL_HEADER]
                    events += [decode(line, NOW) for line in record.value.split(b"\n")]
        return events
    finally:
        consumer.close()


def segment_python(host: str, _: Callable[[], Path]) -> list[str]:
    ids: list[str] = []
    failures: list[Exception] = []
    client = segment.Client(KEY, host=host, on_error=lambda error, _: failures.append(error), upload_size=50)
    for number in range(COUNT):
        _, message = client.track(f"user-{number % 7}", "Offer Shown", {"number": number})
        ids.append(message["messageId"])
    client.shutdown()
    assert failures == []
    return ids


def segment_python_gzip(host: str, _: Callable[[], Path]) -> list[str]:
    ids: list[str] = []
    client = segment.Client(KEY, host=host, gzip=True)
    for number in range(COUNT):
        _, message = client.page(anonymous_id=f"anon-{number % 7}", name="Home", properties={"number": number})
        ids.append(message["messageId"])
    client.shutdown()
    return ids


def rudder_python(host: str, _: Callable[[], Path]) -> list[str]:
    ids: list[str] = []
    failures: list[Exception] = []
    client = rudder.Client(KEY, host=host, on_error=lambda error, _: failures.append(error))
    for number in range(COUNT):
        _, message = client.track(f"user-{number % 7}", "Offer Shown", {"number": number})
        ids.append(message["messageId"])
    client.shutdown()
    assert failures == []
    return ids


def segment_node(host: str, installed: Callable[[], Path]) -> list[str]:
    told = subprocess.run(
        ["node", "segment_node.mjs", host, KEY, str(COUNT)],
        cwd=installed(),
        env={"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1"},
        check=True,
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert told.stderr == ""
    ids: list[str] = json.loads(told.stdout)
    return ids


SDKS = [segment_python, segment_python_gzip, rudder_python, segment_node]


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("trouble", ["none", "refused", "stored, yet not acknowledged"])
def test_every_message_of_a_released_client_is_in_kafka_once_by_its_id(
    sdk: Callable[[str, Callable[[], Path]], list[str]],
    trouble: str,
    embedded_broker: EmbeddedBroker,
    topic: str,
    kafka: KafkaPublisher,
    request: pytest.FixtureRequest,
) -> None:
    troubled = Troubled(kafka, stores_all_the_same=trouble != "refused")
    publisher: Publisher = kafka if trouble == "none" else troubled
    app = create_app(publisher, write_keys=frozenset({KEY}), is_ready=lambda: is_reachable(embedded_broker.connection))

    with serving(app) as url:
        ids = sdk(url, lambda: request.getfixturevalue("node_clients"))

    events = landed(embedded_broker, topic)
    times = Counter(event.event_id for event in events)
    assert len(ids) == COUNT
    assert sorted(times) == sorted(ids)
    if trouble == "none":
        assert set(times.values()) == {1}
    else:
        assert troubled.failures == 1
    if trouble == "refused":
        assert set(times.values()) == {1}
    if trouble.startswith("stored"):
        # Requests that arrive together are stored together: then all of them come twice.
        assert 2 in times.values(), "the first batch came twice, under the same ids"
        assert set(times.values()) <= {1, 2}
    by_id = {event.event_id: event for event in events}
    assert len({event.visitor_id for event in by_id.values()}) == 7
    assert {event.device_class for event in events} == {"server"}
    assert {event.name for event in events} <= {"Offer Shown", "Home"}
