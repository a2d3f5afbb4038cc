"""`yesladder demo`: the whole road once, on the embedded broker, with every part a process of its own."""

from __future__ import annotations

import shlex
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from answers.gather import gather, report_file
from answers.report import write_report
from answers.tiers_table import TiersTable
from ladder.errors import UsageError, YesladderError
from ladder.tiers import Ladder
from producers.embedded import EmbeddedBroker
from producers.topics import ensure_topic
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import Unit, steps, tiers
from yesladder import datasets
from yesladder.landing import PATIENCE_S, wait_for, wait_until_landed
from yesladder.processes import Part
from yesladder.progress import bars
from yesladder.settings import environment_without_settings, read_settings
from yesladder.simulated import LADDER, simulated_messages

BATCH = 100
"""Messages in a request: what the Segment and Rudder clients send by default."""
PARTITIONS = 4
TOPIC = "events"
SIMULATED_EVENTS = 20_000

_MARKER = ".yesladder-demo"


@dataclass(frozen=True)
class Input:
    """What the demo sends: messages in the Segment spec, in time order, and how many there are."""

    ladder: Ladder
    ladder_file: str
    messages: Iterator[bytes]
    total: int
    attribution: str | None


def run_demo(dataset: str, events: int | None, folder: Path, *, lake: str | None = None, quiet: bool) -> dict[str, Any]:
    """Send, sessionise, build, tell.  The result is the ``--json`` of ``demo``.

    ``lake``: the address below which this demo's lake is to be, in a folder of its own; None: it is in ``folder``.
    """
    began = time.monotonic()
    seconds: dict[str, float] = {}
    _make_room(folder)
    at = _lake_of(folder, lake)
    given = _input(dataset, events, folder)
    console = Console(stderr=True, quiet=quiet)
    console.print(f"[bold]{given.total:,} events[/] on the way: client → collector → Kafka → worker → lake → SQL → you")

    with ExitStack() as stack, bars(quiet=quiet) as progress:
        begun = time.monotonic()
        starting = progress.add_task("starting the parts", total=3, note="")
        broker = stack.enter_context(EmbeddedBroker())
        ensure_topic(broker.connection, TOPIC, PARTITIONS, 1)
        progress.advance(starting)
        collector_url, worker = _start_parts(stack, broker.brokers, folder, given.ladder_file)
        progress.advance(starting, 2)
        seconds["start"] = time.monotonic() - begun

        begun = time.monotonic()
        sending = progress.add_task("sending over HTTP", total=given.total, note="")
        landing = progress.add_task("landing in the lake", total=given.total, note="")
        sent = _send(collector_url, given, lambda n: progress.advance(sending, n))
        seconds["send"] = time.monotonic() - begun
        # Loads for some seconds; the worker is still at work meanwhile.
        gate = stack.enter_context(Gate())
        wait_until_landed(broker.connection, TOPIC, at, worker, lambda n: progress.update(landing, completed=n))
        if worker.stop() != 0:
            raise YesladderError(f"the worker did not stop cleanly: {worker.last_words()}")
        progress.update(landing, completed=given.total)
        seconds["land"] = time.monotonic() - begun - seconds["send"]

        begun = time.monotonic()
        building = progress.add_task("checking, building marts", total=1, note="")
        _build(at, given.ladder, gate, lambda words: progress.update(building, note=words))
        progress.update(building, completed=1, note="")
        seconds["build"] = time.monotonic() - begun
    return _tell(folder, given, sent, seconds, began, quiet=quiet)


def _lake_of(folder: Path, url: str | None) -> Lake:
    """Made before its parts start, which then know where it is."""
    below = None if url is None else f"{url.rstrip('/')}/demo-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    return read_settings(warehouse=folder, lake=below).open_lake()


