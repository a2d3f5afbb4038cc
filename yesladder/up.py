"""`yesladder up`: all parts in one place, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from types import FrameType

from rich.console import Console

from producers.embedded import EmbeddedBroker
from warehouse.lake import Lake
from yesladder.landing import wait_until_landed
from yesladder.processes import Part
from yesladder.settings import Settings


def run_up(settings: Settings, kafka_port: int) -> None:
    """Start the parts, keep them running, build the marts now and then; SIGINT or SIGTERM ends all of it in order.

    The collector goes first, so that nothing new comes in; then the worker commits what is under way; then the broker.
    """
    console = Console(stderr=True)
    settings.load_ladder()  # a wrong ladder is told here, before anything runs
    logs = settings.warehouse / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        topic, embedded = settings.topic, settings.brokers is None
        if settings.brokers is None:
            broker = stack.enter_context(EmbeddedBroker(kafka_port))
            brokers = broker.brokers
            # The embedded broker forgets when it stops, the lake does not: each of its lives has a topic of its own.
            topic = f"{topic}-{datetime.now(UTC):%Y%m%d}-{uuid.uuid4().hex[:8]}"
        else:
            brokers = settings.brokers
        common = ["--brokers", brokers, "--topic", topic]
        where = ["--warehouse", str(settings.warehouse)]
        if settings.ladder is not None:
            where += ["--ladder", str(settings.ladder)]
        worker_options = [*common, *where]
        if embedded:
            worker_options += ["--session-timeout", "2s", "--drain"]
        worker = Part("worker", ["worker", *worker_options], logs / "worker.log")
        stack.callback(worker.stop)
        if embedded:
            lake = Lake(settings.warehouse / "lake")
            connection = settings.connection(brokers)
            stack.callback(lambda: wait_until_landed(connection, topic, lake, worker))
        listen = ["--host", settings.host, "--port", str(settings.port)]
        keys = [] if settings.write_keys is None else ["--write-keys", settings.write_keys]
        collector = Part("collector", ["collect", *common, *listen, *keys], logs / "collector.log")
        stack.callback(collector.stop)

        console.print(
            f"collector  http://{settings.host}:{settings.port}   (docs/collector.md: pointing clients at it)"
        )
        console.print(f"Kafka      {brokers}, topic {topic}" + ("   (in memory: for trying out)" if embedded else ""))
        console.print(f"worker     http://{settings.worker_host}:{settings.worker_port}/health and /metrics")
        console.print(f"warehouse  {settings.warehouse}   built every {settings.build_every}; logs in {logs}")
        console.print("Ctrl-C stops all of it.")
        _keep_running([worker, collector], ["build", *where], settings, console)
        console.print("stopping: collector, worker" + (", broker" if embedded else ""))


def _keep_running(parts: list[Part], build: list[str], settings: Settings, console: Console) -> None:
    stopping = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    next_build = time.monotonic() + settings.build_every.total_seconds()
    building: Part | None = None
    while not stopping:
        for part in parts:
            if part.check():
                console.print(f"the {part.name} died and was started again: {part.last_words()}")
        if building is None and time.monotonic() >= next_build:
            building = Part("build", build, settings.warehouse / "logs" / "build.log")
        if building is not None and not building.running:
            code = building.stop()
            words = "marts are up to date" if code == 0 else f"the build failed: {building.last_words()}"
            console.print(f"{datetime.now(UTC):%H:%M} UTC  {words}")
            building, next_build = None, time.monotonic() + settings.build_every.total_seconds()
        time.sleep(0.2)
    if building is not None:
        building.stop()
    sys.stderr.flush()
