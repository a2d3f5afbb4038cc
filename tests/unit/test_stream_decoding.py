from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl
import pytest

from ladder.errors import EventError
from ladder.events import ARROW_SCHEMA, MAX_CANONICAL_BYTES, MAX_EVENT_BYTES, Event, encode
from ladder.rejects import Reject, encode_reject
from stream.decoding import Decoded, decode, frame_of
from tests.suites.consumed import CANONICAL, NOON_MS, REJECT, Record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(event_id: str = "e", **fields: object) -> Event:
    plain = Event(event_id=event_id, visitor_id="v", occurred_at=NOON, received_at=NOON, name="n")
    return msgspec.structs.replace(plain, **fields)


def foreign(**fields: object) -> bytes:
    """An event as another producer writes it, without ``received_at``."""
    return msgspec.json.encode({"event_id": "e", "visitor_id": "v", "occurred_at": NOON, "name": "n"} | fields)


def ids(decoded: Decoded) -> list[tuple[int, int, str]]:
    return decoded.events.select("partition", "record_offset", "event_id").rows()


def reasons(decoded: Decoded) -> list[tuple[int, str, str]]:
    return [(placed.offset, placed.reject.reason, placed.reject.field) for placed in decoded.rejects]


def test_no_records_give_no_events_in_the_right_columns() -> None:
    nothing = decode([])
    something = decode([Record(encode(event()), CANONICAL)])
    assert nothing.rejects == []
    assert nothing.events.is_empty()
    assert nothing.events.schema == something.events.schema == frame_of([], 0, []).schema
    assert nothing.events.columns == [*ARROW_SCHEMA.names, "partition", "record_offset", "record_time"]
    assert decode([Record(foreign())]).events.schema == decode([Record(b"{")]).events.schema == nothing.events.schema


def test_each_line_of_a_record_has_the_records_place_and_time() -> None:
    two = Record(encode(event("a")) + b"\n" + encode(event("b")), CANONICAL, 7, 3, NOON_MS + 5)
    decoded = decode([two, Record(encode(event("c")), CANONICAL, 8, 3)])
    assert ids(decoded) == [(3, 7, "a"), (3, 7, "b"), (3, 8, "c")]
    assert decoded.events["record_time"].to_list() == [NOON + timedelta(milliseconds=5)] * 2 + [NOON]


def test_fields_that_a_line_leaves_out_have_the_contracts_defaults() -> None:
    decoded = decode([Record(encode(event()), CANONICAL)])
    row = decoded.events.row(0, named=True)
    assert b"kind" not in encode(event())
    assert {name: row[name] for name in ("kind", "properties", "context", "user_id", "page_url")} == {
        "kind": "track",
        "properties": "{}",
        "context": "{}",
        "user_id": None,
        "page_url": None,
    }


def test_foreign_records_hold_one_event_or_an_array_and_take_the_records_time_for_their_arrival() -> None:
    array = b" [" + foreign(event_id="b") + b", " + foreign(event_id="c") + b"] "
    decoded = decode([Record(foreign(event_id="a"), offset=1), Record(array, offset=2)])
    assert ids(decoded) == [(0, 1, "a"), (0, 2, "b"), (0, 2, "c")]
    assert decoded.events["received_at"].to_list() == [NOON + timedelta(microseconds=us) for us in (1, 2, 3)]


def test_records_keep_their_order_within_a_partition_whatever_their_form() -> None:
    records = [
        Record(encode(event("a")), CANONICAL, 1),
        Record(foreign(event_id="b"), (), 2),
        Record(encode(event("x")), CANONICAL, 1, 1),
        Record(encode(event("c")) + b"\n" + encode(event("d")), CANONICAL, 3),
        Record(foreign(event_id="y"), (), 2, 1),
    ]
    assert ids(decode(records)) == [(0, 1, "a"), (0, 2, "b"), (0, 3, "c"), (0, 3, "d"), (1, 1, "x"), (1, 2, "y")]


def test_an_event_in_a_foreign_array_may_be_bad_without_spoiling_its_neighbours_and_is_kept_by_its_own_bytes() -> None:
    decoded = decode([Record(b"[" + foreign(event_id="a") + b', {"event_id":5}, ' + foreign(event_id="b") + b"]")])
    assert ids(decoded) == [(0, 0, "a"), (0, 0, "b")]
    assert reasons(decoded) == [(0, "wrong_type", "event_id")]
    assert decoded.rejects[0].reject.raw == b'{"event_id":5}'
    assert decoded.rejects[0].reject.rejected_at == NOON
    assert decoded.rejects[0].reject.stage == "stream"


def test_an_array_of_hundred_thousand_bad_elements_is_as_many_small_dead_letters() -> None:
    decoded = decode([Record(b"[" + b",".join([b"1"] * 100_000) + b"]")])
    assert len(decoded.rejects) == 100_000
    assert {placed.reject.raw for placed in decoded.rejects} == {b"1"}


