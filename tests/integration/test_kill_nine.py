"""`kill -9` of the worker, again and again, while events flow: each event is in the lake exactly once."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest

from ladder.events import Event
from ladder.tiers import Ladder, parse_ladder
from producers.kafka_publisher import KafkaPublisher
from producers.records import pack
from producers.topics import end_offsets, ensure_topic
from stream.decoding import frame_of
from stream.history import sessionise_history
from tests.suites.brokers import Broker
from tests.suites.step_minutes_oracle import Key, Placed, step_minutes_of
from tests.suites.step_minutes_reader import StepMinutesReader, step_minutes_on
from warehouse.lake import Lake

KILLS = 6
PARTITIONS = 4
LADDER_TEXT = """
name = "killed"
session_gap = "30m"
lateness = "2h"
tiers = ["spark", "micro"]

[[on]]
event = "seen"
is = [{ tier = "spark", role = "ask" }]

[[on]]
event = "clicked"
is = [{ tier = "spark", role = "yes", step = "seen" }, { tier = "micro", role = "ask" }]
"""
START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def ladder() -> Ladder:
    return parse_ladder(LADDER_TEXT, "this test")


def events(seed: int) -> Iterator[Event]:
    """300 visitors, twenty events a minute, up to an hour out of order, each event numbered; without end."""
    chance = random.Random(seed)
    for number in count():
        received_at = START + timedelta(seconds=3 * number)
        yield Event(
            event_id=f"e{number}",
            visitor_id=f"v{chance.randrange(300)}",
            occurred_at=received_at - timedelta(seconds=chance.random() ** 4 * 3600),
            received_at=received_at,
            name=chance.choice(["seen", "clicked", "scrolled"]),
            device_class=chance.choice(["desktop", "phone", None]),
        )


class Worker:
    """`yesladder worker` in a process, started anew whenever it is killed."""

    def __init__(self, broker: Broker, topic: str, folder: Path) -> None:
        (folder / "ladder.toml").write_text(LADDER_TEXT, encoding="utf-8")
        (folder / "alerts.toml").write_text('segments = ["device_class"]\n', encoding="utf-8")
        self._command = [
            sys.executable, "-P", "-m", "yesladder", "worker", "--brokers", broker.brokers, "--topic", topic,
            "--warehouse", str(folder), "--ladder", str(folder / "ladder.toml"), "--idle-after", "0s", "--drain",
            "--session-timeout", "2s", "--worker-port", "0", "--checkpoint-interval", "200ms",
            "--checkpoint-events", "2000", "--step-minutes", f"minutes-of-{topic}",
            "--alerts", str(folder / "alerts.toml"),
        ]  # fmt: skip
        self._log = folder / "worker.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def keep_running(self) -> None:
        """As a supervisor would: a worker that was fenced ends with 3 and is started again."""
        code = self.process.poll()
        if code is not None:
            assert code == 3, self._log.read_text(errors="replace")
            self.process = self._start()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


def test_every_event_is_in_the_lake_once_after_many_kills(broker: Broker, tmp_path: Path, ladder: Ladder) -> None:
    seed = 1
    topic = f"killed-{uuid4().hex}"
    ensure_topic(broker.connection, topic, PARTITIONS, 1)
    sent: list[Event] = []
    enough = threading.Event()
    publishing = threading.Thread(target=publish_until, args=(enough, broker, topic, events(seed), sent), daemon=True)
    lake = Lake(tmp_path / "lake")
    worker = Worker(broker, topic, tmp_path)
    publishing.start()
    chance = random.Random(seed)
    landed_at_kills: list[int] = []
    try:
        for _ in range(KILLS):
            wait_until_it_commits(lake, worker)
            time.sleep(chance.uniform(0.0, 0.6))
            landed_at_kills.append(landed_in(lake))
            worker.kill()
        wait_until_it_commits(lake, worker)
        enough.set()
        publishing.join()
        ends = end_offsets(broker.connection, topic)
        wait_until_landed(lake, worker, topic, ends)
        assert worker.stop() == 0
    finally:
        enough.set()
        worker.process.kill()

    # Every kill met a worker that was at work.
    assert len(set(landed_at_kills)) == KILLS

    landed = lake.scan("events").collect()
    assert Counter(landed["event_id"].to_list()) == Counter(event.event_id for event in sent)
    assert lake.scan("rejects").collect().is_empty()

    checkpoints = lake.scan("checkpoints").sort("partition", "first_offset").collect()
    assert checkpoints["landed"].sum() == len(sent)
    for (partition,), rows in checkpoints.partition_by("partition", as_dict=True).items():
        offsets = rows.select("first_offset", "next_offset").rows()
        assert [first for first, _ in offsets] == [0, *(end for _, end in offsets[:-1])]
        assert offsets[-1][1] == ends[int(partition)]

    # Each ask is told once, though each of six workers told again what the one before it may not have.
    reader = StepMinutesReader()
    told = reader.read(step_minutes_on(broker.connection, f"minutes-of-{topic}"))
    assert reader.holes == []
    assert reader.again >= KILLS
    assert (told.asks, told.yeses) == counted(lake, sent, ladder)
    assert told.yeses

    assert not landed["late"].any()
    assert sessions_of(lake) == batch_sessions(sent, landed, ladder)


def publish_until(
    enough: threading.Event, broker: Broker, topic: str, source: Iterator[Event], sent: list[Event]
) -> None:
    """About a thousand events a second; ``sent`` holds what is acknowledged."""
    publisher = KafkaPublisher(broker.connection, topic)
    while not enough.is_set():
        some = list(islice(source, 200))
        publisher.publish(pack(some, PARTITIONS)).result()
        sent.extend(some)
        time.sleep(0.2)
    publisher.close(timeout_s=10)


def landed_in(lake: Lake) -> int:
    landed: int = lake.scan("events").select(pl.len()).collect().item()
    return landed


def wait_until_it_commits(lake: Lake, worker: Worker) -> None:
    before, until = landed_in(lake), time.monotonic() + 30
    while landed_in(lake) == before:
        worker.keep_running()
        assert time.monotonic() < until, "the worker commits nothing"
        time.sleep(0.05)


def wait_until_landed(lake: Lake, worker: Worker, topic: str, ends: dict[int, int]) -> None:
    until = time.monotonic() + 60
    while True:
        worker.keep_running()
        claim = lake.claim(f"kafka:{topic}", list(ends))
        if all(claim.next_offset(partition) >= end for partition, end in ends.items()):
            return
        assert time.monotonic() < until, "the worker does not get to the end of the topic"
        time.sleep(0.2)


def counted(lake: Lake, sent: list[Event], ladder: Ladder) -> tuple[Counter[Key], Counter[Key]]:
    """The oracle's counts of asks and yeses, each partition by itself, in the order of its records."""
    of_id = {event.event_id: event for event in sent}
    asks: Counter[Key] = Counter()
    yeses: Counter[Key] = Counter()
    rows = lake.scan("events").sort("record_offset", "received_at").select("partition", "event_id", "record_offset")
    for own in rows.collect().partition_by("partition", maintain_order=True):
        placed = [Placed(of_id[event_id], offset) for _, event_id, offset in own.rows()]
        counts = step_minutes_of(placed, ladder, ["device_class"])
        asks += counts.asks
        yeses += counts.yeses
    return asks, yeses


COLUMNS = ["session_id", "events", "asks", "yeses", "highest_tier", "started_at", "ended_at", "sequence"]


def sessions_of(lake: Lake) -> list[tuple[object, ...]]:
    return lake.scan("sessions").select(COLUMNS).sort("session_id").collect().rows()


def batch_sessions(sent: list[Event], landed: pl.DataFrame, ladder: Ladder) -> list[tuple[object, ...]]:
    """The sessions of all events at once, each in the partition that it went through."""
    partition_of = dict(landed.select("event_id", "partition").rows())
    frame = frame_of(sent, 0, range(len(sent))).with_columns(
        partition=pl.Series([partition_of[event.event_id] for event in sent], dtype=pl.Int32)
    )
    table = pl.from_arrow(sessionise_history(frame, ladder, "batch"))
    assert isinstance(table, pl.DataFrame)
    return table.select(COLUMNS).sort("session_id").rows()
