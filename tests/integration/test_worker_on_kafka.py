"""The worker as a process on a Kafka-compatible broker: what happens when it, or its broker, is interfered with."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import polars as pl
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from ladder.errors import EventError
from ladder.events import CANONICAL_HEADER, Event, decode_record
from ladder.tables import TABLES, Position
from ladder.tiers import Ladder, load_ladder
from producers.kafka_publisher import KafkaPublisher
from producers.records import Record, pack
from producers.topics import end_offsets, ensure_topic
from stream.checkpoint import Hold
from stream.rejects import RejectBrake
from tests.suites.brokers import Breakable, Broker
from tests.suites.command_line import Service, environment, free_ports
from tests.suites.session_oracle import Arrival, by_id, fates, sessions_of
from warehouse.lake import Lake

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LADDER = """
name = "busy"
tiers = ["spark", "micro", "mini"]
session_gap = "10m"
lateness = "20m"
max_session_length = "2h"
max_session_events = 60

[[on]]
event = "seen"
is = [{ tier = "spark", role = "ask" }]

[[on]]
event = "clicked"
where = { twice = true }
is = [{ tier = "spark", role = "yes" }, { tier = "mini", role = "ask" }]
"""


@dataclass
class Road:
    """A topic of its own, and the folder of the lake that its workers fill."""

    broker: Broker
    folder: Path
    partitions: int

    def __post_init__(self) -> None:
        self.topic = f"events-{uuid4().hex}"
        self.ladder_file = self.folder / "ladder.toml"
        self.ladder_file.write_text(LADDER, encoding="utf-8")
        ensure_topic(self.broker.connection, self.topic, self.partitions, 1)
        self._workers = 0

    @property
    def ladder(self) -> Ladder:
        return load_ladder(self.ladder_file)

    @property
    def lake(self) -> Lake:
        return Lake(self.folder / "lake")

    def worker(self, *options: str, port: int = 0) -> Service:
        self._workers += 1
        return Service(
            "worker", "--brokers", self.broker.brokers, "--topic", self.topic, "--group", self.topic,
            "--warehouse", self.folder, "--ladder", self.ladder_file, "--session-timeout", "2s", "--idle-after", "0s",
            "--worker-port", port, *options,
            cwd=self.folder, log=self.folder / f"worker-{self._workers}.log",
        )  # fmt: skip

    def publish(self, records: Sequence[Record]) -> None:
        publisher = KafkaPublisher(self.broker.connection, self.topic)
        publisher.publish(records).result(timeout=30)
        publisher.close(timeout_s=10)

    def landed_to_the_end(self) -> bool:
        ends = end_offsets(self.broker.connection, self.topic)
        claim = self.lake.claim(f"kafka:{self.topic}", list(ends))
        return all(claim.next_offset(partition) >= end for partition, end in ends.items())

    def rows(self, table: str) -> pl.DataFrame:
        return self.lake.scan(table).collect()

    def consumed(self) -> tuple[list[Arrival], int, dict[int, int]]:
        """What the topic holds, in the order of its records: events, how many others, and where each partition ends."""
        places = [TopicPartition(self.topic, partition) for partition in range(self.partitions)]
        consumer = KafkaConsumer(bootstrap_servers=self.broker.brokers, auto_offset_reset="earliest")
        consumer.assign(places)
        ends = end_offsets(self.broker.connection, self.topic)
        arrivals: list[Arrival] = []
        refused = 0
        while any(consumer.position(place) < ends[place.partition] for place in places):
            for place, messages in consumer.poll(timeout_ms=1000).items():
                for message in messages:
                    at = datetime.fromtimestamp(message.timestamp / 1000, UTC)
                    for line in message.value.split(b"\n"):
                        ((_, outcome),) = decode_record(line, at)
                        if isinstance(outcome, EventError):
                            refused += 1
                        else:
                            arrivals.append(Arrival(outcome, place.partition, at))
        consumer.close()
        return arrivals, refused, ends


@pytest.fixture
def road(broker: Broker, tmp_path: Path) -> Road:
    return Road(broker, tmp_path, 4)


def traffic(seed: int) -> Iterator[list[Record]]:
    """Without end, what some minutes bring: events out of order, some too late, some twice, some of them no events."""
    chance = random.Random(seed)
    sent: list[Event] = []
    number = 0
    while True:
        some = []
        for _ in range(150):
            number += 1
            received_at = NOON + timedelta(seconds=2 * number)
            delay = timedelta(minutes=chance.choice([0, 1, 5, 15, 15, 45]) * chance.random())
            some.append(
                Event(
                    event_id=f"e{number}",
                    visitor_id=f"v{chance.randrange(40)}",
                    occurred_at=received_at - delay,
                    received_at=received_at,
                    name=chance.choice(["seen", "clicked", "scrolled"]),
                    properties=chance.choice(["{}", '{"twice":true}']),
                )
            )
        sent = (sent + some)[-1000:]
        again = [
            msgspec.structs.replace(event, received_at=event.received_at + timedelta(seconds=1))
            for event in chance.sample(sent, 10)
        ]
        garbage = Record(
            None, b'{"event_id":', chance.randrange(4), (CANONICAL_HEADER,) if chance.random() < 0.5 else ()
        )
        yield [*pack(some, 4, max_bytes=2000), garbage, *pack(again, 4)]


def events(first: int, count: int, *, visitor: str = "v") -> list[Event]:
    """A second apart."""
    return [
        Event(
            event_id=f"e{n}",
            visitor_id=visitor,
            occurred_at=NOON + timedelta(seconds=n),
            received_at=NOON + timedelta(seconds=n),
            name="seen",
        )
        for n in range(first, first + count)
    ]


def garbage(count: int) -> list[Record]:
    return [Record(None, b"no event", n % 4, ()) for n in range(count)]


def health(port: int) -> dict[str, Any]:
    """What a worker says of itself; nothing before it answers."""
    try:
        said: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).json()
    except httpx.TransportError:
        return {"partitions": None, "gathered_records": 0}
    return said


def expect_the_lake_to_hold_the_topic(road: Road) -> None:
    """Each event once, each offset in one checkpoint, and the sessions of the oracle."""
    arrivals, refused, ends = road.consumed()
    verdicts = fates(arrivals, road.ladder)
    kept = [arrival for arrival, fate in zip(arrivals, verdicts, strict=True) if fate == "kept"]
    late = [arrival for arrival, fate in zip(arrivals, verdicts, strict=True) if fate == "late"]
    assert late
    assert len(kept) + len(late) < len(arrivals), "there are copies among them"

    landed = road.rows("events")
    assert sorted(landed.filter(~pl.col("late"))["event_id"]) == sorted(one.event.event_id for one in kept)
    assert sorted(landed.filter("late")["event_id"]) == sorted(one.event.event_id for one in late)
    assert len(road.rows("rejects")) == refused > 0

    checkpoints = road.rows("checkpoints").sort("partition", "first_offset")
    for (partition,), rows in checkpoints.partition_by("partition", as_dict=True, maintain_order=True).items():
        assert [0, *rows["next_offset"]] == [*rows["first_offset"], ends[int(partition)]]
    sums = checkpoints.select(pl.sum("landed", "duplicates", "rejected", "late", "skipped_offsets")).row(0)
    assert sums == (len(landed), len(arrivals) - len(landed), refused, len(late), 0)

    sessions = sorted(road.rows("sessions").to_arrow().to_pylist(), key=by_id)
    expected = sessions_of(kept, road.ladder, f"kafka:{road.topic}")
    assert [session["session_id"] for session in sessions] == [session["session_id"] for session in expected]
    assert sessions == expected
    assert any(session["capped"] for session in sessions)


def publish_until(enough: threading.Event, road: Road, seed: int) -> None:
    publisher = KafkaPublisher(road.broker.connection, road.topic)
    for records in traffic(seed):
        publisher.publish(records).result(timeout=30)
        if enough.wait(0.15):
            break
    publisher.close(timeout_s=10)


def test_workers_that_share_a_topic_come_and_go_and_nothing_is_lost_or_doubled(road: Road) -> None:
    """Two at once; one is told to stop, one is killed, one more joins, while events flow.  A backlog waits before."""
    chance = random.Random(7)
    backlog = traffic(1)
    for _ in range(20):
        road.publish(next(backlog))
    enough = threading.Event()
    publishing = threading.Thread(target=publish_until, args=(enough, road, 2), daemon=True)
    ports = free_ports(2)
    # A checkpoint for every few records: the stream is held back all the time, by the backlog at first.
    options = ["--checkpoint-interval", "100ms", "--checkpoint-events", "300"]
    running = [road.worker(*options, port=port) for port in ports]
    publishing.start()
    try:
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            for worker, port in zip(running, ports, strict=True):
                worker.until(lambda port=port: health(port)["partitions"])  # type: ignore[misc]  # a default binds it
            landed = len(road.rows("events"))
            running[0].until(lambda landed=landed: len(road.rows("events")) > landed)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.5))
            leaver = running.pop(0)
            assert leaver.stop(number) == (0 if number is signal.SIGTERM else -signal.SIGKILL)
            landed = len(road.rows("events"))
            running[0].until(lambda landed=landed: len(road.rows("events")) > landed)  # type: ignore[misc]
            ports.append(ports.pop(0))
            running.append(road.worker(*options, port=ports[-1]))
        enough.set()
        publishing.join()
        for worker in running:
            worker.until(lambda: road.landed_to_the_end())
            assert worker.stop() == 0
        running.append(last := road.worker(*options, "--drain", port=ports[0]))
        last.until(lambda: health(ports[0])["partitions"] == [0, 1, 2, 3])
        assert last.stop() == 0
    finally:
        enough.set()
        for worker in running:
            worker.stop(signal.SIGKILL)
    expect_the_lake_to_hold_the_topic(road)


def test_told_to_stop_it_commits_what_it_has_gathered(road: Road) -> None:
    road.publish(pack(events(0, 100), 4))
    (port,) = free_ports(1)
    with road.worker("--checkpoint-interval", "1h", port=port) as worker:
        worker.until(lambda: health(port)["gathered_records"] > 0)
        assert road.rows("events").is_empty()
        assert worker.stop() == 0
    assert len(road.rows("events")) == 100
    assert road.landed_to_the_end()
    assert road.rows("sessions").is_empty(), "they may go on"
    admin = KafkaAdminClient(bootstrap_servers=road.broker.brokers)
    committed = admin.list_group_offsets({road.topic: None})[road.topic]
    admin.close()
    assert committed == {}, "where it stands is for the lake alone to say"


def metrics(port: int) -> dict[str, float]:
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5)
    assert answer.headers["content-type"].startswith("text/plain")
    lines = [line.rsplit(" ", 1) for line in answer.text.splitlines() if line.startswith("yesladder_")]
    return {name: float(value) for name, value in lines}


def test_health_and_metrics_tell_how_it_stands_also_where_there_is_nothing_to_own(
    broker: Broker, tmp_path: Path
) -> None:
    road = Road(broker, tmp_path, 1)
    road.publish([*pack([*events(0, 30), *events(3000, 5), *events(0, 2)], 1), *[Record(None, b"?", 0, ())] * 3])
    owner_port, other_port = free_ports(2)
    options = ["--checkpoint-interval", "100ms", "--max-reject-share", "1"]
    expected = {
        "yesladder_events_landed_total": 37,
        "yesladder_events_late_total": 2,
        'yesladder_events_rejected_total{reason="not_json"}': 3,
        "yesladder_sessions_closed_total": 1,
        "yesladder_open_events": 5,
        'yesladder_lag_records{partition="0"}': 0,
    }
    with road.worker(*options, port=owner_port) as owner:
        owner.until(lambda: health(owner_port)["partitions"] == [0])
        owner.until(lambda: expected.items() <= metrics(owner_port).items())
        with road.worker(*options, port=other_port) as other:
            other.until(lambda: health(other_port)["partitions"] is not None)
            for port in (owner_port, other_port):
                answer = httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)
                assert (answer.status_code, answer.json()["status"]) == (200, "ok")
                assert 0 <= answer.json()["seconds_since_checkpoint"] < 30


def test_a_flood_of_garbage_stops_it_for_good_and_commits_none_of_it(road: Road) -> None:
    road.publish([*pack(events(0, 50), 4), *garbage(2000)])
    with road.worker("--checkpoint-interval", "3s") as worker:
        assert worker.wait() == 4
        assert "events were refused (latest: not_json, the whole event, partition" in worker.words()
        assert "--max-reject-share" in worker.words()
    assert all(road.rows(table).is_empty() for table in TABLES)


def test_overtaken_by_another_writer_it_commits_nothing_and_ends_to_be_started_again(road: Road) -> None:
    road.publish(pack(events(0, 10), 4))
    (port,) = free_ports(1)
    with road.worker("--checkpoint-interval", "100ms", port=port) as worker:
        worker.until(road.landed_to_the_end)
        before = road.rows("events")
        other = Hold(road.lake, road.ladder, road.topic, range(4), RejectBrake())
        assert other.checkpoint([], now=NOON, finish=True).sessions == 1
        road.publish(pack(events(10, 10), 4))
        assert worker.wait() == 3
        assert "was committed by another worker" in worker.words()
    assert road.rows("events").equals(before)
    assert len(road.rows("sessions")) == 1
    with road.worker("--checkpoint-interval", "100ms") as again:
        again.until(road.landed_to_the_end)
    assert sorted(road.rows("events")["event_id"]) == sorted(f"e{n}" for n in range(20))


def test_a_topic_that_ends_before_what_the_lake_holds_is_another_topic(road: Road) -> None:
    partition = pack(events(0, 1), 4)[0].partition
    road.lake.claim(f"kafka:{road.topic}", [partition or 0]).commit(
        {name: schema.remove(len(schema) - 1).empty_table() for name, schema in TABLES.items()},
        {partition or 0: Position(100)},
        NOON,
    )
    road.publish(pack(events(0, 1), 4))
    with road.worker() as worker:
        assert worker.wait() == 4
        assert f"partition {partition} ends at offset 1, but the lake holds it up to 100" in worker.words()


def test_a_broker_that_falls_silent_for_longer_than_a_session_costs_nothing(
    breakable: Breakable, tmp_path: Path
) -> None:
    road = Road(breakable, tmp_path, 4)
    road.publish(pack(events(0, 500), 4, max_bytes=2000))
    (port,) = free_ports(1)
    with road.worker("--checkpoint-interval", "100ms", port=port) as worker:
        worker.until(road.landed_to_the_end)
        breakable.pause()
        time.sleep(4)
        breakable.resume()
        road.publish(pack(events(500, 500), 4, max_bytes=2000))
        worker.until(road.landed_to_the_end)
        assert worker.stop() == 0
    assert sorted(road.rows("events")["event_id"]) == sorted(f"e{n}" for n in range(1000))
    assert road.rows("checkpoints")["duplicates"].sum() == 0


STUCK = """
import sys, time
from datetime import timedelta
from pathlib import Path
from ladder.connection import KafkaConnection
from ladder.tiers import load_ladder
from stream.app import WorkerSettings, run_worker
from warehouse.lake import Lake

