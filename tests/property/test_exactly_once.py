"""Any crash point, any batching, any number of restarts, on a real lake."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from stream.checkpoint import Prepared
from tests.suites.crashing_worker import NOW, SEGMENTS, SOURCE, Topic, Worker, sizes, topics
from tests.suites.event_strategies import LADDER, START, instants
from tests.suites.examples_tried import tried
from tests.suites.session_oracle import MICROSECOND, by_id, fates, sessions_of
from tests.suites.step_minutes_oracle import Key, Placed, step_minutes_of
from tests.suites.step_minutes_reader import StepMinutesReader
from warehouse.check import check
from warehouse.lake import Lake
from warehouse.lake_appending import Fenced
from warehouse.maintain import maintain
from warehouse.retention import retire

MUCH_LATER = NOW + timedelta(days=1)
unhurried = settings(deadline=None, max_examples=tried(12))


@dataclass
class UpkeptWorker(Worker):
    """A worker whose lake is looked after at any moment, between the commits of one checkpoint, too.

    ``retired``: rows from before this time went.
    """

    retired: datetime = START

    def commit(self, prepared: Prepared | None) -> None:
        self.lake.held.meanwhile = self.upkeep
        super().commit(prepared)

    def upkeep(self) -> None:
        lake, step = Lake(self.root), self.data.draw(st.sampled_from([None, None, None, "maintain", "retire"]))
        if step == "maintain":
            maintain(lake, keep=timedelta(0), now=MUCH_LATER, target_rows=self.data.draw(st.sampled_from([4, 10**6])))
        elif step == "retire":
            before = START + self.data.draw(instants) * MICROSECOND
            self.retired = max(self.retired, before)
            retire(lake, before=before, now=MUCH_LATER)


def landed(lake: Lake) -> list[tuple[int, int, str, datetime, bool]]:
    rows = lake.scan("events").select("partition", "record_offset", "event_id", "occurred_at", "late").collect().rows()
    return sorted(rows)


def sessions(lake: Lake) -> list[dict[str, Any]]:
    return sorted(lake.scan("sessions").collect().to_arrow().to_pylist(), key=by_id)


def expect_every_offset_counted_once(lake: Lake, topic: Topic) -> None:
    counts = lake.scan("checkpoints").sort("partition", "first_offset").collect()
    for (partition,), rows in counts.partition_by("partition", as_dict=True, maintain_order=True).items():
        own = topic.records[int(partition)]
        assert [0, *rows["next_offset"]] == [*rows["first_offset"], own[-1].offset + 1], "each offset in one checkpoint"
        sent = sum(arrival.partition == partition for arrival in topic.arrivals)
        assert rows.select(pl.sum("landed") + pl.sum("duplicates")).item() == sent
        assert rows["rejected"].sum() == topic.rejected[int(partition)]
        assert rows["skipped_offsets"].sum() == own[-1].offset + 1 - len(own)
    events = lake.scan("events").collect()
    assert counts["landed"].sum() == len(events)
    assert counts["late"].sum() == events["late"].sum()
    rejects = lake.scan("rejects").select("partition", "record_offset").collect().rows()
    assert len(rejects) == len(set(rejects)) == topic.rejected.total()


def expect_every_ask_told_once(worker: Worker, topic: Topic, kept: Collection[tuple[int, str]]) -> None:
    """``kept``: partition and id of each event that is not late."""
    reader = StepMinutesReader()
    told = reader.read(worker.told)
    assert reader.holes == []
    assert reader.positions == {(SOURCE, p): own[-1].offset + 1 for p, own in topic.records.items() if own}
    first = {(arrival.partition, arrival.event.event_id): i for i, arrival in reversed([*enumerate(topic.arrivals)])}
    for counts, expected in zip(told, by_partition(topic, [first[one] for one in kept]), strict=True):
        assert counts == expected


def by_partition(topic: Topic, kept: Iterable[int]) -> tuple[Counter[Key], Counter[Key]]:
    """The oracle's counts over all partitions of these arrivals."""
    asks: Counter[Key] = Counter()
    yeses: Counter[Key] = Counter()
    for partition in topic.records:
        own = [i for i in sorted(kept) if topic.arrivals[i].partition == partition]
        counts = step_minutes_of([Placed(topic.arrivals[i].event, topic.offsets[i]) for i in own], LADDER, SEGMENTS)
        asks += counts.asks
        yeses += counts.yeses
    return asks, yeses


