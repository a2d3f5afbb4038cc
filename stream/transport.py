"""Faust with a batch transport: one partition's fetch travels through Faust as one event.

Faust's own road costs about 200 microseconds an event; here its rebalancing is kept and its per-message work is not.
What it does not do for us is done here: where to begin after an assignment (the lake knows, Kafka's committed offsets
are not used), and proof that every fetch begins where the one before it ended (docs/decisions/0009).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from aiokafka.errors import KafkaError
from faust.transport import drivers
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream.assignor import StickyAssignor

SCHEME = "yesladder"

_ANSWER_WITHIN_S = 5.0
"""For a question to the broker; whoever waits for the answer fetches nothing meanwhile."""


class Fetching(Protocol):
    """One assignment's view of how far fetching has come.

    ``fetched``: per partition the next offset to come.  ``holes``: the offset that was asked for again.  ``voids``: the
    offsets, from and until, that were and held no records.  ``ends``: where its records end, as the broker last told
    it, and when that was in milliseconds since 1970.
    """

    fetched: dict[int, int]
    holes: dict[int, int]
    voids: dict[int, tuple[int, int]]
    ends: dict[int, tuple[int, int]]


class Assignments(Protocol):
    """Who owns the partitions now; None between two assignments."""

    current: Fetching | None

    async def claim(self, partitions: set[int]) -> Fetching:
        """Read from the lake what it takes to own these partitions."""
        ...

    def refuse(self, why: str) -> None:
        """End the process: going on would lose events."""
        ...

    def displace(self) -> None:
        """End the process at once: another has its name.  From any thread; never where it has none."""
        ...

    def replace(self, owner: Fetching | None) -> None:
        """Close the current owner, so that it can commit nothing any more, and put another in its place."""
        ...


class _WithAssignments(Protocol):
    assignments: Assignments


@dataclass(frozen=True, slots=True)
class Batch:
    """All records of one partition's fetch, and the assignment that they were fetched for.

    ``begins``: the offset that was due.  The first record lies beyond it only where the broker has lost the rest.
    """

    owner: Fetching
    begins: int
    records: Sequence[Any]


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Reads what is committed only: what a producer's transaction took back never happened."""

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust asks for this in its exactly-once mode alone; nothing has been fetched yet.
        consumer._isolation_level = "read_committed"
        # Faust takes round robin, which deals all anew whenever somebody comes or goes; nobody has joined yet.
        consumer._partition_assignment_strategy = [StickyAssignor()]
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        if self.app.conf.consumer_group_instance_id is not None:
            self._watch_over_our_name()

    def _watch_over_our_name(self) -> None:
        """Notice that another worker has taken our name (``group.instance.id``), before we join again by it.

        aiokafka would, without a word, throw the other one out, and be thrown out by it.  A member whose signs of life
        came in time is forgotten for no other reason.
        """
        coordinator = self._ensure_consumer()._coordinator
        ask, patience_s = coordinator._do_heartbeat, self.app.conf.broker_session_timeout
        alive_s = time.monotonic()

        async def heartbeat() -> bool:
            nonlocal alive_s
            asked_s, member = time.monotonic(), coordinator.member_id
            alive = bool(await ask())
            if alive:
                alive_s = asked_s
            elif coordinator.member_id != member and asked_s - alive_s < patience_s:
                cast(_WithAssignments, self.app).assignments.displace()
            return alive

        coordinator._do_heartbeat = heartbeat


