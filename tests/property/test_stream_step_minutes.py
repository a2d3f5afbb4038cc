from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import polars as pl
import pytest

from ladder.events import Event
from ladder.tiers import Mark, Rule
from stream.sessions import Sessioniser
from stream.step_minutes import StepCounts, StepMinutes
from tests.suites.event_strategies import LADDER as TINY, START
from tests.suites.step_minutes_oracle import Key, Placed, StepMinuteCounts, difference, minute_of, step_minutes_of

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
PLAIN = replace(
    LADDER, rules=(Rule("view", {}, (Mark(1, "ask", "view"),)), Rule("leave", {}, (Mark(1, "yes", "view"),)))
)
SEGMENTS = ("device_class", "utm_source")


def stream_of(chance: random.Random, records: int) -> list[list[Event]]:
    """Records of one partition, each of some events; time goes on in steps, and events are up to too late."""
    found: list[list[Event]] = []
    now, number = START, 0
    pace = chance.choice([[0, 1, 30, 59, 60, 61], [0, 60, 600, 1199, 1200, 1201], [0, 600, 1800, 3599, 3600, 3601]])
    delays = chance.choice([[0], [0, 0, 0, 1, 45], [0, 0, 90, 600, 1199, 1200, 1201]])
    for _ in range(records):
        now += timedelta(seconds=chance.choice(pace))
        record = []
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            number += 1
            record.append(
                Event(
                    event_id=f"e{number}",
                    visitor_id=chance.choice(["ann", "ann", "bob"]),
                    occurred_at=now - timedelta(seconds=chance.choice(delays), microseconds=chance.choice([0, 0, 1])),
                    received_at=now + timedelta(microseconds=chance.choice([0, 1, 2])),
                    name=chance.choice(["view", "view", "click", "buy", "again", "other", "other"]),
                    properties=chance.choice(["{}", '{"plan":"pro"}']),
                    device_class=chance.choice([None, None, None, "a", "b", "c" * 101]),
                    utm_source=chance.choice([None, None, "a", "b"]),
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


@pytest.mark.parametrize("seed", range(30))
def test_each_batch_adds_what_the_oracle_counts_more_after_it_whatever_is_forgotten_and_rebuilt(seed: int) -> None:
    chance = random.Random(seed)
    drawn = stream_of(chance, 40)
    events = [event for record in drawn for event in record]
    ends = sorted({*chance.sample(range(len(drawn)), chance.choice([3, 8, 20])), len(drawn)})
    segments = chance.choice([(), SEGMENTS[:1], SEGMENTS])
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
        what = chance.choice(["nothing", "forget", "forget", "restart"])
        if newest is not None and what == "forget":
            counter.forget(newest)
        if newest is not None and what == "restart":
            counter = StepMinutes(LADDER, segments)
            since = counter.known_since(newest - LADDER.lateness)
            counter.add(pl.concat(taken).filter(pl.col("occurred_at") >= since))


@pytest.mark.parametrize("seed", range(15))
def test_the_counts_of_a_stretch_can_be_had_again_from_what_was_known_since(seed: int) -> None:
    chance = random.Random(seed)
    drawn = stream_of(chance, 40)
    kept = Sessioniser(LADDER, "kafka:events").add(frame(drawn, 0)).events.filter(~pl.col("late"))
    first = chance.randrange(20, 40)
    told = kept.filter(pl.col("record_offset") >= first)
    whole = StepMinutes(LADDER, SEGMENTS)
    whole.add(kept.filter(pl.col("record_offset") < first))
    again = StepMinutes(LADDER, SEGMENTS)
    earliest = told["occurred_at"].min()
    assert isinstance(earliest, datetime)
    since = again.known_since(earliest)
    again.add(kept.filter((pl.col("record_offset") < first) & (pl.col("occurred_at") >= since)))
    assert counters(again.add(told)) == counters(whole.add(told))


@pytest.mark.parametrize("seconds", [3599, 3600, 3601])
def test_a_yes_answers_up_to_an_hour_after_the_ask(seconds: int) -> None:
    counter = StepMinutes(PLAIN)
    ask = Event(event_id="1", visitor_id="v", occurred_at=START, received_at=START, name="view")
    at = START + timedelta(seconds=seconds)
    yes = msgspec.structs.replace(ask, event_id="2", occurred_at=at, received_at=at, name="leave")
    counts = counter.add(frame([[ask], [yes]], 0).with_columns(late=False))
    found = counts.yeses.select("ask_minute", "delay", "count").rows()
    minute = minute_of(START)
    assert found == ([(minute, minute_of(at) - minute, 1)] if seconds <= 3600 else [])


def test_a_yes_is_taken_back_when_an_ask_comes_between() -> None:
    counter = StepMinutes(PLAIN)
    events = [
        Event(event_id=name, visitor_id="v", occurred_at=at, received_at=at, name=name)
        for name, at in (("view", START), ("leave", START + timedelta(minutes=5)))
    ]
    first = counter.add(frame([events], 0).with_columns(late=False)).yeses
    between = msgspec.structs.replace(events[0], event_id="late", occurred_at=START + timedelta(minutes=2))
    second = counter.add(frame([[between]], 1).with_columns(late=False)).yeses
    minute = minute_of(START)
    assert first.rows() == [(1, "view", minute, 5, 1)]
    assert second.rows() == [(1, "view", minute, 5, -1), (1, "view", minute + 2, 3, 1)]


def test_an_ask_is_remembered_as_long_as_a_yes_to_it_may_come_in_time() -> None:
    counter = StepMinutes(PLAIN)
    hour = timedelta(hours=1)
    for n, (name, visitor, at) in enumerate(
        [("view", "v", START), ("view", "other", START + hour), ("leave", "v", START + hour)]
    ):
        event = Event(event_id=f"e{n}", visitor_id=visitor, occurred_at=at, received_at=at, name=name)
        counts = counter.add(frame([[event]], n).with_columns(late=False))
        counter.forget(START + hour + PLAIN.lateness)
    assert counts.yeses.rows() == [(1, "view", minute_of(START), 60, 1)]


def test_values_that_nobody_needs_any_more_are_forgotten_by_name() -> None:
    drawn = [
        [
            Event(
                event_id=f"e{n}", visitor_id=f"v{n // 3}", occurred_at=at, received_at=at, name=name, utm_source=f"u{n}"
            )
        ]
        for n, name in enumerate(["view", "again", "leave"] * 60)
        for at in (START + n * timedelta(minutes=3),)
    ]
    sessioniser = Sessioniser(LADDER, "kafka:events")
    frugal, counter = StepMinutes(LADDER, ["utm_source"], few_values=4), StepMinutes(LADDER, ["utm_source"])
    for n, record in enumerate(drawn):
        kept = sessioniser.add(frame([record], n)).events.filter(~pl.col("late"))
        assert counters(frugal.add(kept)) == counters(counter.add(kept))
        frugal.forget(record[0].occurred_at)
    assert frugal.names_remembered < 80 < counter.names_remembered


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
