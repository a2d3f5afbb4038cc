from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prometheus_client import REGISTRY

from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from ladder.events import Event, encode
from ladder.tables import Position
from ladder.tiers import Ladder
from stream.app import EXIT_HALT, EXIT_RESTART, Assignment, Assignments, Gap, WorkerSettings
from stream.checkpoint import Hold
from stream.rejects import RejectBrake, TooManyRejects
from stream.step_minutes_record import StepMinutesRecord
from stream.step_minutes_topic import NotTold
from stream.transport import Batch
from tests.suites.consumed import CANONICAL, NOON_MS, Record
from tests.suites.crashing_worker import CutLake, PowerCut
from warehouse.lake import Lake
from warehouse.lake_appending import Fenced
from warehouse.lake_claim import Claim

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LADDER = Ladder("test", ("spark", "micro"), (), timedelta(minutes=30), timedelta(hours=2))
SETTINGS = WorkerSettings(
    KafkaConnection("127.0.0.1:9092"), checkpoint_events=4, checkpoint_interval=timedelta(hours=1)
)


class Clock:
    """``elapsed_s`` goes on where ``now`` is set to another time."""

    def __init__(self) -> None:
        self.now = NOON
        self.elapsed_s = 0.0

    def __call__(self) -> datetime:
        return self.now

    def pass_minutes(self, minutes: float) -> int:
        """The new time in milliseconds since 1970."""
        self.now += timedelta(minutes=minutes)
        self.elapsed_s += 60 * minutes
        return int(self.now.timestamp() * 1000)


class Rig:
    """Assignments on a real lake; ``ended``: the exit codes that the process would have ended with.

    ``told``: the step minutes published, where they are counted; ``refuses``: Kafka does not take them; ``away``: so
    many times it is not there.
    """

    def __init__(self, lake: Lake, settings: WorkerSettings = SETTINGS, *, counts: bool = False) -> None:
        self.clock = Clock()
        self.ended: list[int] = []
        self.told: list[StepMinutesRecord] = []
        self.refuses = False
        self.away = 0
        self.lake = lake
        self.assignments = Assignments(
            settings,
            LADDER,
            lake,
            self.clock,
            self.ended.append,
            lambda: self.clock.elapsed_s,
            self.publish if counts else None,
        )

    async def publish(self, records: Sequence[StepMinutesRecord]) -> None:
        if self.away:
            self.away -= 1
            raise NotTold("Kafka is away", may_pass=True)
        if self.refuses:
            raise NotTold("refused")
        self.told += records

    def stretches(self) -> list[tuple[int, int]]:
        """What was told of, since the last call."""
        told = [(record.first, record.next) for record in self.told]
        self.told.clear()
        return told

    async def own(self, *partitions: int) -> Assignment:
        owner = await self.assignments.claim(set(partitions or (0,)))
        self.assignments.replace(owner)
        return owner

    async def take(self, owner: Assignment, *records: Record) -> None:
        partition = records[0].partition
        begins = owner.fetched[partition]
        owner.fetched[partition] = records[-1].offset + 1
        await self.assignments.take(Batch(owner, begins, records))

    async def checkpoint(self) -> None:
        await self.assignments.checkpoint()
        await self.assignments.settle()

    def offset(self, partition: int = 0) -> int:
        """Up to where the lake holds the partition."""
        return self.lake.claim("kafka:events", [partition]).next_offset(partition)


def record(offset: int, minutes: float = 0, partition: int = 0) -> Record:
    at = NOON + timedelta(minutes=minutes)
    event = Event(event_id=f"{partition}/{offset}", visitor_id="v", occurred_at=at, received_at=at, name="n")
    return Record(encode(event), CANONICAL, offset, partition, NOON_MS + int(minutes * 60_000))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(Lake(tmp_path))


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


