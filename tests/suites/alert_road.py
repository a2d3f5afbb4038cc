"""A shop whose mobile people stop buying for an hour: its history in a lake, its last hours on Kafka, its alerts.

Event time on Kafka runs faster than the clock, and ends at the present.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pyarrow as pa

from ladder.events import Event
from ladder.tables import EVENTS, LANDED
from ladder.tiers import Ladder, parse_ladder
from producers.kafka_publisher import KafkaPublisher
from producers.publisher import Publisher
from producers.records import pack
from producers.simulate import simulate
from producers.simulation import Segment, Simulation, Spike
from producers.topics import ensure_topic
from producers.window import PublishWindow
from tests.suites.brokers import Broker
from tests.suites.command_line import Service, free_ports
from tests.suites.webhook import Post, Webhook
from warehouse.alerts_table import read_alerts
from warehouse.lake import Lake

LADDER_TEXT = """
name = "shop"
session_gap = "30m"
lateness = "6m"
tiers = ["look", "buy"]

[[on]]
event = "Offer Viewed"
is = [{ tier = "buy", role = "ask", step = "buy it" }]

[[on]]
event = "Bought"
is = [{ tier = "buy", role = "yes", step = "buy it" }]
"""
STEP, MOBILE = "buy it", {"device_class": "mobile"}
_SEGMENTS = (Segment("ads", 0.7, device_class="mobile"), Segment("search", 0.3, device_class="desktop"))
_MOBILE_A_MINUTE = 100
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class World:
    """``history`` has happened before ``began``; ``live`` comes after, in the order of arrival.

    In [``falls``, ``ends``) mobile people are asked in vain more often than usual.
    """

    ladder: Ladder
    history: pa.Table
    live: tuple[Event, ...]
    began: datetime
    falls: datetime
    ends: datetime


def world(
    now: datetime,
    *,
    seed: int = 1,
    history: timedelta = timedelta(hours=28),
    live: timedelta = timedelta(minutes=145),
    falls_after: timedelta = timedelta(minutes=30),
    falls_for: timedelta = timedelta(minutes=50),
    fall: float = 0.4,
) -> World:
    """A world whose events end before ``now``."""
    start = (now - live - history).replace(second=0, microsecond=0)
    began = start + history
    spike = Spike(began + falls_after, falls_for, 1 - fall, STEP, "ads")
    ladder = parse_ladder(LADDER_TEXT, "the road's ladder")
    whole = history + live
    drawn = simulate(
        Simulation(
            visitors=round(_MOBILE_A_MINUTE / _SEGMENTS[0].share * whole / _MINUTE),
            seed=seed, start=start, duration=whole, visits_per_visitor=1.0, think_time=timedelta(minutes=2),
            yes_rates=[0.5, 0.35], skip_share=0.0, segments=_SEGMENTS, spikes=(spike,),
            out_of_order=0.005, late=0.0005, duplicates=0.002, malformed=0.0,
        ),
        ladder,
    )  # fmt: skip
    events = [item for item in drawn.items() if isinstance(item, Event)]
    before = [event for event in events if event.received_at < began]
    after = tuple(event for event in events if began <= event.received_at < start + whole)
    return World(ladder, rows_of(before), after, began, spike.start, spike.start + spike.duration)


def rows_of(events: list[Event]) -> pa.Table:
    """Rows of the table ``events``, each event once, none late."""
    own = list({event.event_id: event for event in reversed(events)}.values())[::-1]
    names = EVENTS.remove(EVENTS.get_field_index(LANDED.name))
    columns: dict[str, Any] = {
        "late": [False] * len(own),
        "source": ["file:history"] * len(own),
        "partition": [0] * len(own),
        "record_offset": range(len(own)),
    }
    columns |= {name: [getattr(event, name) for event in own] for name in names.names if name not in columns}
    return pa.table(columns, schema=names)


AGENTS = ("alerts", "alerts, the other")


@dataclass
class Road:
    """A warehouse with this history, a worker, two alert agents, one of them standing by, and their sinks, on topics of
    their own.
    """

    world: World
    broker: Broker
    folder: Path
    hook: Webhook
    name: str
    services: dict[str, Service] = field(default_factory=dict)
    kills: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        Lake(self.folder / "lake").append("events", self.world.history, now=self.world.began)
        (self.folder / "ladder.toml").write_text(LADDER_TEXT, encoding="utf-8")
        base = self.hook.url.removesuffix("/hook")
        (self.folder / "alerts.toml").write_text(
            'segments = ["device_class"]\ndashboard = "https://yes.example"\n'
            f'[[sink]]\ntype = "webhook"\nurl = "{base}/hook"\n'
            f'[[sink]]\ntype = "slack"\nurl = "{base}/slack"\n'
            f'[[sink]]\ntype = "alertmanager"\nurl = "{base}"\n',
            encoding="utf-8",
        )
        ensure_topic(self.broker.connection, self.topic, 2, 1)
        self._ports = dict(zip(AGENTS, free_ports(2), strict=True))
        for service in ("worker", *AGENTS):
            self.start(service)
        self.agent_at_work()

    @property
    def topic(self) -> str:
        return f"events-{self.name}"

    def agent_at_work(self) -> str:
        """Which of the agents; waits until one is."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            for name, port in self._ports.items():
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).json()["role"] == "at work":
                        return name
                except httpx.TransportError:
                    continue
            time.sleep(0.05)
        raise AssertionError(self.said())

    def start(self, name: str) -> None:
        options: list[object] = [
            name.partition(",")[0], "--brokers", self.broker.brokers, "--topic", self.topic, "--warehouse", self.folder,
            "--ladder", self.folder / "ladder.toml", "--alerts", self.folder / "alerts.toml",
            "--step-minutes", f"step-minutes-{self.name}", "--session-timeout", "2s",
        ]  # fmt: skip
        if name == "worker":
            options += ["--worker-port", 0, "--idle-after", "0s", "--checkpoint-interval", "300ms"]
            options += ["--group", f"workers-{self.name}"]
        else:
            options += ["--alerts-port", self._ports[name], "--alerts-topic", f"alerts-{self.name}"]
            options += ["--alerts-group", f"agents-{self.name}", "--json"]
        self.services[name] = Service(*options, cwd=self.folder, log=self.folder / f"{name}.log")

    def kill(self, name: str) -> None:
        """As a crash would, and started again as a supervisor would; of the agents the one at work, which comes back
        when the other has taken over.
        """
        name = self.agent_at_work() if name in AGENTS else name
        self.services[name].stop(signal.SIGKILL)
        if name in AGENTS:
            self.agent_at_work()
        self.kills.append(name)
        self.start(name)

    def supervise(self) -> None:
        """Start again what ended because it lost its hold on something."""
        for name, service in self.services.items():
            if not service.is_running:
                code = service.wait()
                assert code == 3, f"{name} ended with {code}: {service.words()}"
                self.start(name)

    def stop(self) -> None:
        for service in self.services.values():
            service.stop()

    def feed(self, publisher: Publisher, pace: float, every: Callable[[datetime], None]) -> None:
        """Publish the live events, ``pace`` seconds of event time in one of the clock; ``every`` hears of the time."""
        window = PublishWindow(publisher)
        for at, events in _ticks(self.world.live, timedelta(seconds=pace / 10)):
            began = time.monotonic()
            window.publish(pack(events, publisher.partitions))
            every(at)
            time.sleep(max(0.0, 0.1 - (time.monotonic() - began)))
        window.drain()

    def feed_in_real_time(
        self, publisher: Publisher, every: Callable[[datetime], None], until: Callable[[], bool]
    ) -> None:
        """Publish each event when it happens, until that is true or none is left."""
        window = PublishWindow(publisher)
        for at, events in _ticks(self.world.live, timedelta(seconds=0.5)):
            time.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))
            window.publish(pack(events, publisher.partitions))
            every(at)
            if until():
                break
        window.drain()

    def publisher(self) -> KafkaPublisher:
        return KafkaPublisher(self.broker.connection, self.topic)

    def rows(self) -> pl.DataFrame:
        """The table of alerts."""
        return read_alerts(Lake(self.folder / "lake"))

    def told(self, path: str) -> list[Post]:
        """What a sink took, in its order."""
        return [post for post in self.hook.posts if post.path == path]

    def said(self) -> str:
        return "\n".join(f"{name}: {service.words()}" for name, service in self.services.items())


