"""What open sessions take in memory, what taking them over costs, and what an event takes in Kafka and in the lake.

    PYTHONPATH=. python benchmarks/open_state.py [--events 250000,500000,1000000]

One worker's state without Kafka, each size in a process of its own: events of visits that are all still open, about
three each, go through checkpoints of 50,000 into a lake; then the partitions are claimed anew, once by a process that
knows nothing and once by the one that held them.  In the end all sessions are closed and the lake is compacted.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from measured import RESULTS, machine
from msgspec.structs import replace as changed
from workload import LADDER, events

from ladder.events import Event
from producers.records import pack

PARTITIONS = 4
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
_RECORD_OVERHEAD = 12
"""Bytes of a Kafka record beside key, value and headers, in a batch: length, attributes, two deltas, three lengths."""


@dataclass
class Fetched:
    """A record as a consumer has it."""

    value: bytes | None
    headers: Any
    offset: int
    partition: int
    timestamp: int | None


def open_visits(count: int) -> Iterator[Event]:
    """The workload, its times squeezed into half an hour and its visitors each on one visit of about three events."""
    chance = random.Random(count)
    for n, event in enumerate(events(count, 10 * count)):
        at = NOW + timedelta(seconds=1800 * n / count)
        visitor = str(UUID(int=((n * 7919) % max(1, count // 3) + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))
        event_id = str(UUID(int=chance.getrandbits(128)))
        yield changed(event, event_id=event_id, visitor_id=visitor, occurred_at=at, received_at=at)


def resident() -> int:
    """Bytes of memory, once what is free has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def stored(lake: Any) -> tuple[int, int]:
    """Bytes and number of the lake's files."""
    files = [file for table in lake.tables() for file in lake.logged(table)]
    return sum(file.size for file in files), len(files)


def child(count: int) -> dict[str, float]:
    from stream.checkpoint import Hold
    from stream.rejects import RejectBrake
    from warehouse.lake import Lake
    from warehouse.maintain import maintain

    ladder = replace(LADDER, lateness=timedelta(hours=2))
    segments = ("device_class",)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        hold = Hold(lake, ladder, "events", range(PARTITIONS), RejectBrake(), segments)
        offsets: Counter[int] = Counter()
        in_kafka = dict.fromkeys((1, 10), 0)
        source = open_visits(count)
        before, used = resident(), 0.0
        while some := list(islice(source, 50_000)):
            fetched = []
            for begin in range(0, len(some), 10):
                for record in pack(some[begin : begin + 10], PARTITIONS):
                    partition = record.partition or 0
                    at_ms = int(NOW.timestamp() * 1000) + 3_600_000
                    fetched.append(Fetched(record.value, record.headers, offsets[partition], partition, at_ms))
                    offsets[partition] += 1
                    in_kafka[10] += len(record.value or b"") + len(record.key or b"") + _RECORD_OVERHEAD
                    in_kafka[10] += sum(len(name) + len(value) + 2 for name, value in record.headers)
            for record in pack(some[:2000], PARTITIONS, max_bytes=1):
                in_kafka[1] += len(record.value or b"") + len(record.key or b"") + _RECORD_OVERHEAD
                in_kafka[1] += sum(len(name) + len(value) + 2 for name, value in record.headers)
            begun = time.process_time()
            hold.checkpoint(fetched, now=NOW)
            used += time.process_time() - begun
            del some, fetched
        memory = (resident() - before) / hold.sessioniser.open_events()
        open_events, open_sessions = hold.sessioniser.open_events(), hold.sessioniser.open_sessions()
        found = {"events": open_events, "sessions": open_sessions, "memory_per_event": memory, "ingest_cpu_s": used}
        begun = time.process_time()
        Hold(lake, ladder, "events", range(PARTITIONS), RejectBrake(), segments)
        found["read_cpu_s"] = time.process_time() - begun
        begun = time.process_time()
        hold = Hold(lake, ladder, "events", range(PARTITIONS), RejectBrake(), segments, hold)
        found["kept_cpu_s"] = time.process_time() - begun
        if len(hold.stayed) != PARTITIONS or hold.sessioniser.open_events() != open_events:
            raise RuntimeError(f"only {hold.stayed} were kept")
        hold.checkpoint([], now=NOW, finish=True)
        found["lake_bytes"] = stored(lake)[0] / count
        begun = time.process_time()
        maintain(lake, keep=timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
        found["compaction_cpu_s"] = time.process_time() - begun
        found["compacted_bytes"] = stored(lake)[0] / count
        found["sessions_landed"] = sum(file.rows for file in lake.logged("sessions"))
        found["kafka_packed"] = in_kafka[10] / count
        found["kafka_single"] = in_kafka[1] / (2000 * -(-count // 50_000))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--events", default="250000,500000,1000000", type=lambda text: [int(n) for n in text.split(",")]
    )
    chosen = parser.parse_args()
    lines = [
        "| open events | open sessions | bytes of memory an open event | MiB a million open sessions |"
        " taken over anew, CPU s | kept, CPU s | checkpoints, CPU s a million events |",
        "| ---: |" * 1 + " ---: |" * 6,
    ]
    sizes = [
        "| events | Kafka, 1 an event a record, bytes | 10 a request, bytes | lake as landed, bytes an event |"
        " compacted | compaction, CPU s a million events |",
        "| ---: |" + " ---: |" * 5,
    ]
    for count in chosen.events:
        answer = subprocess.run([sys.executable, __file__, "--child", str(count)], capture_output=True, text=True)
        if answer.returncode:
            raise RuntimeError(answer.stderr)
        found = json.loads(answer.stdout.splitlines()[-1])
        per_session = found["memory_per_event"] * found["events"] / found["sessions"]
        lines.append(
            f"| {found['events']:,} | {found['sessions']:,} | {found['memory_per_event']:,.0f} |"
            f" {per_session * 1e6 / 2**20:,.0f} | {found['read_cpu_s']:.2f} | {found['kept_cpu_s']:.2f} |"
            f" {found['ingest_cpu_s'] / count * 1e6:.1f} |"
        )
        sizes.append(
            f"| {count:,} | {found['kafka_single']:.0f} | {found['kafka_packed']:.0f} | {found['lake_bytes']:.0f} |"
            f" {found['compacted_bytes']:.0f} | {found['compaction_cpu_s'] / count * 1e6:.1f} |"
        )
        print(lines[-1], sizes[-1], sep="\n", flush=True)
    page = RESULTS / "open_state.md"
    before = page.read_text(encoding="utf-8") if page.exists() else "# open_state\n"
    head, command = f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", " ".join(sys.argv[1:])
    text = ["", head, "", f"`PYTHONPATH=. python benchmarks/open_state.py {command}`  ", machine(), ""]
    page.write_text(before + "\n".join([*text, *lines, "", *sizes, ""]), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(int(sys.argv[2]))))
    else:
        main()