class GatedLake(Lake):
    """A lake whose commits wait at a gate; ``reached`` is set when one stands there."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reached = threading.Event()
        self.gate = threading.Event()

    def claim(self, source: str, partitions: Collection[int]) -> Claim:
        lake = self

        class GatedClaim(Claim):
            def commit(self, rows: Mapping[str, pa.Table], positions: Mapping[int, Position], now: datetime) -> None:
                lake.reached.set()
                if not lake.gate.wait(20):
                    raise TimeoutError
                super().commit(rows, positions, now)

        return GatedClaim(self, source, partitions)

    async def wait_reached(self) -> None:
        while not self.reached.is_set():
            await asyncio.sleep(0.01)


# --- gathering ---


def test_what_is_gathered_is_committed_at_the_next_checkpoint(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0), record(1))
        await rig.take(owner, record(2))
        await rig.checkpoint()
        assert (rig.offset(), owner.records, rig.ended) == (3, [], [])

    run(test)


def test_a_worker_tells_nothing_more_of_partitions_that_it_gave_up(tmp_path: Path) -> None:
    gated = GatedLake(tmp_path)
    rig = Rig(gated)

    def told() -> tuple[float | None, float | None]:
        delay = REGISTRY.get_sample_value("yesladder_watermark_delay_seconds", {"partition": "0"})
        return REGISTRY.get_sample_value("yesladder_open_events"), delay

    async def test() -> None:
        gated.gate.set()
        owner = await rig.own()
        await rig.take(owner, record(0))
        await rig.checkpoint()
        assert told() == (1, 7200)
        gated.gate.clear()
        await rig.take(owner, record(1))
        await rig.assignments.checkpoint()
        revoked = asyncio.ensure_future(rig.assignments.revoke())
        await asyncio.sleep(0)
        gated.gate.set()
        await revoked
        assert told() == (0, None), "the commit that ended after it tells nothing either"

    run(test)


def test_it_ends_also_where_its_last_words_find_no_room(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    with suppress(OSError), Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        print("said before", file=full)
        rig.assignments.fail(RuntimeError("the disk is full"))
    assert rig.ended == [EXIT_RESTART]


def test_a_fetch_that_does_not_begin_where_the_last_one_ended_is_a_gap(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        with pytest.raises(Gap, match="partition 0: offset 1 was due, 2 came"):
            await rig.assignments.take(Batch(owner, 2, [record(2)]))

    run(test)


def test_a_fetch_that_begins_where_it_should_may_lack_offsets_the_broker_has_lost(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(5))
        await rig.checkpoint()
        assert rig.offset() == 6

    run(test)


def test_a_fetch_made_for_an_assignment_that_has_ended_is_left_alone(rig: Rig) -> None:
    async def test() -> None:
        old = await rig.own()
        new = await rig.own()
        await rig.take(old, record(0))
        assert (old.records, new.records, new.taken) == ([], [], {0: 0})
        rig.assignments.replace(None)
        await rig.take(new, record(0))
        await rig.checkpoint()
        assert rig.offset() == 0

    run(test)


def test_too_much_gathered_holds_the_stream_back_until_the_next_checkpoint(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0), record(1), record(2))
        held_back = asyncio.ensure_future(rig.take(owner, *(record(n) for n in range(3, 8))))
        await asyncio.sleep(0.05)
        assert not held_back.done()
        await asyncio.wait_for(rig.assignments.wait_due(), 5)
        await rig.checkpoint()
        await asyncio.wait_for(held_back, 5)
        assert rig.offset() == 8

    run(test)


def test_a_stream_held_back_is_let_go_when_the_assignment_ends(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own()
        held_back = asyncio.ensure_future(rig.take(owner, *(record(n) for n in range(9))))
        await asyncio.sleep(0.05)
        assert not held_back.done()
        await rig.assignments.revoke()
        await asyncio.wait_for(held_back, 5)
        new = await rig.own()
        assert new.fetched == {0: 0}

    run(test)


def test_a_stream_held_back_is_let_go_when_another_assignment_takes_over(rig: Rig) -> None:
    async def test() -> None:
        held_back = asyncio.ensure_future(rig.take(await rig.own(), *(record(n) for n in range(9))))
        await asyncio.sleep(0.05)
        new = await rig.own()
        await asyncio.wait_for(held_back, 5)
        await rig.take(new, record(0))
        await rig.checkpoint()
        assert rig.offset() == 1

    run(test)


def test_a_large_record_counts_for_many_events(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own()
        large = replace(record(0), value=(record(0).value or b"") + b"\n" * 4096)
        held_back = asyncio.ensure_future(rig.take(owner, large))
        await asyncio.sleep(0.05)
        assert not held_back.done()
        await rig.checkpoint()
        await held_back

    run(test)


# --- what goes wrong ---


def test_a_commit_that_is_fenced_ends_the_process_to_be_started_again(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own()
        Hold(rig.lake, LADDER, "events", [0], RejectBrake()).checkpoint([record(0)], now=NOON)
        await rig.take(owner, record(0))
        await rig.assignments.checkpoint()
        with pytest.raises(Fenced, match="committed by another worker"):
            await rig.assignments.settle()
        assert rig.ended == [EXIT_RESTART]
        assert owner.closed

    run(test)


def test_too_many_rejects_end_the_process_for_good(tmp_path: Path) -> None:
    rig = Rig(Lake(tmp_path), replace(SETTINGS, checkpoint_events=10_000))

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, *(Record(b"{", (), n) for n in range(2000)))
        with pytest.raises(TooManyRejects, match="2,000 of 2,000 events were refused") as error:
            await rig.assignments.checkpoint()
        rig.assignments.fail(error.value)
        assert (rig.ended, rig.offset()) == ([EXIT_HALT], 0)

    run(test)


def test_a_lake_that_cannot_be_read_ends_the_process(rig: Rig) -> None:
    async def test() -> None:
        (rig.lake.root / "sessions" / "_delta_log" / f"{0:020}.json").write_text("no log")
        with pytest.raises(YesladderError, match=r"the log of the table .+ cannot be read: .*(no log|expected)"):
            await rig.assignments.claim({0})
        assert rig.ended == [EXIT_RESTART]

    run(test)


def test_after_a_checkpoint_went_wrong_nothing_is_committed_in_that_assignments_name(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, replace(record(0), headers=None))  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await rig.assignments.checkpoint()
        await rig.take(owner, record(1))
        await rig.checkpoint()
        assert rig.offset() == 0

    run(test)


# --- one commit at a time, and each in its owner's name ---


def test_the_next_checkpoint_is_worked_out_while_the_one_before_is_written_and_committed_after_it(
    tmp_path: Path,
) -> None:
    lake = GatedLake(tmp_path)
    rig = Rig(lake)

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        await rig.assignments.checkpoint()
        await lake.wait_reached()
        await rig.take(owner, record(1))
        second = asyncio.ensure_future(rig.assignments.checkpoint())
        await asyncio.sleep(0.1)
        assert owner.hold.reached == {0: 2}
        assert not second.done()
        assert rig.offset() == 0
        lake.gate.set()
        await second
        await rig.assignments.settle()
        assert rig.offset() == 2

    run(test)


def test_giving_partitions_up_waits_for_the_commit_under_way(tmp_path: Path) -> None:
    lake = GatedLake(tmp_path)
    rig = Rig(lake)

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        await rig.assignments.checkpoint()
        await lake.wait_reached()
        given_up = asyncio.ensure_future(rig.assignments.revoke())
        await asyncio.sleep(0.1)
        assert not given_up.done()
        lake.gate.set()
        await given_up
        assert (rig.offset(), rig.assignments.current) == (1, None)

    run(test)


@pytest.mark.parametrize("is_under_way", [False, True], ids=["before its last checkpoint", "during it"])
def test_a_stopping_worker_whose_partitions_are_taken_away_closes_its_sessions_first(
    tmp_path: Path, is_under_way: bool
) -> None:
    """The other workers were told to stop, too, and left the group before it: nobody would close them."""
    lake = GatedLake(tmp_path)
    rig = Rig(lake, replace(SETTINGS, drain=True))

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0), record(1))
        rig.assignments.is_stopping = True
        last = asyncio.ensure_future(rig.assignments.finish()) if is_under_way else None
        await asyncio.sleep(0)
        given_up = asyncio.ensure_future(rig.assignments.revoke())
        await lake.wait_reached()
        lake.gate.set()
        await given_up
        assert rig.assignments.current is None
        await (last or rig.assignments.finish())

    run(test)
    assert lake.scan("sessions").select("events").collect().rows() == [(2,)]
    assert rig.ended == []


@pytest.mark.parametrize("drain", [True, False])
def test_a_worker_stopped_while_it_takes_partitions_over_closes_their_sessions_if_it_drains(
    tmp_path: Path, drain: bool
) -> None:
    rig = Rig(Lake(tmp_path), replace(SETTINGS, drain=drain))

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0), record(1))
        await rig.checkpoint()
        await rig.assignments.revoke()
        await rig.assignments.finish([0, 1])

    run(test)
    assert rig.lake.scan("sessions").select("events").collect().rows() == ([(2,)] if drain else [])
    assert (rig.assignments.is_finished, rig.ended) == (True, [])


def test_a_claim_sees_what_the_assignment_before_it_was_writing(tmp_path: Path) -> None:
    lake = GatedLake(tmp_path)
    rig = Rig(lake)

    async def test() -> None:
        await rig.take(await rig.own(), record(0))
        await rig.assignments.checkpoint()
        await lake.wait_reached()
        rig.assignments.replace(None)
        claim = asyncio.ensure_future(rig.assignments.claim({0}))
        await asyncio.sleep(0.1)
        assert not claim.done()
        lake.gate.set()
        new = await claim
        assert new.fetched == {0: 1}
        rig.assignments.replace(new)
        await rig.take(new, record(1))
        await rig.checkpoint()
        assert (rig.offset(), rig.ended) == (2, [])

    run(test)


def test_what_was_worked_out_when_the_assignment_ended_is_not_committed_any_more(rig: Rig) -> None:
    async def test() -> None:
        old = await rig.own()
        await rig.take(old, record(0))
        checkpoint = asyncio.ensure_future(rig.assignments.checkpoint())
        await asyncio.sleep(0)
        rig.assignments.replace(None)
        await checkpoint
        assert old.committing is None
        new = await rig.own()
        await rig.take(new, record(0))
        await rig.checkpoint()
        assert (rig.offset(), rig.ended) == (1, [])

    run(test)


# --- silence ---


def test_a_partition_that_the_broker_says_is_at_its_end_gets_older_by_what_the_broker_has_said(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        await rig.checkpoint()
        told_ms = rig.clock.pass_minutes(400)
        owner.ends[0] = (1, told_ms)
        rig.clock.pass_minutes(60)
        await rig.checkpoint()
        assert owner.hold.sessioniser.newest(0) == NOON + timedelta(minutes=399)
        assert rig.lake.scan("sessions").collect().height == 1

    run(test)


@pytest.mark.parametrize(
    ("end", "told_after", "why"),
    [
        (None, 400, "the broker has said nothing yet"),
        (2, 400, "there is more to fetch"),
        (1, 0.5, "not long enough"),
        (1, 1, "just as long, which moves nothing"),
    ],
)
def test_otherwise_time_stands_still(rig: Rig, end: int | None, told_after: float, why: str) -> None:
    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        await rig.checkpoint()
        told_ms = rig.clock.pass_minutes(told_after)
        if end is not None:
            owner.ends[0] = (end, told_ms)
        rig.clock.pass_minutes(500)
        await rig.checkpoint()
        assert owner.hold.sessioniser.newest(0) == NOON, why

    run(test)


def test_a_silent_partition_gets_older_while_another_is_busy(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own(0, 1)
        await rig.take(owner, record(0))
        await rig.checkpoint()
        owner.ends[0] = (1, rig.clock.pass_minutes(400))
        await rig.take(owner, record(0, 400, partition=1))
        await rig.checkpoint()
        assert owner.hold.sessioniser.newest(0) == NOON + timedelta(minutes=399)

    run(test)


def test_time_does_not_pass_where_what_came_is_not_committed_yet(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        owner.ends[0] = (1, rig.clock.pass_minutes(400))
        await rig.checkpoint()
        assert owner.hold.sessioniser.newest(0) == NOON

    run(test)


def test_silence_without_an_open_session_commits_nothing(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        await rig.assignments.checkpoint(finish=True)
        await rig.assignments.settle()
        versions = rig.lake.versions()
        owner.ends[0] = (1, rig.clock.pass_minutes(4000))
        await rig.checkpoint()
        assert rig.lake.versions() == versions

    run(test)


def test_silence_is_never_taken_for_time_where_that_is_not_wanted(tmp_path: Path) -> None:
    rig = Rig(Lake(tmp_path), replace(SETTINGS, idle_after=None))

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        await rig.checkpoint()
        owner.ends[0] = (1, rig.clock.pass_minutes(4000))
        await rig.checkpoint()
        assert owner.hold.sessioniser.newest(0) == NOON

    run(test)


# --- standing still ---


def test_a_worker_whose_checkpoints_have_stopped_is_unhealthy_and_ends(rig: Rig) -> None:
    async def test() -> None:
        await rig.own()
        rig.clock.pass_minutes(1.9)
        rig.assignments.look(has_partitions=True)
        assert (rig.assignments.healthy(), rig.ended) == (True, [])
        rig.clock.pass_minutes(0.2)
        assert not rig.assignments.healthy()
        rig.assignments.look(has_partitions=True)
        assert rig.ended == [EXIT_RESTART]

    run(test)


def test_a_clock_that_is_set_neither_ends_a_worker_nor_keeps_one(rig: Rig) -> None:
    async def test() -> None:
        await rig.own()
        rig.clock.now += timedelta(hours=1)
        rig.assignments.look(has_partitions=True)
        assert (rig.assignments.healthy(), rig.ended) == (True, [])
        rig.clock.pass_minutes(2.1)
        rig.clock.now -= timedelta(hours=2)
        rig.assignments.look(has_partitions=True)
        assert rig.ended == [EXIT_RESTART]

    run(test)


def test_a_worker_without_partitions_waits_in_good_health(rig: Rig) -> None:
    for _ in range(5):
        rig.clock.pass_minutes(10)
        rig.assignments.look(has_partitions=False)
        assert (rig.assignments.healthy(), rig.ended) == (True, [])


def test_an_idle_worker_stays_healthy_by_its_checkpoints_of_nothing(rig: Rig) -> None:
    async def test() -> None:
        await rig.own()
        for _ in range(5):
            rig.clock.pass_minutes(1.5)
            await rig.checkpoint()
            rig.assignments.look(has_partitions=True)
        assert rig.ended == []

    run(test)


def test_a_fetch_that_never_reaches_the_agent_ends_the_worker(rig: Rig) -> None:
    async def test() -> None:
        owner = await rig.own(0, 1)
        await rig.take(owner, record(0))
        rig.clock.pass_minutes(1.9)
        await rig.checkpoint()
        owner.fetched[1] = 7
        for minutes, ended in [(0.2, []), (1.9, []), (0.2, [EXIT_RESTART])]:
            rig.clock.pass_minutes(minutes)
            await rig.checkpoint()
            rig.assignments.look(has_partitions=True)
            assert rig.ended == ended

    run(test)


def test_a_worker_that_was_told_to_stop_ends_though_faust_does_not_but_not_while_it_writes(tmp_path: Path) -> None:
    lake = GatedLake(tmp_path)
    rig = Rig(lake)

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        await rig.assignments.checkpoint()
        await lake.wait_reached()
        ending = asyncio.create_task(asyncio.to_thread(rig.assignments.end_unless_stopped, timedelta(milliseconds=150)))
        await asyncio.sleep(0.6)
        assert rig.ended == []
        lake.gate.set()
        await ending

    run(test)
    assert rig.ended == [EXIT_RESTART]
    assert rig.offset() == 1


def test_after_its_last_checkpoint_a_worker_that_has_to_be_ended_has_done_its_work(rig: Rig) -> None:
    rig.assignments.is_finished = True
    rig.assignments.end_unless_stopped(timedelta(milliseconds=1))
    assert rig.ended == [0]


# --- step minutes ---


def test_step_minutes_are_told_once_their_checkpoint_is_committed(tmp_path: Path) -> None:
    gated = GatedLake(tmp_path)
    rig = Rig(gated, counts=True)

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0), record(1))
        await rig.assignments.checkpoint()
        await gated.wait_reached()
        await asyncio.sleep(0.05)
        assert rig.stretches() == []
        gated.gate.set()
        await rig.assignments.settle()
        assert rig.stretches() == [(0, 2)]
        await rig.take(owner, record(2))
        await rig.checkpoint()
        assert rig.stretches() == [(2, 3)]

    run(test)


def test_a_worker_whose_step_minutes_are_not_taken_ends_and_the_next_tells_them(tmp_path: Path) -> None:
    rig, after = Rig(Lake(tmp_path), counts=True), Rig(Lake(tmp_path), counts=True)

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        await rig.checkpoint()
        rig.refuses = True
        await rig.take(owner, record(1), record(2))
        with pytest.raises(NotTold):
            await rig.checkpoint()
        assert (rig.ended, rig.offset(), rig.stretches()) == ([EXIT_RESTART], 3, [(0, 1)])
        await after.own()
        assert after.stretches() == [(1, 3)]

    run(test)


def test_a_claim_whose_step_minutes_are_not_taken_ends_the_worker(tmp_path: Path) -> None:
    rig, after = Rig(Lake(tmp_path), counts=True), Rig(Lake(tmp_path), counts=True)

    async def test() -> None:
        await rig.take(await rig.own(), record(0))
        await rig.checkpoint()
        after.refuses = True
        with pytest.raises(NotTold):
            await after.own()
        assert after.ended == [EXIT_RESTART]

    run(test)


def test_while_kafka_is_away_a_worker_waits_and_is_well(tmp_path: Path) -> None:
    rig = Rig(Lake(tmp_path), counts=True)

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        rig.away = 2
        await rig.assignments.checkpoint()
        rig.clock.pass_minutes(1.9)
        while rig.away:
            await asyncio.sleep(0.05)
        rig.clock.pass_minutes(1.9)
        rig.assignments.look(has_partitions=True)
        await rig.assignments.settle()
        assert (rig.stretches(), rig.ended) == ([(0, 1)], [])

    run(test)


def test_a_worker_that_gave_its_partitions_up_while_kafka_was_away_leaves_it_to_the_next(tmp_path: Path) -> None:
    rig = Rig(Lake(tmp_path), counts=True)

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        rig.away = 1
        await rig.assignments.checkpoint()
        while rig.away:
            await asyncio.sleep(0.01)
        await rig.assignments.revoke()
        assert (rig.stretches(), rig.ended) == ([], [])
        await rig.own()
        assert rig.stretches() == [(0, 1)]

    run(test)


@pytest.mark.parametrize("is_kept", [True, False], ids=["to itself", "to another"])
def test_a_worker_that_gives_its_partitions_up_between_two_commits_leaves_none_of_them_untold(
    tmp_path: Path, is_kept: bool
) -> None:
    lake = GatedLake(tmp_path)
    rig, other = Rig(lake, counts=True), Rig(Lake(tmp_path), counts=True)

    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        await rig.assignments.checkpoint()
        await lake.wait_reached()
        await rig.take(owner, record(1))
        next_one = asyncio.ensure_future(rig.assignments.checkpoint())
        await asyncio.sleep(0)
        given_up = asyncio.ensure_future(rig.assignments.revoke())
        await asyncio.sleep(0)
        lake.gate.set()
        await asyncio.gather(next_one, given_up)
        after = rig if is_kept else other
        again = await after.own()
        told = [*rig.stretches(), *other.stretches()]
        assert told == [(0, again.fetched[0])], "all that is committed"
        for offset in range(again.fetched[0], 2):
            await after.take(again, record(offset))
        await after.checkpoint()
        assert [*told, *after.stretches()] == [(0, 1), (1, 2)]

    run(test)


def test_a_worker_that_keeps_a_partition_goes_on_with_it_once_its_last_checkpoint_is_worked_out(tmp_path: Path) -> None:
    """Also where the assignment changed while it was being worked out: that one is not committed, and comes again."""
    lake = GatedLake(tmp_path)
    rig = Rig(lake)

    async def test() -> None:
        owner = await rig.own(0, 1)
        await rig.take(owner, record(0))
        under_way = asyncio.ensure_future(rig.assignments.checkpoint())
        await lake.wait_reached()
        rig.assignments.replace(None)
        again = asyncio.ensure_future(rig.own(1, 0))
        await asyncio.sleep(0.1)
        assert not again.done(), "the commit is on its way"
        lake.gate.set()
        await under_way
        assert sorted((await again).hold.stayed) == [0, 1]
        assert (again.result().fetched, again.result().hold.sessioniser.open_events()) == ({1: 0, 0: 1}, 1)
        await rig.take(again.result(), record(1, minutes=1))
        await rig.checkpoint()
        assert (rig.offset(), rig.ended) == (2, [])
        assert (await rig.own(1)).hold.stayed == [], "its owner holds it still"
        rig.assignments.replace(None)
        assert (await rig.own(1)).hold.stayed == [1]

    run(test)


def test_what_is_being_worked_out_when_partitions_are_given_up_is_committed_and_need_not_be_read_again(
    rig: Rig,
) -> None:
    async def test() -> None:
        owner = await rig.own()
        await rig.take(owner, record(0))
        checkpoint = asyncio.ensure_future(rig.assignments.checkpoint())
        await asyncio.sleep(0)
        await rig.take(owner, record(1))
        await rig.assignments.revoke()
        await checkpoint
        assert (rig.offset(), rig.assignments.current) == (1, None), "what was only gathered comes again"
        assert (await rig.own()).hold.stayed == [0]

    run(test)


def test_a_worker_whose_commits_take_long_makes_fewer_of_them(tmp_path: Path) -> None:
    lake = GatedLake(tmp_path)
    rig = Rig(lake, replace(SETTINGS, checkpoint_interval=timedelta(milliseconds=200)))

    async def test() -> None:
        await rig.take(await rig.own(), record(0))
        await asyncio.wait_for(rig.assignments.wait_due(), 5)
        await rig.assignments.checkpoint()
        await lake.wait_reached()
        rig.clock.elapsed_s += 60
        lake.gate.set()
        await rig.assignments.settle()
        begun = time.monotonic()
        await rig.assignments.wait_due()
        assert 0.8 < time.monotonic() - begun < 15, "five intervals, and not five minutes"

    run(test)


def test_a_worker_whose_name_another_has_taken_halts_and_says_so(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.assignments.displace()
    assert rig.ended == [EXIT_HALT]
    assert "another worker has taken the name" in caplog.text


def test_what_a_crash_left_counted_is_told_again_and_no_heartbeat_is_ahead_of_it(tmp_path: Path) -> None:
    lake = CutLake(tmp_path)
    rig, after = Rig(lake, counts=True), Rig(Lake(tmp_path), counts=True)

    async def test() -> None:
        await rig.take(await rig.own(), record(0))
        lake.held.cut = "sessions"
        with pytest.raises(PowerCut):
            await rig.checkpoint()
        owner = await after.own()
        assert (after.stretches(), owner.fetched) == ([(0, 1)], {0: 0})
        assert owner.hold.heartbeat(0, NOON) is None
        await after.take(owner, record(0))
        await after.checkpoint()
        assert after.stretches() == []
        beat = owner.hold.heartbeat(0, NOON)
        assert beat is not None
        assert beat.next == 1

    run(test)


def test_a_silent_partition_tells_now_and_then_how_far_time_has_come(tmp_path: Path) -> None:
    rig = Rig(Lake(tmp_path), counts=True)

    async def test() -> None:
        owner = await rig.own(0, 1)
        await rig.take(owner, record(0))
        await rig.checkpoint()
        assert rig.stretches() == [(0, 1)]

        async def beats(minutes: float, *partitions: int) -> list[tuple[int, int, float]]:
            """After so long, of which the broker has told of these partitions."""
            told_ms = rig.clock.pass_minutes(minutes)
            owner.ends |= {p: (owner.fetched[p], told_ms) for p in partitions}
            await rig.checkpoint()
            rig.told = [beat for beat in rig.told if beat.first == beat.next]
            found = [
                (beat.partition, beat.next, round((beat.reached_us or 0) / 6e7 - NOON_MS / 6e4, 3)) for beat in rig.told
            ]
            rig.told.clear()
            return found

        assert await beats(0.5, 0, 1) == [], "silent for less than `idle_after`"
        assert await beats(1, 0, 1) == [(0, 1, 0.5), (1, 0, 0.5)]
        assert await beats(0.1, 0, 1) == [], "ten seconds have not passed"
        assert await beats(0.1, 1) == [(0, 1, 0.6), (1, 0, 0.7)]
        assert await beats(0.2, 1) == [(1, 0, 0.9)], "of the other the broker has said nothing new"
        await rig.take(owner, record(1, minutes=2))
        assert [next_ for _, next_, _ in await beats(1, 1)] == [0], "what has input tells by itself"

    run(test)
