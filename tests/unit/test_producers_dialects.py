from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ladder.errors import EventError
from ladder.events import MAX_EVENT_BYTES, Event, Kind
from producers.dialects import Envelope, from_segment, open_batch, open_single

RECEIVED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def read(message: dict[str, Any] | bytes, sent_at: datetime | None = None, kind: Kind | None = None) -> Event:
    raw = message if isinstance(message, bytes) else json.dumps(message, ensure_ascii=False).encode()
    return from_segment(raw, received_at=RECEIVED, sent_at=sent_at, kind=kind)


def refused(message: dict[str, Any] | bytes, kind: Kind | None = None) -> tuple[str, str]:
    with pytest.raises(EventError) as caught:
        read(message, kind=kind)
    return caught.value.reason, caught.value.field


TRACK: dict[str, Any] = {"type": "track", "event": "Offer Shown", "messageId": "m1", "anonymousId": "ann"}


def test_a_full_track_keeps_its_objects_as_they_were_written() -> None:
    raw = (
        b'{"type":"track","event":"Offer Shown","messageId":"m1","anonymousId":"ann","userId":"u1",'
        b'"timestamp":"2026-11-22T11:59:00.5+00:00","properties":{ "price" : 1.50 },"unknown":[1,{"a":2}],'
        b'"context":{"page":{"url":"https://a/b","referrer":"https://s/"},"ip":"203.0.113.9","locale":"de",'
        b'"campaign":{"source":"news","medium":"mail","name":"spring"},"userAgent":"Mozilla/5.0 (iPhone)"}}'
    )

    assert read(raw) == Event(
        event_id="m1",
        visitor_id="ann",
        occurred_at=datetime(2026, 11, 22, 11, 59, 0, 500_000, tzinfo=UTC),
        received_at=RECEIVED,
        kind="track",
        name="Offer Shown",
        user_id="u1",
        properties='{ "price" : 1.50 }',
        context='{"page":{"url":"https://a/b","referrer":"https://s/"},"locale":"de",'
        '"campaign":{"source":"news","medium":"mail","name":"spring"},"userAgent":"Mozilla/5.0 (iPhone)"}',
        page_url="https://a/b",
        referrer="https://s/",
        utm_source="news",
        utm_medium="mail",
        utm_campaign="spring",
        device_class="mobile",
    )


def test_the_least_a_track_needs() -> None:
    assert read(TRACK) == Event(
        event_id="m1", visitor_id="ann", occurred_at=RECEIVED, received_at=RECEIVED, kind="track", name="Offer Shown"
    )


@pytest.mark.parametrize(
    ("ids", "visitor_id", "user_id"),
    [
        ({"anonymousId": "ann", "userId": "u1"}, "ann", "u1"),
        ({"anonymousId": None, "userId": "u1"}, "u1", "u1"),
        ({"anonymousId": "", "userId": "u1"}, "u1", "u1"),
        ({"anonymousId": "ann", "userId": None}, "ann", None),
        ({"anonymousId": "ann", "userId": ""}, "ann", None),
        ({"anonymousId": None, "userId": 0}, "0", "0"),
        ({"anonymousId": 17, "userId": None}, "17", None),
    ],
)
def test_who_it_was(ids: dict[str, Any], visitor_id: str, user_id: str | None) -> None:
    event = read(TRACK | ids)

    assert (event.visitor_id, event.user_id) == (visitor_id, user_id)


@pytest.mark.parametrize(
    ("message", "name", "properties"),
    [
        ({"type": "page", "name": "Home", "category": "Docs"}, "Home", {"category": "Docs"}),
        ({"type": "page", "name": "Home", "category": "A", "properties": {"category": "B"}}, "Home", {"category": "B"}),
        ({"type": "page", "properties": {"name": "Home"}}, "Home", {"name": "Home"}),
        ({"type": "page", "properties": {"name": ["Home"]}}, "page", {"name": ["Home"]}),
        ({"type": "page", "name": ""}, "page", {}),
        ({"type": "screen"}, "screen", {}),
        ({"type": "screen", "name": "Start"}, "Start", {}),
        ({"type": "identify", "traits": {"plan": "pro"}, "name": "x"}, "identify", {"plan": "pro"}),
        ({"type": "identify", "traits": None}, "identify", {}),
        ({"type": "identify", "context": {"traits": {"plan": "pro"}}}, "identify", {"plan": "pro"}),
        ({"type": "identify", "context": {"traits": "pro"}}, "identify", {}),
        ({"type": "identify", "traits": {"a": 1}, "context": {"traits": {"b": 2}}}, "identify", {"a": 1}),
        ({"type": "group", "groupId": "g1", "traits": {"n": 1}}, "group", {"n": 1, "group_id": "g1"}),
        ({"type": "group", "groupId": 5}, "group", {"group_id": "5"}),
        ({"type": "group"}, "group", {}),
        ({"type": "alias", "previousId": "old", "userId": "new"}, "alias", {}),
        ({"type": "track", "event": "Paid", "name": "x", "category": "y"}, "Paid", {}),
    ],
)
def test_each_kind_has_its_name_and_its_properties(
    message: dict[str, Any], name: str, properties: dict[str, Any]
) -> None:
    event = read({"messageId": "m1", "anonymousId": "ann"} | message)

    assert (event.kind, event.name, json.loads(event.properties)) == (message["type"], name, properties)


