"""What the agent learns from the lake, and where the topic's records go on from there."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ladder.events import Event, encode
from ladder.tiers import Ladder, parse_ladder
from stream.alerts_past import Past
from stream.checkpoint import Hold
from stream.rejects import RejectBrake
from stream.step_minutes_record import StepMinutesRecord
from tests.suites.alert_road import LADDER_TEXT, world
from tests.suites.consumed import CANONICAL, Record
from tests.suites.session_oracle import EPOCH
from warehouse.lake import Lake
from yesladder.alerts_history import read_past

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEGMENTS = ("device_class",)
LADDER: Ladder = parse_ladder(LADDER_TEXT, "this test")
SOURCE = "kafka:events"


def record(number: int, partition: int, offset: int, chance: random.Random) -> Record:
    at = NOON + timedelta(seconds=10 * number - chance.randrange(120))
    event = Event(
        event_id=f"e{number}",
        visitor_id=f"v{chance.randrange(8)}-{partition}",
        occurred_at=at,
        received_at=NOON + timedelta(seconds=10 * number),
        name=chance.choice(["Offer Viewed", "Offer Viewed", "Bought", "Scrolled"]),
        device_class=chance.choice(["mobile", "desktop", None]),
    )
    return Record(encode(event), CANONICAL, offset, partition, int(event.received_at.timestamp() * 1000))


def counts(past: Past) -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    for name, minute, count in past.asks.tolist():
        found["ask", past.names[name], minute] += count
    for name, minute, delay, count in past.yeses.tolist():
        found["yes", past.names[name], minute, delay] += count
    return +found


def told(records: Sequence[StepMinutesRecord], positions: dict[int, int]) -> Counter[tuple[object, ...]]:
    """What records beyond these positions tell."""
    found: Counter[tuple[object, ...]] = Counter()
    for one in records:
        if one.first >= positions.get(one.partition, 0):
            for ask in one.asks:
                found["ask", (ask.tier, ask.step, ask.values), ask.minute] += ask.count
            for yes in one.yeses:
                found["yes", (yes.tier, yes.step, yes.values), yes.ask_minute, yes.delay_minutes] += yes.count
    return found


@pytest.mark.parametrize("seed", range(3))
def test_the_lake_and_the_records_beyond_it_are_all_there_is_at_any_moment(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    lake = Lake(tmp_path / "lake")
    hold = Hold(lake, LADDER, "events", [0, 1], RejectBrake(1.0, run=10**6), SEGMENTS)
    assert counts(read_past(lake, LADDER, SEGMENTS, SOURCE)) == Counter()
    offsets, records, pasts = [0, 0], list[StepMinutesRecord](), list[Past]()
    for batch in range(8):
        taken = []
        for number in range(40):
            partition = chance.randrange(2)
            taken.append(record(batch * 40 + number, partition, offsets[partition], chance))
            offsets[partition] += 1
        prepared = hold.prepare(sorted(taken, key=lambda one: (one.partition, one.offset)), now=NOON)
        assert prepared is not None
        hold.commit(prepared)
        records += prepared.step_minutes
        pasts.append(read_past(lake, LADDER, SEGMENTS, SOURCE))
    whole = counts(pasts[-1])
    assert sum(count for key, count in whole.items() if key[0] == "yes") > 20
    for past in pasts:
        together = counts(past)
        together.update(told(records, dict(past.positions)))
        assert +together == whole
    assert pasts[-1].positions == {0: offsets[0], 1: offsets[1]}
    newest = {p: (at - EPOCH) // timedelta(microseconds=1) for p in (0, 1) if (at := hold.sessioniser.newest(p))}
    assert pasts[-1].reached_us == newest


def test_what_is_committed_while_the_lake_is_read_moves_no_time_without_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1)
    lake = Lake(tmp_path / "lake")
    hold = Hold(lake, LADDER, "events", [0], RejectBrake(1.0, run=10**6), SEGMENTS)

    def commit(begin: int) -> None:
        prepared = hold.prepare([record(n, 0, n, chance) for n in range(begin, begin + 40)], now=NOON)
        assert prepared is not None
        hold.commit(prepared)

    commit(0)
    before = read_past(lake, LADDER, SEGMENTS, SOURCE).reached_us
    scan, scans = lake.scan, list[str]()

    def scan_while_another_commits(table: str) -> pl.LazyFrame:
        scans.append(table)
        if table == "events" and scans.count("events") == 1:
            commit(40)
        return scan(table)

    monkeypatch.setattr(lake, "scan", scan_while_another_commits)
    past = read_past(lake, LADDER, SEGMENTS, SOURCE)
    assert (past.positions, past.reached_us) == ({0: 40}, before)
    assert read_past(lake, LADDER, SEGMENTS, SOURCE).reached_us[0] > before[0]


def test_files_are_part_of_the_past_and_no_partition_of_the_topic(tmp_path: Path) -> None:
    shop = world(NOON, history=timedelta(hours=2), live=timedelta(minutes=20), falls_after=timedelta(minutes=1))
    lake = Lake(tmp_path / "lake")
    lake.append("events", shop.history, now=NOON)
    past = read_past(lake, shop.ladder, SEGMENTS, SOURCE)
    assert (past.positions, past.reached_us) == ({}, {})
    assert set(past.names) == {(2, "buy it", ("mobile",)), (2, "buy it", ("desktop",))}
    asked = past.volume()[2, "buy it", ("mobile",)]
    assert asked == pytest.approx(120 * 100, rel=0.1)
    said = past.yeses[:, 3].sum() / past.asks[:, 2].sum()
    assert said == pytest.approx(0.35, abs=0.03)


def test_no_more_than_its_reach_is_read(tmp_path: Path) -> None:
    shop = world(NOON, history=timedelta(hours=2), live=timedelta(minutes=20), falls_after=timedelta(minutes=1))
    lake = Lake(tmp_path / "lake")
    lake.append("events", shop.history, now=NOON)
    whole = read_past(lake, shop.ladder, (), SOURCE)
    hour = read_past(lake, shop.ladder, (), SOURCE, reach=timedelta(hours=1))
    assert hour.asks[:, 1].min() - whole.asks[:, 1].min() == pytest.approx(60, abs=3)
