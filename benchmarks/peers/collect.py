"""The collector: how many events it takes, and how late it answers at half and at nine tenths of that.

    PYTHONPATH=.:benchmarks python -m peers.collect [--seconds 3] [--rounds 3]

Against the floor: the same server that discards the same bodies.  One process of each, and two on ports of their own,
as behind a balancer.  The most is what closed loops reach; for the latencies requests are due at fixed times whether
others were answered or not, and an answer's time counts from when its request was due.  Broker and load use the same
cores.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections import deque
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import cast
from urllib.parse import urlsplit

import numpy as np
import uvloop
from collector import PARTITIONS, TOPIC, Load, Server, bodies
from peers.report import FILES, Part, keep, now_and_here

from producers.embedded import EmbeddedBroker
from producers.topics import ensure_topic

ROLES = ("discarding", "collector")
EVENTS_A_BODY = 10
_CONNECTIONS = 256


class _Line(asyncio.Protocol):
    """A connection that has at most one request under way."""

    def __init__(self, pace: Paced) -> None:
        self._pace = pace
        self._seen = b""
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._pace.free(self)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, end, rest = self._seen.partition(b"\r\n\r\n")
        if not end or len(rest) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0]):
            return
        self._seen = b""
        self._pace.answered(self, ok=head.startswith(b"HTTP/1.1 200"))


class Paced:
    """Requests that are due at a fixed rate, over connections to one or more servers."""

    def __init__(self, urls: list[str], requests: list[bytes], rate: float, seconds: float) -> None:
        self._urls = urls
        self._requests = requests
        self._rate = rate
        self._count = max(1, round(rate * seconds))
        self._sent = 0
        self._idle: deque[_Line] = deque()
        self.latencies_s: list[float] = []
        self.refused = 0

    def free(self, line: _Line) -> None:
        self._idle.append(line)

    def answered(self, line: _Line, *, ok: bool) -> None:
        self.latencies_s.append(time.perf_counter() - line.due)
        self.refused += not ok
        self._idle.append(line)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for n in range(_CONNECTIONS):
            parts = urlsplit(self._urls[n % len(self._urls)])
            await loop.create_connection(lambda: _Line(self), parts.hostname or "", parts.port or 80)
        while len(self._idle) < _CONNECTIONS:
            await asyncio.sleep(0.01)
        begun = time.perf_counter()
        while len(self.latencies_s) < self._count:
            now = time.perf_counter()
            while self._sent < self._count and self._idle and begun + self._sent / self._rate <= now:
                line = self._idle.popleft()
                line.due = begun + self._sent / self._rate
                line.transport.write(self._requests[self._sent % len(self._requests)])
                self._sent += 1
            await asyncio.sleep(0.0005)


def most(urls: list[str], texts: list[bytes], seconds: float) -> float:
    """Requests answered per second by all servers together."""

    async def all_of_them() -> float:
        loads = [Load(url, texts, seconds, _CONNECTIONS // len(urls)) for url in urls]
        return sum(await asyncio.gather(*(load.run() for load in loads)))

    return uvloop.run(all_of_them())


def latency(urls: list[str], texts: list[bytes], rate: float, seconds: float) -> list[float]:
    """Milliseconds from a request's due time to its answer: the median and the 99th percentile."""
    pace = Paced(urls, Load(urls[0], texts, seconds, 1).requests, rate, seconds)
    uvloop.run(pace.run())
    if pace.refused:
        raise RuntimeError(f"{pace.refused} requests were refused")
    return [float(value) * 1000 for value in np.quantile(pace.latencies_s, [0.5, 0.99])]


def measure(seconds: float, rounds: int) -> list[list[str]]:
    """A row of the table each: role and processes, the most, and two quantiles at two rates."""
    texts = bodies(EVENTS_A_BODY)
    figures: dict[tuple[str, int], list[list[float]]] = {}
    with EmbeddedBroker() as broker, ExitStack() as stack:
        ensure_topic(broker.connection, TOPIC, PARTITIONS, 1)
        servers = {role: [Server(role, broker.brokers) for _ in range(2)] for role in ROLES}
        for server in (server for both in servers.values() for server in both):
            stack.callback(server.stop)
            most([server.url], texts, 0.5)
        for _ in range(rounds):
            for processes in (1, 2):
                for role, both in servers.items():
                    urls = [server.url for server in both[:processes]]
                    rate = most(urls, texts, seconds)
                    found = [rate * EVENTS_A_BODY]
                    for share in (0.5, 0.9):
                        found += latency(urls, texts, rate * share, seconds)
                    figures.setdefault((role, processes), []).append(found)
                    print(f"{role}, {processes}: {', '.join(f'{x:,.1f}' for x in found)}", file=sys.stderr, flush=True)
    return [
        [f"{role}, {processes} process{'es' if processes > 1 else ''}", *_cells(found)]
        for (role, processes), found in figures.items()
    ]


def _cells(found: list[list[float]]) -> list[str]:
    rates, *latencies = zip(*found, strict=True)
    return [
        f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})",
        *(f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})" for values in latencies),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=FILES, help="the folder for what was measured")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and broker end with us
    when, where = now_and_here()
    rows = measure(chosen.seconds, chosen.rounds)
    keep(
        Part(
            part="collector",
            title="Collector: events accepted, and how late",
            command=f"python -m peers.collect {' '.join(sys.argv[1:])}".strip(),
            when=when,
            where=where,
            versions={name: version(name) for name in ("uvicorn", "uvloop", "httptools", "kafka-python")},
            conditions=f"bodies of {EVENTS_A_BODY} events of 685 bytes, the embedded broker and the load on the same"
            " cores; latencies in milliseconds, at a share of the most of that round",
            heads=["server", "most, events/s", "p50 at 50 %", "p99 at 50 %", "p50 at 90 %", "p99 at 90 %"],
            extra=rows,
        ),
        chosen.results,
    )


if __name__ == "__main__":
    main()
