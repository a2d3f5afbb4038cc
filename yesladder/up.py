"""`yesladder up`: all parts in one place, until Ctrl-C."""

from __future__ import annotations

import math
import signal
import threading
import time
import uuid
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from rich.console import Console

from ladder.durations import format_duration
from ladder.errors import UsageError, YesladderError
from producers.embedded import EmbeddedBroker
from warehouse.built import MARTS
from warehouse.located import LOCAL, POINTER
from warehouse.maintain import last_upkeep
from yesladder.dashboarding import SHOWING_AT, dashboard_options, doors_of
from yesladder.landing import wait_for, wait_until_landed
from yesladder.processes import COLLECTING_AT, Part
from yesladder.scheduling import load
from yesladder.settings import Settings


def run_up(settings: Settings, kafka_port: int, *, with_dashboard: bool = True) -> None:
    """Start the parts, keep them running, build the marts now and then; SIGINT or SIGTERM ends all of it in order.

    The collector goes first, so that nothing new comes in; then the worker commits what is under way; then the broker.
    A second Ctrl-C ends it without waiting for what is under way.
    """
    console = Console(stderr=True, soft_wrap=True, markup=False)
    stopping = _stop_on_signals()
    settings.load_ladder()  # a wrong ladder is told here, before anything runs
    config = settings.load_alerts()
    alerts_file = settings.alerts_file()
    schedules = settings.schedules_file()
    has_schedules = settings.schedules is not None or schedules.exists()
    if has_schedules:
        load(settings)
    if with_dashboard:
        doors_of(settings)  # and a dashboard that would be open to everybody
    logs = settings.warehouse / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    lake = settings.open_lake()  # from here on the parts know where it is
    with ExitStack() as stack:
        topic, embedded = settings.topic, settings.brokers is None
        if settings.brokers is None:
            try:
                broker = stack.enter_context(EmbeddedBroker(kafka_port))
            except YesladderError as error:
                raise UsageError(f"{error}; take another with --kafka-port, or give --brokers") from None
            brokers = broker.brokers
            # The embedded broker forgets when it stops, the lake does not: each of its lives has a topic of its own.
            topic = f"{topic}-{datetime.now(UTC):%Y%m%d}-{uuid.uuid4().hex[:8]}"
        else:
            brokers = settings.brokers
        common = ["--brokers", brokers, "--topic", topic]
        warehouse = ["--warehouse", str(settings.warehouse)]
        where = [*warehouse]
        if settings.ladder is not None:
            where += ["--ladder", str(settings.ladder)]
        counting = [*common, *where, "--step-minutes", settings.step_minutes]
        if embedded:
            counting += ["--session-timeout", "2s"]
        watchers: list[Part] = []
        if alerts_file is not None and settings.step_minutes:
            counting += ["--alerts", str(alerts_file)]
            agent = Part("alert agent", ["alerts", *counting], logs / "alerts.log")
            watchers.append(agent)
            stack.callback(agent.stop)  # after the worker, so that it hears what that counts at last
        worker_options = [*counting, *(["--drain"] if embedded else [])]
        worker = Part("worker", ["worker", *worker_options], logs / "worker.log")
        stack.callback(worker.stop)
        if embedded:
            connection = settings.connection(brokers)
            stack.callback(lambda: wait_until_landed(connection, topic, lake, worker))
        listen = ["--host", settings.host, "--port", str(settings.port)]
        keys = [] if settings.write_keys is None else ["--write-keys", settings.write_keys]
        spool = ["--spool", str(settings.spool_folder()), "--spool-bytes", str(settings.spool_bytes)]
        collector = Part("collector", ["collect", *common, *listen, *keys, *spool], logs / "collector.log")
        stack.callback(collector.stop)

        dashboard: Part | None = None
        if with_dashboard:
            showing = ["dashboard", *where, *dashboard_options(settings)]
            dashboard = Part("dashboard", showing, logs / "dashboard.log")
            watchers.append(dashboard)
            stack.callback(dashboard.stop)

        wait_for(lambda: stopping.is_set() or _is_up(collector, COLLECTING_AT))
        if dashboard is not None:
            wait_for(lambda: stopping.is_set() or _is_up(dashboard, SHOWING_AT))
        if stopping.is_set():
            return
        url = collector.words().rpartition(COLLECTING_AT)[2].strip()
        if dashboard is not None:
            console.print(f"dashboard  {dashboard.words().rpartition(SHOWING_AT)[2].strip()}")
        console.print(f"collector  {url}   (docs/collector.md: pointing clients at it)")
        console.print(f"Kafka      {brokers}, topic {topic}" + ("   (in memory: for trying out)" if embedded else ""))
        if settings.worker_port != 0:
            console.print(f"worker     http://{settings.worker_host}:{settings.worker_port}/health and /metrics")
        console.print(f"alerts     {_about_alerts(settings, alerts_file, len(config.sinks))}")
        upkeep = [["resessionise", *where], ["maintain", *warehouse, *_upkeep_options(settings)]]
        every = format_duration(settings.build_every)
        console.print(f"warehouse  {settings.warehouse}   built every {every}; logs in {logs}")
        if has_schedules:
            sending = ["schedule", "run", *where, "--schedules", str(schedules)]
            watchers.append(Part("scheduler", sending, logs / "scheduler.log"))
            stack.callback(watchers[-1].stop)
            console.print(f"reports    sent by {schedules}   (yesladder schedule list)")
        console.print("Ctrl-C stops all of it.")
        _keep_running([worker, collector, *watchers], ["build", *where], upkeep, settings, console, stopping)
        names = ["collector", "worker", *(part.name for part in watchers), *(["broker"] if embedded else [])]
        console.print(f"stopping: {', '.join(names)}")


