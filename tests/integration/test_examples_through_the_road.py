"""The contract's examples on both roads, HTTP and file, down to the staging SQL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ladder.events import CANONICAL_HEADER, Event
from ladder.rejects import REJECT_HEADER
from ladder.tiers import Ladder, parse_ladder
from producers.collector import create_app
from producers.publisher import MemoryPublisher
from producers.records import Record
from stream.checkpoint import Hold
from stream.decoding import KafkaRecord
from stream.rejects import RejectBrake
from tests.suites.collector_client import ask, post
from tests.suites.examples import Invalid, Valid, invalid_examples, valid_examples
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import run_sql
from yesladder.backfill import backfill

NOW = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)
LADDER: Ladder = parse_ladder(
    """
name = "examples"
lateness = "1500w"
tiers = ["spark", "micro"]
[[on]]
event = "Offer Shown"
is = [{ tier = "spark", role = "ask", step = "see" }]
[[on]]
event = "Poll Answered"
where = { answer = "yes" }
is = [{ tier = "micro", role = "yes", step = "poll" }]
""",
    "test",
)
VALID = valid_examples()
INVALID = invalid_examples()
LAX = [example for example in INVALID if not example.alone and example.reason == "not_json"]
IN_A_BATCH = [example for example in INVALID if not example.alone and example not in LAX]
ALONE = [example for example in INVALID if example.alone]
NEIGHBOUR = Valid(
    "neighbour",
    b'{"type":"track", "messageId":"neighbour", "userId":"u", "event":"a", "properties":{"price":1.10, "x":"\\u00e9"}}',
    {"event_id": "neighbour", "occurred_at": {"seconds_before_receipt": 0}},
)


@dataclass
class Consumed:
    """A record as the worker gets it."""

    partition: int
    offset: int
    timestamp: int | None
    headers: Sequence[tuple[str, bytes]]
    value: bytes | None


@dataclass(frozen=True)
class Road:
    """Where a road ended, and what it should have brought."""

    warehouse: Path
    in_a_file: bool
    valid: list[Valid]
    invalid: list[Invalid]
    source: str

    def rows(self, table: str, place: str) -> list[dict[str, Any]]:
        """A table's rows as the lake holds them or as the staging SQL shows them."""
        if place == "lake":
            return Lake(self.warehouse / "lake").scan(table).collect().to_dicts()
        rows: list[dict[str, Any]] = run_sql(self.warehouse, f"select * from staging.stg_{table}").to_pylist()
        return rows


def consumed(records: list[list[Record]]) -> list[Consumed]:
    stamp = int(NOW.timestamp() * 1000)
    return [
        Consumed(partition, offset, stamp, record.headers, record.value)
        for partition, taken in enumerate(records)
        for offset, record in enumerate(taken)
    ]


def land(records: Sequence[KafkaRecord], warehouse: Path) -> Lake:
    lake = Lake(warehouse / "lake")
    Hold(lake, LADDER, "events", range(4), RejectBrake()).checkpoint(records, now=NOW, finish=True)
    return lake


def batch_of(examples: Sequence[Valid | Invalid]) -> bytes:
    return b'{"batch": [' + b" , ".join(example.raw for example in examples) + b"]}"


@pytest.fixture(scope="module")
def publisher() -> MemoryPublisher:
    """What the collector made of the examples: one batch of those that are JSON, one of those that only look it."""
    publisher = MemoryPublisher(4)
    app = create_app(publisher, write_keys=None, is_ready=lambda: True, now=lambda: NOW)
    batches: list[tuple[list[Valid], list[Invalid]]] = [(VALID, IN_A_BATCH), ([NEIGHBOUR], LAX)]
    for good, bad in batches:
        answer = post(app, batch_of([*good, *bad]))
        said = answer.json()
        assert (answer.status_code, said["accepted"], said["rejected"]) == (200, len(good), len(bad))
        assert [(error["index"], error["code"]) for error in said["errors"]] == [
            (len(good) + place, example.reason) for place, example in enumerate(bad[:10])
        ]
    return publisher


