from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import polars as pl
from hypothesis import given, settings, strategies as st

from ladder.events import Event
from ladder.tiers import Mark, Rule
from stream.sessions import Sessioniser
from stream.step_minutes import StepCounts, StepMinutes
from tests.suites.event_strategies import LADDER as TINY, START
from tests.suites.step_minutes_oracle import Key, Placed, StepMinuteCounts, difference, step_minutes_of

unhurried = settings(deadline=None, max_examples=150)
LADDER = replace(
    TINY,
    rules=(*TINY.rules, Rule("again", {}, (Mark(1, "ask", "view"), Mark(1, "yes", "view")))),
    session_gap=timedelta(minutes=30),
    lateness=timedelta(minutes=20),
    max_session_length=timedelta(days=1),
)
LADDER = replace(
    LADDER, rules=tuple(replace(rule, marks=(*rule.marks, Mark(1, "yes", "view"))) for rule in LADDER.rules)
)
"""Every event but those called "other" may answer the view, and so may a view itself."""
SEGMENTS = ("device_class", "utm_source")

_steps_s = st.sampled_from([0, 0, 1, 30, 59, 60, 61, 600, 1199, 1200, 1201, 2400, 3599, 3600, 3601])
_back_s = st.sampled_from([0, 0, 0, 1, 45, 90, 600, 1199, 1200, 1201])
_text = st.sampled_from([None, None, "a", "b", "c" * 101])


@st.composite
def records(draw: st.DrawFn) -> list[list[Event]]:
    """Records of one partition, each of some events; time goes on in steps, and events are behind it."""
    found: list[list[Event]] = []
    now, number = START, 0
    for _ in range(draw(st.integers(1, 25))):
        now += timedelta(seconds=draw(_steps_s))
        record = []
        for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
            number += 1
            at = now - timedelta(seconds=draw(_back_s), microseconds=draw(st.sampled_from([0, 0, 1])))
            record.append(
                Event(
                    event_id=f"e{number}",
                    visitor_id=draw(st.sampled_from(["ann", "bob"])),
                    occurred_at=at,
                    received_at=now + timedelta(microseconds=draw(st.integers(0, 2))),
                    name=draw(st.sampled_from(["view", "view", "click", "buy", "again", "other"])),
                    properties=draw(st.sampled_from(["{}", '{"plan":"pro"}'])),
                    device_class=draw(_text),
                    utm_source=draw(_text),
                )
            )
        found.append(record)
    return found


def frame(records: Sequence[Sequence[Event]], first_offset: int) -> pl.DataFrame:
    """Records as the sessioniser takes them."""
    rows = [
        msgspec.structs.asdict(event) | {"partition": 0, "record_offset": offset, "record_time": event.received_at}
        for offset, record in enumerate(records, first_offset)
        for event in record
    ]
    times = dict.fromkeys(("occurred_at", "received_at", "record_time"), pl.Datetime("us", "UTC"))
    schema: dict[str, Any] = dict.fromkeys(Event.__struct_fields__, pl.String()) | times
    return pl.DataFrame(rows, schema=schema | {"partition": pl.Int32(), "record_offset": pl.Int64()})


def counters(counts: StepCounts) -> StepMinuteCounts:
    """In the oracle's form.  Every row is a key of its own."""
    found = []
    for rows, minutes in ((counts.asks, ["minute"]), (counts.yeses, ["ask_minute", "delay"])):
        segments = [column for column in rows.columns if column not in ("tier", "step", *minutes, "count")]
        keys: list[Key] = [
            (row["tier"], row["step"], tuple(row[name] for name in segments), *(row[name] for name in minutes))
            for row in rows.iter_rows(named=True)
        ]
        counter: Counter[Key] = Counter(dict(zip(keys, rows["count"].to_list(), strict=True)))
        assert len(counter) == len(keys)
        found.append(counter)
    return StepMinuteCounts(*found)


def placed(rows: pl.DataFrame, events: Iterable[Event]) -> list[Placed]:
    of_id = {event.event_id: event for event in events}
    return [
        Placed(of_id[event_id], offset) for event_id, offset in rows.select("event_id", "record_offset").iter_rows()
    ]


@unhurried
@given(st.data())
def test_each_batch_adds_what_the_oracle_counts_more_after_it_whatever_is_forgotten_and_rebuilt(
    data: st.DataObject,
) -> None:
    drawn = data.draw(records())
    ends = sorted({*data.draw(st.lists(st.integers(0, len(drawn)), max_size=8)), len(drawn)})
    segments = data.draw(st.sampled_from([(), SEGMENTS[:1], SEGMENTS]))
    events = [event for record in drawn for event in record]
    sessioniser = Sessioniser(LADDER, "kafka:events")
    counter = StepMinutes(LADDER, segments)
    taken: list[pl.DataFrame] = []
    before = StepMinuteCounts(Counter(), Counter())
    for begin, end in zip([0, *ends], ends, strict=False):
        kept = sessioniser.add(frame(drawn[begin:end], begin)).events.filter(~pl.col("late"))
        counts = counters(counter.add(kept))
        taken.append(kept)
        after = step_minutes_of(placed(pl.concat(taken), events), LADDER, segments)
        assert counts == difference(after, before)
        before = after
        newest = sessioniser.newest(0)
        what = data.draw(st.sampled_from(["nothing", "forget", "restart"]))
        if newest is not None and what == "forget":
            counter.forget(newest)
        if newest is not None and what == "restart":
            counter = StepMinutes(LADDER, segments)
            since = counter.known_since(newest - LADDER.lateness)
            counter.add(pl.concat(taken).filter(pl.col("occurred_at") >= since))


@unhurried
@given(records(), st.sampled_from([(), SEGMENTS]))
def test_the_counts_of_a_stretch_can_be_had_again_from_what_was_known_since(
    drawn: list[list[Event]], segments: tuple[str, ...]
) -> None:
    sessioniser = Sessioniser(LADDER, "kafka:events")
    kept = sessioniser.add(frame(drawn, 0)).events.filter(~pl.col("late"))
    first = len(drawn) // 2
    whole = StepMinutes(LADDER, segments)
    whole.add(kept.filter(pl.col("record_offset") < first))
    told = kept.filter(pl.col("record_offset") >= first)
    if told.is_empty():
        return
    again = StepMinutes(LADDER, segments)
    since = again.known_since(told["occurred_at"].min())  # type: ignore[arg-type]  # of a column of times
    again.add(kept.filter((pl.col("record_offset") < first) & (pl.col("occurred_at") >= since)))
    assert counters(again.add(told)) == counters(whole.add(told))


def test_what_is_behind_the_watermark_by_more_than_the_window_is_forgotten() -> None:
    sessioniser = Sessioniser(LADDER, "kafka:events")
    counter = StepMinutes(LADDER, SEGMENTS)
    most = 0
    for n in range(400):
        at = START + n * timedelta(minutes=1)
        event = Event(
            event_id=f"e{n}", visitor_id=f"v{n}", occurred_at=at, received_at=at, name="view", device_class="a" * 50
        )
        counter.add(sessioniser.add(frame([[event]], n)).events)
        counter.forget(at)
        most = max(most, counter.remembered)
    assert 80 < most <= 2 * 2 * 81
