"""The worker, Kafka to committed sessions, against (a) fetching and decoding only, and (b) a plain Faust agent.

    python benchmarks/worker.py [--events 500000] [--packed] [--runs 3]

The worker runs twice: as it is, counting asks and yeses by minute and device, and without that.  Each contender runs
in a fresh process on the same broker and topic, interleaved.  The clock of a run starts when its partitions are
assigned (or its first fetch begins) and ends with its last commit (or its last event).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from measured import Result, machine, write_result
from msgspec.structs import replace
from workload import LADDER, events

from ladder.connection import KafkaConnection
from producers.embedded import EmbeddedBroker
from producers.kafka_publisher import KafkaPublisher
from producers.records import pack
from producers.topics import end_offsets, ensure_step_minutes, ensure_topic

PARTITIONS = 4


def publish(broker: EmbeddedBroker, topic: str, count: int, per_request: int) -> int:
    """Put the workload onto a topic, in order; the number of records it took."""
    ensure_topic(broker.connection, topic, PARTITIONS, 1)
    publisher = KafkaPublisher(broker.connection, topic)
    devices = ("phone", "phone", "desktop", "tablet")
    source = (
        replace(event, device_class=devices[int(event.visitor_id[-3:]) % 4])
        for event in events(count, max(1, count // 10))
    )
    under_way = []
    while request := list(islice(source, per_request)):
        under_way.append(publisher.publish(pack(request, PARTITIONS)))
        if len(under_way) >= 200:
            under_way.pop(0).result()
    for future in under_way:
        future.result()
    publisher.close(timeout_s=30)
    return sum(end_offsets(broker.connection, topic).values())


def fetch_and_decode(brokers: str, topic: str, records: int) -> float:
    """The floor: aiokafka and the fastest decoder we know, nothing else.  Seconds."""
    from aiokafka import AIOKafkaConsumer

    from stream.decoding import decode

    async def run() -> float:
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=brokers, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        begun = time.perf_counter()
        gathered: list[Any] = []
        seen = size = 0
        while seen < records:
            for fetched in (await consumer.getmany(timeout_ms=1000, max_records=10_000)).values():
                gathered += fetched
                seen += len(fetched)
                size += sum(len(record.value) for record in fetched)
            if size > 12_000_000 or seen >= records:
                decode(gathered)
                gathered, size = [], 0
        taken = time.perf_counter() - begun
        await consumer.stop()
        return taken

    return asyncio.run(run())


def plain_faust(brokers: str, topic: str, records: int) -> None:
    """The peer: an agent as Faust's guide writes it, each event decoded and folded into a dict of sessions."""
    import faust
    import msgspec

    from ladder.events import Event

    app = faust.App(f"plain-{uuid.uuid4().hex}", broker=f"kafka://{brokers}", store="memory://", web_enabled=False,
                    topic_allow_declare=False, topic_disable_leader=True, broker_session_timeout=2.0,
                    broker_heartbeat_interval=0.5, consumer_auto_offset_reset="earliest",
                    datadir=tempfile.mkdtemp())  # fmt: skip
    source = app.topic(topic, value_type=bytes, value_serializer="raw", key_serializer="raw")
    decoder = msgspec.json.Decoder(Event)
    gap = LADDER.session_gap
    sessions: dict[str, list[Any]] = {}
    closed: list[Any] = []
    state = {"events": 0, "records": 0, "begun": 0.0}

    @app.agent(source)
    async def sessionise(stream: Any) -> None:
        async for value in stream:
            state["begun"] = state["begun"] or time.perf_counter()
            state["records"] += 1
            for line in value.split(b"\n"):
                event = decoder.decode(line)
                state["events"] += 1
                session = sessions.get(event.visitor_id)
                if session is None or event.occurred_at - session[1] > gap:
                    if session is not None:
                        closed.append(session)
                    sessions[event.visitor_id] = [event.occurred_at, event.occurred_at, 1]
                else:
                    session[1] = max(session[1], event.occurred_at)
                    session[2] += 1
            if state["records"] == records:
                taken = time.perf_counter() - state["begun"]
                print(json.dumps({"seconds": taken, "events": state["events"]}), flush=True)
                os._exit(0)

    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()


