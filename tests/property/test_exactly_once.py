"""Any crash point, any batching, any number of restarts, on a real lake."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from ladder.errors import EventError
from ladder.events import encode
from ladder.rejects import Reject, encode_reject
from ladder.tables import TABLES, Position
from stream.checkpoint import Hold, Prepared
from stream.rejects import RejectBrake
from tests.suites.consumed import CANONICAL, REJECT, Record
from tests.suites.event_strategies import LADDER, PARTITIONS, START, events, instants, partitions
from tests.suites.session_oracle import MICROSECOND, Arrival, by_id, fates, sessions_of
from warehouse.lake import Claim, Fenced, Lake

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOPIC = "events"
SOURCE = f"kafka:{TOPIC}"
GARBAGE = [b"", b"{", b'{"event_id":5}', b"[1]", None]
unhurried = settings(deadline=None, max_examples=40)


class PowerCut(Exception):
    """The process ended here."""


@dataclass
class CutRows(Mapping[str, pa.Table]):
    """A checkpoint's rows, of which the process lives to write some tables."""

    rows: Mapping[str, pa.Table]
    before: str

    def __getitem__(self, table: str) -> pa.Table:
        if table == self.before:
            raise PowerCut
        return self.rows[table]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class CutClaim(Claim):
    """``cut``: before which table's commit the power goes; "afterwards" is after the last one."""

    cut: str | None = None

    def commit(self, rows: Mapping[str, pa.Table], positions: Mapping[int, Position], now: datetime) -> None:
        super().commit(rows if self.cut is None else CutRows(rows, self.cut), positions, now)
        if self.cut == "afterwards":
            raise PowerCut


class CutLake(Lake):
    """``held``: the latest claim."""

    held: CutClaim

    def claim(self, source: str, partitions: Collection[int]) -> CutClaim:
        self.held = CutClaim(self, source, partitions)
        return self.held


cuts = st.sampled_from([None, None, None, *TABLES, "afterwards"])
now_and_then = st.sampled_from([False, False, False, True])
sizes = st.lists(st.sampled_from([9, 3, 2, 1, 0]), min_size=PARTITIONS, max_size=PARTITIONS)
"""How many records of each partition to take."""


@dataclass
class Topic:
    """What was sent: the records of each partition, and the events within them."""

    records: dict[int, list[Record]]
    arrivals: list[Arrival] = field(default_factory=list)
    rejected: Counter[int] = field(default_factory=Counter)

    def rest(self, reached: Mapping[int, int]) -> int:
        return sum(len([r for r in own if r.offset >= reached[p]]) for p, own in self.records.items())

    def take(self, reached: Mapping[int, int], sizes: Sequence[int]) -> list[Record]:
        """The next records of each partition."""
        return [
            record
            for partition, own in self.records.items()
            for record in [r for r in own if r.offset >= reached[partition]][: sizes[partition]]
        ]


@st.composite
def topics(draw: st.DrawFn) -> Topic:
    """Events, copies, dead letters and garbage in records of any form; now and then the broker has lost an offset."""
    originals = draw(events(min_size=1, max_size=24))
    copies = draw(st.lists(st.sampled_from(originals), max_size=6))
    partition_of = draw(partitions)
    topic = Topic({partition: [] for partition in range(PARTITIONS)})
    offsets = [0] * PARTITIONS

    def send(partition: int, value: bytes | None, headers: Sequence[tuple[str, bytes]], at: datetime) -> None:
        offsets[partition] += 2 * draw(now_and_then)
        timestamp = int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
        topic.records[partition].append(Record(value, headers, offsets[partition], partition, timestamp))
        offsets[partition] += 1

    pending = list(draw(st.permutations([*originals, *copies])))
    while pending:
        partition = partition_of[pending[0].visitor_id]
        nearest = pending[: draw(st.integers(1, 4))]
        together = [event for event in nearest if partition_of[event.visitor_id] == partition]
        for event in together:
            pending.remove(event)
        record_time = START + timedelta(seconds=draw(st.integers(0, 2)))
        topic.arrivals += [Arrival(event, partition, record_time) for event in together]
        canonical = draw(st.booleans())
        lines = [encode(event) for event in together]
        value = b"\n".join(lines) if canonical else b"[" + b",".join(lines) + b"]"
        send(partition, value, CANONICAL if canonical else (), record_time)
        if draw(now_and_then):
            send(partition, draw(st.sampled_from(GARBAGE)), draw(st.sampled_from([(), CANONICAL])), record_time)
            topic.rejected[partition] += 1
        if draw(now_and_then):
            letter = Reject.of(EventError("not_json", "", "told by the collector"), b"?", record_time, "collector")
            send(partition, encode_reject(letter), REJECT, record_time)
            topic.rejected[partition] += 1
    return topic


