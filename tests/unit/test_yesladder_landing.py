from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from ladder.errors import YesladderError
from ladder.tables import TABLES, Position
from producers.embedded import EmbeddedBroker
from producers.kafka_publisher import KafkaPublisher
from producers.records import Record
from producers.topics import ensure_topic
from stream.checkpoint import without_landed
from warehouse.lake import Lake
from yesladder.landing import wait_for, wait_until_landed
from yesladder.processes import Part

NOW = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)


@pytest.fixture
def topic(embedded_broker: EmbeddedBroker) -> str:
    """One with four records in its second partition."""
    topic = uuid4().hex
    ensure_topic(embedded_broker.connection, topic, 2, 1)
    publisher = KafkaPublisher(embedded_broker.connection, topic)
    publisher.publish([Record(None, b"x", 1, ())] * 4).result(timeout=10)
    publisher.close(5)
    return topic


@pytest.fixture
def worker(embedded_broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Part]:
    """Some part that stays up; who commits to the lake here are the tests."""
    part = Part(
        "worker",
        ["collect", "--brokers", embedded_broker.brokers, "--port", "0", "--spool-bytes", "0"],
        tmp_path / "log",
    )
    yield part
    part.stop()


def land(lake: Lake, topic: str, offset: int) -> None:
    """As a worker that has come so far in the second partition."""
    nothing = {name: without_landed(schema).empty_table() for name, schema in TABLES.items()}
    lake.claim(f"kafka:{topic}", [1]).commit(nothing, {1: Position(offset)}, NOW)


def test_waiting_ends_when_the_lake_has_what_the_topic_had_however_long_each_step_takes(
    embedded_broker: EmbeddedBroker, topic: str, worker: Part, tmp_path: Path
) -> None:
    lake, steps = Lake(tmp_path / "lake"), [1, 2, 3, 4]

    def work() -> None:
        for offset in steps:
            time.sleep(0.4)
            land(lake, topic, offset)

    thread = threading.Thread(target=work)
    thread.start()
    begun = time.monotonic()
    heard: list[int] = []
    wait_until_landed(embedded_broker.connection, topic, lake, worker, heard.append, patience_s=1.2)
    assert time.monotonic() - begun > 1.5
    assert len(heard) > 3
    assert set(heard) == {0}
    thread.join()
    assert lake.claim(f"kafka:{topic}", [1]).next_offset(1) == 4


def test_waiting_ends_with_an_error_where_nothing_moves(
    embedded_broker: EmbeddedBroker, topic: str, worker: Part, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    land(lake, topic, 1)
    with pytest.raises(YesladderError, match=r"3 records have not landed for 0 s: "):
        wait_until_landed(embedded_broker.connection, topic, lake, worker, patience_s=0.3)


def test_waiting_for_a_dead_worker_ends_at_once_unless_all_has_landed(
    embedded_broker: EmbeddedBroker, topic: str, worker: Part, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    worker.stop()
    with pytest.raises(YesladderError, match="the worker died: "):
        wait_until_landed(embedded_broker.connection, topic, lake, worker)
    land(lake, topic, 4)
    wait_until_landed(embedded_broker.connection, topic, lake, worker)


def test_waiting_for_anything_else_ends_when_it_is_there_or_patience_ends() -> None:
    answers = iter([False, False, True])
    wait_for(lambda: next(answers))
    assert list(answers) == []
    with pytest.raises(YesladderError, match="nothing came of waiting 0 s"):
        wait_for(lambda: False, patience_s=0.2)
