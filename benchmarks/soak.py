"""An hour at a steady rate on Apache Kafka, as a team would run it: `yesladder up` with builds and upkeep on.

What must stay flat is sampled all the time: memory of worker and collector, lag, the time of a checkpoint, files.  At
the end everything answered with 200 is looked for in the lake, and `maintain --check` verifies each file.  Ends with 1
where something is missing, or is not flat.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import httpx
from measured import RESULTS, machine

from ladder.tables import TABLES
from tests.suites.apache_kafka import ApacheKafka
from tests.suites.command_line import YESLADDER, environment, free_ports
from warehouse.lake import Lake

BATCH = 25
VISITORS_AT_A_TIME = 500
EVENTS_EACH = 20
LADDER = """
name = "soak"
session_gap = "2m"
lateness = "1m"
tiers = ["spark", "micro", "mini"]

[[on]]
event = "Offer Shown"
is = [{ tier = "spark", role = "ask" }]

[[on]]
event = "Poll Answered"
is = [{ tier = "spark", role = "yes" }, { tier = "micro", role = "ask" }]

[[on]]
event = "Signed Up"
is = [{ tier = "micro", role = "yes" }]
"""
LAG_BOUND = 500
"""Records (of up to 25 events each): a good ten seconds of them."""
ZERO = ("of them lost", "of them doubled", "code of `up`", "code of `maintain --check`")

NAMES = ["Offer Shown", "Poll Answered", "Page Viewed", "Page Viewed", "Signed Up"]


@dataclass(frozen=True)
class Sample:
    """How things stood ``minute`` minutes after the start.  ``checkpoint_s``: the mean since the sample before."""

    minute: float
    worker_mib: float
    collector_mib: float
    lag_records: float
    checkpoint_s: float
    open_events: float
    files: int
    files_on_disk: int
    lake_mib: float


class Load(threading.Thread):
    """Batches by the clock, each again until it is answered with 200; some events late, some sent twice."""

    def __init__(self, url: str, events_per_s: float) -> None:
        super().__init__()
        self.accepted: set[str] = set()
        self.behind_s = 0.0
        self.stopping = threading.Event()
        self._url = url
        self._every_s = BATCH / events_per_s

    def run(self) -> None:
        due = time.monotonic()
        with httpx.Client(base_url=self._url, timeout=30) as client:
            for ids, body in self._batches():
                if self.stopping.is_set():
                    return
                time.sleep(max(0.0, due - time.monotonic()))
                self.behind_s = max(0.0, time.monotonic() - due)
                due += self._every_s
                while not self._is_taken(client, body):
                    time.sleep(0.5)
                self.accepted.update(ids)

    def _is_taken(self, client: httpx.Client, body: bytes) -> bool:
        try:
            return client.post("/v1/batch", content=body).status_code == 200
        except httpx.TransportError:
            return False

    def _batches(self) -> Iterator[tuple[list[str], bytes]]:
        chance = random.Random(1)
        visitors = [f"visitor-{n}" for n in range(VISITORS_AT_A_TIME)]
        met, number, before = len(visitors), 0, b""
        while True:
            ids, batch = [], []
            for _ in range(BATCH):
                place = chance.randrange(len(visitors))
                if chance.random() < 1 / EVENTS_EACH:
                    visitors[place], met = f"visitor-{met}", met + 1
                ago = timedelta(minutes=chance.uniform(3, 20) if chance.random() < 0.001 else chance.uniform(0, 0.05))
                ids.append(f"event-{number}")
                number += 1
                batch.append(
                    {
                        "type": "track",
                        "event": chance.choice(NAMES),
                        "messageId": ids[-1],
                        "anonymousId": visitors[place],
                        "timestamp": (datetime.now(UTC) - ago).isoformat(),
                        "properties": {"plan": chance.choice(["free", "pro"]), "place": place},
                    }
                )
            yield ids, json.dumps({"batch": batch}).encode()
            if before and chance.random() < 0.002:
                yield [], before
            before = json.dumps({"batch": batch}).encode()


class Watch:
    """Samples of a running `up`."""

    def __init__(self, up: int, worker_port: int, lake: Lake) -> None:
        self._up, self._worker_port, self._lake = up, worker_port, lake
        self._began = time.monotonic()
        self._checkpoints = (0.0, 0.0)

    def sample(self) -> Sample:
        told = self._metrics()
        done = (told["yesladder_checkpoint_seconds_sum"], told["yesladder_checkpoint_seconds_count"])
        took, count = done[0] - self._checkpoints[0], done[1] - self._checkpoints[1]
        self._checkpoints = done
        on_disk = [file for table in TABLES for file in (self._lake.root / table).glob("landed_date=*/*.parquet")]
        return Sample(
            minute=(time.monotonic() - self._began) / 60,
            worker_mib=self._resident_mib(" worker "),
            collector_mib=self._resident_mib(" collect "),
            lag_records=sum(value for name, value in told.items() if name.startswith("yesladder_lag_records{")),
            checkpoint_s=took / count if count else 0.0,
            open_events=told["yesladder_open_events"],
            files=sum(len(self._lake.files(table)) for table in TABLES),
            files_on_disk=len(on_disk),
            lake_mib=sum(size for file in on_disk for size in [_size(file)]) / 2**20,
        )

    def _metrics(self) -> dict[str, float]:
        text = httpx.get(f"http://127.0.0.1:{self._worker_port}/metrics", timeout=30).text
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def _resident_mib(self, part: str) -> float:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    status = (entry / "status").read_text()
                except OSError:
                    continue
                if part in command and f"PPid:\t{self._up}\n" in status:
                    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
        raise RuntimeError(f"there is no{part}below process {self._up}")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # vacuumed this moment
        return 0


def soak(minutes: float, events_per_s: float, folder: Path) -> tuple[list[Sample], dict[str, object]]:
    """The samples, and what was found in the end."""
    warehouse = folder / "warehouse"
    (folder / "ladder.toml").write_text(LADDER, encoding="utf-8")
    port, worker_port = free_ports(2)
    settings = {
        "warehouse": str(warehouse),
        "ladder": str(folder / "ladder.toml"),
        "port": str(port),
        "worker_port": str(worker_port),
        "build_every": "5m",
        "upkeep_every": "10m",
        "keep": "10m",
    }
    with ApacheKafka(folder / "kafka") as kafka, (folder / "up.log").open("wb") as log:
        up = subprocess.Popen(
            [*YESLADDER, "up", "--brokers", kafka.bootstrap],
            cwd=folder,
            env=environment(**settings),
            stdout=log,
            stderr=log,
        )
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(f"{url}/health") and _answers(f"http://127.0.0.1:{worker_port}/health"))
        load = Load(url, events_per_s)
        load.start()
        watch = Watch(up.pid, worker_port, Lake(warehouse / "lake"))
        samples: list[Sample] = []
        while (samples[-1].minute if samples else 0) < minutes:
            time.sleep(15)
            with suppress(httpx.TransportError, RuntimeError):  # a part that is being started again
                samples.append(watch.sample())
                print(samples[-1], flush=True)
        load.stopping.set()
        load.join()
        wait_until(lambda: watch.sample().lag_records == 0, patience_s=60)
        up.send_signal(signal.SIGTERM)
        code = up.wait(120)
    # Copies of late events are beyond the stream's reach; the next pass takes them out.
    subprocess.run([*YESLADDER, "resessionise"], cwd=folder, env=environment(**settings), check=True)
    lake = Lake(warehouse / "lake")
    landed = lake.scan("events").select("event_id").collect()["event_id"]
    check = subprocess.run(
        [*YESLADDER, "maintain", "--check"], cwd=folder, env=environment(**settings), capture_output=True, check=False
    )
    return samples, {
        "events answered 200": len(load.accepted),
        "of them lost": len(load.accepted - set(landed)),
        "rows of events": len(landed),
        "of them doubled": len(landed) - landed.n_unique(),
        "code of `up`": code,
        "code of `maintain --check`": check.returncode,
        "sender behind its clock in the end, s": round(load.behind_s, 1),
    }


def wait_until(holds: Callable[[], bool], patience_s: float = 120) -> None:
    """Ask twice a second; ``TimeoutError`` where it does not hold in time."""
    end = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("it did not come to that in time")
        time.sleep(0.5)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def report(samples: list[Sample], found: dict[str, object], conditions: str) -> tuple[str, bool]:
    """A page of results, and whether all of it is as it should be."""
    last = samples[-1].minute
    # Memory settles while the first visitors' sessions open; from a third of the run on it must not grow any more.
    early = [one for one in samples if last / 3 <= one.minute < last * 2 / 3]
    late = [one for one in samples if one.minute >= last * 2 / 3]

    def both(name: str) -> tuple[float, float]:
        return median(getattr(one, name) for one in early), median(getattr(one, name) for one in late)

    names = ["worker_mib", "collector_mib", "checkpoint_s", "files", "files_on_disk"]
    ratios = {name: both(name)[1] / max(both(name)[0], 1e-9) for name in names}
    lag = max(one.lag_records for one in samples)
    is_well = (
        max(ratios["worker_mib"], ratios["collector_mib"]) < 1.1
        and max(ratios["checkpoint_s"], ratios["files"], ratios["files_on_disk"]) < 1.5
        and lag < LAG_BOUND
        and not any(found[name] for name in ZERO)
    )
    step = max(1, len(samples) // 13)
    lines = [
        f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"`python benchmarks/soak.py {' '.join(sys.argv[1:])}`  ",
        f"{machine()}  ",
        conditions,
        "",
        "| minute | worker MiB | collector MiB | lag, records | checkpoint s | open events | files | on disk | MiB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {one.minute:.0f} | {one.worker_mib:.0f} | {one.collector_mib:.0f} | {one.lag_records:.0f} "
            f"| {one.checkpoint_s:.3f} | {one.open_events:,.0f} | {one.files} | {one.files_on_disk} "
            f"| {one.lake_mib:.0f} |"
            for one in samples[::step]
        ),
        "",
        *(f"- last third against the second, {name}: **{ratio:.2f}**" for name, ratio in ratios.items()),
        f"- highest lag: {lag:.0f} records (bound: {LAG_BOUND})",
        *(f"- {name}: {value:,}" if isinstance(value, int) else f"- {name}: {value}" for name, value in found.items()),
        "",
    ]
    return "\n".join(lines), is_well


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=500, help="events per second")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"everything in {folder}", flush=True)
    load = os.getloadavg()[0]
    samples, found = soak(options.minutes, options.rate, folder)
    conditions = (
        f"{options.rate:.0f} events/s for {options.minutes:.0f} minutes on one Apache Kafka broker; a build every 5 "
        f"minutes, upkeep every 10; load of the machine {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end"
    )
    page, is_well = report(samples, found, conditions)
    print(page)
    path = RESULTS / "soak.md"
    before = path.read_text(encoding="utf-8") if path.exists() else "# soak\n\n"
    path.write_text(before + page + "\n", encoding="utf-8")
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
