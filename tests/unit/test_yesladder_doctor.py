from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pyarrow as pa
import pytest

from ladder.tables import TABLES, Position
from producers.embedded import EmbeddedBroker
from producers.kafka_publisher import KafkaPublisher
from producers.records import Record
from producers.spool import FILE, Spool
from producers.topics import ensure_topic
from stream.checkpoint import without_landed
from tests.suites.object_store import CREDENTIALS
from tests.suites.seeded_lake import LADDER as SMALL, land, seeded_events, session_rows
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.object_store import FIRST_CONTACT
from warehouse.quality import Gate
from yesladder.doctor import Finding, examine
from yesladder.settings import PREFIX, Settings

NOW = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)
Examine = Callable[..., dict[str, Finding]]


class Disk(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Examine:
    """What the doctor finds in an empty folder, by what it is about."""
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)

    def by_subject(now: datetime = NOW, **options: Any) -> dict[str, Finding]:
        findings = examine(options, now=now)
        assert len({finding.about for finding in findings}) == len(findings)
        return {finding.about: finding for finding in findings}

    return by_subject


def test_a_new_installation_has_no_problem_and_is_told_how_to_begin(look: Examine, tmp_path: Path) -> None:
    found = look()
    assert {about: finding.level for about, finding in found.items()} == {
        "settings": "ok",
        "ladder": "note",
        "disk": "ok",
        "Kafka": "note",
        "warehouse": "note",
    }
    assert all(finding.do for finding in found.values() if finding.level != "ok")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_is_all_that_is_told(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YESLADDER_PORT", "http")
    found = look()
    assert set(found) == {"settings"}
    assert found["settings"].level == "problem"
    assert "--port or YESLADDER_PORT" in found["settings"].what


def test_a_wrong_ladder_is_a_problem_and_the_rest_is_looked_at_all_the_same(look: Examine, tmp_path: Path) -> None:
    (tmp_path / "ladder.toml").write_text("name = 'x'\ntiers = ['one']", encoding="utf-8")
    found = look()
    assert found["ladder"].level == "problem"
    assert found["ladder"].what.startswith("ladder.toml, line 2, tiers: ")
    assert "disk" in found


def test_tiers_without_events_are_noted(look: Examine, tmp_path: Path) -> None:
    rule = '[[on]]\nevent = "E"\nis = [{ tier = "a", role = "yes" }]\n'
    (tmp_path / "ladder.toml").write_text(f'name = "x"\ntiers = ["a", "b"]\n{rule}', encoding="utf-8")
    found = look()["ladder"]
    assert (found.level, found.what) == ("note", "x: no event is on b")
    (tmp_path / "ladder.toml").write_text(f'name = "x"\ntiers = ["a", "b"]\n{rule}{rule.replace("a", "b")}', "utf-8")
    found = look()["ladder"]
    assert (found.level, found.what) == ("ok", "x: 2 tiers, 2 rules")


def test_a_disk_that_is_nearly_full_is_a_problem(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10, 9, 2**30 - 1))
    assert look()["disk"].level == "problem"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10, 9, 2**30))
    found = look(warehouse="not/there/yet")["disk"]
    assert (found.level, found.what) == ("ok", "1.0 GiB free for not/there/yet")


def test_kafka_that_does_not_answer_is_a_problem(look: Examine) -> None:
    found = look(brokers="127.0.0.1:1")["Kafka"]
    assert found.level == "problem"
    assert "127.0.0.1:1: [Errno 111] Connection refused" in found.what


