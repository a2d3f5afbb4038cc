"""The Faust app: how little the framework adds.

Faust joins the group, rebalances and fetches; ``stream.transport`` hands each fetch over whole; here fetches are
gathered and, every second or fifty thousand events, given to ``stream.checkpoint``, off the event loop.

Whatever goes wrong ends the process: a commit that another worker's commit has overtaken (``Fenced``), a gap, a full
disk.  The lake is then exactly what it was, and whoever supervises starts the worker anew from there.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import faust
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from ladder import metrics
from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from ladder.tiers import Ladder
from stream.checkpoint import Checkpoint, Hold, Lake, Prepared
from stream.faust_app import batch_app, topic_of_bytes
from stream.rejects import RejectBrake, TooManyRejects
from stream.step_minutes_record import StepMinutesRecord
from stream.step_minutes_topic import NotTold, StepMinutesTopic
from stream.transport import Batch, Consumer, Fetching

log = logging.getLogger(__name__)

EXIT_RESTART = 3
"""The worker lost its hold on something; starting it again is right."""
EXIT_HALT = 4
"""Starting it again would end the same way; a person must look."""

_STOP_WITHIN = timedelta(seconds=10)
"""Less than supervisors wait before they kill."""


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker runs.  Names as in ``yesladder worker --help``.

    ``idle_after``: a partition without input for this long is taken to have reached the present, less this time
    (None: never).
    ``drain``: on a graceful stop, close the sessions that are still open (for replays of history).
    ``instance``: the worker's own name in the group: with it, it keeps its partitions while it is away for less than
    ``session_timeout``, and the group is left in peace (None: they go to others as soon as it stops).
    ``step_minutes``: the topic that asks and yeses are counted to (None: they are not), told apart by ``segments``.
    """

    connection: KafkaConnection
    topic: str = "events"
    group: str = "yesladder"
    checkpoint_interval: timedelta = timedelta(seconds=1)
    checkpoint_events: int = 50_000
    idle_after: timedelta | None = timedelta(minutes=1)
    drain: bool = False
    step_minutes: str | None = None
    segments: tuple[str, ...] = ()
    max_reject_share: float = 0.5
    max_reject_run: int = 10_000
    session_timeout: timedelta = timedelta(seconds=30)
    instance: str | None = None
    stalled_after: timedelta = timedelta(minutes=2)
    web_host: str = "127.0.0.1"
    web_port: int = 6066
    data_dir: Path = field(default_factory=lambda: Path("worker-data"))


class TopicMadeAnew(YesladderError):
    """The topic ends before the offsets that the lake already holds."""


_HEARTBEAT_S = 10.0
_TELL_AGAIN_S = 0.5

_COMMITS_TAKE = 0.2
"""The largest part of its time that a worker commits, while little comes in: where several write to one log, or the
disk is slow, commits take longer, and fewer of them are made."""
_MOST_INTERVALS = 5
"""Between two commits, however long one takes: a disk that was slow once must not keep events back for minutes."""
OBJECTS_BEFORE_A_LOOK_FOR_GARBAGE = 200_000
"""So many more objects are made before Python looks for garbage among them.  By default it does after 700, and so looks
through all records gathered again and again, of which none is ever in a cycle: a fifth of the worker's CPU time."""
_JITTER = 0.1
"""After a change of owners all workers begin at one moment; so they do not go on committing at one moment."""

_FINAL = {
    "GroupAuthorizationFailedError",
    "InvalidGroupIdError",
    "InvalidSessionTimeoutError",
    "TopicAuthorizationFailedError",
}


_HINTS = {
    "InvalidSessionTimeout": "; --session-timeout must be within the brokers' limits",
    "InconsistentGroupProtocol": "; workers of another release are in it, which must be stopped first",
}


class NotTakenIn(YesladderError):
    """Kafka refuses the group to this worker."""


class Displaced(YesladderError):
    """Another worker has this one's name in the group."""


class Stalled(YesladderError):
    """The worker owns partitions and does nothing."""