def test_our_own_print_of_a_large_event_may_be_longer_than_another_producers() -> None:
    large = event("large", properties=json.dumps({"x": '"' * (MAX_EVENT_BYTES // 2)}))
    assert MAX_EVENT_BYTES < len(encode(large)) < MAX_CANONICAL_BYTES
    decoded = decode([Record(encode(large), CANONICAL, 3), Record(b"a false friend", CANONICAL, 4)])
    assert ids(decoded) == [(0, 3, "large")]
    assert reasons(decoded) == [(4, "not_json", "")]
    assert reasons(decode([Record(encode(large), (), 5)])) == [(5, "too_large", "")]


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (None, "not_json", ""),
        (b"", "not_json", ""),
        (b"  \n", "not_json", ""),
        (b"{", "not_json", ""),
        (b"\xef\xbb\xbf" + foreign(), "not_json", ""),
        (foreign().decode().encode("utf-16"), "not_json", ""),
        (b"null", "not_an_event", ""),
        (b"5", "not_an_event", ""),
        (foreign(page_url="x").replace(b'"x"', b'"\xff"'), "not_utf8", ""),
        (foreign(properties={"x": "y"}).replace(b'"y"', b'"\xff"'), "not_utf8", "properties"),
        (foreign(visitor_id=""), "missing_field", "visitor_id"),
        (foreign(visitor_id="x" * 257), "bad_value", "visitor_id"),
        (foreign(properties=[1]), "wrong_type", "properties"),
        (foreign(properties="nope"), "wrong_type", "properties"),
        (foreign(kind="click"), "bad_value", "kind"),
        (foreign(occurred_at="2026-03-01"), "bad_time", "occurred_at"),
        (foreign(occurred_at="1999-12-31T23:59:59Z"), "bad_time", "occurred_at"),
        (foreign(received_at="2100-01-01T00:00:00Z"), "bad_time", "received_at"),
        (foreign(properties={"x": "y" * MAX_CANONICAL_BYTES}), "too_large", ""),
        (b'{"properties":' + b"[" * 5000 + b"]" * 5000 + b"}", "bad_value", ""),
        (b"[" * 5000, "bad_value", ""),
    ],
)
def test_a_bad_record_is_a_dead_letter_with_its_reason_field_and_bytes(
    value: bytes | None, reason: str, field: str
) -> None:
    for headers in ((), CANONICAL):
        decoded = decode([Record(encode(event("good")), CANONICAL, 3), Record(value, headers, 4)])
        assert ids(decoded) == [(0, 3, "good")]
        assert {(4, reason, field)} >= set(reasons(decoded)[:1])
        assert b"\n".join(placed.reject.raw for placed in decoded.rejects) == (value or b"")


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"event_id": ""}, "missing_field", "event_id"),
        ({"visitor_id": "x" * 257}, "bad_value", "visitor_id"),
        ({"name": "ü" * 257}, "bad_value", "name"),
        ({"user_id": ""}, "missing_field", "user_id"),
        ({"kind": "click"}, "bad_value", "kind"),
        ({"properties": "nope"}, "wrong_type", "properties"),
        ({"context": "[1]"}, "wrong_type", "context"),
        ({"occurred_at": datetime(1999, 12, 31, tzinfo=UTC)}, "bad_time", "occurred_at"),
        ({"received_at": datetime(2100, 1, 1, tzinfo=UTC)}, "bad_time", "received_at"),
        ({"received_at": datetime(9999, 1, 1, tzinfo=UTC)}, "bad_time", "received_at"),
    ],
)
def test_the_canonical_header_on_an_event_that_breaks_the_contract_helps_nothing(
    change: dict[str, object], reason: str, field: str
) -> None:
    lines = [
        encode(event("a")),
        encode(event("bad", **change) if "event_id" not in change else event("")),
        encode(event("c")),
    ]
    decoded = decode([Record(b"\n".join(lines), CANONICAL, 9)])
    assert ids(decoded) == [(0, 9, "a"), (0, 9, "c")]
    assert reasons(decoded) == [(9, reason, field)]
    assert decoded.rejects[0].reject.raw == lines[1]


def test_ids_of_256_characters_are_allowed_however_many_bytes_they_have() -> None:
    for character in ("x", "ü", "𝄞"):
        decoded = decode([Record(encode(event(character * 256)), CANONICAL)])
        assert ids(decoded) == [(0, 0, character * 256)]


def test_an_event_of_the_future_of_its_own_arrival_is_held_at_it() -> None:
    later = event(occurred_at=NOON + timedelta(hours=1))
    decoded = decode([Record(encode(later), CANONICAL)])
    assert decoded.events.select("occurred_at", "received_at").rows() == [(NOON, NOON)]


def test_objects_under_the_canonical_header_are_read_as_objects() -> None:
    quoting = {"say": 'a "b" \\ c', "n": 1.50}
    compact = msgspec.json.encode(msgspec.to_builtins(event()) | {"properties": quoting})
    assert compact.startswith(b'{"event_id":"')
    decoded = decode([Record(compact, CANONICAL)])
    assert msgspec.json.decode(decoded.events["properties"][0]) == quoting