def test_kafkas_topic_and_what_of_it_has_landed(look: Examine, embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    topic = uuid4().hex
    where = {"brokers": embedded_broker.brokers, "topic": topic, "warehouse": str(tmp_path)}
    assert look(**where)["Kafka"].what == f"there is no topic {topic}"
    ensure_topic(embedded_broker.connection, topic, 2, 1)
    publisher = KafkaPublisher(embedded_broker.connection, topic)
    publisher.publish([Record(None, b"x", 1, ())] * 3).result(timeout=10)
    publisher.close(5)
    found = look(**where)
    assert (found["Kafka"].level, found["Kafka"].what) == ("ok", f"topic {topic}: 2 partitions, 3 records")
    assert found["worker"].what == "nothing has landed from this topic"

    lake = Lake(tmp_path / "lake")
    assert look(**where)["worker"].what == "3 records are not in the lake yet"
    _take(lake, topic, 3)
    assert (look(**where)["worker"].level, look(**where)["worker"].what) == (
        "ok",
        "everything on the topic is in the lake",
    )
    _take(lake, topic, 4)
    found = look(**where)
    assert found["worker"].level == "problem"
    assert "was made anew" in found["worker"].what


def _take(lake: Lake, topic: str, offset: int) -> None:
    """As a worker that has taken partition 1 in up to here."""
    claim = lake.claim(f"kafka:{topic}", [0, 1])
    nothing = {name: without_landed(schema).empty_table() for name, schema in TABLES.items()}
    claim.commit(nothing, {1: Position(offset)}, NOW)


def test_marts_that_are_missing_fresh_stale_or_held_back(look: Examine, gate: Gate, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    where = {"warehouse": str(tmp_path)}
    assert look(**where)["marts"].level == "note"
    assert "yesladder build" in look(**where)["marts"].do
    land(lake, seeded_events(1, 5))
    build(lake, SMALL, gate=gate, now=NOW)
    found = look(**where)
    assert (found["marts"].level, found["quality"].level) == ("ok", "ok")
    assert "sessions of 5 visitors" in found["marts"].what

    more = session_rows(seeded_events(2, 3, prefix="more"))
    asks = more.schema.get_field_index("asks")
    wrong = more.set_column(asks, more.schema.field(asks), pa.array([99] * len(more), pa.int32()))
    lake.append("sessions", wrong, now=NOW)
    assert (look(**where)["marts"].level, look(NOW + timedelta(hours=3), **where)["marts"].level) == (
        "note",
        "problem",
    )
    assert build(lake, SMALL, gate=gate, now=NOW + timedelta(minutes=1)).held_back != ()
    found = look(**where)
    assert (found["marts"].level, found["quality"].level) == ("ok", "problem")
    assert "quality/index.html" in found["quality"].do

    (lake.root / "events" / "_delta_log" / f"{lake.versions()['events']:020}.json").write_text("{")
    found = look(**where)
    assert (found["marts"].level, "maintain --check" in found["marts"].do) == ("problem", True)


def test_a_wrong_address_of_the_lake_is_a_problem_and_not_a_matter_of_building(look: Examine, tmp_path: Path) -> None:
    Lake(tmp_path / "warehouse-data" / "lake")
    found = look(lake="s3://bucket/other")
    assert found["lake"].level == "problem"
    assert "has a lake of its own" in found["lake"].what
    assert "marts" not in found


def test_a_finding_is_a_line_and_what_to_do_about_it() -> None:
    assert Finding("ok", "disk", "fine").line() == "ok      disk: fine"
    assert Finding("problem", "disk", "full", "make room").line() == "PROBLEM disk: full\n        -> make room"
    assert Finding("note", "x", "y", "z").to_dict() == {"level": "note", "about": "x", "what": "y", "do": "z"}


def test_a_spool_is_told_of_by_what_is_wrong_with_it(look: Examine, tmp_path: Path) -> None:
    assert "spool" not in look()
    spool = Spool(tmp_path / "warehouse-data" / "spool")
    assert look()["spool"].level == "ok"

    ids = spool.append([(Record(None, bytes(2000), 0, ()), 4)] * 3, NOW - timedelta(minutes=5))
    waiting = look()["spool"]
    assert waiting.level == "note"
    assert waiting.what.startswith("3 records (0.0 MiB) in warehouse-data/spool wait for Kafka, the first for 5m")
    full = look(spool_bytes=7000)["spool"]
    assert (full.level, full.what.endswith("nearly full")) == ("problem", True)
    spool.set_aside(ids[0], "too large")
    refused = look()["spool"]
    assert refused.level == "problem"
    assert refused.what.startswith("1 records in warehouse-data/spool are kept aside")
    spool.close()

    (tmp_path / "warehouse-data" / "spool" / FILE).write_bytes(b"x" * 10_000)
    broken = look()["spool"]
    assert (broken.level, "not a database" in broken.what) == ("problem", True)
    Spool(tmp_path / "warehouse-data" / "spool").close()
    aside = look()["spool"]
    assert (aside.level, aside.what.startswith("1 damaged file(s)")) == ("problem", True)


def test_a_store_that_does_not_answer_is_told_within_seconds(
    look: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (FIRST_CONTACT["timeout"], FIRST_CONTACT["retry_timeout"]) == ("8s", "6s"), "the longest: 8 s without a word"
    monkeypatch.setitem(FIRST_CONTACT, "timeout", "1s")
    monkeypatch.setitem(FIRST_CONTACT, "max_retries", "0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()  # and says nothing
        warehouse = tmp_path / "far"
        warehouse.mkdir()
        endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{taken.getsockname()[1]}"}
        (warehouse / "lake.json").write_text(
            json.dumps({"url": "s3://lakes/x", "options": endpoint | dict.fromkeys(CREDENTIALS, "x")})
        )
        began = time.monotonic()
        problem = look(warehouse=warehouse)["lake"]
    assert time.monotonic() - began < 5
    assert problem.level == "problem"
    assert problem.what.startswith("s3://lakes/x/events cannot be reached: nobody answers; is it up")