def worker(brokers: str, topic: str, folder: str, step_minutes: str) -> None:
    """Yesladder's worker, with what `yesladder worker` would give it."""
    from stream import app as stream_app
    from warehouse.lake import Lake

    settings = stream_app.WorkerSettings(
        KafkaConnection(brokers), topic=topic, group=f"bench-{uuid.uuid4().hex}", idle_after=None,
        session_timeout=timedelta(seconds=2), web_port=0, data_dir=Path(folder) / "worker",
        step_minutes=step_minutes or None, segments=("device_class",),
    )  # fmt: skip
    logging.getLogger("stream").setLevel(logging.INFO)
    stream_app.run_worker(settings, LADDER, Lake(Path(folder)), loglevel="INFO")


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed_worker(brokers: str, topic: str, step_minutes: str = "") -> tuple[float, float]:
    """Seconds, and CPU seconds, from the assignment to the commit that holds the last event."""
    from warehouse.lake import Lake

    ends = end_offsets(KafkaConnection(brokers), topic)
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, __file__, "--child", "worker", brokers, topic, folder, step_minutes],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if process.stderr is None:
            raise RuntimeError("the worker has no standard error")
        for line in process.stderr:
            if "from offsets" in line:
                break
        begun, begun_cpu = time.perf_counter(), cpu_s(process.pid)
        lake = Lake(Path(folder))
        while True:
            claim = lake.claim(f"kafka:{topic}", list(ends))
            if all(claim.next_offset(partition) >= end for partition, end in ends.items()):
                break
            if process.poll() is not None:
                raise RuntimeError(process.stderr.read())
            time.sleep(0.02)
        taken, taken_cpu = time.perf_counter() - begun, cpu_s(process.pid) - begun_cpu
        process.kill()
        process.wait()
        process.stderr.close()
    return taken, taken_cpu


def child(arguments: Sequence[str]) -> Any:
    command = [sys.executable, __file__, "--child", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    return json.loads(answer.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--plain-events", type=int, default=40_000)
    parser.add_argument("--per-request", type=int, default=1, help="events in a request; 1: a record each")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    rates: dict[str, list[float]] = {"fetch + decode": [], "worker": [], "not counting": [], "plain Faust agent": []}
    cpu: dict[str, list[float]] = {"worker": [], "not counting": []}
    with EmbeddedBroker() as broker:
        records = publish(broker, "bench", chosen.events, chosen.per_request)
        few = publish(broker, "bench-few", chosen.plain_events, chosen.per_request)
        ensure_step_minutes(broker.connection, "step_minutes", 1)
        for _ in range(chosen.runs):
            seconds = child(["floor", broker.brokers, "bench", str(records)])
            rates["fetch + decode"].append(chosen.events / seconds)
            for name, step_minutes in (("worker", "step_minutes"), ("not counting", "")):
                seconds, cpu_seconds = timed_worker(broker.brokers, "bench", step_minutes)
                rates[name].append(chosen.events / seconds)
                cpu[name].append(cpu_seconds)
            plain = child(["plain", broker.brokers, "bench-few", str(few)])
            rates["plain Faust agent"].append(plain["events"] / plain["seconds"])
    medians = {name: median(values) for name, values in rates.items()}
    result = Result(
        title="worker",
        conditions=f"{chosen.events:,} events in {records:,} records, {PARTITIONS} partitions, embedded broker",
        rates=rates,
        ratios={
            "worker / fetch + decode (target 0.5)": medians["worker"] / medians["fetch + decode"],
            "worker / plain Faust agent (target 25)": medians["worker"] / medians["plain Faust agent"],
            "CPU of the worker / of one that does not count (target 1.08)": median(cpu["worker"])
            / median(cpu["not counting"]),
        },
    )
    write_result(result, machine())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        what, *rest = sys.argv[2:]
        if what == "floor":
            print(fetch_and_decode(rest[0], rest[1], int(rest[2])))
        elif what == "plain":
            plain_faust(rest[0], rest[1], int(rest[2]))
        else:
            worker(*rest)
    else:
        main()
