"""The collector against the same server that accepts and discards the same bodies.

Each contender is one process with the same uvicorn settings.  The collector publishes with the real Kafka publisher to
the embedded broker and answers when that has acknowledged; it runs once with its spool, which is idle here, and once
without.  Another contender reads the events as the collector does and forgets them: it shows where the time goes.  Load
comes from this process, over keep-alive connections that send the next body when the last was answered, in bodies of 1,
10 and 100 events; the contenders take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import MutableMapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop
from measured import Result, machine, write_result

from ladder.connection import KafkaConnection
from producers.collector import create_app
from producers.dialects import from_segment, open_batch
from producers.embedded import EmbeddedBroker
from producers.http_head import Receive, Scope, Send
from producers.kafka_publisher import KafkaPublisher
from producers.publisher import Publisher
from producers.serving import serve
from producers.spool import Spool
from producers.spooling_publisher import SpoolingPublisher
from producers.topics import ensure_topic

HOST = "127.0.0.1"
TOPIC = "events"
PARTITIONS = 4
SIZES = (1, 10, 100)
ROLES = ("discarding", "reading", "collector", "collector without spool")
AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_%d like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 15; Pixel %d) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile",
]


def bodies(events_each: int, seed: int = 7) -> list[bytes]:
    """Batches as a browser sends them; about 20,000 events, no two of one id, of 5,000 visitors."""
    draw = random.Random(seed)
    made: list[bytes] = []
    for _ in range(max(200, 20_000 // events_each)):
        page = f"https://shop.example/p/{draw.randrange(2000)}?utm_source=news"
        agent = draw.choice(AGENTS) % draw.randrange(100, 160)
        visitor = f"{draw.randrange(5000):08x}-c9dd-4f7f-972f-e96618583d63"
        batch = [event(draw, page, agent, visitor) for _ in range(events_each)]
        made.append(json.dumps({"batch": batch, "sentAt": "2026-11-22T20:54:19.862Z", "writeKey": "KEY"}).encode())
    return made


def event(draw: random.Random, page: str, agent: str, visitor: str) -> dict[str, Any]:
    return {
        "timestamp": "2026-11-22T20:54:19.805Z",
        "event": draw.choice(["Offer Shown", "Offer Accepted", "Product Added"]),
        "type": "track",
        "properties": {"tier": "micro", "price": draw.randrange(9999) / 100, "sku": draw.randrange(9999)},
        "context": {
            "page": {"path": "/p", "referrer": "https://search.example/", "title": "Shop", "url": page},
            "userAgent": agent,
            "locale": "en-US",
            "library": {"name": "analytics.js", "version": "npm:next-1.84.3"},
            "campaign": {"source": "news"},
            "timezone": "UTC",
        },
        "messageId": f"ajs-next-1795380859805-{draw.getrandbits(128):032x}",
        "anonymousId": visitor,
    }


async def read(scope: Scope, receive: Receive, send: Send) -> None:
    """Make events of the body, as the collector does, and answer 200."""
    message: MutableMapping[str, Any] = await receive()
    body: bytes = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    envelope = open_batch(body)
    now = datetime.now(UTC)
    for text in envelope.messages:
        from_segment(text, received_at=now, sent_at=envelope.sent_at)
    await answer_200(send)


async def discard(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body, answer 200."""
    message: MutableMapping[str, Any] = await receive()
    while message.get("more_body", False):
        message = await receive()
    await answer_200(send)