def test_an_alias_joins_the_previous_id_to_the_user() -> None:
    said = {"type": "alias", "messageId": "m1", "userId": "new", "anonymousId": "ann"}

    assert (read(said | {"previousId": "old"}).visitor_id, read(said | {"previousId": "old"}).user_id) == ("old", "new")
    assert read(said).visitor_id == "ann"
    assert refused({"type": "alias", "messageId": "m1", "userId": "new"}) == ("missing_field", "previousId")
    assert refused({"type": "alias", "messageId": "m1", "previousId": "old"}) == ("missing_field", "userId")


def test_the_message_says_its_kind_and_the_route_says_it_for_those_that_do_not() -> None:
    assert read(TRACK | {"type": "page"}, kind="track").kind == "page"
    assert read(TRACK | {"type": None}, kind="screen").kind == "screen"
    assert refused(TRACK | {"type": None}) == ("missing_field", "type")


def test_page_and_referrer_come_from_the_properties_where_the_context_has_none() -> None:
    event = read(TRACK | {"properties": {"url": "https://p/", "referrer": "https://r/"}, "context": {"page": {}}})

    assert (event.page_url, event.referrer) == ("https://p/", "https://r/")
    assert read(TRACK | {"properties": {"url": "", "referrer": 5}}).page_url is None


@pytest.mark.parametrize(
    "context", [{"page": "x"}, {"campaign": []}, {"device": 1, "library": None}, {"userAgent": {}}]
)
def test_a_context_of_odd_shape_is_kept_and_tells_nothing(context: dict[str, Any]) -> None:
    event = read(TRACK | {"context": context})

    assert (json.loads(event.context), event.page_url, event.device_class) == (context, None, None)


def test_the_ip_address_is_dropped_however_it_is_spelled() -> None:
    raw = json.dumps(TRACK)[:-1].encode() + b',"context":{"\\u0069p":"203.0.113.9","locale":"de"}}'

    assert json.loads(read(raw).context) == {"locale": "de"}


@pytest.mark.parametrize(
    ("timestamp", "sent_at", "occurred_at"),
    [
        # no sentAt: the client's clock is taken as right, but nothing happens after it was received
        ("2026-11-22T11:00:00Z", None, "2026-11-22T11:00:00+00:00"),
        ("2026-11-22T13:00:00+02:00", None, "2026-11-22T11:00:00+00:00"),
        ("2026-11-22T11:00:00.123456Z", None, "2026-11-22T11:00:00.123456+00:00"),
        ("2026-11-22T11:00:00.1234567Z", None, "2026-11-22T11:00:00.123457+00:00"),
        ("2027-01-01T00:00:00Z", None, "2026-11-22T12:00:00+00:00"),
        # sentAt: a clock an hour ahead, an hour behind, and one that stands in 1970
        ("2026-11-22T12:59:00Z", "2026-11-22T13:00:00Z", "2026-11-22T11:59:00+00:00"),
        ("2026-11-22T10:59:00Z", "2026-11-22T11:00:00Z", "2026-11-22T11:59:00+00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:10Z", "2026-11-22T11:59:50+00:00"),
        # sent before it happened, which cannot be: received is the latest
        ("2026-11-22T11:59:59Z", "2026-11-22T11:00:00Z", "2026-11-22T12:00:00+00:00"),
    ],
)
def test_when_it_happened(timestamp: str, sent_at: str | None, occurred_at: str) -> None:
    sent = None if sent_at is None else datetime.fromisoformat(sent_at)
    event = read(TRACK | {"timestamp": timestamp}, sent_at=sent)

    assert event.occurred_at.isoformat() == occurred_at
    assert event.occurred_at.tzinfo is UTC