class StuckLake(Lake):
    def claim(self, source, partitions):
        time.sleep(60)

brokers, topic, folder = sys.argv[1:]
settings = WorkerSettings(
    KafkaConnection(brokers), topic, topic, session_timeout=timedelta(seconds=2), stalled_after=timedelta(seconds=2),
    web_port=0, data_dir=Path(folder) / "faust",
)
run_worker(settings, load_ladder(Path(folder) / "ladder.toml"), StuckLake(Path(folder) / "lake"))
"""


def test_a_take_over_that_gets_stuck_ends_the_worker_with_the_reason(road: Road) -> None:
    """Faust by itself would give up seeking after a while, without a word, and never fetch again."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", STUCK, road.broker.brokers, road.topic, road.folder],
        env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "worker stops: no checkpoint was made for 0:00:02" in done.stderr


on_apache_kafka = pytest.mark.parametrize(
    "broker", [pytest.param("apache", marks=pytest.mark.kafka)], indirect=True, scope="session"
)


@on_apache_kafka
def test_what_kafka_has_deleted_before_the_worker_came_is_passed_over_and_counted(
    broker: Broker, tmp_path: Path
) -> None:
    road = Road(broker, tmp_path, 1)
    road.publish(pack(events(0, 40), 1, max_bytes=1))
    admin = KafkaAdminClient(bootstrap_servers=broker.brokers)
    admin.delete_records({TopicPartition(road.topic, 0): 15})
    admin.close()
    with road.worker("--checkpoint-interval", "100ms") as worker:
        worker.until(road.landed_to_the_end)
        assert worker.stop() == 0
    assert sorted(road.rows("events")["event_id"]) == sorted(f"e{n}" for n in range(15, 40))
    assert road.rows("checkpoints").select(pl.sum("landed", "skipped_offsets")).row(0) == (25, 15)


