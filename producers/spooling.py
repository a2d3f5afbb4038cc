"""When a record goes to Kafka, when it waits on the disk, and when it leaves the disk again.

Three ways, one at a time.  *Direct*: everything goes to Kafka.  As soon as Kafka fails one publish or is silent for too
long, *spooling*: everything goes behind what is in the spool, and the spool is sent from its front, a batch at a time.
While its last batch is on the way, *handing over*: what comes waits for Kafka's word, then goes direct again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from ladder.errors import EventError
from producers.publisher import Publisher, PublishError, check_records, failed, new_future
from producers.records import Record, repack
from producers.spool import Spool, Spooled, SpoolError, footprint

_log = logging.getLogger(__name__)

_BATCH_BYTES = 4_000_000
"""Sent at once from the spool: enough to drain faster than requests come; a crash sends it again."""

_PAUSE_S = (0.2, 2.0)
"""From a batch that failed to the next attempt: the first and the longest."""

_PROBE_EVERY_S = 5.0
"""After a write that the disk did not take, until it is asked again whether it takes any."""

_RETRY_AFTER_S = 5.0
_SAID_S = 30.0
"""How often a trouble that goes on is logged."""


class SpoolState(NamedTuple):
    """``is_full``: the last publish that Kafka did not take found no room and would find none now, or the disk takes
    nothing.  ``oldest``: when the first record that waits came."""

    is_direct: bool
    is_full: bool
    records: int
    bytes: int
    refused: int
    oldest: datetime | None


class Spooling:
    """The rules, without threads or clocks of their own.  ``turn`` is for one thread, all else for any.

    ``patience_s``: how long Kafka may be silent about a publish.  ``wake`` is called when a turn has something to do.
    """

    def __init__(self, spool: Spool, max_bytes: int, patience_s: float, wake: Callable[[], None]) -> None:
        self._spool = spool
        self._max_bytes = max_bytes
        self._patience_s = patience_s
        self._wake = wake
        self._partitions = spool.partitions
        self._kafka: Publisher | None = None
        self._lock = threading.Lock()
        self._is_direct = False
        self._is_closed = False
        self._no_room_for = 0  # bytes of the publish that found none last
        self._probe_at: float | None = None  # the disk did not take a write
        self._under_way: dict[_Publish, None] = {}  # sent to Kafka and to nowhere else, oldest first
        self._waiting: list[_Publish] = []  # for the disk, or for the end of handing over
        self._waiting_bytes = 0
        self._in_doubt: set[_Publish] = set()  # on the disk, and Kafka may still take it
        self._delivered: set[int] = set()  # on the disk, and Kafka has it
        self._batch: _Batch | None = None
        self._one_by_one_to = 0  # up to this id, to find which record Kafka refuses
        self._not_before = 0.0
        self._pause_s = _PAUSE_S[0]
        self._is_told = False
        self._said_at = -_SAID_S
        self._oldest: datetime | None = None

    @property
    def partitions(self) -> int:
        """As Kafka says now, or as it said last.  Raises ``ValueError`` when it was never reached."""
        known = self._partitions if self._kafka is None else self._kafka.partitions
        if known is None:
            raise ValueError("nobody has told how many partitions the topic has")
        return known

    def connected(self, kafka: Publisher) -> None:
        """Kafka can be reached, from now on through this publisher, which finds it again by itself."""
        self._kafka = kafka
        self._wake()

    def state(self) -> SpoolState:
        with self._lock:
            spool = self._spool
            oldest = self._oldest if spool.records > spool.refused else None
            is_full = self._probe_at is not None or (self._no_room_for > 0 and not self._fits(self._no_room_for))
            return SpoolState(self._is_direct, is_full, spool.records, spool.bytes, spool.refused, oldest)

    def publish(self, records: Sequence[Record], now: float) -> Future[None]:
        """As ``Publisher`` promises, or done once the records are fsynced here.  ``now``: seconds, as for ``turn``."""
        partitions = self.partitions
        check_records(records, partitions)
        future = new_future()
        if not records:
            future.set_result(None)
            return future
        publish = _Publish(records, partitions, future, now, sum(map(footprint, records)))
        with self._lock:
            if self._is_closed:
                return failed(future, PublishError("closed", "the publisher was closed"))
            if kafka := self._kafka if self._is_direct else None:
                self._under_way[publish] = None
            elif self._has_room(publish):
                self._waiting.append(publish)
            else:
                return failed(future, self._full())
        if kafka is None:
            self._wake()
        else:
            self._send(kafka, publish)
        return future

    def refuse_new(self) -> None:
        """From now on ``publish`` fails; what is under way goes on."""
        with self._lock:
            self._is_closed = True

    def give_up_kafka(self) -> None:
        """Wait for no word from Kafka any more: what it has not acknowledged is for the disk, or has failed."""
        with self._lock:
            self._kafka = self._batch = None
            self._leave_direct("the collector stops")
            left, self._under_way = list(self._under_way), {}
        for publish in left:
            publish.end(PublishError("closed", "the publisher was closed"))

    @property
    def is_idle(self) -> bool:
        """Nothing is under way, neither to Kafka nor to the disk."""
        with self._lock:
            return not (self._under_way or self._waiting or self._in_doubt or self._batch)

    def turn(self, now: float, at: datetime) -> None:
        """Do whatever can be done now, without waiting for Kafka.  ``now``: seconds; ``at``: the time of day, UTC."""
        self._lose_patience(now)
        self._settle_batch(now)
        self._forget()
        self._hand_over()
        self._append(now, at)
        self._send_batch(now)
        self._note_partitions()
        self._probe(now)
        self._oldest = self._spool.oldest()

    def _send(self, kafka: Publisher, publish: _Publish) -> None:
        try:
            sent = kafka.publish(publish.records)
        except Exception as error:  # the topic has fewer partitions than a moment ago: repacked on its way out
            self._settle(publish, error)
        else:
            sent.add_done_callback(lambda done: self._settle(publish, done.exception()))

    def _settle(self, publish: _Publish, error: BaseException | None) -> None:
        """Kafka's word on a publish, from any thread."""
        with self._lock:
            self._in_doubt.discard(publish)
            self._acknowledge(publish, _acknowledged(error, len(publish.records)))
            if error is None:
                self._under_way.pop(publish, None)
                if self._is_direct:
                    self._has_written()
            else:
                publish.has_failed = True
                if publish in self._under_way:
                    self._leave_direct(str(error))
            had_no_room = publish in self._under_way
            self._under_way.pop(publish, None)
            is_direct = self._is_direct
        if had_no_room and isinstance(error, PublishError):
            error.retry_after_s = _RETRY_AFTER_S
        if publish.is_taken or had_no_room:
            publish.end(error)
        if not is_direct:
            self._wake()

    def _leave_direct(self, reason: str) -> None:
        """All that Kafka has not acknowledged is for the disk, in its order, as far as there is room.  Locked."""
        moved = [publish for publish in self._under_way if self._has_room(publish)]
        for publish in moved:
            del self._under_way[publish]
            if not publish.has_failed:
                self._in_doubt.add(publish)
        self._waiting[:0] = moved
        if moved and self._is_direct:
            self._is_direct = False
            self._not_before, self._pause_s = 0.0, _PAUSE_S[0]
            self.tell(reason)

    def tell(self, reason: str) -> None:
        """Log, once until Kafka is back, that it is away."""
        if not self._is_told:
            self._is_told = True
            _log.warning("spooling in %s, because of Kafka: %s", self._spool.folder, reason)

    def _has_room(self, publish: _Publish) -> bool:
        """Whether there is room on the disk; then it is taken.  Locked."""
        if not self._fits(publish.footprint):
            self._no_room_for = publish.footprint
            return False
        self._no_room_for = 0
        self._waiting_bytes += publish.footprint
        return True

    def _fits(self, size: int) -> bool:
        return self._spool.bytes + self._waiting_bytes + size <= self._max_bytes

    def _has_written(self) -> None:
        self._no_room_for, self._probe_at = 0, None

    def _probe(self, now: float) -> None:
        """Nobody may send anything any more to a collector that says it is full: it has to find out by itself."""
        if self._probe_at is None or now < self._probe_at:
            return
        self._probe_at = now + _PROBE_EVERY_S
        with contextlib.suppress(SpoolError):
            self._spool.probe()
            self._probe_at = None

    def _acknowledge(self, publish: _Publish, places: Collection[int]) -> None:
        """Kafka has the records at these places.  Locked."""
        publish.taken.update(places)
        self._delivered.update(publish.ids[place] for place in places if place in publish.ids)

    def _full(self) -> PublishError:
        limit = f"{self._max_bytes:,} bytes"
        return PublishError("overloaded", f"Kafka is away and the spool is full ({limit})", _RETRY_AFTER_S)

    def _lose_patience(self, now: float) -> None:
        with self._lock:
            oldest = next(iter(self._under_way), None)
            if oldest is not None and now - oldest.began > self._patience_s and self._is_direct:
                self._leave_direct(f"no acknowledgement within {self._patience_s:g} s")

    def _append(self, now: float, at: datetime) -> None:
        with self._lock:
            batch = self._batch
            if batch is not None and batch.is_last and now - batch.began < self._patience_s:
                return  # handing over
            publishes, self._waiting = self._waiting, []
            size = sum(publish.footprint for publish in publishes)
            publishes = [publish for publish in publishes if not publish.is_taken]
            places = [
                (publish, place)
                for publish in publishes
                for place in range(len(publish.records))
                if place not in publish.taken
            ]
        error: PublishError | None = None
        ids: list[int] = []
        try:
            if places:
                ids = self._spool.append([(one.records[place], one.packed_for) for one, place in places], at)
        except Exception as said:  # whatever it is, those who wait need an answer
            if isinstance(said, SpoolError):
                self._say(now, f"{said}; what comes is answered with 503")
            else:
                _log.exception("spooling failed as nobody expected")
            error = PublishError("overloaded", str(said), _RETRY_AFTER_S)
        with self._lock:
            self._waiting_bytes -= size
            if error is not None:
                self._probe_at = now + _PROBE_EVERY_S
                self._in_doubt.difference_update(publishes)
            else:
                if places:
                    self._probe_at = None
                for (publish, place), id_ in zip(places, ids, strict=True):
                    publish.ids[place] = id_
                for publish in publishes:
                    self._acknowledge(publish, publish.taken)  # meanwhile
        for publish in publishes:
            publish.end(error)

    def _forget(self) -> None:
        """Take off the disk what Kafka has."""
        with self._lock:
            ids = set(self._delivered)
        if not ids:
            return
        try:
            self._spool.remove(ids)
        except SpoolError as error:
            _log.warning("%s; Kafka has %d of its records, which stay for now", error, len(ids))
            return
        with self._lock:
            self._delivered -= ids
            self._has_written()

    def _send_batch(self, now: float) -> None:
        kafka = self._kafka
        with self._lock:
            if kafka is None or self._batch or self._in_doubt or self._is_closed or now < self._not_before:
                return
            without = set(self._delivered)
        if self._spool.records - self._spool.refused <= len(without):
            return
        rows = self._spool.first(_BATCH_BYTES, without)
        if rows and rows[0].id <= self._one_by_one_to:
            rows = rows[:1]
        records: list[Record] = []
        sources: list[int] = []
        for place, row in enumerate(rows):
            try:
                packed = _for(row, kafka.partitions)
                records += packed
                sources += [row.id] * len(packed)
            except ValueError as error:
                if place == 0:
                    self._set_aside(row.id, str(error))
                    return
                rows = rows[:place]
                break
        if not rows:
            return
        waiting = self._spool.records - self._spool.refused - len(without)
        try:
            outcome = kafka.publish(records)
        except Exception as error:  # the topic has changed at this very moment
            outcome = failed(new_future(), PublishError("unavailable", str(error)))
        with self._lock:
            self._batch = _Batch(sources, now, len(rows) >= waiting, outcome)
        outcome.add_done_callback(lambda _: self._wake())

    def _settle_batch(self, now: float) -> None:
        with self._lock:
            batch = self._batch
            if batch is None or not batch.outcome.done():
                return
            self._batch = None
            error = batch.outcome.exception()
            taken = _acknowledged(error, len(batch.sources))
            left = {id_ for place, id_ in enumerate(batch.sources) if place not in taken}
            self._delivered.update(id_ for id_ in batch.sources if id_ not in left)
        if error is None:
            self._pause_s = _PAUSE_S[0]
        elif not (isinstance(error, PublishError) and error.reason == "refused"):
            self._not_before = now + self._pause_s
            self._pause_s = min(2 * self._pause_s, _PAUSE_S[1])
            self._say(now, f"{self._spool.records:,} records wait in {self._spool.folder} for Kafka: {error}")
        elif len(left) == 1:
            self._set_aside(left.pop(), str(error))
        else:
            self._one_by_one_to = max(left)

    def _set_aside(self, id_: int, reason: str) -> None:
        _log.error("a record stays in the spool %s and is not sent: %s", self._spool.folder, reason)
        self._spool.set_aside(id_, reason)
        self._wake()

    def _hand_over(self) -> None:
        """With nothing left on the disk, go direct: first what waited meanwhile, unless Kafka has failed it before."""
        while True:
            with self._lock:
                kafka = self._kafka
                left = self._spool.records - self._spool.refused - len(self._delivered)
                if kafka is None or self._is_direct or self._batch or self._in_doubt or left > 0:
                    return
                if any(publish.has_failed for publish in self._waiting):
                    return
                if not self._waiting:
                    self._is_direct = True
                    if self._is_told:
                        _log.warning("the spool in %s is empty: everything goes to Kafka again", self._spool.folder)
                    self._is_told = False
                    return
                publishes = [publish for publish in self._waiting if not publish.is_taken]
                self._waiting, self._waiting_bytes = [], 0
                self._under_way.update(dict.fromkeys(publishes))
            for publish in publishes:
                self._send(kafka, publish)

    def _note_partitions(self) -> None:
        partitions = None if self._kafka is None else self._kafka.partitions
        if partitions is not None and partitions != self._partitions:
            self._spool.remember(partitions)
            self._partitions = partitions

    def _say(self, now: float, words: str) -> None:
        if now - self._said_at >= _SAID_S:
            self._said_at = now
            _log.warning("%s", words)