@pytest.fixture(scope="module")
def by_http(publisher: MemoryPublisher, gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Road:
    warehouse = tmp_path_factory.mktemp("by http")
    lake = land(consumed(publisher.records), warehouse)
    assert build(lake, LADDER, gate=gate, now=NOW).held_back == ()
    return Road(warehouse, False, [*VALID, NEIGHBOUR], [*IN_A_BATCH, *LAX], "kafka:events")


@pytest.fixture(scope="module")
def by_file(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Road:
    warehouse = tmp_path_factory.mktemp("by file")
    file = warehouse / "examples.ndjson"
    file.write_bytes(b"\n".join([*(example.raw for example in VALID), *(example.raw for example in INVALID)]))
    lake = Lake(warehouse / "lake")
    done = backfill([file], lake, LADDER, now=NOW)
    assert (done.landed, done.duplicates, done.rejected) == (len(VALID), 0, len(INVALID))
    assert done.read == len(VALID) + len(INVALID)
    assert build(lake, LADDER, gate=gate, now=NOW).held_back == ()
    return Road(warehouse, True, VALID, INVALID, "file:")


@pytest.fixture(params=["by_http", "by_file"])
def road(request: pytest.FixtureRequest) -> Road:
    found: Road = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("place", ["lake", "staging SQL"])
def test_every_valid_example_lands_once_with_exactly_its_values(road: Road, place: str) -> None:
    rows = sorted(road.rows("events", place), key=lambda row: row["received_at"])
    assert len(rows) == len(road.valid)
    received = sorted(NOW + timedelta(microseconds=n) for n in range(len(road.valid) - 1 + road.in_a_file))
    assert [row["received_at"] for row in rows[: len(received)]] == received
    for row, example in zip(rows, road.valid, strict=True):
        assert _columns(row) == _expected(example, row, road.in_a_file), example.name
        late = row["late"] if place == "lake" else row["is_late"]
        assert (late, row["source"].startswith(road.source)) == (False, True)


@pytest.mark.parametrize("place", ["lake", "staging SQL"])
def test_every_invalid_example_is_a_dead_letter_with_its_reason_its_field_and_its_bytes(road: Road, place: str) -> None:
    rows = sorted(road.rows("rejects", place), key=lambda row: row["rejected_at"])
    found = [(row["reason"], row["field"], row["raw"]) for row in rows]
    assert found == [(example.reason, example.field, example.raw) for example in road.invalid]
    assert {row["stage"] for row in rows} == {"file" if road.in_a_file else "collector"}
    assert all(row["detail"] for row in rows)


def test_both_roads_give_the_same_sessions(by_http: Road, by_file: Road) -> None:
    """But for those of the examples whose time is the receipt's and of the one that only travels by HTTP."""
    their_own = {example.event["visitor_id"] for example in VALID} - {"ann", "user-1"}

    def sessions(road: Road) -> list[dict[str, Any]]:
        rows = Lake(road.warehouse / "lake").scan("sessions").drop("source", "partition").sort("session_id").collect()
        return [row for row in rows.to_dicts() if row["visitor_id"] in their_own]

    assert sessions(by_http) == sessions(by_file)
    assert len(sessions(by_file)) == len(their_own)


@pytest.mark.parametrize("example", ALONE, ids=lambda example: example.name)
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
def test_what_spoils_a_request_is_refused_with_its_reason_and_nothing_is_stored(example: Invalid, path: str) -> None:
    publisher = MemoryPublisher(4)
    app = create_app(publisher, write_keys=None, is_ready=lambda: True, now=lambda: NOW)
    answer = post(app, example.raw if path == "/v1/track" else batch_of([VALID[0], example]), path)
    assert (answer.status_code, set(answer.json())) == (400, {"code", "message"})
    assert answer.json()["code"] == example.reason
    assert publisher.records == [[], [], [], []]


@pytest.mark.parametrize("example", VALID, ids=lambda example: example.name)
def test_every_valid_example_is_taken_alone_too_by_the_route_of_its_kind(example: Valid) -> None:
    publisher = MemoryPublisher(4)
    app = create_app(publisher, write_keys=None, is_ready=lambda: True, now=lambda: NOW)
    answer = ask(app, "POST", f"/v1/{example.event['kind']}", example.raw)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "accepted": 1, "rejected": 0})
    ((record,),) = [taken for taken in publisher.records if taken]
    event = msgspec.json.decode(record.value, type=Event)
    assert _columns(msgspec.structs.asdict(event)) == _expected(example, msgspec.structs.asdict(event), False)


