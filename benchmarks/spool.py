"""Minutes without Kafka: events come at a steady rate, Kafka is killed, comes back empty, and everything has to arrive.

A collector as its users start it, in a process of its own.  Requests are sent by the clock, however long the answers
take, each again until it is answered with 200.  At the end every event answered with 200 since Kafka died is looked for
on the topic.  Ends with 1 if one is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import uvloop
from collector import AGENTS, event
from kafka import KafkaConsumer, TopicPartition
from measured import Result, machine, write_result

from producers.embedded import EmbeddedBroker
from producers.spool import FILE
from producers.topics import end_offsets, ensure_topic

TOPIC = "events"
PARTITIONS = 4
EVENTS_EACH = 10
CONNECTIONS = 256
COMMAND = [sys.executable, "-P", "-m", "yesladder", "collect", "--topic", TOPIC, "--port", "0"]


@dataclass
class Sent:
    """What became of the requests of one phase.  ``latency_s``: from when a request was due to its 200."""

    accepted: list[str] = field(default_factory=list)
    latency_s: list[float] = field(default_factory=list)
    refused: int = 0

    def percentile_ms(self, share: float) -> float:
        return 1000 * sorted(self.latency_s)[min(len(self.latency_s) - 1, int(share * len(self.latency_s)))]


def bodies(seed: int = 7) -> Iterator[tuple[list[str], bytes]]:
    """Batches as a browser sends them, with the ids of their events; without end."""
    draw = random.Random(seed)
    number = 0
    while True:
        page = f"https://shop.example/p/{draw.randrange(2000)}?utm_source=news"
        agent = draw.choice(AGENTS) % draw.randrange(100, 160)
        visitor = f"{draw.randrange(5000):08x}-c9dd-4f7f-972f-e96618583d63"
        ids = [f"event-{number + place:09d}-{draw.getrandbits(64):016x}" for place in range(EVENTS_EACH)]
        batch = [event(draw, page, agent, visitor) | {"messageId": id_} for id_ in ids]
        number += EVENTS_EACH
        yield ids, json.dumps({"batch": batch}).encode()


class Due(NamedTuple):
    """A request, and from when on it may be sent."""

    ids: list[str]
    body: bytes
    due: float
    phase: Sent


class Load:
    """Sends at a rate until told to stop; ``phase`` is where it counts."""

    def __init__(self, url: str, events_per_s: int) -> None:
        self.phase = Sent()
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._every_s = EVENTS_EACH / events_per_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        due_requests: asyncio.Queue[Due] = asyncio.Queue()
        connections = [asyncio.create_task(self._send_all(due_requests)) for _ in range(CONNECTIONS)]
        due = time.perf_counter()
        for ids, body in bodies():
            if self._stop.is_set():
                break
            due_requests.put_nowait(Due(ids, body, due, self.phase))
            due += self._every_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await due_requests.join()
        for connection in connections:
            connection.cancel()

    async def _send_all(self, due_requests: asyncio.Queue[Due]) -> None:
        """One connection.  One request after the other, each until it is answered with 200."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        while True:
            one = await due_requests.get()
            status = b""
            while status != b"200":
                writer.write(b"POST /v1/batch HTTP/1.1\r\nHost: c\r\nContent-Length: %d\r\n\r\n" % len(one.body))
                writer.write(one.body)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0]))
                status = head.split()[1]
                if status != b"200":
                    one.phase.refused += 1
                    await asyncio.sleep(float(head.partition(b"retry-after: ")[2].split(b"\r\n", 1)[0]))
            one.phase.latency_s.append(time.perf_counter() - one.due)
            one.phase.accepted += one.ids
            due_requests.task_done()


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} is gone")


def arrived(broker: EmbeddedBroker) -> Counter[str]:
    """The event ids on the topic."""
    places = {TopicPartition(TOPIC, number): end for number, end in end_offsets(broker.connection, TOPIC).items()}
    consumer = KafkaConsumer(bootstrap_servers=broker.brokers, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.assign(list(places))
    found: Counter[str] = Counter()
    while any(consumer.position(place) < end for place, end in places.items()):
        for messages in consumer.poll(timeout_ms=1000).values():
            for message in messages:
                found.update(json.loads(line)["event_id"] for line in message.value.split(b"\n"))
    consumer.close()
    return found


def measure(seconds: float, events_per_s: int) -> tuple[Result, bool]:
    with tempfile.TemporaryDirectory(prefix="yesladder-spool-") as name:
        folder = Path(name)
        with EmbeddedBroker() as broker:
            ensure_topic(broker.connection, TOPIC, PARTITIONS, 1)
            port = int(broker.brokers.rpartition(":")[2])
            collector = subprocess.Popen(
                [*COMMAND, "--brokers", broker.brokers, "--spool", str(folder)], stdout=subprocess.PIPE, text=True
            )
            if collector.stdout is None:
                raise RuntimeError("no stdout")
            url = collector.stdout.readline().split()[-1]
            memory_before = resident_mib(collector.pid)
            load = Load(url, events_per_s)
            time.sleep(2)
        away = load.phase = Sent()
        memory: list[float] = []
        rates: list[float] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            before = len(away.accepted)
            time.sleep(min(10.0, max(0.1, until - time.monotonic())))
            rates.append((len(away.accepted) - before) / min(10.0, seconds))
            memory.append(resident_mib(collector.pid))
        spooled = (folder / FILE).stat().st_size
        with EmbeddedBroker(port=port) as broker:
            ensure_topic(broker.connection, TOPIC, PARTITIONS, 1)
            draining = load.phase = Sent()
            began = time.monotonic()
            while httpx.get(f"{url}/health", timeout=10).json() != {"status": "ok"}:
                time.sleep(0.05)
                memory.append(resident_mib(collector.pid))
            drain_s = time.monotonic() - began
            load.stop()
            found = arrived(broker)
            collector.terminate()
            collector.wait(30)
    accepted = [*away.accepted, *draining.accepted]
    lost = len(set(accepted) - set(found))
    doubled = sum(times > 1 for times in found.values())
    drained = len(away.accepted) / drain_s
    result = Result(
        title="spool",
        conditions=f"{seconds:g} s without Kafka at {events_per_s:,} events/s, {EVENTS_EACH} a body, 700 bytes each; "
        "embedded broker and sender on the same cores; accepting goes on while the spool drains",
        rates={"accepted without Kafka": rates, "drained": [drained]},
        ratios={
            "events accepted without Kafka": len(away.accepted),
            "events accepted while the spool drained": len(draining.accepted),
            "of both, not on the topic": lost,
            "of both, on the topic more than once": doubled,
            "answers other than 200": away.refused + draining.refused,
            "spool at its largest, MiB": spooled / 2**20,
            "time to drain, s": drain_s,
            "200 without Kafka: median, ms": 1000 * median(away.latency_s),
            "200 without Kafka: 99th percentile, ms": away.percentile_ms(0.99),
            "200 without Kafka: slowest, ms": away.percentile_ms(1),
            "200 while draining: median, ms": 1000 * median(draining.latency_s),
            "200 while draining: 99th percentile, ms": draining.percentile_ms(0.99),
            "memory of the collector before, MiB": memory_before,
            "memory of the collector at its largest, MiB": max(memory),
        },
    )
    return result, lost == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=int, default=1000, help="events a second")
    options = parser.parse_args()
    result, is_complete = measure(options.seconds, options.rate)
    write_result(result, machine())
    sys.exit(0 if is_complete else 1)


if __name__ == "__main__":
    main()
