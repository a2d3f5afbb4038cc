"""Kafka comes and goes, the power too, the disk is full or not: what was accepted arrives, once, in its order."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from producers.publisher import PublishError, new_future
from producers.records import Record
from producers.spool import Spool, SpoolError
from producers.spooling import Spooling

PARTITIONS = 3
ALL = range(PARTITIONS)
PATIENCE_S = 2.0
ROOM = 5000
AT = datetime(2026, 11, 23, tzinfo=UTC)
FAILING = st.sampled_from([(), (), (), (0,), (1,), (0, 2)])
"""Partitions that are lost at this step."""

Point = Literal["before append", "after append", "before remove", "after remove"]


class PowerCut(BaseException):
    """The process ended here."""


class FragileSpool(Spool):
    """``cut``: where the process dies.  ``is_disk_full``: it takes nothing."""

    cut: Point | None = None
    is_disk_full = False

    def append(self, records: Sequence[tuple[Record, int]], at: datetime) -> list[int]:
        self._reach("before append")
        if self.is_disk_full:
            raise SpoolError("the disk is full")
        ids = super().append(records, at)
        self._reach("after append")
        return ids

    def remove(self, ids: Collection[int]) -> None:
        self._reach("before remove")
        if self.is_disk_full:
            raise SpoolError("the disk is full")
        super().remove(ids)
        self._reach("after remove")

    def _reach(self, point: Point) -> None:
        if self.cut == point:
            raise PowerCut


@dataclass(eq=False)
class Sent:
    """One publish on its way: for each of its records None, or whether Kafka has taken it."""

    records: Sequence[Record]
    future: Future[None]
    fates: list[bool | None]


class PartialKafka:
    """Each partition has a leader of its own, which falls silent and comes back by itself."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.records: list[list[Record]] = [[] for _ in range(partitions)]
        self._silent: set[int] = set()
        self._sent: list[Sent] = []

    def publish(self, records: Sequence[Record]) -> Future[None]:
        sent = Sent(records, new_future(), [None] * len(records))
        if any(False in others.fates for others in self._sent):  # the connection is given up, once all are settled
            sent.fates = [False] * len(records)
        self._sent.append(sent)
        self._go_on()
        return sent.future

    def close(self, timeout_s: float) -> None:
        self.forget(ALL)

    def fall_silent(self, partitions: Sequence[int]) -> None:
        self._silent.update(partitions)

    def come_back(self, partitions: Sequence[int]) -> None:
        self._silent.difference_update(partitions)
        self._go_on()

    def forget(self, partitions: Sequence[int]) -> None:
        for sent in self._sent:
            sent.fates = [
                False if fate is None and record.partition in partitions else fate
                for record, fate in zip(sent.records, sent.fates, strict=True)
            ]
        self._go_on()

    def _go_on(self) -> None:
        for sent in self._sent:
            for place, record in enumerate(sent.records):
                if sent.fates[place] is None and record.partition not in self._silent:
                    self.records[record.partition or 0].append(record)
                    sent.fates[place] = True
        ended = [sent for sent in self._sent if None not in sent.fates]
        self._sent = [sent for sent in self._sent if None in sent.fates]
        for sent in ended:
            taken = [place for place, fate in enumerate(sent.fates) if fate]
            if len(taken) == len(sent.records):
                sent.future.set_result(None)
            else:
                sent.future.set_exception(PublishError("unavailable", "no acknowledgement", acknowledged=taken))