@pytest.mark.parametrize(
    "time", ["2026-01-05", "2026-01-05T11:00", "2026-01-05T11:00:00", "2026-01-05T11:00:00.5", "2026-01-05T11:00:00.5Z",
             "2026-01-05T12:00:00+01:00", "2026-01-05 11:00:00Z", "2026-02-30T11:00:00Z", "2026-01-05T11:00:60Z",
             "2026-01-05T24:00:00Z", "2026-01-05T11:00Z", "now"],
)  # fmt: skip
def test_a_time_written_otherwise_means_the_same_with_the_canonical_header_and_without(time: str) -> None:
    line = msgspec.json.encode(
        msgspec.to_builtins(event()) | {"occurred_at": time, "received_at": "2026-01-05T13:00:00Z"}
    )
    found = [decode([Record(line, headers)]) for headers in ((), CANONICAL)]
    assert found[0].events["occurred_at"].to_list() == found[1].events["occurred_at"].to_list()
    assert reasons(found[0]) == reasons(found[1])


def test_numbers_under_the_canonical_header_are_no_ids() -> None:
    decoded = decode([Record(encode(event()).replace(b'"event_id":"e"', b'"event_id":5'), CANONICAL)])
    assert reasons(decoded) == [(0, "wrong_type", "event_id")]


@pytest.mark.parametrize("neighbour", [b"", b"garbage"])
def test_blank_lines_under_the_canonical_header_are_nothing_and_shift_no_event_to_another_record(
    neighbour: bytes,
) -> None:
    records = [
        Record(b"\n" + encode(event("a")) + b"\n \n" + encode(event("b")), CANONICAL, 1),
        Record(encode(event("c")) + b"\r\n", CANONICAL, 2),
        Record(encode(event("d")), CANONICAL, 3),
        Record(neighbour, CANONICAL, 4),
    ]
    decoded = decode(records)
    assert ids(decoded) == [(0, 1, "a"), (0, 1, "b"), (0, 2, "c"), (0, 3, "d")]
    assert reasons(decoded) == [(4, "not_json", "")]


def test_two_events_on_one_line_are_no_event() -> None:
    value = encode(event("a")) + encode(event("b"))
    decoded = decode([Record(value, CANONICAL, 1), Record(b"\n", CANONICAL, 2)])
    assert ids(decoded) == []
    assert [(placed.offset, placed.reject.raw) for placed in decoded.rejects] == [(1, value), (2, b"\n")]


def test_one_false_friend_among_thousands_costs_only_itself() -> None:
    records = [Record(encode(event(f"e{n}")), CANONICAL, n) for n in range(3000)]
    records[1234] = Record(b"garbage", CANONICAL, 1234)
    decoded = decode(records)
    assert [offset for _, offset, _ in ids(decoded)] == [n for n in range(3000) if n != 1234]
    assert reasons(decoded) == [(1234, "not_json", "")]


@pytest.mark.parametrize("timestamp", [None, -1, 0, NOON_MS * 1000, 2**63 - 1, -(2**63)])
def test_a_record_time_that_cannot_be_true_is_replaced_by_the_events_own_arrival(timestamp: int | None) -> None:
    decoded = decode([Record(encode(event("a")), CANONICAL, 0, 0, timestamp), Record(foreign(), (), 1, 0, timestamp)])
    assert decoded.events["record_time"].to_list() == [NOON]
    assert reasons(decoded) == [(1, "bad_time", "received_at")]
    assert decoded.rejects[0].reject.rejected_at == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_dead_letter_of_the_collector_comes_through_as_it_is() -> None:
    sent = Reject.of(EventError("not_json", "", "the bytes are no JSON"), b"\x00\xff", NOON, "collector")
    decoded = decode([Record(encode_reject(sent), REJECT, 5, 2)])
    assert [(placed.reject, placed.partition, placed.offset) for placed in decoded.rejects] == [(sent, 2, 5)]
    assert decoded.events.is_empty()


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"{",
        b'{"reason":"nope"}',
        encode_reject(Reject.of(EventError("not_json", "x", ""), b"", NOON, "collector")).replace(b'"x"', b'"\xff"'),
        encode_reject(Reject.of(EventError("not_json", "", ""), b"", NOON, "collector")).replace(b"2026", b"0001"),
    ],
)
def test_what_is_marked_as_a_dead_letter_and_is_none_becomes_one_of_the_stream(value: bytes | None) -> None:
    decoded = decode([Record(value, REJECT, 5)])
    assert reasons(decoded) == [(5, "not_an_event", "")]
    assert decoded.rejects[0].reject.raw == (value or b"")
    assert decoded.rejects[0].reject.detail.startswith("is no dead letter of ours: ")


def test_events_at_hand_have_the_columns_of_decoded_ones() -> None:
    events = [event("a"), event("b", occurred_at=NOON - timedelta(hours=1))]
    frame = frame_of(events, 4, [7, 9])
    assert frame.select("event_id", "partition", "record_offset", "record_time").rows() == [
        ("a", 4, 7, NOON),
        ("b", 4, 9, NOON),
    ]
    assert frame.schema["record_time"] == pl.Datetime("us", "UTC")
