"""Handing records to Kafka: the promise every publisher keeps, and one in memory that keeps it without Kafka."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from typing import Literal, Protocol

from ladder.errors import YesladderError
from producers.records import Record

MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024

MAX_RECORD_BYTES = 1_000_000
"""What Kafka takes by default, less its own overhead."""


class PublishError(YesladderError):
    """The records are not (all) acknowledged; sending all of them again later is right and safe.

    ``reason``: `overloaded` (too much is under way already), `unavailable` (Kafka did not take them), `refused` (it
    will not take one of them until somebody changes its settings) or `closed`.  ``acknowledged``: the places of those
    records that are in Kafka all the same.
    """

    def __init__(
        self,
        reason: Literal["overloaded", "unavailable", "refused", "closed"],
        detail: str,
        retry_after_s: float = 1.0,
        acknowledged: Collection[int] = (),
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.acknowledged = acknowledged


class Publisher(Protocol):
    """Publishes records to one topic.  Safe to call from several threads."""

    @property
    def partitions(self) -> int:
        """How many partitions the topic has: what ``pack`` needs."""
        ...

    def publish(self, records: Sequence[Record]) -> Future[None]:
        """Send the records; each partition gets its own in this order.  Returns without waiting for Kafka.

        The future is done once every record is acknowledged by all in-sync replicas.  Otherwise it fails with
        ``PublishError`` as soon as nothing of it is under way any more.  It cannot be cancelled.
        Raises ``ValueError``, and sends nothing, for a partition that the topic does not have or a record of more than
        ``MAX_RECORD_BYTES``.
        """
        ...

    def close(self, timeout_s: float) -> None:
        """Wait this long for what is under way; what is still unacknowledged then fails.  Later calls do nothing."""
        ...


class MemoryPublisher:
    """Keeps records in lists, one per partition.  ``pause`` makes it a Kafka that does not answer."""

    def __init__(self, partitions: int = 4, max_in_flight_bytes: int = MAX_IN_FLIGHT_BYTES) -> None:
        self._partitions = partitions
        self._taken: list[list[Record]] = [[] for _ in range(partitions)]
        self._waiting: list[tuple[Sequence[Record], Future[None], int]] = []
        self._budget = InFlight(max_in_flight_bytes)
        self._lock = threading.Lock()
        self._paused = False
        self._closed = False

    @property
    def partitions(self) -> int:
        return self._partitions

    @property
    def records(self) -> list[list[Record]]:
        """Acknowledged records by partition, in their order."""
        with self._lock:
            return [list(taken) for taken in self._taken]

    def publish(self, records: Sequence[Record]) -> Future[None]:
        check_records(records, self._partitions)
        future = new_future()
        with self._lock:
            if self._closed:
                return failed(future, PublishError("closed", "the publisher was closed"))
            if not records:
                future.set_result(None)
                return future
            size = sum(record.size for record in records)
            if not self._budget.take(size):
                return failed(future, self._budget.error())
            self._waiting.append((records, future, size))
        if not self._paused:
            self._acknowledge()
        return future

    def pause(self) -> None:
        """Take no more records, and acknowledge none, until ``resume``."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._acknowledge()

    def expire(self) -> None:
        """What happens to waiting records when Kafka stays silent for too long."""
        self._fail_waiting(PublishError("unavailable", "no acknowledgement in time"))

    def close(self, timeout_s: float) -> None:
        with self._lock:
            self._closed = True
        self._fail_waiting(PublishError("closed", f"no acknowledgement within {timeout_s:g} s of closing"))

    def _acknowledge(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            for records, _, size in waiting:
                for record in records:
                    self._taken[0 if record.partition is None else record.partition].append(record)
                self._budget.give_back(size)
        for _, future, _ in waiting:
            future.set_result(None)

    def _fail_waiting(self, error: PublishError) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            for _, _, size in waiting:
                self._budget.give_back(size)
        for _, future, _ in waiting:
            future.set_exception(error)


class InFlight:
    """How many bytes are under way, and the limit on them.  Not locked: its owner is."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    def take(self, size: int) -> bool:
        """Room for ``size`` more?  When nothing is under way there always is, or it could never be sent."""
        if self._taken and self._taken + size > self._limit:
            return False
        self._taken += size
        return True

    def give_back(self, size: int) -> None:
        self._taken -= size

    def error(self) -> PublishError:
        return PublishError("overloaded", f"{self._taken:,} bytes wait for Kafka already (limit {self._limit:,})")


def new_future() -> Future[None]:
    """A future that nobody can cancel: whether the records arrived stays a question with an answer."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future


def failed(future: Future[None], error: PublishError) -> Future[None]:
    future.set_exception(error)
    return future


def check_records(records: Sequence[Record], partitions: int) -> None:
    """Raises ``ValueError`` for what no publisher could send."""
    for record in records:
        if record.partition is not None and not 0 <= record.partition < partitions:
            raise ValueError(f"there is no partition {record.partition}; the topic has {partitions}")
        if record.size > MAX_RECORD_BYTES:
            raise ValueError(f"a record of {record.size:,} bytes is larger than Kafka takes ({MAX_RECORD_BYTES:,})")
