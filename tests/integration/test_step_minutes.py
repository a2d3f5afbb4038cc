"""A real worker on the embedded broker: what it tells of a silent topic, and of itself."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from ladder.events import Event
from producers.embedded import EmbeddedBroker
from producers.kafka_publisher import KafkaPublisher
from producers.records import pack
from producers.topics import ensure_step_minutes, ensure_topic
from stream.step_minutes_record import Asks, StepMinutesRecord, Yeses
from tests.suites.command_line import free_ports
from tests.suites.step_minutes_oracle import minute_of
from tests.suites.step_minutes_reader import step_minutes_on

LADDER_TEXT = """
name = "told"
tiers = ["spark", "micro"]
on = [
    {event = "shown", is = [{tier = "spark", role = "ask", step = "page"}]},
    {event = "read", is = [{tier = "spark", role = "yes", step = "page"}]},
]
"""


def test_a_silent_worker_goes_on_telling_the_time_and_leaves_in_order(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    topic, told_on, (port,) = f"events-{uuid4().hex}", f"minutes-{uuid4().hex}", free_ports(1)
    ensure_topic(embedded_broker.connection, topic, 2, 1)
    ensure_step_minutes(embedded_broker.connection, told_on, 1)
    (tmp_path / "ladder.toml").write_text(LADDER_TEXT, encoding="utf-8")
    now = datetime.now(UTC) - timedelta(minutes=10)
    events = [
        Event(event_id=name, visitor_id="v", occurred_at=at, received_at=now + timedelta(minutes=10), name=name)
        for name, at in (("shown", now), ("read", now + timedelta(minutes=3)))
    ]
    publisher = KafkaPublisher(embedded_broker.connection, topic)
    publisher.publish(pack(events, 2)).result()
    publisher.close(timeout_s=10)
    log = tmp_path / "worker.log"
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [
                sys.executable, "-P", "-m", "yesladder", "worker", "--brokers", embedded_broker.brokers,
                "--topic", topic, "--warehouse", str(tmp_path), "--ladder", str(tmp_path / "ladder.toml"),
                "--idle-after", "2s", "--session-timeout", "2s", "--worker-port", str(port),
                "--checkpoint-interval", "200ms", "--step-minutes", told_on,
            ],
            stdout=file, stderr=file,
        )  # fmt: skip
    try:
        until = time.monotonic() + 60
        beats: list[StepMinutesRecord] = []
        while {beat.partition for beat in beats} != {0, 1}:
            is_well = time.monotonic() < until and worker.poll() is None
            assert is_well, log.read_text(errors="replace")
            time.sleep(0.5)
            found = step_minutes_on(embedded_broker.connection, told_on)
            beats = [record for record in found if record.first == record.next]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            metrics = answer.read().decode()
    finally:
        worker.terminate()
        code = worker.wait(30)
    (counts,) = [record for record in found if record.first < record.next]
    minute = minute_of(now)
    assert (counts.ladder, counts.source, counts.first) == ("told", f"kafka:{topic}", 0)
    assert counts.asks == (Asks(1, "page", (), minute, 1),)
    assert counts.yeses == (Yeses(1, "page", (), minute, minute_of(events[1].occurred_at) - minute, 1),)
    for beat in beats:
        assert beat.next == (counts.next if beat.partition == counts.partition else 0)
        assert beat.reached_us is not None
        behind = datetime.now(UTC).timestamp() - beat.reached_us / 1e6
        assert 2 <= behind < 60
    assert 'yesladder_step_minutes_records_total{kind="counts"} 1.0' in metrics
    assert "yesladder_step_minutes_asks_total 1.0" in metrics
    assert (code, "Unclosed" in log.read_text(errors="replace")) == (0, False)