@unhurried
@given(st.data())
def test_after_any_crashes_the_lake_holds_each_event_once_and_the_oracles_sessions(data: st.DataObject) -> None:
    topic = data.draw(topics())
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Path(folder), data)
        worker.run(topic, interrupted=False)
        lake = Lake(Path(folder))
        verdicts = fates(topic.arrivals, LADDER)
        kept = [arrival for arrival, fate in zip(topic.arrivals, verdicts, strict=True) if fate == "kept"]
        late = [arrival.event for arrival, fate in zip(topic.arrivals, verdicts, strict=True) if fate == "late"]
        found = landed(lake)
        assert sorted(event_id for *_, event_id, _, is_late in found if is_late) == sorted(e.event_id for e in late)
        assert sorted(event_id for *_, event_id, _, is_late in found if not is_late) == sorted(
            arrival.event.event_id for arrival in kept
        )
        assert sessions(lake) == sessions_of(kept, LADDER, SOURCE)
        expect_every_offset_counted_once(lake, topic)
        expect_every_ask_told_once(worker, topic, {(one.partition, one.event.event_id) for one in kept})


@unhurried
@given(st.data())
def test_the_same_holds_when_time_passes_or_the_input_seems_to_end_in_between(data: st.DataObject) -> None:
    """What is late depends on when that was; the sessions are those of the events that were not."""
    topic = data.draw(topics())
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Path(folder), data)
        worker.run(topic, interrupted=True)
        lake = Lake(Path(folder))
        on_time = Counter((partition, event_id) for partition, _, event_id, _, late in landed(lake) if not late)
        assert set(on_time.values()) <= {1}
        kept = {(arrival.partition, arrival.event.event_id): arrival for arrival in topic.arrivals}
        assert sessions(lake) == sessions_of([kept[place] for place in on_time], LADDER, SOURCE)
        expect_every_offset_counted_once(lake, topic)
        expect_every_ask_told_once(worker, topic, on_time.keys())


@settings(deadline=None, max_examples=tried(4))
@given(st.data())
def test_upkeep_at_any_moment_takes_nothing_but_what_is_too_old_and_leaves_no_fault(data: st.DataObject) -> None:
    topic = data.draw(topics())
    with tempfile.TemporaryDirectory() as folder:
        worker = UpkeptWorker(Path(folder) / "lake", data)
        worker.run(topic, interrupted=False)
        lake = Lake(worker.root)
        verdicts = fates(topic.arrivals, LADDER)
        kept = [arrival for arrival, fate in zip(topic.arrivals, verdicts, strict=True) if fate == "kept"]
        young = [one for one in sessions_of(kept, LADDER, SOURCE) if one["ended_at"] >= worker.retired]
        assert [one for one in sessions(lake) if one["ended_at"] >= worker.retired] == young
        ids = {mark["event_id"] for one in sessions(lake) for mark in one["sequence"]}
        assert ids == {event_id for *_, event_id, _, late in landed(lake) if not late}, "together, or not at all"
        retire(lake, before=worker.retired, now=MUCH_LATER)
        done = maintain(lake, keep=timedelta(0), now=MUCH_LATER)
        assert sessions(lake) == young
        assert max(done.files.values()) <= 1
        assert len(list(lake.root.glob("*/landed_date=*/*.parquet"))) == sum(done.files.values())
        assert check(lake) == []


@settings(deadline=None, max_examples=tried(7))
@given(st.data())
def test_whoever_was_overtaken_commits_nothing_any_more(data: st.DataObject) -> None:
    topic = data.draw(topics())
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Path(folder), data)
        overtaken = worker.hold
        stale = overtaken.prepare(topic.take(overtaken.reached, data.draw(sizes)), now=NOW)
        worker.start()
        worker.run(topic, interrupted=False)
        versions = worker.lake.versions()
        if stale is not None:
            with pytest.raises(Fenced):
                overtaken.commit(stale)
        assert worker.lake.versions() == versions
