from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from ladder.events import Event
from ladder.tiers import Ladder, Mark, Rule
from stream.decoding import frame_of
from stream.step_counting import StepCounting, Stretch
from stream.step_minutes_record import StepMinutesRecord
from tests.suites.step_minutes_oracle import Placed, step_minutes_of
from tests.suites.step_minutes_reader import StepMinutesReader

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LADDER = Ladder(
    "shop", ("look", "buy"), (Rule("shown", {}, (Mark(1, "ask", "page"),)), Rule("read", {}, (Mark(1, "yes", "page"),)))
)
SOURCE = "kafka:events"


def placed(count: int, per_record: int) -> list[Placed]:
    return [
        Placed(
            Event(
                event_id=f"e{n}",
                visitor_id=f"v{n % 7}",
                occurred_at=(at := NOON + n * timedelta(seconds=20)),
                received_at=at,
                name=("shown", "read", "other")[n % 3],
                device_class=("phone", "desktop")[n % 2],
            ),
            n // per_record,
        )
        for n in range(count)
    ]


def frame(events: list[Placed]) -> pl.DataFrame:
    found = frame_of([one.event for one in events], 0, [one.offset for one in events])
    return found.with_columns(late=pl.lit(False))


@pytest.mark.parametrize(("most", "per_record"), [(12, 1), (12, 5), (3, 5), (60, 3), (1000, 3)])
def test_a_stretch_with_much_to_tell_is_told_in_pieces_that_join(most: int, per_record: int) -> None:
    events = placed(60, per_record)
    end = events[-1].offset + 3
    counting = StepCounting(LADDER, SOURCE, ["device_class"], most_events=most)
    told = counting.records(frame(events), {0: (0, end)}, {0: NOON})
    # Two columns tell asks apart: the step and the device.
    assert len(told) == max(1, -(-len(events) // max(per_record, most // 2 // per_record * per_record)))
    assert [record.first for record in told] == [0, *(record.next for record in told[:-1])]
    assert told[-1].next == end
    assert [record.reached_us for record in told[:-1]] == [None] * (len(told) - 1)
    assert told[-1].reached_us == int(NOON.timestamp()) * 10**6
    assert StepMinutesReader().read(told) == step_minutes_of(events, LADDER, ["device_class"])


def test_what_stands_before_the_stretch_or_is_late_is_not_counted() -> None:
    events = placed(9, 1)
    counting = StepCounting(LADDER, SOURCE, [])
    told = counting.records(frame(events).with_columns(late=pl.col("record_offset") == 6), {0: (3, 9)}, {0: NOON})
    assert StepMinutesReader().read(told).asks.total() == 1
    assert counting.records(frame(events), {}, {}) == []


def test_restored_it_tells_the_last_stretch_again_and_goes_on() -> None:
    events = placed(60, 2)
    whole = StepCounting(LADDER, SOURCE, ["device_class"])
    whole.records(frame(events[:30]), {0: (0, 15)}, {0: NOON})
    last = whole.records(frame(events[30:40]), {0: (15, 20)}, {0: NOON})
    newest = events[39].event.occurred_at
    restored = StepCounting(LADDER, SOURCE, ["device_class"])
    stretch = Stretch(15, 20, events[30].event.occurred_at)
    since = restored.known_since(newest, stretch)
    assert since == NOON - timedelta(hours=4)
    assert without_time(restored.restore(0, frame(events[:40]), newest, stretch)) == without_time(last)
    more = {0: (20, 30)}
    assert restored.records(frame(events[40:]), more, {0: NOON}) == whole.records(frame(events[40:]), more, {0: NOON})


def test_where_nothing_has_come_there_is_nothing_to_restore() -> None:
    counting = StepCounting(LADDER, SOURCE, [])
    assert counting.known_since(None, None) is None
    assert counting.known_since(None, Stretch(0, 5, None)) is None
    assert counting.restore(0, frame([]), None, None) == []
    empty = counting.restore(0, frame([]), None, Stretch(0, 5, None))
    assert [(record.first, record.next, record.asks, record.reached_us) for record in empty] == [(0, 5, (), None)]


def without_time(records: list[StepMinutesRecord]) -> list[tuple[object, ...]]:
    return [(record.first, record.next, record.asks, record.yeses) for record in records]
