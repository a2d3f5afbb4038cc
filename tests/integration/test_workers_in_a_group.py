"""Workers with names (`--instance`) on Apache Kafka: restarts that nobody notices, and two that have one name."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from ladder.events import Event
from producers.kafka_publisher import KafkaPublisher
from producers.records import pack
from producers.topics import end_offsets, ensure_topic
from tests.suites.brokers import Broker
from tests.suites.command_line import Service, free_ports
from warehouse.lake import Lake

pytestmark = pytest.mark.parametrize(
    "broker", [pytest.param("apache", marks=pytest.mark.kafka)], indirect=True, scope="session"
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LADDER = """
name = "shared"
tiers = ["spark", "micro"]
session_gap = "30m"
lateness = "2h"

[[on]]
event = "seen"
is = [{ tier = "spark", role = "ask" }]
"""


class Road:
    """A topic of four partitions and the workers that share it."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker, self.folder, self.topic = broker, folder, f"events-{uuid4().hex}"
        (folder / "ladder.toml").write_text(LADDER, encoding="utf-8")
        ensure_topic(broker.connection, self.topic, 4, 1)
        self.lake = Lake(folder / "lake")
        self.sent = 0

    def worker(self, log: str, port: int, *options: str) -> Service:
        return Service(
            "worker", "--brokers", self.broker.brokers, "--topic", self.topic, "--group", self.topic,
            "--warehouse", self.folder, "--ladder", self.folder / "ladder.toml", "--idle-after", "0s",
            "--checkpoint-interval", "200ms", "--step-minutes", "", "--log-level", "INFO", "--worker-port", port,
            *options,
            cwd=self.folder, log=self.folder / f"{log}.log",
        )  # fmt: skip

    def publish(self) -> None:
        """Forty events more, of as many visitors."""
        some = [
            Event(
                event_id=f"e{n}",
                visitor_id=f"v{n}",
                occurred_at=NOON + timedelta(seconds=n),
                received_at=NOON + timedelta(seconds=n),
                name="seen",
            )
            for n in range(self.sent, self.sent + 40)
        ]
        publisher = KafkaPublisher(self.broker.connection, self.topic)
        publisher.publish(pack(some, 4)).result(timeout=30)
        publisher.close(timeout_s=10)
        self.sent += 40

    def landed_to_the_end(self) -> bool:
        ends = end_offsets(self.broker.connection, self.topic)
        claim = self.lake.claim(f"kafka:{self.topic}", list(ends))
        return all(claim.next_offset(partition) >= end for partition, end in ends.items())

    def expect_each_event_once(self) -> None:
        ids = self.lake.scan("events").collect()["event_id"].to_list()
        assert sorted(ids) == sorted(f"e{n}" for n in range(self.sent))


def owned(port: int) -> list[int]:
    """What the worker at this port owns; nothing before it answers."""
    try:
        said: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).json()
    except httpx.TransportError:
        return []
    return list(said["partitions"])


def test_a_worker_with_a_name_has_its_partitions_back_after_a_restart_and_no_other_pauses(
    broker: Broker, tmp_path: Path
) -> None:
    road = Road(broker, tmp_path)
    ports = free_ports(2)
    with road.worker("other", ports[0], "--instance", "other") as other:
        for stop_kindly in (True, False):
            named = road.worker("named", ports[1], "--instance", "named")
            named.until(lambda: len(owned(ports[0])) == len(owned(ports[1])) == 2)
            before, changes = (owned(ports[0]), owned(ports[1])), other.words().count("gave up partitions")
            road.publish()
            other.until(road.landed_to_the_end)
            if stop_kindly:
                assert named.stop() == 0
            else:
                named.send(signal.SIGKILL)
                named.wait()
            road.publish()
            with road.worker("again", ports[1], "--instance", "named") as again:
                again.until(road.landed_to_the_end)
                assert (owned(ports[0]), owned(ports[1])) == before
                assert other.words().count("gave up partitions") == changes
    road.expect_each_event_once()


def test_of_two_workers_with_one_name_the_earlier_halts_and_the_later_goes_on(broker: Broker, tmp_path: Path) -> None:
    road = Road(broker, tmp_path)
    ports = free_ports(2)
    with road.worker("earlier", ports[0], "--instance", "one") as earlier:
        earlier.until(lambda: owned(ports[0]) == [0, 1, 2, 3])
        road.publish()
        earlier.until(road.landed_to_the_end)
        with road.worker("later", ports[1], "--instance", "one") as later:
            assert earlier.wait() == 4
            assert "another worker has taken the name one (--instance)" in earlier.words()
            road.publish()
            later.until(road.landed_to_the_end)
            assert later.stop() == 0
    road.expect_each_event_once()