def _ticks(events: tuple[Event, ...], tick: timedelta) -> Iterator[tuple[datetime, list[Event]]]:
    until, batch = events[0].received_at + tick, list[Event]()
    for event in events:
        while event.received_at >= until:
            yield until, batch
            until, batch = until + tick, []
        batch.append(event)
    yield until, batch


def kills_around(falls: datetime, ends: datetime, seed: int, count: int) -> list[tuple[datetime, str]]:
    """Moments of event time at which the agent or the worker is killed: around the fall and its end."""
    chance = random.Random(seed)
    moments = []
    for number in range(count):
        about = falls if number % 4 < 2 else ends
        minutes = chance.uniform(0, 20) if number % 4 < 2 else chance.uniform(0, 40)
        moments.append((about + minutes * _MINUTE, "alerts" if number % 2 == 0 else "worker"))
    return sorted(moments)


def alerts_of(posts: list[Post]) -> dict[str, dict[str, Any]]:
    """What a webhook was told, by idempotency key; the same key must have said the same."""
    found: dict[str, dict[str, Any]] = {}
    for post in posts:
        body = json.dumps(post.body, sort_keys=True)
        assert json.dumps(found.setdefault(post.key, post.body), sort_keys=True) == body
    return found


def minutes_after(text: str, moment: datetime) -> float:
    """How many minutes a time of an alert lies after a moment."""
    return (datetime.fromisoformat(text).astimezone(UTC) - moment) / _MINUTE