class Consumer(driver.Consumer):
    """Hands fetches out whole, in proven order."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._begin()

    def _begin(self) -> None:
        self._seeking = asyncio.Lock()
        self._sought: tuple[Fetching | None, int, dict[TP, int]] = (None, 0, {})

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _assignments(self) -> Assignments:
        return cast(_WithAssignments, self.app).assignments

    @property
    def refusal(self) -> str | None:
        """Why the group does not take us in, where Kafka has said so for good: nobody asks again by himself."""
        coordinator = getattr(self._thread._consumer, "_coordinator", None)
        error = getattr(coordinator, "_pending_exception", None)
        return None if error is None or getattr(error, "retriable", False) else type(error).__name__

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Batch]]:
        before = self._assignments.current
        holes = dict(before.holes) if before is not None else {}
        fetched = await super()._getmany(active_partitions, timeout)
        # The assignment may have changed while we waited: what was fetched is stamped with the one that holds now, and
        # contiguity decides whether it may be used.
        owner = self._assignments.current
        if owner is None:
            return {}
        batches: dict[TP, list[Batch]] = {}
        for tp in self._owned(owner):
            end = self._end(tp)
            if end is not None:
                owner.ends[tp.partition] = end
                if end[0] < owner.fetched[tp.partition] and await self._ends_before(tp, owner.fetched[tp.partition]):
                    self._refuse(tp, end[0], owner.fetched[tp.partition])
        for tp, records in fetched.items():
            expected = owner.fetched.get(tp.partition)
            if expected is None or not records or records[-1].offset < expected:
                continue
            if records[0].offset < expected:
                records = [record for record in records if record.offset >= expected]
            elif records[0].offset > expected:
                first, until = owner.voids.get(tp.partition, (-1, -1))
                is_empty = first == expected and records[0].offset <= until
                asked_for = owner is before and holes.get(tp.partition) == expected
                if not (is_empty or asked_for):
                    owner.holes[tp.partition] = expected
                    await self._thread.seek_wait({tp: expected})
                    continue
                # This fetch began after a seek to `expected` and still starts beyond it: the broker has lost the rest.
            owner.fetched[tp.partition] = records[-1].offset + 1
            batches[tp] = [Batch(owner, expected, records)]
        for tp in self._owned(owner):
            if tp not in fetched:
                await self._look_beyond(tp, owner, asked_for=owner is before and tp.partition in holes)
        return batches

    async def _look_beyond(self, tp: TP, owner: Fetching, *, asked_for: bool) -> None:
        """See to offsets without records at the end of a partition, such as the mark that ends a transaction.

        Fetching goes past them without a word.  Asked for again and not come again, they are no part of what is due.
        """
        expected = owner.fetched[tp.partition]
        position = self._position(tp)
        if position is None or position <= expected:
            return
        if owner.voids.get(tp.partition) != (expected, position):
            if not (asked_for and owner.holes.get(tp.partition) == expected):
                owner.holes[tp.partition] = expected
                await self._thread.seek_wait({tp: expected})
                return
            owner.voids[tp.partition] = (expected, position)
            # What begins beyond these is a hole of its own, to be asked for.
            del owner.holes[tp.partition]
        end, told_ms = owner.ends.get(tp.partition, (-1, 0))
        if end == position:
            owner.ends[tp.partition] = (expected, told_ms)

    def _to_message(self, tp: TP, batch: Any) -> Any:
        message = super()._to_message(tp, batch.records[-1])
        message.value, message.key, message.headers = batch, None, None
        return message

    async def seek_to_committed(self) -> Mapping[TP, int]:
        # Faust runs this twice at once after most rebalances; the second finds the work done.
        async with self._seeking:
            while True:
                assigned: set[TP] = set(self.assignment())
                generation = self.app.consumer_generation_id
                if self._is_sought(assigned, generation):
                    return self._sought[2]
                self._assignments.replace(None)
                owner = await self._assignments.claim({tp.partition for tp in assigned})
                positions = {tp: owner.fetched[tp.partition] for tp in assigned}
                await self._thread.seek_wait(positions)
                # A rebalance may have gone by meanwhile; a hold on what is no longer ours could fence its new owner.
                if (assigned, generation) == (set(self.assignment()), self.app.consumer_generation_id):
                    break
            self._assignments.replace(owner)
            self._sought = owner, generation, positions
            return positions

    def _is_sought(self, assigned: set[TP], generation: int) -> bool:
        """Whether these partitions were claimed and sought for this very assignment, and nothing was fetched since."""
        owner, sought_for, positions = self._sought
        return (
            owner is not None
            and owner is self._assignments.current
            and generation == sought_for
            and positions.keys() == assigned
            and all(owner.fetched[tp.partition] == offset for tp, offset in positions.items())
        )

    def _owned(self, owner: Fetching) -> list[TP]:
        return [tp for tp in self.assignment() if tp.partition in owner.fetched]

    def _end(self, tp: TP) -> tuple[int, int] | None:
        """The partition's end as of the latest fetch, and when that was; None before the first.

        Asked without a fetch, the embedded broker (Tansu 0.6) tells an end that is too low after a batch of several.
        """
        consumer = self._thread._ensure_consumer()
        try:
            end, at_ms = consumer.highwater(tp), consumer.last_poll_timestamp(tp)
        except (AssertionError, AttributeError):  # taken from us this moment, in the consumer's own thread
            return None
        return None if end is None or at_ms is None else (end, at_ms)

    async def _ends_before(self, tp: TP, position: int) -> bool:
        """Whether the broker says so when it is asked for the end itself.

        A new leader tells with its fetches how far it knows its records to be acknowledged, for a moment less than the
        one before it has told; of the end itself it says nothing until it knows (KIP-207).
        """
        try:
            ends = await asyncio.wait_for(self._thread.highwaters(tp), _ANSWER_WITHIN_S)
        except (KafkaError, TimeoutError):
            return False
        return bool(ends.get(tp, position) < position)

    def _position(self, tp: TP) -> int | None:
        """The offset that the next fetch will ask for; None where that is not settled."""
        subscription = self._thread._ensure_consumer()._subscription.subscription
        try:
            state = subscription.assignment.state_value(tp)
            return state.position if state.has_valid_position else None
        except (AssertionError, AttributeError, KeyError):  # taken from us this moment, in the consumer's own thread
            return None

    def _refuse(self, tp: TP, end: int, position: int) -> None:
        self._assignments.refuse(
            f"topic {tp.topic}, partition {tp.partition} ends at offset {end}, but the lake holds it up to {position}: "
            "the topic was made anew. Give the new one another name (--topic), so that its offsets are not taken for "
            "the old ones"
        )


class Transport(driver.Transport):
    """The transport behind ``yesladder://HOST:PORT`` broker addresses."""

    Consumer = Consumer


drivers.TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
