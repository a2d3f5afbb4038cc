"""A worker on a real lake that dies at any point of its commits and comes back, and the topic it reads; as drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from hypothesis import strategies as st

from ladder.errors import EventError
from ladder.events import Event, encode
from ladder.rejects import Reject, encode_reject
from ladder.tables import TABLES, Position
from stream.checkpoint import Hold, Prepared
from stream.rejects import RejectBrake
from stream.step_minutes_record import StepMinutesRecord
from tests.suites.consumed import CANONICAL, REJECT, Record
from tests.suites.event_strategies import LADDER, PARTITIONS, START, VISITORS, events, instants, partitions
from tests.suites.session_oracle import MICROSECOND, Arrival
from warehouse.lake import Lake
from warehouse.lake_claim import Claim
from warehouse.object_store import ObjectStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOPIC = "events"
SOURCE = f"kafka:{TOPIC}"
SEGMENTS = ("device_class", "utm_source")
GARBAGE = [b"", b"{", b'{"event_id":5}', b"[1]", None]


class PowerCut(Exception):
    """The process ended here."""


@dataclass
class CutRows(Mapping[str, pa.Table]):
    """A checkpoint's rows, of which the process lives to write some tables."""

    rows: Mapping[str, pa.Table]
    before: str | None
    meanwhile: Callable[[], None]

    def __getitem__(self, table: str) -> pa.Table:
        self.meanwhile()
        if table == self.before:
            raise PowerCut
        return self.rows[table]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class CutClaim(Claim):
    """``cut``: before which table's commit the power goes; "afterwards" is after the last one.

    ``meanwhile`` is what others do before each table's commit.
    """

    cut: str | None = None
    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def commit(self, rows: Mapping[str, pa.Table], positions: Mapping[int, Position], now: datetime) -> None:
        super().commit(CutRows(rows, self.cut, self.meanwhile), positions, now)
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
    """What was sent: the records of each partition, and the events within them, each with its record's offset."""

    records: dict[int, list[Record]]
    arrivals: list[Arrival] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
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
def altered(draw: st.DrawFn, event: Event) -> Event:
    """The event as it may come again: at another time (long after, too), of another visitor, or just so."""
    return draw(
        st.sampled_from(
            [
                event,
                msgspec.structs.replace(event, occurred_at=START + draw(st.integers(0, 2500)) * MICROSECOND),
                msgspec.structs.replace(event, received_at=event.received_at + draw(st.integers(-2, 2)) * MICROSECOND),
                msgspec.structs.replace(event, visitor_id=draw(st.sampled_from(VISITORS))),
            ]
        )
    )


@st.composite
def topics(draw: st.DrawFn, alter: bool = False) -> Topic:
    """Events, copies, dead letters and garbage in records of any form; now and then the broker has lost an offset.

    ``alter``: copies need not be like what they are copies of, and come last: few are within the stream's reach.
    """
    originals = draw(events(min_size=1, max_size=24))
    copies = draw(st.lists(st.sampled_from(originals), max_size=6))
    if alter:
        copies = [draw(altered(copy)) for copy in copies]
    partition_of = draw(partitions)
    topic = Topic({partition: [] for partition in range(PARTITIONS)})
    offsets = [0] * PARTITIONS

    def send(partition: int, value: bytes | None, headers: Sequence[tuple[str, bytes]], at: datetime) -> None:
        offsets[partition] += 2 * draw(now_and_then)
        timestamp = int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
        topic.records[partition].append(Record(value, headers, offsets[partition], partition, timestamp))
        offsets[partition] += 1

    pending = list(draw(st.permutations([*originals, *([] if alter else copies)])))
    pending += copies if alter else []
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
        topic.offsets += [topic.records[partition][-1].offset] * len(together)
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
    """A worker that dies and comes back, as drawn.  ``store``: of its lake, of which ``root`` then has the copies.

    ``told``: what it has published of asks and yeses by minute.
    """

    root: Path
    data: st.DataObject
    store: ObjectStore | None = None
    lake: CutLake = field(init=False)
    hold: Hold = field(init=False)
    told: list[StepMinutesRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self, kept: Hold | None = None) -> None:
        self.lake = CutLake(self.root, self.store)
        brake = RejectBrake(share=1, run=10**6)
        self.hold = Hold(self.lake, LADDER, TOPIC, range(PARTITIONS), brake, SEGMENTS, kept)
        try:
            self.publish(self.hold.told_again)
        except PowerCut:
            self.start()

    def rebalance(self, topic: Topic) -> None:
        """Give all up and take it again; meanwhile others may have had some of it, and gone on or not."""
        if self.data.draw(st.booleans()):
            self.hold.prepare(topic.take(self.hold.reached, self.data.draw(sizes)), now=NOW)  # and nobody commits it
        theirs = self.data.draw(st.sets(st.integers(0, PARTITIONS - 1)))
        if theirs:
            brake = RejectBrake(share=1, run=10**6)
            other = Hold(Lake(self.root), LADDER, TOPIC, theirs, brake, SEGMENTS)
            self.told += other.told_again
            reached = {p: other.reached.get(p, own[-1].offset + 1 if own else 0) for p, own in topic.records.items()}
            prepared = other.prepare(topic.take(reached, self.data.draw(sizes)), now=NOW)
            if prepared is not None and self.data.draw(st.booleans()):
                other.commit(prepared)
                self.told += prepared.step_minutes
        self.start(self.hold)

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
            self.publish(prepared.step_minutes)

    def publish(self, records: Sequence[StepMinutesRecord]) -> None:
        """All of them, or as many as the power lasts for."""
        cut = self.data.draw(now_and_then) and self.data.draw(st.integers(0, len(records)))
        self.told += records if cut is False else records[:cut]
        if cut is not False:
            raise PowerCut

    def run(self, topic: Topic, *, interrupted: bool, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Through the whole topic; ``interrupted``: now and then time passes, or the input seems to have ended.

        ``meanwhile`` is called between checkpoints.
        """
        while topic.rest(self.hold.reached):
            options: dict[str, Any] = {}
            if interrupted and self.data.draw(now_and_then):
                options["finish"] = self.data.draw(st.booleans())
                options["idle_until"] = {
                    partition: START + self.data.draw(instants) * MICROSECOND
                    for partition in self.data.draw(st.sets(st.integers(0, PARTITIONS - 1)))
                }
            self.go_on(topic, **options)
            meanwhile()
        while not self.checkpoint([[]], finish=True):
            pass

    def go_on(self, topic: Topic, **options: Any) -> None:
        """Take the next records in, in one or two batches."""
        batches = []
        reached = dict(self.hold.reached)
        for _ in range(self.data.draw(st.integers(1, 2))):
            batches.append(topic.take(reached, self.data.draw(sizes)))
            reached.update({record.partition: record.offset + 1 for record in batches[-1]})
        if self.checkpoint(batches, **options) and self.data.draw(now_and_then):
            self.rebalance(topic)