class Gap(YesladderError):
    """Faust dropped a fetch on its way to the agent."""


class Assignment:
    """One assignment: its hold on the lake and the records gathered since the last checkpoint."""

    def __init__(self, hold: Hold, now: datetime) -> None:
        self.hold = hold
        self.fetched = dict(hold.reached)
        self.taken = dict(hold.reached)
        self.holes: dict[int, int] = {}
        self.voids: dict[int, tuple[int, int]] = {}
        self.ends: dict[int, tuple[int, int]] = {}
        self.records: list[Any] = []
        self.last_input = dict.fromkeys(hold.reached, now)
        self._taken_then: tuple[dict[int, int], float] = ({}, 0.0)
        self.events = 0
        self.closed = False
        self.lock = asyncio.Lock()
        self.untold: Sequence[StepMinutesRecord] = ()
        self.leaving = False
        self.emptied = asyncio.Event()
        self.committing: asyncio.Future[None] | None = None
        self.beaten: dict[int, tuple[datetime, float]] = {}

    async def settle(self) -> None:
        """Wait for the commit under way, if any.  Raises what went wrong with it."""
        if self.committing is not None:
            await self.committing

    def take(self, batch: Batch, now: datetime) -> None:
        """Gather a fetch; raises ``Gap`` unless it begins where the last one ended."""
        partition = batch.records[0].partition
        if batch.begins != self.taken[partition]:
            raise Gap(f"partition {partition}: offset {self.taken[partition]} was due, {batch.begins} came")
        self.taken[partition] = batch.records[-1].offset + 1
        self.last_input[partition] = now
        self.records.extend(batch.records)
        # A record carries several events; their number is only known after decoding, their size tells enough.
        size = sum(map(len, filter(None, map(attrgetter("value"), batch.records))))
        self.events += max(len(batch.records), size // 512)

    def lost(self, elapsed_s: float, patience_s: float) -> list[int]:
        """Partitions of which a fetch is still on its way although none has come for so long.  To be asked again and
        again."""
        on_the_way = [p for p, offset in self.fetched.items() if offset != self.taken[p]]
        taken, since_s = self._taken_then
        if not on_the_way or taken != self.taken:
            self._taken_then = (dict(self.taken), elapsed_s)
            return []
        return on_the_way if elapsed_s - since_s > patience_s else []

    def empty(self) -> list[Any]:
        records, self.records, self.events = self.records, [], 0
        self.emptied.set()
        return records


class Assignments:
    """Who owns the partitions now (see ``stream.transport.Assignments``), and the checkpoints made in its name.

    ``is_stopping``: the worker was told to stop.  ``is_finished``: the last checkpoint before the end was made.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        ladder: Ladder,
        lake: Lake,
        now: Callable[[], datetime],
        end: Callable[[int], Any],
        elapsed_s: Callable[[], float] = time.monotonic,
        publish: Callable[[Sequence[StepMinutesRecord]], Awaitable[None]] | None = None,
    ) -> None:
        self.current: Assignment | None = None
        self.is_stopping = False
        self.is_finished = False
        self._elapsed_s = elapsed_s
        self._looked_at_s = elapsed_s()
        self._settings = settings
        self._ladder = ladder
        self._lake = lake
        self._now = now
        self._publish = publish
        self._segments = None if publish is None else settings.segments
        self._brake = RejectBrake(settings.max_reject_share, run=settings.max_reject_run)
        # One thread each: the next checkpoint is worked out while the one before is written.
        self._prepares = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._commits = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._due = asyncio.Event()
        self._end = end
        self._at_work = 0
        self._commit_s = 0.0
        self._given_up: Assignment | None = None

    def fail(self, error: BaseException) -> None:
        """Say why, and end the process."""
        expected = isinstance(error, YesladderError)
        with suppress(OSError, ValueError):  # what is full may be the disk that our words go to
            log.error("worker stops: %s", error, exc_info=None if expected else error)
            sys.stderr.flush()
        halts = isinstance(error, TooManyRejects | TopicMadeAnew | NotTakenIn | Displaced)
        self._end(EXIT_HALT if halts else EXIT_RESTART)

    def refuse(self, why: str) -> None:
        self.fail(TopicMadeAnew(why))

    def not_taken_in(self, why: str) -> None:
        """End the process, for good where asking again would get the same answer.  ``why``: Kafka's word for it."""
        hint = next((hint for error, hint in _HINTS.items() if error in why), "")
        said = f"Kafka does not take this worker into the group {self._settings.group}: {why}{hint}"
        self.fail(NotTakenIn(said) if why in _FINAL else YesladderError(said))

    def displace(self) -> None:
        """End the process: going on, two would take each other's place again and again."""
        name = self._settings.instance
        self.fail(Displaced(f"another worker has taken the name {name} (--instance); each must have one of its own"))

    async def claim(self, partitions: set[int]) -> Assignment:
        """Read from the lake what it takes to own these partitions; ends the process where that cannot be read."""
        topic = self._settings.topic
        before, self._given_up = self._given_up, None
        try:
            if before is not None:
                async with before.lock:  # what it works out is worked out with what is handed on
                    await before.settle()
            # In the thread that commits, so that what the assignment before this one was writing is seen.
            hold = await self._in(
                self._commits,
                lambda: Hold(
                    self._lake, self._ladder, topic, partitions, self._brake, self._segments,
                    None if before is None else before.hold,
                ),
            )  # fmt: skip
            untold = [] if before is None else [one for one in before.untold if one.partition in hold.stayed]
            await self._tell([*untold, *hold.told_again])
        except Exception as error:
            self.fail(error)
            raise
        log.info("partitions %s from offsets %s, kept %s", sorted(partitions), hold.reached, hold.stayed)
        return Assignment(hold, self._now())

    def replace(self, owner: Fetching | None) -> None:
        if self.current is not None:
            self.current.closed = True
            self.current.emptied.set()
            self._given_up = self.current
            _forget_gauges()
        self.current = owner  # type: ignore[assignment]  # the transport passes on what `claim` gave it

    async def take(self, batch: Batch) -> None:
        """Gather a fetch, and hold the stream back while too much is gathered."""
        owner = self.current
        if owner is None or batch.owner is not owner:
            return
        owner.take(batch, self._now())
        limit = self._settings.checkpoint_events
        if owner.events >= limit:
            self._due.set()
        while owner.events >= 2 * limit and not (owner.closed or owner.leaving):
            owner.emptied.clear()
            await owner.emptied.wait()

    async def wait_due(self) -> None:
        """Until enough is gathered, or the interval has passed; where commits take long, up to five intervals."""
        interval_s = self._settings.checkpoint_interval.total_seconds() * random.uniform(1 - _JITTER, 1)
        slow_s = min(self._commit_s / _COMMITS_TAKE, _MOST_INTERVALS * interval_s)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._due.wait(), max(interval_s, slow_s))
        self._due.clear()

    async def checkpoint(self, *, finish: bool = False) -> None:
        """Work out what is gathered and begin to commit it, unless the assignment has ended meanwhile.

        Raises what went wrong here; a commit that goes wrong ends the process.
        """
        owner = self.current
        if owner is None:
            return
        async with owner.lock:
            if owner.closed or owner.leaving:
                return
            now = self._now()
            idle = self._idle(owner)
            records = owner.empty()
            try:
                prepared = await self._in(
                    self._prepares, lambda: owner.hold.prepare(records, now=now, idle_until=idle, finish=finish)
                )
            except BaseException:  # cancelled, too: what was taken in and not committed must not be passed over
                owner.closed = True
                raise
            await owner.settle()
            if owner.untold:
                # Given up before the last commit was told of: the next owner tells of the last in the lake, no more.
                owner.closed = True
                return
            self._looked_at_s = self._elapsed_s()
            beats = [] if self._publish is None else self._heartbeats(owner)
            if (prepared is not None or beats) and not owner.closed:
                owner.committing = asyncio.ensure_future(self._commit(owner, prepared, beats))

    async def settle(self) -> None:
        """Wait for the commit under way.  Raises what went wrong with it."""
        if self.current is not None:
            await self.current.settle()

    async def _commit(self, owner: Assignment, prepared: Prepared | None, beats: Sequence[StepMinutesRecord]) -> None:
        """Commit, then publish.  What is not published when this ends otherwise, the next to claim it will."""
        try:
            if prepared is not None:
                owner.untold = prepared.step_minutes
                begun_s = self._elapsed_s()
                self._committed(owner, prepared, await self._in(self._commits, lambda: owner.hold.commit(prepared)))
                self._commit_s = self._elapsed_s() - begun_s
            if await self._tell([*(prepared.step_minutes if prepared is not None else ()), *beats], owner):
                owner.untold = ()
        except BaseException as error:
            owner.closed = True
            self.fail(error)
            raise

    def _committed(self, owner: Assignment, prepared: Prepared, done: Checkpoint) -> None:
        metrics.CHECKPOINT_SECONDS.observe((self._now() - prepared.now).total_seconds())
        _count(done)
        if not owner.closed:
            _measure(done, prepared.now)

    async def _tell(self, records: Sequence[StepMinutesRecord], owner: Assignment | None = None) -> bool:
        """Publish, waiting for Kafka where it is away: then nothing else is to be done either.

        Gives up where the ``owner`` ends meanwhile; the next one will tell.  Whether all is told.
        """
        if self._publish is None or not records:
            return True
        while owner is None or not (owner.closed or owner.leaving):
            try:
                await self._publish(records)
            except NotTold as error:
                if not error.may_pass:
                    raise
                log.warning("%s; trying again", error)
                self._looked_at_s = self._elapsed_s()
                await asyncio.sleep(_TELL_AGAIN_S)
            else:
                metrics.STEP_MINUTES_ASKS.inc(sum(asks.count for record in records for asks in record.asks))
                return True
        return False

    def _heartbeats(self, owner: Assignment) -> list[StepMinutesRecord]:
        """Of partitions that have been silent for long, every few seconds: time goes on there, and we are alive."""
        beats: list[StepMinutesRecord] = []
        for p, until in self._silent(owner).items():
            last, at_s = owner.beaten.get(p, (None, 0.0))
            if last is not None and (until <= last or self._elapsed_s() - at_s < _HEARTBEAT_S):
                continue
            beat = owner.hold.heartbeat(p, until)
            if beat is not None:
                owner.beaten[p] = (until, self._elapsed_s())
                beats.append(beat)
        return beats

    async def finish(self, assigned: Collection[int] = ()) -> None:
        """The last checkpoint; with ``drain`` it closes the sessions that are still open.

        ``assigned``: the partitions that Kafka has given us, whose take-over may not have come to its end.
        """
        if self._settings.drain and self.current is None and assigned:
            self.replace(await self.claim(set(assigned)))
        await self.checkpoint(finish=self._settings.drain)
        await self.settle()
        self.is_finished = True

    async def revoke(self) -> None:
        """Give the partitions up.  What is worked out is committed, so that it need not be read again where they come
        back; what is only gathered is left to the next owner.

        Where all workers are told to stop the first to leave the group makes it take the others' partitions away, and
        there is no next owner: a worker that is stopping finishes first.
        """
        if self.is_stopping and not self.is_finished:
            await self.finish()
        if (owner := self.current) is not None:
            owner.leaving = True
            owner.emptied.set()
            async with owner.lock:
                if self.current is owner:
                    self.replace(None)
                await owner.settle()
                log.info("gave up partitions %s", sorted(owner.hold.reached))

    def healthy(self) -> bool:
        """Whether a checkpoint was looked at lately; an idle worker looks every interval, too."""
        return self.since_checkpoint_s() < self._settings.stalled_after.total_seconds()

    def since_checkpoint_s(self) -> float:
        """How long ago a checkpoint was looked at, by a clock that nobody sets."""
        return self._elapsed_s() - self._looked_at_s

    def look(self, *, has_partitions: bool) -> None:
        """End a worker that has partitions and has stood still for too long; one without is not at fault.

        Faust may stop to seek or fetch without a word (its recovery gives up when a seek takes too long).
        """
        patience = self._settings.stalled_after
        if not has_partitions:
            self._looked_at_s = self._elapsed_s()
        elif not self.healthy():
            self.fail(Stalled(f"no checkpoint was made for {patience}"))
        elif self.current is not None and (lost := self.current.lost(self._elapsed_s(), patience.total_seconds())):
            self.fail(Gap(f"partitions {lost} were fetched further than has come since"))

    def _idle(self, owner: Assignment) -> dict[int, datetime]:
        """Silent partitions with sessions open, in steps that matter."""
        sessioniser = owner.hold.sessioniser
        idle: dict[int, datetime] = {}
        for p, until in self._silent(owner).items():
            newest = sessioniser.newest(p)
            moves = newest is not None and until - newest >= sessioniser.step
            if moves and sessioniser.open_since(p) is not None:
                idle[p] = until
        return idle

    def _silent(self, owner: Assignment) -> dict[int, datetime]:
        """Partitions that hold nothing more and have been silent for long, and the time they may be taken to have
        reached.

        How long it has been silent the broker must have said; one that says nothing may hold anything.
        """
        after = self._settings.idle_after
        if after is None:
            return {}
        silent: dict[int, datetime] = {}
        for p, last in owner.last_input.items():
            end, told_ms = owner.ends.get(p, (-1, 0))
            until = datetime.fromtimestamp(told_ms / 1000, UTC) - after
            if end == owner.fetched[p] == owner.taken[p] == owner.hold.reached[p] and until >= last:
                silent[p] = until
        return silent

    @property
    def is_at_work(self) -> bool:
        """Whether a checkpoint is being worked out or written."""
        return self._at_work > 0

    def end_unless_stopped(self, patience: timedelta) -> None:
        """End a process that was told to stop and has done nothing for so long: what is not in the lake is in Kafka.

        Told to stop while it starts, Faust may wait for ever for a part of its own.  Runs in a thread.
        """
        since = time.monotonic()
        while time.monotonic() - since < patience.total_seconds():
            time.sleep(0.1)
            if self.is_at_work:
                since = time.monotonic()
        log.warning("Faust did not stop within %s, so the process ends without it", patience)
        self._end(0 if self.is_finished else EXIT_RESTART)

    async def _in(self, thread: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        self._at_work += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        finally:
            self._at_work -= 1


class WorkerApp(faust.App):
    """A Faust app that knows who owns the partitions, and watches itself from the first moment."""

    assignments: Assignments
    step_minutes: StepMinutesTopic | None = None

    async def on_stop(self) -> None:
        await super().on_stop()
        if self.step_minutes is not None:
            await self.step_minutes.close()

    async def on_start(self) -> None:
        await super().on_start()
        # Not with ``app.task``: Faust runs those once it has sought, and what keeps it from that must be seen, too.
        self.add_future(self._watch())

    async def _watch(self) -> None:
        while not self.should_stop:
            await asyncio.sleep(1)
            if (refusal := cast(Consumer, self.consumer).refusal) is not None:
                self.assignments.not_taken_in(refusal)
            self.assignments.look(has_partitions=bool(_assigned(self)))


def create_app(
    settings: WorkerSettings,
    ladder: Ladder,
    lake: Lake,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    end: Callable[[int], Any] = os._exit,
) -> WorkerApp:
    """A worker that sessionises ``settings.topic`` into ``lake``.  ``end``: how the process ends when it must."""
    app = batch_app(WorkerApp, settings, fetches_ahead=8, instance=settings.instance)
    step_minutes = None
    if settings.step_minutes is not None:
        step_minutes = app.step_minutes = StepMinutesTopic(settings.connection, settings.step_minutes)
    assignments = Assignments(
        settings, ladder, lake, now, end, publish=None if step_minutes is None else step_minutes.publish
    )
    app.assignments = assignments
    topic = topic_of_bytes(app, settings.topic)

    @app.agent(topic)
    async def gather(stream: Any) -> None:
        async for batch in stream:
            try:
                await assignments.take(batch)
            except Exception as error:
                assignments.fail(error)

    async def checkpoints() -> None:
        while not app.should_stop:
            await assignments.wait_due()
            try:
                await assignments.checkpoint()
            except Exception as error:
                assignments.fail(error)
            _measure_lag(assignments)

    async def give_up(*_: Any, **__: Any) -> None:
        try:
            await assignments.revoke()
        except Exception as error:
            assignments.fail(error)

    async def last_checkpoint(*_: Any, **__: Any) -> None:
        try:
            await assignments.finish([tp.partition for tp in _assigned(app)])
        except Exception as error:
            assignments.fail(error)

    app.task(checkpoints)
    app.on_partitions_revoked.connect(give_up, weak=False)
    app.on_before_shutdown.connect(last_checkpoint, weak=False)

    @app.page("/health")
    async def health(view: Any, request: Any) -> Any:
        healthy = assignments.healthy()
        owner = assignments.current
        answer = {
            "status": "ok" if healthy else "stalled",
            "partitions": sorted(owner.hold.reached) if owner else [],
            "gathered_records": len(owner.records) if owner else 0,
            "seconds_since_checkpoint": round(assignments.since_checkpoint_s(), 3),
        }
        return view.json(answer, status=200 if healthy else 503)

    return app


def run_worker(settings: WorkerSettings, ladder: Ladder, lake: Lake, *, loglevel: str = "WARN") -> None:
    """Run a worker until SIGTERM or SIGINT; leaves through ``SystemExit``."""
    gc.set_threshold(OBJECTS_BEFORE_A_LOOK_FOR_GARBAGE)
    app = create_app(settings, ladder, lake)
    _Worker(app, loglevel=loglevel, redirect_stdouts=False, quiet=True).execute_from_commandline()


class _Worker(faust.Worker):
    """Ends when told to, also where Faust does not."""

    app: WorkerApp

    async def stop(self) -> None:
        assignments = self.app.assignments
        assignments.is_stopping = True
        threading.Thread(target=assignments.end_unless_stopped, args=(_STOP_WITHIN,), daemon=True).start()
        await super().stop()


def _assigned(app: Any) -> set[TP]:
    """The partitions that Kafka has given us; none before the consumer has started."""
    try:
        return set(app.consumer.assignment())
    except ConsumerNotStarted:
        return set()


def _count(done: Checkpoint) -> None:
    metrics.EVENTS_LANDED.inc(done.landed)
    metrics.EVENTS_LATE.inc(done.late)
    metrics.EVENTS_DUPLICATE.inc(done.duplicates)
    metrics.SESSIONS_CLOSED.inc(done.sessions)
    metrics.OFFSETS_SKIPPED.inc(done.skipped_offsets)
    for reason, count in done.rejects.items():
        metrics.EVENTS_REJECTED.labels(reason=reason).inc(count)


def _measure(done: Checkpoint, now: datetime) -> None:
    metrics.OPEN_EVENTS.set(done.open_events)
    metrics.OPEN_SESSIONS.set(done.open_sessions)
    for p, watermark in done.watermarks.items():
        if watermark is not None:
            metrics.WATERMARK_DELAY.labels(partition=str(p)).set((now - watermark).total_seconds())


def _forget_gauges() -> None:
    """Of partitions that were ours: from now on another worker tells of them."""
    metrics.OPEN_EVENTS.set(0)
    metrics.OPEN_SESSIONS.set(0)
    metrics.WATERMARK_DELAY.clear()
    metrics.LAG_RECORDS.clear()


def _measure_lag(assignments: Assignments) -> None:
    owner = assignments.current
    if owner is not None:
        for p, (end, _) in owner.ends.items():
            metrics.LAG_RECORDS.labels(partition=str(p)).set(max(0, end - owner.hold.reached[p]))
