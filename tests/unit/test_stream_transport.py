"""What the transport adds to Faust's consumer, on a partition in memory in the place of aiokafka's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, LeaderNotAvailableError
from faust.types import TP

from stream.transport import Batch, Consumer, Fetching

PLACE, OTHER = TP("events", 0), TP("events", 1)


@dataclass
class Owner:
    """An assignment that begins at these offsets."""

    fetched: dict[int, int]
    holes: dict[int, int] = field(default_factory=dict)
    voids: dict[int, tuple[int, int]] = field(default_factory=dict)
    ends: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Assignments:
    """``begins``: what the lake says.  ``claimed``: called while it is asked."""

    begins: dict[int, int]
    current: Fetching | None = None
    refused: list[str] = field(default_factory=list)
    replaced: list[Fetching | None] = field(default_factory=list)
    claimed: Callable[[], object] = lambda: None

    async def claim(self, partitions: set[int]) -> Fetching:
        owner = Owner({p: self.begins[p] for p in partitions})
        self.claimed()
        await asyncio.sleep(0)
        return owner

    def refuse(self, why: str) -> None:
        self.refused.append(why)

    def replace(self, owner: Fetching | None) -> None:
        self.replaced.append(owner)
        self.current = owner


class Thread:
    """aiokafka's thread, with one partition's log: ``offsets`` are the records that the broker still has.

    ``stable``: up to where it tells of what lies between them (None: to the end).  ``asked_end``: what it says to who
    asks for the end itself (None: what fetches tell).
    """

    def __init__(self, offsets: list[int], end: int, *, place: TP = PLACE) -> None:
        self.offsets, self.end, self.place = offsets, end, place
        self.assigned = {place}
        self.position = 0
        self.stable: int | None = None
        self.asked_end: int | KafkaError | None = None
        self.seeks: list[dict[TP, int]] = []
        self.while_fetching: Callable[[], object] = lambda: None
        self.while_seeking: Callable[[], object] = lambda: None

    def assignment(self) -> set[TP]:
        return self.assigned

    async def getmany(self, _: object, __: float) -> dict[TP, list[Any]]:
        fetched = [offset for offset in self.offsets if offset >= self.position][:3]
        if fetched:
            self.position = fetched[-1] + 1
        if not any(offset >= self.position for offset in self.offsets):
            self.position = max(self.position, self.end if self.stable is None else self.stable)
        self.while_fetching()
        records = [SimpleNamespace(offset=offset, partition=self.place.partition) for offset in fetched]
        return {self.place: records} if records else {}

    async def highwaters(self, *places: TP) -> Mapping[TP, int]:
        if isinstance(self.asked_end, KafkaError):
            raise self.asked_end
        return dict.fromkeys(places, self.end if self.asked_end is None else self.asked_end)

    async def seek_wait(self, positions: Mapping[TP, int]) -> None:
        self.seeks.append(dict(positions))
        self.position = positions.get(self.place, self.position)
        self.while_seeking()

    def _ensure_consumer(self) -> Any:
        state = SimpleNamespace(position=self.position, has_valid_position=True)
        assignment = SimpleNamespace(state_value=lambda _: state)
        return SimpleNamespace(
            highwater=lambda _: self.end,
            last_poll_timestamp=lambda _: 1000,
            _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment)),
        )


class Rig:
    """``fetch``: what one fetch hands to the agent, as (offset that was due, offsets of its records)."""

    def __init__(self, begin: int, offsets: list[int], end: int | None = None) -> None:
        self.thread = Thread(offsets, offsets[-1] + 1 if end is None else end)
        self.assignments = Assignments({0: begin, 1: 0})
        consumer: Any = Consumer.__new__(Consumer)  # without a broker
        consumer.app = SimpleNamespace(assignments=self.assignments, consumer_generation_id=1)
        consumer._thread = self.thread
        consumer._begin()
        self.consumer = consumer

    async def begin(self) -> None:
        await self.consumer.seek_to_committed()

    async def fetch(self) -> list[tuple[int, list[int]]]:
        return [(batch.begins, [one.offset for one in batch.records]) for batch in await self.fetch_batches()]

    async def fetch_batches(self) -> list[Batch]:
        return [batch for batches in (await self.consumer._getmany(None, 0.1)).values() for batch in batches]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 10))


# --- contiguity ---


def test_fetches_follow_one_another_from_where_the_lake_ends() -> None:
    rig = Rig(4, list(range(12)))

    async def test() -> None:
        await rig.begin()
        assert rig.thread.seeks == [{PLACE: 4}]
        assert [await rig.fetch() for _ in range(4)] == [[(4, [4, 5, 6])], [(7, [7, 8, 9])], [(10, [10, 11])], []]
        assert rig.thread.seeks == [{PLACE: 4}]

    run(test)


def test_what_has_been_fetched_already_is_cut_off() -> None:
    rig = Rig(4, list(range(12)))

    async def test() -> None:
        await rig.begin()
        rig.thread.position = 2
        assert await rig.fetch() == [(4, [4])]
        rig.thread.position = 0
        assert await rig.fetch() == []
        assert await rig.fetch() == [(5, [5])]
        assert rig.thread.seeks == [{PLACE: 4}]

    run(test)


def test_what_begins_too_far_on_is_dropped_and_fetched_again_from_where_it_was_due() -> None:
    rig = Rig(4, list(range(12)))

    async def test() -> None:
        await rig.begin()
        rig.thread.position = 8
        assert await rig.fetch() == []
        assert rig.thread.seeks[-1] == {PLACE: 4}
        assert await rig.fetch() == [(4, [4, 5, 6])]

    run(test)


def test_what_the_broker_has_lost_is_passed_over_only_after_it_was_asked_for() -> None:
    rig = Rig(4, [0, 1, 2, 3, 9, 10])

    async def test() -> None:
        await rig.begin()
        assert await rig.fetch() == []
        assert rig.thread.seeks == [{PLACE: 4}, {PLACE: 4}]
        assert await rig.fetch() == [(4, [9, 10])]

    run(test)


def test_a_hole_that_another_assignment_asked_for_proves_nothing() -> None:
    rig = Rig(4, [0, 1, 2, 3, 9, 10])

    async def test() -> None:
        await rig.begin()
        assert await rig.fetch() == []
        rig.thread.while_fetching = lambda: rig.assignments.replace(Owner({0: 4}, holes={0: 4}))
        assert await rig.fetch() == []
        rig.thread.while_fetching = lambda: None
        assert await rig.fetch() == [(4, [9, 10])]

    run(test)


# --- assignments ---


def test_what_was_on_its_way_when_the_assignment_changed_is_for_the_one_that_holds_now() -> None:
    rig = Rig(0, list(range(12)))

    async def test() -> None:
        await rig.begin()
        successor = Owner({0: 2})
        rig.thread.while_fetching = lambda: rig.assignments.replace(successor)
        (batch,) = await rig.fetch_batches()
        assert batch.owner is successor
        assert (batch.begins, [one.offset for one in batch.records]) == (2, [2])

    run(test)


def test_between_two_assignments_nothing_is_handed_out() -> None:
    rig = Rig(0, list(range(12)))

    async def test() -> None:
        await rig.begin()
        rig.assignments.replace(None)
        assert await rig.fetch() == []

    run(test)


def test_partitions_that_are_not_ours_are_left_alone() -> None:
    rig = Rig(0, list(range(12)))

    async def test() -> None:
        rig.assignments.replace(Owner({1: 0}))
        assert await rig.fetch() == []

    run(test)


def test_a_rebalance_while_the_lake_is_read_makes_it_read_again_for_what_is_owned_then() -> None:
    rig = Rig(4, list(range(12)))

    async def test() -> None:
        for moment in ("claimed", "while_seeking"):
            rig.assignments.replaced.clear()
            rig.thread.assigned = {PLACE}

            def rebalance() -> None:
                rig.thread.assigned = {OTHER}

            whose: Any = rig.assignments if moment == "claimed" else rig.thread
            setattr(whose, moment, rebalance)
            assert await rig.consumer.seek_to_committed() == {OTHER: 0}
            setattr(whose, moment, lambda: None)
            # The old owner is closed before the lake is read, and nobody owns what has gone.
            *before, last = rig.assignments.replaced
            assert before == [None, None]
            assert last is rig.assignments.current
            assert last is not None
            assert last.fetched == {1: 0}

    run(test)


def test_an_assignment_sought_twice_at_once_is_claimed_once() -> None:
    rig = Rig(4, list(range(12)))

    async def test() -> None:
        positions = await asyncio.gather(rig.consumer.seek_to_committed(), rig.consumer.seek_to_committed())
        assert list(positions) == [{PLACE: 4}, {PLACE: 4}]
        assert rig.assignments.replaced == [None, rig.assignments.current]

    run(test)


@pytest.mark.parametrize("why", ["another assignment", "it was given up", "something was fetched"])
def test_it_is_claimed_again_where_anything_may_have_happened_since(why: str) -> None:
    rig = Rig(4, list(range(12)))

    async def test() -> None:
        await rig.begin()
        before = rig.assignments.current
        if why == "another assignment":
            rig.consumer.app.consumer_generation_id = 2
        elif why == "it was given up":
            rig.assignments.replace(None)
        else:
            await rig.fetch()
        assert await rig.consumer.seek_to_committed() == {PLACE: 4}
        assert rig.assignments.current is not before

    run(test)


def test_an_assignment_that_changes_to_the_like_while_the_lake_is_read_is_claimed_again() -> None:
    rig = Rig(4, list(range(12)))

    async def test() -> None:
        def again() -> None:
            rig.assignments.claimed = lambda: None
            rig.consumer.app.consumer_generation_id = 2

        rig.assignments.claimed = again
        await rig.begin()
        assert rig.assignments.replaced == [None, None, rig.assignments.current]

    run(test)


# --- the topic's end ---


def test_a_topic_that_ends_before_the_lake_does_is_refused_before_anything_is_taken() -> None:
    rig = Rig(8, [0, 1, 2])

    async def test() -> None:
        await rig.begin()
        assert await rig.fetch() == []
        (why,) = rig.assignments.refused
        assert why.startswith("topic events, partition 0 ends at offset 3, but the lake holds it up to 8: ")

    run(test)


@pytest.mark.parametrize("answer", [9, LeaderNotAvailableError()])
def test_a_new_leader_that_lags_behind_the_one_before_is_not_taken_for_a_new_topic(answer: int | KafkaError) -> None:
    rig = Rig(8, list(range(9)), end=6)
    rig.thread.asked_end = answer

    async def test() -> None:
        await rig.begin()
        assert await rig.fetch() == [(8, [8])]
        assert await rig.fetch() == []
        assert rig.assignments.refused == []

    run(test)


def test_the_end_is_remembered_with_the_time_that_the_broker_told_it() -> None:
    rig = Rig(0, [0, 1, 2], end=3)

    async def test() -> None:
        await rig.begin()
        await rig.fetch()
        assert rig.assignments.current is not None
        assert rig.assignments.current.ends == {0: (3, 1000)}

    run(test)


def test_marks_without_records_at_the_end_are_asked_for_once_more_and_are_then_beyond_the_end() -> None:
    rig = Rig(0, [0, 1, 2], end=5)

    async def test() -> None:
        await rig.begin()
        assert await rig.fetch() == [(0, [0, 1, 2])]
        seen = []
        for _ in range(4):
            assert await rig.fetch() == []
            assert rig.assignments.current is not None
            seen.append((rig.assignments.current.ends[0][0], len(rig.thread.seeks)))
        assert seen == [(5, 2), (3, 2), (3, 2), (3, 2)]
        assert rig.thread.seeks[-1] == {PLACE: 3}
        rig.thread.offsets, rig.thread.end = [0, 1, 2, 5, 6], 7
        assert await rig.fetch() == [(3, [5, 6])]
        assert rig.assignments.current is not None
        assert rig.assignments.current.ends == {0: (7, 1000)}

    run(test)


def test_a_fetch_lost_behind_marks_without_records_is_asked_for_once_more() -> None:
    rig = Rig(0, [0, 1, 2], end=5)

    async def test() -> None:
        await rig.begin()
        for _ in range(3):
            await rig.fetch()
        rig.thread.offsets, rig.thread.end = [0, 1, 2, 5, 6, 7], 8
        rig.thread.position = 7
        assert await rig.fetch() == []
        assert rig.thread.seeks[-1] == {PLACE: 3}
        assert await rig.fetch() == [(3, [5, 6, 7])]

    run(test)


def test_a_fetch_lost_at_the_end_is_fetched_again() -> None:
    rig = Rig(0, [0, 1, 2])

    async def test() -> None:
        await rig.begin()
        rig.thread.position = 3
        assert await rig.fetch() == []
        assert await rig.fetch() == [(0, [0, 1, 2])]

    run(test)


def test_while_a_transaction_is_open_the_end_is_where_the_broker_says() -> None:
    rig = Rig(0, [0, 1, 2], end=9)
    rig.thread.stable = 5

    async def test() -> None:
        await rig.begin()
        for _ in range(4):
            await rig.fetch()
        assert rig.assignments.current is not None
        assert rig.assignments.current.ends == {0: (9, 1000)}

    run(test)
