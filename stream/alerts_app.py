"""The alert agent on Faust: one of the group reads the topic of step minutes, the others stand by.

The topic has one partition, so Kafka's group decides who is at work; where to begin the desk knows, not Kafka.  As with
a worker, whatever goes wrong ends the process, and whoever supervises starts it anew from the last snapshot.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, cast

import faust
import httpx
from faust.exceptions import ConsumerNotStarted

from ladder import metrics
from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from stream.alerts_config import Sink
from stream.alerts_delivery import (
    HttpSink,
    NotTaken,
    Outbox,
    Parcel,
    Send,
    deliver,
    keep_addresses_out_of_the_log,
    tidy,
)
from stream.alerts_desk import TOPIC, Desk
from stream.app import EXIT_HALT, EXIT_RESTART, Gap, NotTakenIn, Stalled, TopicMadeAnew
from stream.faust_app import batch_app, topic_of_bytes
from stream.transport import Batch, Consumer, Fetching

log = logging.getLogger(__name__)

_STOP_WITHIN_S = 10.0
_TIDIED_EVERY_S = 3600.0


@dataclass(frozen=True)
class AgentSettings:
    """How the agent runs.  ``topic``: of step minutes; ``alerts_topic``: where alerts go."""

    connection: KafkaConnection
    topic: str = "step_minutes"
    alerts_topic: str = "alerts"
    group: str = "yesladder-alerts"
    snapshot_every: timedelta = timedelta(minutes=1)
    session_timeout: timedelta = timedelta(seconds=30)
    stalled_after: timedelta = timedelta(minutes=2)
    web_host: str = "127.0.0.1"
    web_port: int = 6067
    data_dir: Path = field(default_factory=lambda: Path("alerts-data"))


class Waiting(Protocol):
    """The outbox, which also knows how many wait."""

    def waiting(self) -> Mapping[str, int]: ...


class Owner:
    """One assignment; ``fetched`` and the rest as ``Fetching`` has them.  Without partitions it stands by."""

    def __init__(self, begins: dict[int, int], now_ms: int) -> None:
        self.fetched = dict(begins)
        self.taken = dict(begins)
        self.holes: dict[int, int] = {}
        self.voids: dict[int, tuple[int, int]] = {}
        self.ends: dict[int, tuple[int, int]] = {}
        self.since_ms = now_ms

    def silent_s(self, now_ms: int) -> float:
        """How long ago the broker was last heard of, in seconds; 0 for whoever stands by."""
        if not self.fetched:
            return 0.0
        return (now_ms - max([self.since_ms, *(told_ms for _, told_ms in self.ends.values())])) / 1000


class Agent:
    """Who is at work now (see ``stream.transport.Assignments``), and what is done with what comes."""

    def __init__(self, settings: AgentSettings, desk: Desk, end: Callable[[int], Any]) -> None:
        self.current: Owner | None = None
        self.started = asyncio.Event()
        self._settings, self._desk, self._end = settings, desk, end
        # All of the desk's work in one thread, one thing after the other.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="desk")
        self._busy_since: float | None = None

    async def claim(self, partitions: set[int]) -> Owner:
        """Open the desk, where the partition is ours."""
        begins = {}
        if partitions:
            try:
                offset = await self._in_thread(self._desk.open)
            except Exception as error:
                self.fail(error)
                raise
            begins = {0: offset}
            log.info("at work from offset %s", offset)
        return Owner(begins, _now_ms())

    def replace(self, owner: Fetching | None) -> None:
        self.current = cast(Owner | None, owner)
        if self.current is not None and self.current.fetched:
            self.started.set()
        else:
            self.started.clear()

    async def take(self, batch: Batch) -> None:
        """Work a fetch out to its end."""
        owner = self.current
        if owner is None or batch.owner is not owner:
            return
        if batch.begins != owner.taken[0]:
            raise Gap(f"offset {owner.taken[0]} of {self._settings.topic} was due, {batch.begins} came")
        records = [(record.offset, record.value or b"") for record in batch.records]
        owner.taken[0] = records[-1][0] + 1
        await self._in_thread(lambda: self._desk.take(records) if self.current is owner else None)

    async def keep(self) -> None:
        """Write a snapshot, if we are at work."""
        owner = self.current
        if owner is not None and owner.fetched:
            await self._in_thread(lambda: self._desk.keep() if self.current is owner else None)

    async def give_up(self) -> None:
        """Leave the partition to the next, with all that is known of it."""
        await self.keep()
        self.replace(None)

    def fail(self, error: BaseException) -> None:
        """Say why, and end the process."""
        expected = isinstance(error, YesladderError)
        with suppress(OSError, ValueError):
            log.error("the alert agent stops: %s", error, exc_info=None if expected else error)
        self._end(EXIT_HALT if isinstance(error, TopicMadeAnew | NotTakenIn) else EXIT_RESTART)

    def refuse(self, why: str) -> None:
        self.fail(
            TopicMadeAnew(
                f"{why.split(': ')[0]}. Remove {self._settings.data_dir}/state-*.bin, and the agent learns from the "
                "lake again and reads the new topic from its beginning"
            )
        )

    def look(self, refusal: str | None) -> None:
        """End an agent that stands still.  To be called every second."""
        if refusal is not None:
            self.fail(NotTakenIn(f"Kafka does not take this agent into the group {self._settings.group}: {refusal}"))
        if not self.healthy():
            self.fail(Stalled(f"nothing has moved for {self._settings.stalled_after}"))

    def healthy(self) -> bool:
        """Whether records are asked for, and worked out when they come."""
        patience = self._settings.stalled_after.total_seconds()
        busy_s = 0.0 if self._busy_since is None else time.monotonic() - self._busy_since
        silent_s = 0.0 if self.current is None or busy_s else self.current.silent_s(_now_ms())
        return silent_s < patience and busy_s < max(patience, 1800.0)  # learning from a large lake takes minutes

    def state(self) -> dict[str, Any]:
        """For ``/health``."""
        owner = self.current
        at_work = owner is not None and bool(owner.fetched)
        watch = self._desk.watch
        minute = datetime.fromtimestamp(watch.minute * 60, UTC).isoformat() if at_work and watch is not None else None
        return {
            "status": "ok" if self.healthy() else "stalled",
            "role": "starting" if owner is None else "at work" if at_work else "standing by",
            "next_minute": minute,
            "keys": len(watch.keys) if at_work and watch is not None else 0,
            "open_alerts": len(self._desk.incidents.open) if at_work and watch is not None else 0,
        }

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        self._busy_since = time.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._busy_since = None


class AgentApp(faust.App):
    """A Faust app that knows whether it is at work, and watches itself from the first moment."""

    assignments: Agent

    async def on_start(self) -> None:
        await super().on_start()
        self.add_future(self._watch())

    async def _watch(self) -> None:
        while not self.should_stop:
            await asyncio.sleep(1)
            with suppress(ConsumerNotStarted):
                self.assignments.look(cast(Consumer, self.consumer).refusal)


def create_app(
    settings: AgentSettings,
    desk: Desk,
    outbox: Outbox,
    sinks: Mapping[str, tuple[Sink, str, Mapping[str, str]]],
    *,
    end: Callable[[int], Any] = os._exit,
) -> AgentApp:
    """The agent.  ``sinks``: by name, with the address and the headers that are in force."""
    app = batch_app(AgentApp, settings, fetches_ahead=4)
    agent = Agent(settings, desk, end)
    app.assignments = agent
    topic = topic_of_bytes(app, settings.topic)
    alerts = topic_of_bytes(app, settings.alerts_topic)

    @app.agent(topic)
    async def judge(stream: Any) -> None:
        async for batch in stream:
            try:
                await agent.take(batch)
            except Exception as error:
                agent.fail(error)

    async def snapshots() -> None:
        while not app.should_stop:
            await asyncio.sleep(settings.snapshot_every.total_seconds())
            await _or_fail(agent, agent.keep())

    async def to_topic(parcel: Parcel) -> str:
        try:
            sent = await (await alerts.send(key=parcel.key.removesuffix(f"-{TOPIC}").encode(), value=parcel.body))
        except Exception as error:
            raise NotTaken(f"{type(error).__name__}: {error}") from None
        return f"offset {sent.offset}"

    async def deliveries() -> None:
        """While we are at work: who stands by has the same outbox."""
        keep_addresses_out_of_the_log()
        tidy_at = time.monotonic()
        async with httpx.AsyncClient(follow_redirects=False) as client:
            sends: dict[str, Send] = {TOPIC: to_topic}
            for name, (sink, url, headers) in sinks.items():
                sends[name] = HttpSink(sink, url, headers, client).send
            while not app.should_stop:
                await agent.started.wait()
                tasks = [asyncio.ensure_future(deliver(name, outbox, send)) for name, send in sends.items()]
                while agent.started.is_set() and not app.should_stop:
                    await asyncio.sleep(0.5)
                    for task in tasks:
                        if task.done():
                            await _or_fail(agent, _result(task))
                    _count_waiting(outbox, sends)
                    if time.monotonic() >= tidy_at:
                        tidy_at = time.monotonic() + _TIDIED_EVERY_S
                        await _or_fail(agent, asyncio.to_thread(tidy, outbox, datetime.now(UTC)))
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def give_up(*_: Any, **__: Any) -> None:
        await _or_fail(agent, agent.give_up())

    app.task(snapshots)
    app.task(deliveries)
    app.on_partitions_revoked.connect(give_up, weak=False)
    app.on_before_shutdown.connect(give_up, weak=False)

    @app.page("/health")
    async def health(view: Any, request: Any) -> Any:
        return view.json(agent.state(), status=200 if agent.healthy() else 503)

    return app


def run_agent(app: AgentApp, *, loglevel: str = "WARN") -> None:
    """Run until SIGTERM or SIGINT; leaves through ``SystemExit``."""
    _Worker(app, loglevel=loglevel, redirect_stdouts=False, quiet=True).execute_from_commandline()


class _Worker(faust.Worker):
    """Ends when told to, also where Faust does not."""

    async def stop(self) -> None:
        def end() -> None:
            time.sleep(_STOP_WITHIN_S)
            os._exit(0)  # what is not in a snapshot comes again

        threading.Thread(target=end, daemon=True).start()
        await super().stop()


async def _or_fail(agent: Agent, work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Exception as error:
        agent.fail(error)


async def _result(task: asyncio.Future[None]) -> None:
    task.result()


def _count_waiting(outbox: Any, sends: Mapping[str, Send]) -> None:
    waiting = outbox.waiting()
    for name in sends:
        metrics.ALERT_WAITING.labels(sink=name).set(waiting.get(name, 0))


def _now_ms() -> int:
    return int(time.time() * 1000)
