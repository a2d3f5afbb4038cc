from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, strategies as st

from ladder.events import CANONICAL_HEADER, Event, decode, encode
from producers.partitioner import partition_of
from producers.records import pack

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@st.composite
def batches(draw: st.DrawFn) -> list[Event]:
    visitors = draw(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5, unique=True))
    drawn = draw(st.lists(st.tuples(st.sampled_from(visitors), st.text(max_size=30)), max_size=40))
    return [
        Event(
            event_id=f"e{i}",
            visitor_id=visitor,
            occurred_at=NOON - timedelta(seconds=i % 7),
            received_at=NOON + timedelta(microseconds=i),
            name="tried\nsomething",
            page_url=url or None,
        )
        for i, (visitor, url) in enumerate(drawn)
    ]


@given(batches(), st.integers(1, 6), st.sampled_from([1, 200, 600, 10_000]))
def test_unpacking_gives_each_partition_its_events_unchanged_and_in_order(
    events: list[Event], partitions: int, max_bytes: int
) -> None:
    expected: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        expected[partition_of(event.visitor_id, partitions)].append(event)
    unpacked: dict[int, list[Event]] = defaultdict(list)
    for record in pack(events, partitions, max_bytes):
        lines = record.value.split(b"\n")
        unpacked[record.partition if record.partition is not None else -1] += [
            decode(line, NOON + timedelta(days=1)) for line in lines
        ]
        assert record.headers == (CANONICAL_HEADER,)
        assert len(record.value) <= max_bytes or len(lines) == 1
    assert unpacked == expected


@given(batches(), st.integers(1, 6))
def test_a_record_has_the_visitor_as_key_exactly_when_it_holds_no_other(events: list[Event], partitions: int) -> None:
    for record in pack(events, partitions, max_bytes=400):
        visitors = {decode(line, NOON + timedelta(days=1)).visitor_id for line in record.value.split(b"\n")}
        assert record.key == (visitors.pop().encode() if len(visitors) == 1 else None)


@given(batches(), st.integers(1, 6))
def test_records_are_as_few_as_their_size_allows(events: list[Event], partitions: int) -> None:
    records = pack(events, partitions, max_bytes=600)
    for partition in range(partitions):
        own = [record for record in records if record.partition == partition]
        for record, following in pairwise(own):
            first_of_next = following.value.split(b"\n")[0]
            assert len(record.value) + 1 + len(first_of_next) > 600


def test_a_record_is_filled_to_the_last_byte() -> None:
    events = [Event(event_id=f"e{i}", visitor_id="v", occurred_at=NOON, received_at=NOON, name="n") for i in range(3)]
    two = len(encode(events[0])) * 2 + 1
    assert [record.value.count(b"\n") for record in pack(events, 1, max_bytes=two)] == [1, 0]
    assert [record.value.count(b"\n") for record in pack(events, 1, max_bytes=two - 1)] == [0, 0, 0]
