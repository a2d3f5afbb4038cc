from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

import polars as pl

from ladder.events import Event
from stream.decoding import frame_of
from stream.step_minutes import StepMinutes
from tests.suites.seeded_lake import LADDER, NOW, START, land
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import run_sql

_OUT_OF_ORDER_S = 7000
"""Less than the ladder's lateness."""


def walks(chance: random.Random) -> list[Event]:
    """Visitors who are asked and answer within the hour, or just beyond."""
    events: list[Event] = []
    for visitor in range(40):
        at = START
        for _ in range(30):
            at += timedelta(seconds=chance.choice([0, 1, 20, 300, 600, 3599, 3600, 3601]))
            received_at = at + timedelta(seconds=chance.choice([0, 2]), microseconds=len(events) % 1000)
            events.append(
                Event(
                    event_id=f"e{len(events)}",
                    visitor_id=f"v{visitor}",
                    occurred_at=at,
                    received_at=received_at,
                    name=chance.choice(["Page Shown", "Page Read", "Voted", "Signed Up", "Scrolled"]),
                )
            )
    return events


def test_the_counts_are_those_of_the_mart_of_asks_however_the_events_arrive(gate: Gate, tmp_path: Path) -> None:
    chance = random.Random(7)
    events = walks(chance)
    lake = Lake(tmp_path / "lake")
    land(lake, events, ladder=LADDER)
    assert build(lake, LADDER, gate=gate, now=NOW).built
    minute = "epoch_us({}) // 60000000"
    asked, answered = minute.format("asked_at"), minute.format("answered_at")
    asks = run_sql(
        tmp_path,
        f"select tier, step, {asked} as minute, count(*) as n from fct_asks where unit = 'visitor' group by all",
    )
    yeses = run_sql(
        tmp_path,
        f"select tier, step, {asked} as minute, {answered} - {asked} as delay, count(*) as n from fct_asks"
        " where unit = 'visitor' and answer = 'yes' and answered_at <= asked_at + interval 60 minutes group by all",
    )

    arrived = sorted(
        events, key=lambda event: event.occurred_at + timedelta(seconds=chance.uniform(0, _OUT_OF_ORDER_S))
    )
    counter = StepMinutes(LADDER)
    found_asks: Counter[tuple[object, ...]] = Counter()
    found_yeses: Counter[tuple[object, ...]] = Counter()
    taken_back = 0
    newest = arrived[0].occurred_at
    for begin in range(0, len(arrived), 10):
        batch = arrived[begin : begin + 10]
        counts = counter.add(frame_of(batch, 0, range(begin, begin + len(batch))))
        newest = max(newest, *(event.occurred_at for event in batch))
        counter.forget(newest)
        for *key, count in counts.asks.rows():
            found_asks[tuple(key)] += count
        for *key, count in counts.yeses.rows():
            found_yeses[tuple(key)] += count
        taken_back += len(counts.yeses.filter(pl.col("count") < 0))
    assert +found_asks == Counter({tuple(key): n for *key, n in (row.values() for row in asks.to_pylist())})
    assert +found_yeses == Counter({tuple(key): n for *key, n in (row.values() for row in yeses.to_pylist())})
    assert min(found_yeses.values()) >= 0
    assert taken_back > 10
    assert counter.remembered < sum(found_asks.values()) / 3