@on_apache_kafka
def test_transactions_of_other_producers_leave_the_events_that_they_committed_and_nothing_else(
    broker: Broker, tmp_path: Path
) -> None:
    """Their marks take offsets, also the topic's last one: it is reached all the same, and its sessions get old."""
    road = Road(broker, tmp_path, 1)
    producer = KafkaProducer(bootstrap_servers=broker.brokers, transactional_id=road.topic)
    producer.init_transactions()
    for first, end in ((0, producer.commit_transaction), (10, producer.abort_transaction)):
        producer.begin_transaction()
        for record in pack(events(first, 10), 1, max_bytes=1):
            producer.send(road.topic, record.value, headers=list(record.headers), partition=0)
        producer.flush()
        end()
    producer.close()
    assert end_offsets(broker.connection, road.topic) == {0: 10}
    (port,) = free_ports(1)
    with road.worker("--checkpoint-interval", "100ms", "--idle-after", "500ms", port=port) as worker:
        worker.until(lambda: len(road.rows("sessions")) == 1)
        assert metrics(port)['yesladder_lag_records{partition="0"}'] == 0
        assert worker.stop() == 0
    assert sorted(road.rows("events")["event_id"]) == sorted(f"e{n}" for n in range(10))


@on_apache_kafka
def test_a_worker_that_kafka_does_not_take_into_the_group_halts_and_says_why(broker: Broker, tmp_path: Path) -> None:
    """By itself it would wait for ever, in good health, and own nothing."""
    road = Road(broker, tmp_path, 1)
    with road.worker("--session-timeout", "400ms") as worker:
        assert worker.wait() == 4
        (line,) = [line for line in worker.words().splitlines() if "worker stops" in line]
    why = "InvalidSessionTimeoutError; --session-timeout must be within the brokers' limits"
    assert f"Kafka does not take this worker into the group {road.topic}: {why}" in line