async def answer_200(send: Send) -> None:
    answer = b'{"success":true}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Connection(asyncio.Protocol):
    """Sends a request, waits for its answer, sends the next."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, end, rest = self._seen.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"answered {head[:60]!r} {rest[:200]!r}")
        self._seen = b""
        self._load.answered += 1
        if self._load.is_over():
            self._transport.close()
        else:
            self._transport.write(self._load.next_request())

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.ended(exc)


class Load:
    """Requests for a while, over some connections."""

    def __init__(self, url: str, texts: list[bytes], seconds: float, connections: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        key = b64encode(b"KEY:").decode()
        self.requests = [
            f"POST /v1/batch HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: text/plain\r\n"
            f"Authorization: Basic {key}\r\nContent-Length: {len(text)}\r\n\r\n".encode()
            + text
            for text in texts
        ]
        self._next = 0
        self._seconds = seconds
        self._connections = connections
        self._open = connections
        self.answered = 0

    def next_request(self) -> bytes:
        self._next = (self._next + 1) % len(self.requests)
        return self.requests[self._next]

    def is_over(self) -> bool:
        return time.perf_counter() > self._end

    def ended(self, error: Exception | None) -> None:
        self._open -= 1
        if error is not None and not self._done.done():
            self._done.set_exception(error)
        elif self._open == 0 and not self._done.done():
            self._done.set_result(None)

    async def run(self) -> float:
        """Requests answered per second."""
        loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = loop.create_future()
        started = time.perf_counter()
        self._end = started + self._seconds
        for _ in range(self._connections):
            await loop.create_connection(lambda: Connection(self), self._host, self._port)
        await self._done
        return self.answered / (time.perf_counter() - started)


class Server:
    """This script again, in a process of its own, as one of the contenders."""

    def __init__(self, role: str, brokers: str) -> None:
        command = [sys.executable, __file__, "--role", role, "--brokers", brokers]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if self._process.stdout is None:
            raise RuntimeError("no stdout")
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"{role} did not start")

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)


def play(role: str, brokers: str) -> None:
    def say(url: str) -> None:
        print(url, flush=True)

    if role.startswith("collector"):
        with TemporaryDirectory(prefix="yesladder-spool-") as folder:
            publisher: Publisher = KafkaPublisher(KafkaConnection(brokers), TOPIC)
            if role == "collector":
                kafka = publisher
                publisher = SpoolingPublisher(lambda: kafka, Spool(Path(folder)), max_bytes=1 << 30)
            serve(create_app(publisher, write_keys=frozenset({"KEY"}), is_ready=lambda: True), HOST, 0, on_ready=say)
            publisher.close(10)
    else:
        serve(discard if role == "discarding" else read, HOST, 0, on_ready=say)


def measure(seconds: float, rounds: int, connections: int) -> dict[tuple[str, int], list[float]]:
    """Events per second of each contender and size."""
    rates: dict[tuple[str, int], list[float]] = {}
    texts = {size: bodies(size) for size in SIZES}
    with EmbeddedBroker() as broker, ExitStack() as stack:
        ensure_topic(broker.connection, TOPIC, PARTITIONS, 1)
        servers = {role: Server(role, broker.brokers) for role in ROLES}
        for server in servers.values():
            stack.callback(server.stop)
        for _ in range(rounds):
            for size in SIZES:
                for role, server in servers.items():
                    load = Load(server.url, texts[size], seconds, connections)
                    rates.setdefault((role, size), []).append(uvloop.run(load.run()) * size)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    parser.add_argument("--brokers", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        play(options.role, options.brokers)
        return
    rates = measure(options.seconds, options.rounds, options.connections)
    middle = {contender: median(measured) for contender, measured in rates.items()}
    ratios = {
        f"collector / discarding, {size} a body (target 0.5)": middle["collector", size] / middle["discarding", size]
        for size in SIZES
    }
    ratios |= {
        f"collector / reading, {size} a body": middle["collector", size] / middle["reading", size] for size in SIZES
    }
    ratios |= {
        f"collector / without spool, {size} a body": middle["collector", size] / middle["collector without spool", size]
        for size in SIZES
    }
    write_result(
        Result(
            title="collector",
            conditions=f"{options.connections} connections, 685 bytes an event, embedded broker on the same cores",
            rates={f"{role}, {size} a body": measured for (role, size), measured in rates.items()},
            ratios=ratios,
        ),
        machine(),
    )


if __name__ == "__main__":
    main()