@pytest.mark.parametrize("form", ["one object", "a list", "times with offsets"])
def test_the_same_events_written_by_a_foreign_producer_land_as_the_same_rows(
    form: str, publisher: MemoryPublisher, by_http: Road, tmp_path: Path
) -> None:
    """Without our header: properties and context as plain objects, one event or a list of them in a record.

    But for the largest one, which is too large with the fields that we give it.
    """
    foreign: list[Consumed] = []
    for record in consumed(publisher.records):
        if CANONICAL_HEADER not in record.headers:
            assert record.headers == (REJECT_HEADER,)
            continue
        lines = [line for line in (record.value or b"").split(b"\n") if b"of_32_kib" not in line]
        events = [_foreign(line, form) for line in lines]
        values = [b" [" + b", ".join(events) + b"]"] if form == "a list" else events
        for value in values:
            offset = sum(other.partition == record.partition for other in foreign)
            foreign.append(Consumed(record.partition, offset, record.timestamp, (), value))
    lake = land(foreign, tmp_path)

    def rows(of: Lake) -> list[dict[str, Any]]:
        found = of.scan("events").drop("record_offset").sort("received_at").collect().to_dicts()
        objects = ("properties", "context")
        return [{**row, **{name: _spelled(json.loads(row[name])) for name in objects}} for row in found]

    assert rows(lake) == [row for row in rows(Lake(by_http.warehouse / "lake")) if row["event_id"] != "of_32_kib"]
    assert lake.scan("rejects").collect().height == 0


def test_the_examples_show_every_kind_and_every_reason() -> None:
    assert {example.event["kind"] for example in VALID} == {"track", "page", "screen", "identify", "group", "alias"}
    assert set(Counter(example.reason for example in INVALID)) == {
        "not_json",
        "not_utf8",
        "not_an_event",
        "missing_field",
        "wrong_type",
        "bad_value",
        "bad_time",
        "too_large",
        "unknown_type",
    }


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    """A row's columns of the contract, without the time of its receipt; objects as text of one spelling."""
    names = [name for name in Event.__struct_fields__ if name != "received_at"]
    return {name: _spelled(json.loads(row[name])) if name in ("properties", "context") else row[name] for name in names}


def _expected(example: Valid, row: dict[str, Any], in_a_file: bool) -> dict[str, Any]:
    if example is NEIGHBOUR:
        assert row["properties"] == '{"price":1.10, "x":"\\u00e9"}'
        return _columns(row)
    expected = dict(example.event)
    expected["event_id"] = example.event_id(row["event_id"], in_a_file=in_a_file)
    expected["occurred_at"] = example.occurred_at(row["received_at"], in_a_file=in_a_file)
    for name in ("properties", "context"):
        said = expected[name]
        if example.name == "of_32_kib" and name == "properties":
            said = json.loads(row[name])
            assert len(example.raw) == 32768
            assert json.loads(example.raw)["properties"] == said
        expected[name] = _spelled(said)
    return expected


def _spelled(value: Any) -> str:
    """Tells 1 from 1.0, which are equal to Python."""
    return json.dumps(value)


def _foreign(line: bytes, form: str) -> bytes:
    event = json.loads(line)
    for name in ("properties", "context"):
        if name in event:
            event[name] = json.loads(event[name])
    if form == "times with offsets":
        for name in ("occurred_at", "received_at"):
            at = datetime.fromisoformat(event[name])
            event[name] = at.astimezone(datetime.fromisoformat("2026-01-01T00:00:00-09:30").tzinfo).isoformat()
    return json.dumps(event | {"a_field_of_tomorrow": {"x": 1}}).encode()
