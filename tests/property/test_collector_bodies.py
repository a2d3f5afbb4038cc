"""Whatever is sent, the collector answers; and what it says it accepted is what it stored."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings, strategies as st

from ladder.errors import EventError
from ladder.events import decode, encode
from producers.collector import ROUTES, create_app
from producers.dialects import from_segment
from producers.publisher import MemoryPublisher
from tests.suites.collector_client import NOW, ask, stored
from tests.suites.examples_tried import tried

text = st.text(max_size=20) | st.sampled_from(["", "a" * 257, "\x00", "\n", "𝒳", "ann", "track"])
scalar = st.none() | st.booleans() | st.integers() | st.floats() | text
value = st.recursive(scalar, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4))
bag = st.dictionaries(text, value, max_size=4)
time = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat()) | st.sampled_from(
    ["2026-11-22T20:00:00Z", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00", "2026-11-22T20:00:00", "now"]
)
ids = st.sampled_from(["ann", "u1", "", None, 0, 7]) | value
page = st.fixed_dictionaries({}, optional={"url": text | value, "referrer": text | value})
context = st.fixed_dictionaries(
    {},
    optional={
        "page": page | value,
        "ip": value,
        "campaign": bag | value,
        "device": bag | value,
        "library": bag | value,
        "userAgent": text | value,
        "traits": value,
    },
)
message = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["track", "page", "screen", "identify", "group", "alias", "x"]) | value,
        "event": text | value,
        "name": text | value,
        "category": text | value,
        "messageId": ids,
        "anonymousId": ids,
        "userId": ids,
        "previousId": ids,
        "groupId": ids,
        "timestamp": time | value,
        "originalTimestamp": time | value,
        "sentAt": time | value,
        "properties": bag | value,
        "traits": bag | value,
        "context": context | value,
    },
)
good = st.fixed_dictionaries(
    {"type": st.just("track"), "event": st.just("Seen"), "anonymousId": st.sampled_from(["ann", "bob"])},
    optional={"properties": bag, "context": context, "timestamp": st.just("2026-11-22T20:00:00Z")},
)


def sent(body: bytes, path: str = "/v1/batch") -> tuple[int, dict[str, Any], list[int]]:
    """Status, answer, and how many events and dead letters were stored."""
    publisher = MemoryPublisher(partitions=2)
    app = create_app(publisher, write_keys=None, is_ready=lambda: True, now=lambda: NOW)
    answer = ask(app, "POST", path, body)
    return answer.status_code, answer.json(), [len(kept) for kept in stored(publisher.records)]


@given(st.binary(max_size=300), st.sampled_from(sorted(ROUTES)))
def test_any_bytes_get_an_answer_and_never_a_500(body: bytes, path: str) -> None:
    status, answer, kept = sent(body, path)

    assert status in (200, 400)
    assert kept == ([answer["accepted"], answer["rejected"]] if status == 200 else [0, 0])


@given(st.lists(good | message | value, max_size=8), time | value)
@settings(max_examples=tried(100))
def test_accepted_is_what_was_stored_and_the_rest_are_dead_letters(batch: list[Any], sent_at: Any) -> None:
    status, answer, kept = sent(json.dumps({"batch": batch, "sentAt": sent_at}).encode())

    assert status == 200
    assert kept == [answer["accepted"], answer["rejected"]]
    assert sum(kept) == len(batch)


@given(st.lists(good, max_size=5), message | value, st.integers(0, 5))
def test_a_bad_neighbour_costs_a_good_event_nothing(batch: list[Any], other: Any, place: int) -> None:
    _, alone, _ = sent(json.dumps({"batch": batch}).encode())
    _, together, _ = sent(json.dumps({"batch": [*batch[:place], other, *batch[place:]]}).encode())

    assert together["accepted"] - alone["accepted"] in (0, 1)
    assert together["accepted"] + together["rejected"] == len(batch) + 1


@given(st.lists(good, min_size=1, max_size=5), st.data())
def test_a_body_with_a_byte_changed_gets_an_answer(batch: list[Any], data: st.DataObject) -> None:
    body = bytearray(json.dumps({"batch": batch, "sentAt": "2026-11-22T20:00:00Z"}).encode())
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] = data.draw(st.integers(0, 255))

    status, answer, kept = sent(bytes(body))

    assert status in (200, 400)
    assert kept == ([answer["accepted"], answer["rejected"]] if status == 200 else [0, 0])


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_damaged_gzip_gets_an_answer(body: bytes, place: int, byte: int) -> None:
    packed = bytearray(gzip.compress(b'{"batch":[]}' + body))
    packed[2 + place % (len(packed) - 2)] = byte

    assert sent(bytes(packed))[0] in (200, 400)


@given(message, time, st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)))
@settings(max_examples=tried(200))
def test_what_is_read_keeps_the_contract(said: dict[str, Any], sent_at: str, received_at: datetime) -> None:
    try:
        sent = datetime.fromisoformat(sent_at)
    except ValueError:
        sent = None
    if sent is not None and sent.tzinfo is None:
        sent = None
    raw = json.dumps(said).encode()
    try:
        event = from_segment(raw, received_at=received_at, sent_at=sent)
    except EventError:
        return

    assert decode(encode(event), received_at) == event
    assert "ip" not in json.loads(event.context)
    assert event.occurred_at <= event.received_at == received_at