def _for(row: Spooled, partitions: int) -> list[Record]:
    """A spooled record as the topic takes it now.  Raises ``ValueError`` for one that cannot be sent."""
    if row.fault is not None:
        raise ValueError(row.fault)
    if row.packed_for == partitions:
        return [row.record]
    try:
        return repack(row.record, partitions)
    except EventError as error:
        raise ValueError(
            f"packed for {row.packed_for} partitions, not {partitions}, and cannot be read: {error}"
        ) from None


def _acknowledged(error: BaseException | None, records: int) -> Collection[int]:
    """The places of the records that Kafka has."""
    if error is None:
        return range(records)
    return frozenset(error.acknowledged) if isinstance(error, PublishError) else ()


@dataclass(eq=False, slots=True)
class _Publish:
    """One call of ``publish``, until everybody knows what became of it.  ``taken``: the places of the records that
    Kafka has; ``ids``: those of the records on the disk, with their ids there.
    """

    records: Sequence[Record]
    packed_for: int
    future: Future[None]
    began: float
    footprint: int
    has_failed: bool = False
    taken: set[int] = field(default_factory=set)
    ids: dict[int, int] = field(default_factory=dict)

    @property
    def is_taken(self) -> bool:
        return len(self.taken) == len(self.records)

    def end(self, error: BaseException | None) -> None:
        """Answer, from any thread.  Only the first call does: the disk may be faster than Kafka."""
        with contextlib.suppress(InvalidStateError):
            if error is None:
                self.future.set_result(None)
            else:
                self.future.set_exception(error)


@dataclass(eq=False, slots=True)
class _Batch:
    """Records of the spool on their way to Kafka.  ``sources``: for each, the id of what it was made of.  ``is_last``:
    nothing is behind them on the disk."""

    sources: Sequence[int]
    began: float
    is_last: bool
    outcome: Future[None]
