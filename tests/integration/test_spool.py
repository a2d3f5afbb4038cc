"""The collector while Kafka is silent or dead and while it is killed itself: what it answered is not lost."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import polars as pl
import pytest

from producers.spool import look_into
from producers.topics import end_offsets, ensure_topic
from tests.suites.brokers import Breakable, Broker
from tests.suites.collector_client import stored, track
from tests.suites.command_line import Service, free_ports, is_answering, run
from tests.suites.test_publisher_suite import PARTITIONS, consumed
from warehouse.lake import Lake

ROUNDS = 1
"""Three kills each."""
SDK_PATIENCE_S = 10.0
"""The shortest time after which a client gives a request up."""


@pytest.fixture
def topic(breakable: Breakable) -> str:
    name = uuid4().hex
    ensure_topic(breakable.connection, name, PARTITIONS, 1)
    return name


class Collector:
    """`yesladder collect` on a port that it keeps when it is started anew."""

    def __init__(self, brokers: str, topic: str, folder: Path, *options: object) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.spool = folder / "spool"
        self._folder = folder
        self.client = httpx.Client(base_url=self.url, timeout=SDK_PATIENCE_S)  # for all threads
        self.command = [
            "collect", "--brokers", brokers, "--topic", topic, "--port", self.port, "--spool", self.spool, *options,
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        self.service = Service(*self.command, cwd=self._folder, log=self._folder / "collector.log")
        self.service.until(lambda: is_answering(f"{self.url}/health"))

    def kill(self) -> None:
        self.service.send(signal.SIGKILL)
        self.service.wait()

    def health(self) -> tuple[int, dict[str, Any]]:
        answer = self.client.get("/health")
        return answer.status_code, answer.json()

    def send(self, numbers: range, padding: int = 0) -> httpx.Response:
        batch = [track(n, anonymousId=f"v{n % 50}", properties={"padding": "x" * padding}) for n in numbers]
        return self.client.post("/v1/batch", json={"batch": batch})


class Sender(threading.Thread):
    """Numbered events, in batches that are sent again until they are answered with 200."""

    def __init__(self, collector: Collector, first: int) -> None:
        super().__init__(daemon=True)
        self._collector = collector
        self._first = first
        self.enough = threading.Event()
        self.accepted: list[str] = []
        self.slowest_s = 0.0

    def run(self) -> None:
        for place in count():
            numbers = range(self._first + 10 * place, self._first + 10 * place + 10)
            while not self._is_accepted(numbers):
                time.sleep(0.2)
            self.accepted += [f"m{n}" for n in numbers]
            if self.enough.is_set():
                return
            time.sleep(0.01)

    def _is_accepted(self, numbers: range) -> bool:
        began = time.monotonic()
        try:
            return self._collector.send(numbers, padding=2000).status_code == 200
        except httpx.TransportError:
            return False
        finally:
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)


def on_the_topic(broker: Broker, topic: str) -> Counter[str]:
    return Counter(event.event_id for event in stored(consumed(broker.brokers, topic))[0])


def records_in(collector: Collector) -> int:
    found = look_into(collector.spool)
    assert found is not None
    return found.records


@pytest.mark.parametrize("seed", [1])
def test_every_accepted_event_is_in_the_lake_once_though_kafka_fell_silent_and_the_collector_was_killed(
    breakable: Breakable, topic: str, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    collector = Collector(breakable.brokers, topic, tmp_path)
    senders = [Sender(collector, 1_000_000 * place) for place in range(3)]
    for sender in senders:
        sender.start()
    spooled_at_kills: list[int] = []
    for _ in range(ROUNDS):
        breakable.pause()
        collector.service.until(lambda: collector.health()[1]["status"] == "spooling")
        for pause_s in (chance.uniform(0.2, 1.0), chance.uniform(0.0, 0.5)):  # the second finds a spool
            time.sleep(pause_s)
            collector.kill()
            spooled_at_kills.append(records_in(collector))
            collector.start()
        time.sleep(chance.uniform(0.5, 1.0))
        breakable.resume()
        time.sleep(chance.uniform(0.0, 0.5))  # it finds Kafka and drains
        collector.kill()
        collector.start()
    for sender in senders:
        sender.enough.set()
        sender.join(60)
    accepted = [event for sender in senders for event in sender.accepted]
    collector.service.until(lambda: collector.health() == (200, {"status": "ok"}))
    assert records_in(collector) == 0
    assert collector.service.stop() == 0

    assert min(spooled_at_kills) > 0
    assert max(sender.slowest_s for sender in senders) < SDK_PATIENCE_S / 2
    assert len(accepted) == len(set(accepted)) > 300
    assert set(on_the_topic(breakable, topic)) == set(accepted)
    assert landed_from(breakable, topic, tmp_path) == Counter(accepted)


def landed_from(broker: Broker, topic: str, folder: Path) -> Counter[str]:
    """What a worker makes of the topic."""
    ends = end_offsets(broker.connection, topic)
    lake = Lake(folder / "lake")

    def has_landed() -> bool:
        claim = lake.claim(f"kafka:{topic}", list(ends))
        return all(claim.next_offset(partition) >= end for partition, end in ends.items())

    worker = Service(
        "worker", "--brokers", broker.brokers, "--topic", topic, "--warehouse", folder, "--worker-port", 0,
        "--session-timeout", "2s", cwd=folder, log=folder / "worker.log",
    )  # fmt: skip
    with worker:
        worker.until(has_landed)
    landed = lake.scan("events").select(pl.col("event_id")).collect()
    return Counter(landed["event_id"].to_list())


def test_a_dead_kafka_fills_the_spool_then_503_says_when_to_come_again_and_a_new_one_gets_it_in_order(
    breakable: Breakable, topic: str, tmp_path: Path
) -> None:
    collector = Collector(breakable.brokers, topic, tmp_path, "--spool-bytes", 150_000)
    assert collector.send(range(3)).status_code == 200
    assert on_the_topic(breakable, topic).keys() == {"m0", "m1", "m2"}
    breakable.kill()

    numbers = iter(range(10, 100_000, 10))
    accepted: list[int] = []
    answer = collector.send(range(0))
    for first in numbers:
        answer = collector.send(range(first, first + 10), padding=500)
        if answer.status_code != 200:
            break
        accepted += range(first, first + 10)
        assert collector.health()[1]["status"] == "spooling"
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert "the spool is full" in answer.json()["message"]
    assert int(answer.headers["retry-after"]) >= 1
    assert collector.health()[0] == 503
    assert 100 < len(accepted) < 1000
    metrics = dict(
        line.rsplit(" ", 1) for line in httpx.get(f"{collector.url}/metrics").text.splitlines() if line[0] != "#"
    )
    assert 100_000 < float(metrics["yesladder_collector_spool_bytes"]) <= 150_000
    assert float(metrics["yesladder_collector_spool_oldest_seconds"]) > 0

    second = run(*collector.command, cwd=tmp_path)
    assert (second.returncode, len(second.stderr.splitlines())) == (2, 1)
    assert "another collector runs with the spool in" in second.stderr

    collector.kill()
    collector.start()
    breakable.restart()
    ensure_topic(breakable.connection, topic, PARTITIONS, 1)
    collector.service.until(lambda: collector.health() == (200, {"status": "ok"}))
    assert collector.send(range(5, 6)).status_code == 200
    events = stored(consumed(breakable.brokers, topic))[0]
    kept = [0, 1, 2] if breakable.keeps else []
    assert [event.event_id for event in events] == [f"m{n}" for n in [*kept, *accepted, 5]]
    assert collector.service.stop() == 0