def _make_room(folder: Path) -> None:
    """An empty folder: the broker forgets when it stops, so a former demo's lake would not fit the new offsets."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARKER).exists():
            raise UsageError(f"{folder} is not empty and holds no demo; choose another folder with --dir")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).touch()
    (folder / "logs").mkdir()


def _input(dataset: str, events: int | None, folder: Path) -> Input:
    if dataset == "simulated":
        total = SIMULATED_EVENTS if events is None else events
        name, messages, attribution = LADDER, simulated_messages(total), None
    else:
        given = datasets.load(dataset)
        total = sum(1 for _ in given.messages(events))
        name, messages, attribution = dataset, given.messages(events), given.attribution
    if attribution is not None:
        (folder / datasets.ATTRIBUTION).write_text(attribution + "\n", encoding="utf-8")
    ladder_file = folder / "ladder.toml"
    ladder_file.write_text(datasets.ladder_text(name), encoding="utf-8")
    return Input(datasets.example_ladder(name), str(ladder_file), messages, total, attribution)


def _start_parts(stack: ExitStack, brokers: str, folder: Path, ladder_file: str) -> tuple[str, Part]:
    port, worker_port = _free_ports(2)
    common = ["--brokers", brokers, "--topic", TOPIC]
    environment = environment_without_settings()  # somebody's settings for production are not meant for a demo
    worker = Part(
        "worker",
        [
            "worker", *common, "--warehouse", str(folder), "--ladder", ladder_file, "--drain",
            # History rushes by: silence on a partition means nothing, and the broker's join waits half this time-out.
            "--idle-after", "0s", "--session-timeout", "2s", "--worker-port", str(worker_port),
        ],
        folder / "logs" / "worker.log",
        environment=environment,
    )  # fmt: skip
    stack.callback(worker.stop)
    collector = Part(
        "collector",
        ["collect", *common, "--port", str(port), "--spool-bytes", "0"],
        folder / "logs" / "collector.log",
        environment=environment,
    )
    stack.callback(collector.stop)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        if not collector.running:
            raise YesladderError(f"the collector did not start: {collector.last_words()}")
        try:
            return httpx.get(f"{url}/health").status_code == 200
        except httpx.TransportError:
            return False

    wait_for(answers)
    return url, worker


def _send(url: str, given: Input, sent: Callable[[int], None]) -> int:
    """Batches in the shape of the Segment client's, one after the other: history must arrive in its order.

    ``sentAt`` is left out, as Segment asks of imports: these events are old, their clock is not wrong.
    """
    total = 0
    with httpx.Client(base_url=url, auth=("demo", ""), timeout=30) as client:
        while batch := list(islice(given.messages, BATCH)):
            body = b'{"batch":[' + b",".join(batch) + b"]}"
            _post(client, body)
            total += len(batch)
            sent(len(batch))
    return total


def _post(client: httpx.Client, body: bytes) -> None:
    """Send until it is answered 200, as the clients do; anything but 503 is final."""
    until = time.monotonic() + PATIENCE_S
    while True:
        answer = client.post("/v1/batch", content=body)
        if answer.status_code == 200:
            return
        if answer.status_code != 503 or time.monotonic() > until:
            raise YesladderError(f"the collector answered {answer.status_code}: {answer.text}")
        time.sleep(float(answer.headers.get("Retry-After", "1")))


def _build(lake: Lake, ladder: Ladder, gate: Gate, say: Callable[[str], None]) -> None:
    done = build(lake, ladder, full=True, gate=gate, progress=say, now=datetime.now(UTC))
    if done.held_back:
        raise YesladderError(done.held_back_message())


def _tell(
    folder: Path, given: Input, sent: int, seconds: dict[str, float], began: float, *, quiet: bool
) -> dict[str, Any]:
    begun = time.monotonic()
    facts = gather(folder, given.ladder, now=datetime.now(UTC), sent=sent, attribution=given.attribution)
    page = write_report(facts, report_file(folder))
    seconds["report"] = time.monotonic() - begun
    seconds["total"] = time.monotonic() - began
    health = facts.health
    result = {
        "sent": sent,
        "landed": health.landed,
        "duplicates": health.duplicates,
        "rejected": sum(health.rejected.values()),
        "late": health.late,
        "sessions": facts.sessions,
        "seconds": {step: round(taken, 2) for step, taken in seconds.items()},
        "tiers": tiers(folder, given.ladder, "session").to_dict()["tiers"],
        "report": str(page),
    }
    if not quiet:
        console = Console()
        console.print()
        units: Sequence[Unit] = ("session", "visitor")
        for unit in units:
            rows = tiers(folder, given.ladder, unit).tiers
            console.print(TiersTable(unit, rows, steps(folder, given.ladder, unit), given.ladder))
            console.print()
        console.print(
            f"{sent:,} events sent, {health.landed:,} landed, {health.duplicates:,} known already, "
            f"{result['rejected']:,} refused, {health.late:,} late; {facts.sessions:,} sessions of {facts.visitors:,} "
            f"visitors; {seconds['total']:.1f} s"
        )
        for line in (
            f"the page:  {page}",
            f'ask more:  yesladder sql --warehouse {shlex.quote(str(folder))} "select * from fct_step_dropoff"',
        ):
            console.print(line, markup=False, soft_wrap=True)
        if given.attribution is not None:
            console.print(f"\n{given.attribution}", style="dim", highlight=False)
    return result


def _free_ports(count: int) -> list[int]:
    with _sockets(count) as open_sockets:
        return [opened.getsockname()[1] for opened in open_sockets]


@contextmanager
def _sockets(count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in opened:
            each.bind(("127.0.0.1", 0))
        yield opened