def test_the_requests_sent_at_goes_before_the_messages_own() -> None:
    message = TRACK | {"timestamp": "2026-11-22T11:50:00Z", "sentAt": "2026-11-22T11:55:00Z"}

    assert read(message).occurred_at == RECEIVED - timedelta(minutes=5)
    assert read(message, sent_at=datetime(2026, 11, 22, 11, 51, tzinfo=UTC)).occurred_at == (
        RECEIVED - timedelta(minutes=1)
    )


def test_rudders_original_timestamp_serves_where_there_is_no_timestamp() -> None:
    assert read(TRACK | {"originalTimestamp": "2026-11-22T11:00:00Z"}).occurred_at == RECEIVED - timedelta(hours=1)


def test_a_message_without_an_id_gets_one_from_its_text_and_the_time() -> None:
    message = json.dumps(TRACK | {"messageId": None}).encode()
    ids = {
        from_segment(raw, received_at=at, sent_at=None).event_id
        for raw in (message, message.replace(b"ann", b"bob"))
        for at in (RECEIVED, RECEIVED + timedelta(microseconds=1))
    }

    assert len(ids) == 4
    assert from_segment(message, received_at=RECEIVED, sent_at=None).event_id in ids
    assert read(TRACK | {"messageId": 17}).event_id == "17"


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"event": None}, "missing_field", "event"),
        ({"event": ""}, "missing_field", "event"),
        ({"event": 5}, "wrong_type", "event"),
        ({"event": "x" * 257}, "bad_value", "event"),
        ({"anonymousId": None}, "missing_field", "anonymousId"),
        ({"anonymousId": {"id": 1}}, "wrong_type", "anonymousId"),
        ({"anonymousId": 1.5}, "wrong_type", "anonymousId"),
        ({"anonymousId": "x" * 257}, "bad_value", "anonymousId"),
        ({"userId": 2**70}, "bad_value", "userId"),
        ({"messageId": True}, "wrong_type", "messageId"),
        ({"type": "pageview"}, "unknown_type", "type"),
        ({"type": "Track"}, "unknown_type", "type"),
        ({"type": 5}, "wrong_type", "type"),
        ({"timestamp": "yesterday"}, "bad_time", "timestamp"),
        ({"timestamp": ""}, "bad_time", "timestamp"),
        ({"timestamp": "2026-11-22T11:00:00"}, "bad_time", "timestamp"),
        ({"timestamp": 1700000000}, "bad_time", "timestamp"),
        ({"timestamp": "1970-01-01T00:00:00Z"}, "bad_time", "timestamp"),
        ({"timestamp": "2100-01-01T00:00:00Z"}, "bad_time", "timestamp"),
        ({"timestamp": "9999-12-31T23:59:59Z"}, "bad_time", "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "bad_time", "timestamp"),
        ({"timestamp": "9999-12-31T23:59:59Z", "sentAt": "0001-01-01T00:00:00Z"}, "bad_time", "timestamp"),
        ({"timestamp": "2026-11-22T11:00:00Z", "sentAt": "2090-01-01T00:00:00Z"}, "bad_time", "timestamp"),
        ({"sentAt": "soon"}, "bad_time", "sentAt"),
        ({"properties": [1]}, "wrong_type", "properties"),
        ({"properties": "x"}, "wrong_type", "properties"),
        ({"context": 5}, "wrong_type", "context"),
        ({"type": "identify", "traits": []}, "wrong_type", "traits"),
        ({"properties": {"x": "y" * MAX_EVENT_BYTES}}, "too_large", ""),
    ],
)
def test_what_is_wrong_is_named_as_the_sender_spells_it(change: dict[str, Any], reason: str, field: str) -> None:
    assert refused({key: value for key, value in (TRACK | change).items() if value is not None}) == (reason, field)


@pytest.mark.parametrize(
    ("raw", "reason", "field"),
    [
        (b"5", "not_an_event", ""),
        (b"null", "not_an_event", ""),
        (b'["track"]', "not_an_event", ""),
        (b"{", "not_json", ""),
        (b"", "not_json", ""),
        (b'{"event":"\xff"}', "not_utf8", ""),
        (b'{"type":"track","event":"a","userId":"u","properties":{"a":"\xff"}}', "not_utf8", "properties"),
        (b'{"type":"track","event":"a","userId":"u","context":{"\xff":1}}', "not_utf8", "context"),
        (b'{"type":"track","event":"a","userId":"u","properties":{"a":NaN}}', "not_json", ""),
        (b'{"type":"track","event":"a","userId":"u","properties":{"a":1e999}}', "bad_value", "properties"),
        (b'{"type":"track","event":"a","userId":"u","properties":{"a":"\\ud800"}}', "not_json", ""),
        (b'{"properties":' + b"[" * 15_000 + b"]" * 15_000 + b"}", "bad_value", ""),
    ],
)
def test_what_is_no_message_at_all_has_a_reason_too(raw: bytes, reason: str, field: str) -> None:
    assert refused(raw) == (reason, field)


