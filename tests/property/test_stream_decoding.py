from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import polars as pl
from hypothesis import given, settings, strategies as st
from polars.testing import assert_frame_equal

from ladder.errors import EventError
from ladder.events import Event, Kind, decode_record, encode
from stream.decoding import decode, frame_of
from tests.suites.consumed import CANONICAL, REJECT, Record

EARLY, LATE = datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
unhurried = settings(deadline=None, max_examples=150)


characters = st.characters(codec="utf-8")
kinds: st.SearchStrategy[Kind] = st.sampled_from(get_args(Kind))
ids = st.text(characters, min_size=1, max_size=8)
longer_ids = st.one_of(ids, st.sampled_from(["x" * 256, "ü" * 256, "𝄞" * 256]))
texts = st.one_of(st.none(), st.text(characters, max_size=12))
times = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(characters, max_size=5),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(characters, max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)
objects = st.dictionaries(st.text(characters, max_size=4), json_values, max_size=3)


@st.composite
def events(draw: st.DrawFn) -> Event:
    received = draw(times)
    return Event(
        event_id=draw(longer_ids),
        visitor_id=draw(longer_ids),
        occurred_at=max(EARLY, received - timedelta(microseconds=draw(st.integers(0, 10**12)))),
        received_at=received,
        kind=draw(kinds),
        name=draw(longer_ids),
        user_id=draw(st.none() | ids),
        properties=json.dumps(draw(objects), ensure_ascii=draw(st.booleans())),
        context=json.dumps(draw(objects), indent=draw(st.none() | st.just(1))),
        page_url=draw(texts),
        referrer=draw(texts),
        utm_source=draw(texts),
        utm_medium=draw(texts),
        utm_campaign=draw(texts),
        device_class=draw(texts),
    )


def foreign(event: Event) -> dict[str, Any]:
    """The event as another producer may write it: objects as objects."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    return fields | {"properties": json.loads(event.properties), "context": json.loads(event.context)}


def same_objects(frame: pl.DataFrame) -> pl.DataFrame:
    """With ``properties`` and ``context`` in one spelling."""
    return frame.with_columns(
        pl.Series(name, [json.dumps(json.loads(text), sort_keys=True) for text in frame[name]], pl.String)
        for name in ("properties", "context")
    )


@unhurried
@given(st.lists(events(), max_size=6), st.integers(1, 3))
def test_canonical_records_give_back_their_events(drawn: list[Event], size: int) -> None:
    lines = [encode(event) for event in drawn]
    records = [Record(b"\n".join(lines[i : i + size]), CANONICAL, offset=i) for i in range(0, len(lines), size)]
    decoded = decode(records)
    assert decoded.rejects == []
    assert decoded.events["record_offset"].to_list() == [i // size * size for i in range(len(drawn))]
    columns = list(Event.__struct_fields__)
    assert decoded.events.select(columns).rows() == [tuple(msgspec.structs.astuple(event)) for event in drawn]
    assert_frame_equal(decoded.events.select(columns), frame_of(drawn, 0, range(len(drawn))).select(columns))


@unhurried
@given(st.lists(events(), min_size=1, max_size=6), st.sampled_from(["alone", "array", "array with header"]))
def test_the_foreign_form_of_the_same_events_decodes_to_the_same_columns(drawn: list[Event], form: str) -> None:
    if form == "alone":
        records = [Record(msgspec.json.encode(foreign(event)), (), offset=i) for i, event in enumerate(drawn)]
    else:
        header = CANONICAL if form == "array with header" else ()
        records = [Record(msgspec.json.encode([foreign(event) for event in drawn]), header)]
    decoded = decode(records)
    canonical = decode([Record(encode(event), CANONICAL, offset=i) for i, event in enumerate(drawn)])
    assert decoded.rejects == canonical.rejects == []
    columns = list(Event.__struct_fields__)
    assert_frame_equal(same_objects(decoded.events.select(columns)), same_objects(canonical.events.select(columns)))


garbage = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.builds(lambda event, cut: encode(event)[:cut], events(), st.integers(0, 200)),
    st.builds(lambda value: json.dumps(value).encode(), json_values),
    st.builds(
        lambda event, field, value: json.dumps(foreign(event) | {field: value}).encode("utf-8", "surrogatepass"),
        events(),
        st.sampled_from(Event.__struct_fields__),
        st.one_of(json_values, st.sampled_from(["\ud800", "9999-01-01T00:00:00Z", "2026-01-01T00:00:60Z", " {} "])),
    ),
    st.builds(
        lambda event, tail: encode(event) + tail, events(), st.sampled_from([b"\n", b" ", b"{}", b"\n{}", b"\xff"])
    ),
)


@unhurried
@given(
    st.lists(
        st.tuples(
            garbage,
            st.sampled_from([(), CANONICAL, REJECT, CANONICAL + REJECT]),
            st.sampled_from([None, -1, 0, 1_767_225_600_000, 10**15, 2**63 - 1]),
        ),
        max_size=6,
    ),
    st.lists(events(), max_size=3),
)
def test_whatever_stands_in_a_record_ends_in_events_or_dead_letters_and_spoils_no_neighbour(
    bad: list[tuple[bytes | None, tuple[tuple[str, bytes], ...], int | None]], good: list[Event]
) -> None:
    records = [Record(value, headers, i, 1, timestamp) for i, (value, headers, timestamp) in enumerate(bad)]
    neighbours = [Record(encode(event), CANONICAL, i) for i, event in enumerate(good)]
    decoded = decode([*records, *neighbours])
    clean = decoded.events.filter(pl.col("partition") == 0)
    assert clean.select(Event.__struct_fields__).rows() == [tuple(msgspec.structs.astuple(event)) for event in good]
    settled = {*decoded.events.filter(pl.col("partition") == 1)["record_offset"], *(r.offset for r in decoded.rejects)}
    empty_arrays = {
        record.offset
        for record in records
        if (record.value or b"").strip() == b"[]" and record.headers not in (REJECT, CANONICAL + REJECT)
    }
    assert settled == set(range(len(records))) - empty_arrays
    for event in decoded.events.select(Event.__struct_fields__).iter_rows(named=True):
        again = [outcome for _, outcome in decode_record(encode(Event(**event)), LATE)]
        assert not any(isinstance(outcome, EventError) for outcome in again)
