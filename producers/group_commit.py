"""Requests that arrive together are published together.

A record costs Kafka's client far more than an event does, so while a few publishes are under way the events of all
requests that arrive in the meantime wait for one of them to end and then travel as one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from concurrent.futures import Future

from ladder.events import Event
from ladder.metrics import COLLECTOR_EVENTS, COLLECTOR_PUBLISH_SECONDS, COLLECTOR_REJECTED
from ladder.rejects import Reject
from producers.publisher import Publisher, PublishError
from producers.records import pack, pack_reject

_log = logging.getLogger(__name__)

_GROUPS_UNDER_WAY = 2
"""More of them would only make them smaller."""

_PAUSE_S = 0.01
"""From one group to the next while many requests come: a group costs Kafka's client about a millisecond of CPU."""

_MANY_REQUESTS = 16
"""In the group before.  Fewer are sent at once: nobody who sends one request after the other has to wait."""


class GroupCommit:
    """Stores what requests bring.  Belongs to one event loop."""

    def __init__(self, publisher: Publisher, answer_within_s: float) -> None:
        self._publisher = publisher
        self._answer_within_s = answer_within_s
        self._next: _Group | None = None
        self._under_way = 0
        self._flush_is_due = False
        self._not_before = -math.inf

    async def store(self, events: Sequence[Event], rejects: Sequence[Reject]) -> None:
        """Returns once the publisher has all of it: acknowledged by Kafka, or fsynced into the spool.

        Raises ``PublishError`` when it has not, or not in time; then some of it may be stored all the same.
        """
        loop = asyncio.get_running_loop()
        group = self._next
        if group is None:
            group = self._next = _Group()
            group.deadline = loop.call_later(self._answer_within_s, self._expire, group)
        waiter: asyncio.Future[None] = loop.create_future()
        group.events += events
        group.rejects += rejects
        group.waiters.append(waiter)
        self._plan_flush(loop)
        await waiter

    def _plan_flush(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._flush_is_due or self._next is None or self._under_way >= _GROUPS_UNDER_WAY:
            return
        self._flush_is_due = True
        loop.call_at(self._not_before, self._flush, loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        self._flush_is_due = False
        group, self._next = self._next, None
        if group is None:
            return
        self._under_way += 1
        self._not_before = loop.time() + _PAUSE_S if len(group.waiters) >= _MANY_REQUESTS else -math.inf
        started = time.perf_counter()

        def finish(published: Future[None]) -> None:
            loop.call_soon_threadsafe(self._finish, loop, group, published, started)

        try:
            records = pack(group.events, self._publisher.partitions)
            records += [pack_reject(reject) for reject in group.rejects]
            published = self._publisher.publish(records)
        except Exception as error:  # the waiting requests need an answer, whatever went wrong
            _log.exception("publishing failed")
            published = Future()
            published.set_exception(PublishError("unavailable", f"{type(error).__name__} while publishing"))
        published.add_done_callback(finish)

    def _finish(self, loop: asyncio.AbstractEventLoop, group: _Group, published: Future[None], started: float) -> None:
        self._under_way -= 1
        COLLECTOR_PUBLISH_SECONDS.observe(time.perf_counter() - started)
        error = published.exception()
        if error is None:
            COLLECTOR_EVENTS.inc(len(group.events))
            for reject in group.rejects:
                COLLECTOR_REJECTED.labels(reject.reason).inc()
        group.end(error)
        self._plan_flush(loop)

    def _expire(self, group: _Group) -> None:
        if group is self._next:
            self._next = None
        group.end(PublishError("unavailable", f"Kafka did not acknowledge within {self._answer_within_s:g} s"))


class _Group:
    """What will be published together, and who waits for it."""

    __slots__ = ("deadline", "events", "rejects", "waiters")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rejects: list[Reject] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.deadline: asyncio.TimerHandle | None = None

    def end(self, error: BaseException | None) -> None:
        """Tell everyone who waits.  Only the first call does."""
        if self.deadline is not None:
            self.deadline.cancel()
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