def test_a_batch_opens_into_its_messages() -> None:
    envelope = open_batch(b'{"batch":[{"a":1}, 2 ,null],"sentAt":"2026-11-22T12:00:00Z","writeKey":"k","x":1}')

    assert [bytes(message) for message in envelope.messages] == [b'{"a":1}', b"2", b"null"]
    assert (envelope.sent_at, envelope.write_key, envelope.fault) == (RECEIVED, "k", None)


def test_a_batch_needs_nothing_but_its_list() -> None:
    assert open_batch(b'{"batch":[],"sentAt":null}') == Envelope([], None, None, None)


@pytest.mark.parametrize("sent_at", ['"soon"', '""', "17", '{"a":1}', '"2026-11-22T12:00:00"'])
def test_a_batch_that_was_sent_at_no_time_has_a_fault_and_keeps_its_messages(sent_at: str) -> None:
    envelope = open_batch(b'{"batch":[1,2],"sentAt":' + sent_at.encode() + b"}")

    assert len(envelope.messages) == 2
    assert envelope.fault is not None
    assert (envelope.fault.reason, envelope.fault.field) == ("bad_time", "sentAt")


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        (b"", "not_json", ""),
        (b"batch", "not_json", ""),
        (b'{"batch":[{}]', "not_json", ""),
        (b'{"batch":[{}]}x', "not_json", ""),
        (b"[]", "not_an_event", ""),
        (b"{}", "missing_field", "batch"),
        (b'{"batch":null}', "missing_field", "batch"),
        (b'{"batch":{}}', "wrong_type", "batch"),
        (b'{"batch":[],"writeKey":5}', "wrong_type", "writeKey"),
        ('{"batch":[]}'.encode("utf-16"), "not_utf8", ""),
        (b'\xef\xbb\xbf{"batch":[]}', "not_json", ""),
        (b'{"batch":[],"writeKey":"\xff"}', "not_utf8", ""),
        (b'{"batch":' + b"[" * 300_000 + b"]" * 300_000 + b"}", "bad_value", ""),
        (b'{"batch":NaN}', "not_json", ""),
        (b'{"batch":[' + b"9" * 5000 + b",NaN]}", "not_json", ""),
    ],
)
def test_a_body_that_is_no_batch_is_refused_whole(body: bytes, reason: str, field: str) -> None:
    with pytest.raises(EventError) as caught:
        open_batch(body)

    assert (caught.value.reason, caught.value.field) == (reason, field)


@pytest.mark.parametrize("odd", [b'{"x":NaN}', b'{"x":-Infinity}', b'{"x":"\\ud83d"}'])
def test_what_only_some_writers_call_json_spoils_neither_its_neighbours_nor_their_bytes(odd: bytes) -> None:
    good = json.dumps(TRACK).encode()
    bad = good[:-1] + b' , "properties":' + odd + b"}"
    body = b' { "a" : [{}, "]}" ], "batch" :[ ' + good + b" ,\n\t" + bad + b' ] , "sentAt": "2026-11-22T12:00:00Z" '
    body += b',"writeKey":"k", "z":{}\r\n}  '

    envelope = open_batch(body)

    assert (envelope.sent_at, envelope.write_key, envelope.fault) == (RECEIVED, "k", None)
    assert [bytes(message) for message in envelope.messages] == [good, bad]
    assert refused(bad) == ("not_json", "")


def test_an_empty_batch_beside_such_a_value_is_an_empty_batch() -> None:
    assert open_batch(b'{"batch":[ ],"x":NaN}') == Envelope([], None, None, None)


def test_a_single_message_is_its_own_envelope() -> None:
    body = b'{"type":"track","writeKey":"k","sentAt":"2026-11-22T12:00:00Z"}'

    assert open_single(body) == Envelope((body,), None, "k", None)


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b'{"writeKey":5}', b"{", b"[" * 300_000])
def test_a_single_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(EventError):
        open_single(body)


def test_a_single_message_with_half_a_character_is_left_for_the_reader_to_refuse() -> None:
    body = b'{"type":"track","event":"a","userId":"u","writeKey":"k","properties":{"a":"\\ud83d"}}'

    assert open_single(body) == Envelope((body,), None, "k", None)
    assert refused(body) == ("not_json", "")