class Collector(RuleBasedStateMachine):
    """One collector after another on one folder, beside a Kafka that outlives them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.kafka = PartialKafka(PARTITIONS)
        self.now = 0.0
        self.sent = 0
        self.open: list[tuple[Sequence[Record], Future[None]]] = []
        self.accepted: list[Record] = []
        self.refused: set[bytes] = set()
        self.unanswered: set[bytes] = set()
        self.power_fails = False
        self.crashes = 0
        self.spool: FragileSpool
        self.spooling: Spooling

    @initialize(is_there=st.booleans(), power_fails=st.booleans())
    def begin(self, is_there: bool, power_fails: bool) -> None:
        self.power_fails = power_fails
        self.spool = FragileSpool(Path(self.folder.name))
        self.spool.remember(PARTITIONS)
        self._begin()
        if is_there:
            self.spooling.connected(self.kafka)
            self.turn(0.0, ())

    def _begin(self) -> None:
        self.spooling = Spooling(self.spool, ROOM, PATIENCE_S, lambda: None)

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.everything_arrives_in_the_end()
            self.spool.close()
        self.folder.cleanup()

    @rule(
        places=st.lists(st.integers(0, PARTITIONS - 1), min_size=1, max_size=3),
        size=st.sampled_from([1, 1, 1, 1500]),
        failing=FAILING,
    )
    def publish(self, places: list[int], size: int, failing: Sequence[int]) -> None:
        self.kafka.fall_silent(failing)
        records = []
        for place in places:
            self.sent += 1
            records.append(Record(None, b"%d " % self.sent + bytes(size), place, ()))
        self.open.append((records, self.spooling.publish(records, self.now)))
        self.kafka.forget(failing)
        self._look()

    @rule(after_s=st.sampled_from([0.0, 0.3, 2.1]), failing=FAILING)
    def turn(self, after_s: float, failing: Sequence[int]) -> None:
        self.kafka.fall_silent(failing)
        self.now += after_s
        try:
            self.spooling.turn(self.now, AT)
        except PowerCut:
            self._restart()
        self.kafka.forget(failing)
        self._look()

    @rule(
        does=st.sampled_from(["falls silent", "forgets what it did not answer", "is back"]),
        partitions=st.one_of(st.just(ALL), st.sets(st.sampled_from(ALL), min_size=1, max_size=2).map(sorted)),
    )
    def kafka_(self, does: str, partitions: Sequence[int]) -> None:
        if does == "falls silent":
            self.kafka.fall_silent(partitions)
        elif does == "forgets what it did not answer":
            self.kafka.fall_silent(partitions)
            self.kafka.forget(partitions)
        else:
            self.spooling.connected(self.kafka)
            self.kafka.come_back(partitions)
        self._look()

    @rule(full=st.booleans())
    def disk_fills_up_or_is_cleared(self, full: bool) -> None:
        self.spool.is_disk_full = full

    @rule(cut=st.sampled_from(["now", "before append", "after append", "before remove", "after remove"]))
    @precondition(lambda self: self.power_fails)
    def power_goes(self, cut: Point | Literal["now"]) -> None:
        if cut == "now":
            self._restart()
        else:
            self.spool.cut = cut

    def _restart(self) -> None:
        """The connections of the dead process are gone; Kafka may have taken what was on its way, or not."""
        self.crashes += 1
        self.spool.close()
        self._look()
        self.unanswered.update(record.value for records, _ in self.open for record in records)
        self.open.clear()
        self.spool = FragileSpool(Path(self.folder.name))
        assert self.spool.partitions == PARTITIONS
        self._begin()

    def _look(self) -> None:
        """Who was answered, in the order of publishing."""
        for records, future in self.open:
            if future.done():
                if future.exception() is None:
                    self.accepted += records
                else:
                    self.refused.update(record.value for record in records)
        self.open = [(records, future) for records, future in self.open if not future.done()]

    @invariant()
    def the_spool_is_not_larger_than_it_may_be(self) -> None:
        if hasattr(self, "spool"):
            assert self.spool.bytes <= ROOM

    def everything_arrives_in_the_end(self) -> None:
        self.spool.cut = None
        self.spool.is_disk_full = False
        self.spooling.connected(self.kafka)
        self.kafka.come_back(ALL)
        for _ in range(20):
            self.now += 3
            self.spooling.turn(self.now, AT)
        sent = self.spooling.publish([Record(None, b"%d " % (self.sent + 1), 0, ())], self.now)
        self.open.append(([Record(None, b"%d " % (self.sent + 1), 0, ())], sent))
        self._look()
        assert not self.open
        assert self.spool.records == 0
        state = self.spooling.state()
        assert (state.is_direct, state.is_full) == (True, False)

        arrived = [[record.value for record in taken] for taken in self.kafka.records]
        counted = Counter(value for taken in arrived for value in taken)
        accepted = {record.value for record in self.accepted}
        assert accepted <= set(counted)
        assert set(counted) <= accepted | self.refused | self.unanswered
        for taken in arrived:
            # A record that was not accepted may come whenever Kafka finds it; its sender repeats it.
            first_seen = list(dict.fromkeys(value for value in taken if value in accepted))
            assert first_seen == sorted(first_seen, key=lambda value: int(value.split()[0]))
        if self.crashes == 0:
            assert set(counted.values()) <= {1}


Collector.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
TestCollector = Collector.TestCase


@given(
    spooled=st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=20)), max_size=30),
    max_bytes=st.integers(1, 3000),
)
@settings(deadline=None, max_examples=40)
def test_batches_of_any_size_hold_all_records_in_their_order(spooled: list[tuple[int, bytes]], max_bytes: int) -> None:
    records = [Record(None, value, place, ()) for place, value in spooled]
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder))
        spool.append([(record, 3) for record in records], AT)
        taken: list[Record] = []
        while rows := spool.first(max_bytes):
            taken += [row.record for row in rows]
            spool.remove([row.id for row in rows])
        spool.close()
    assert taken == records


@pytest.mark.parametrize("seed", range(2))
def test_partitions_that_fail_one_by_one_all_the_time_make_no_record_arrive_twice(seed: int) -> None:
    chance = random.Random(seed)
    collector = Collector()
    collector.begin(True, False)
    for _ in range(60):
        collector.publish(chance.choices(ALL, k=3), 1, chance.sample(ALL, chance.randrange(3)))
        collector.turn(chance.choice([0.0, 0.3, 2.1]), chance.sample(ALL, chance.randrange(3)))
        collector.kafka_("is back", chance.sample(ALL, chance.randrange(3)))
    collector.teardown()