@dataclass
class Worker:
    """A worker that dies and comes back, as drawn."""

    root: Path
    data: st.DataObject
    lake: CutLake = field(init=False)
    hold: Hold = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.lake = CutLake(self.root)
        brake = RejectBrake(share=1, run=10**6)
        self.hold = Hold(self.lake, LADDER, TOPIC, range(PARTITIONS), brake)

    def checkpoint(self, batches: Sequence[Sequence[Record]], **options: Any) -> bool:
        """Work some batches out, then commit them, as far as the power goes; False where it went."""
        prepared = [self.hold.prepare(batch, now=NOW, **options) for batch in batches]
        try:
            for one in prepared:
                self.commit(one)
        except PowerCut:
            self.start()
            return False
        if self.data.draw(now_and_then):
            self.start()
        return True

    def commit(self, prepared: Prepared | None) -> None:
        self.lake.held.cut = self.data.draw(cuts)
        if prepared is not None:
            self.hold.commit(prepared)

    def run(self, topic: Topic, *, interrupted: bool) -> None:
        """Through the whole topic; ``interrupted``: now and then time passes, or the input seems to have ended."""
        while topic.rest(self.hold.reached):
            options: dict[str, Any] = {}
            if interrupted and self.data.draw(now_and_then):
                options["finish"] = self.data.draw(st.booleans())
                options["idle_until"] = {
                    partition: START + self.data.draw(instants) * MICROSECOND
                    for partition in self.data.draw(st.sets(st.integers(0, PARTITIONS - 1)))
                }
            batches = []
            reached = dict(self.hold.reached)
            for _ in range(self.data.draw(st.integers(1, 2))):
                batches.append(topic.take(reached, self.data.draw(sizes)))
                reached.update({record.partition: record.offset + 1 for record in batches[-1]})
            self.checkpoint(batches, **options)
        while not self.checkpoint([[]], finish=True):
            pass


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


@unhurried
@given(st.data())
def test_after_any_crashes_the_lake_holds_each_event_once_and_the_oracles_sessions(data: st.DataObject) -> None:
    topic = data.draw(topics())
    with tempfile.TemporaryDirectory() as folder:
        Worker(Path(folder), data).run(topic, interrupted=False)
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


@unhurried
@given(st.data())
def test_the_same_holds_when_time_passes_or_the_input_seems_to_end_in_between(data: st.DataObject) -> None:
    """What is late depends on when that was; the sessions are those of the events that were not."""
    topic = data.draw(topics())
    with tempfile.TemporaryDirectory() as folder:
        Worker(Path(folder), data).run(topic, interrupted=True)
        lake = Lake(Path(folder))
        on_time = Counter((partition, event_id) for partition, _, event_id, _, late in landed(lake) if not late)
        assert set(on_time.values()) <= {1}
        kept = {(arrival.partition, arrival.event.event_id): arrival for arrival in topic.arrivals}
        assert sessions(lake) == sessions_of([kept[place] for place in on_time], LADDER, SOURCE)
        expect_every_offset_counted_once(lake, topic)


@settings(deadline=None, max_examples=15)
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