def _about_alerts(settings: Settings, file: Path | None, sinks: int) -> str:
    if not settings.step_minutes:
        return "none: --step-minutes is empty"
    if file is None:
        return "none: there is no alerts.toml here (docs/alerts.md)"
    told = f"{sinks} sink{'' if sinks == 1 else 's'}" if sinks else "no sinks: the table and the log only"
    where = (
        f"http://{settings.alerts_host}:{settings.alerts_port}/health and /metrics, " if settings.alerts_port else ""
    )
    return f"{where}{file}: {told}"


def _upkeep_options(settings: Settings) -> list[str]:
    retain = [] if settings.retain is None else ["--retain", format_duration(settings.retain)]
    return ["--keep", format_duration(settings.keep), *retain]


def _is_up(part: Part, said: str) -> bool:
    if not part.running:
        raise YesladderError(f"the {part.name} did not start: {part.last_words()}")
    return said in part.words()


def _stop_on_signals() -> threading.Event:
    """Set by the first SIGINT, SIGTERM or SIGHUP; the next one ends the process as it would have."""
    stopping = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}

    def stop(signum: int, frame: FrameType | None) -> None:
        stopping.set()
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in numbers:
        signal.signal(number, stop)
    return stopping


def _keep_running(
    parts: list[Part],
    build: list[str],
    upkeep: list[list[str]],
    settings: Settings,
    console: Console,
    stopping: threading.Event,
) -> None:
    """Start again what dies; one build, or one step of the upkeep, at a time.  A build follows each upkeep."""
    next_build = time.monotonic() + settings.build_every.total_seconds()
    next_upkeep = time.monotonic() + until_upkeep(settings, datetime.now(UTC))
    # The first numbers need not wait, neither for the clock nor for what a build loads.
    waiting = [] if (settings.warehouse / MARTS).exists() else [[*build, "--wait"]]
    running: Part | None = None
    while not stopping.wait(0.2):
        for part in parts:
            if part.check():
                console.print(f"the {part.name} died and was started again: {part.last_words()}")
        if running is None:
            if not waiting and time.monotonic() >= next_upkeep:
                waiting = [*upkeep, build]
                next_upkeep = time.monotonic() + settings.upkeep_every.total_seconds()
            elif not waiting and time.monotonic() >= next_build:
                waiting = [build]
            if waiting:
                command = waiting.pop(0)
                running = Part(command[0], command, settings.warehouse / "logs" / f"{command[0]}.log")
        if running is not None and not running.running:
            _tell(running, running.stop(), console)
            if running.name == "build":
                next_build = time.monotonic() + settings.build_every.total_seconds()
            running = None
    if running is not None:
        running.stop()


def _tell(part: Part, code: int, console: Console) -> None:
    if code != 0:
        words = f"the {part.name} failed: {part.last_words()}"
    elif part.name == "build":
        words = "marts are up to date"
    else:
        words = f"{part.name}: {part.last_words()}"
    console.print(f"{datetime.now(UTC):%H:%M} UTC  {words}")


def until_upkeep(settings: Settings, now: datetime) -> float:
    """Seconds until the first upkeep of a run that begins now.

    A day after the last one or, before the first, after the lake was made: so that short runs get theirs, too.
    """
    every = settings.upkeep_every.total_seconds()
    if every == 0:
        return math.inf
    since = last_upkeep(settings.warehouse) or _made_at(settings.warehouse)
    return every if since is None else max(0.0, every - (now - since).total_seconds())


def _made_at(warehouse: Path) -> datetime | None:
    """When the lake got its tables, of which none is added later; in a store, when this warehouse came to it."""
    for path in (warehouse / LOCAL, warehouse / POINTER):
        with suppress(FileNotFoundError):
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return None
