"""The road of a run: collector and workers as processes, kept running; what flows; what is on the topic at the end."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from os import kill, pathsep
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, prlimit
from typing import Any

import httpx
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from ladder.errors import YesladderError
from ladder.events import CANONICAL_HEADER
from ladder.tiers import Ladder, load_ladder
from producers.topics import end_offsets
from stream.checkpoint import Hold
from stream.rejects import RejectBrake
from tests.chaos.cluster import Cluster
from tests.chaos.schedule import SESSION_TIMEOUT_S, Plan
from tests.chaos.sender import HISTORY, LIVE, Sender
from tests.suites.command_line import environment, free_ports
from warehouse.lake import Lake
from yesladder.processes import COLLECTING_AT, Part, Restarts

INSIDE = Path(__file__).parent / "inside"
IDLE_AFTER = timedelta(seconds=3)
RESTARTS = Restarts(pause_s=0.1, longest_pause_s=0.1, most=60)
"""Here it is us who kill them, again and again."""


class Broken(AssertionError):
    """A promise was not kept, or the road did not get to its end."""


class Road:
    """A topic, a collector, workers and a lake of their own in ``folder``, on a cluster that outlives them."""

    def __init__(self, plan: Plan, cluster: Cluster, folder: Path) -> None:
        self.plan = plan
        self.cluster = cluster
        self.folder = folder
        self.topic = f"chaos-{plan.seed}-{time.time_ns()}"
        self.faults = folder / "faults"
        self.poison: list[bytes] = []
        self.restarts: Counter[str] = Counter()
        self.trouble: list[str] = []
        self.drained = False
        self._upkeep: dict[str, Part] = {}
        self._parts: dict[str, Part] = {}
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._named: dict[str, threading.Thread] = {}
        self.faults.mkdir(parents=True)
        pace = LIVE if plan.live else HISTORY
        self.ladder_file = folder / "ladder.toml"
        self.ladder_file.write_text(pace.ladder, encoding="utf-8")
        cluster.make_topic(self.topic, plan.partitions)
        cluster.make_topic(self._step_minutes, 1)
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.sender = Sender(self.url, plan.seed, pace)
        self._brokers = cluster.connection.brokers
        self._collect = [
            "collect", "--brokers", self._brokers, "--topic", self.topic, "--port", str(port),
            "--partitions", str(plan.partitions), "--warehouse", str(folder), "--spool", str(folder / "spool"),
        ]  # fmt: skip
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    @property
    def ladder(self) -> Ladder:
        return load_ladder(self.ladder_file)

    @property
    def lake(self) -> Lake:
        return Lake(self.folder / "lake")

    @property
    def source(self) -> str:
        return f"kafka:{self.topic}"

    @property
    def _step_minutes(self) -> str:
        return f"{self.topic}-step-minutes"

    def start(self) -> None:
        self._begin("collector", self._collect)
        for number in range(self.plan.workers):
            self.add_worker(number)
        self._keeper.start()
        self._wait(lambda: COLLECTING_AT in self._parts["collector"].words(), 60, "the collector does not start")
        self.sender.start()
        self._wait(self._has_begun, 90, "no worker commits anything")

    def add_worker(self, number: int) -> None:
        self._begin(f"worker-{number}", self._worker("--checkpoint-interval", ("200ms", "500ms", "1s")[number % 3]))

    def pid(self, name: str) -> int | None:
        with self._lock:
            part = self._parts.get(name)
            return part.pid if part is not None and part.running else None

    def send(self, name: str, number: signal.Signals) -> bool:
        """Whether there was anybody to send it to."""
        pid = self.pid(name)
        if pid is None:
            return False
        return send_to(pid, number)

    def remove_worker(self, name: str) -> bool:
        """Ask it to leave, and start it no more.  Whether it was there."""
        with self._lock:
            part = self._parts.pop(name, None)
        if part is None:
            return False
        was_there = part.running
        self._expect_a_good_end(name, part.stop())
        return was_there

    def begin_upkeep(self, name: str, *command: str, fault: Mapping[str, Any] | None = None) -> None:
        """A process beside the workers, as `up` starts them.  ``fault``: inside it, as for ``ask_for``."""
        folder = self.faults / name / "inside"
        folder.mkdir(parents=True)
        if fault is not None:
            (folder.parent / f"{name}.json").write_text(json.dumps(fault), encoding="utf-8")
        with self._lock:
            self._upkeep[name] = self._part(name, [*command, "--warehouse", str(self.folder)], folder)

    def kill_upkeep(self, name: str) -> bool:
        """Whether it was still at it."""
        return send_to(self._upkeep[name].pid, signal.SIGKILL) if self._upkeep[name].running else False

    def end_of_upkeep(self, name: str, patience_s: float) -> tuple[int, str]:
        """Its exit code and what it said; raises ``Broken`` where it comes to no end."""
        part = self._upkeep[name]
        self._wait(lambda: not part.running, patience_s, f"{name} does not end")
        return part.stop(), part.words()

    def is_over(self, name: str) -> bool:
        """Whether what happens once has, or that work in the background or upkeep has come to its end."""
        if name in self._named:
            return not self._named[name].is_alive()
        part = self._upkeep.get(name)
        return self.has_fired(name) if part is None else not part.running

    def limit_files(self, name: str, size: int | None) -> bool:
        """No file of this process may grow beyond ``size`` bytes; None: any may.  Whether it was there."""
        pid = self.pid(name)
        if pid is None:
            return False
        try:
            prlimit(pid, RLIMIT_FSIZE, (RLIM_INFINITY if size is None else size, RLIM_INFINITY))
        except ProcessLookupError:
            return False
        return True

    def ask_for(self, name: str, **fault: Any) -> None:
        """A fault inside whichever worker comes to it (``inside/sitecustomize.py``)."""
        unfinished = self.faults / f"{name}.new"
        unfinished.write_text(json.dumps(fault), encoding="utf-8")
        unfinished.rename(self.faults / f"{name}.json")

    def has_fired(self, name: str) -> bool:
        """Whether what happens once has."""
        return (self.faults / f"{name}.fired").exists()

    def take_back(self, name: str) -> bool:
        """Ask for it no longer.  Whether it has happened."""
        (self.faults / f"{name}.json").unlink(missing_ok=True)
        return any((self.faults / f"{name}{end}").exists() for end in (".fired", ".hit"))

    def set_clock(self, name: str, wrong_by_s: float) -> None:
        folder = self.faults / name
        folder.mkdir(exist_ok=True)
        (folder / "clock").write_text(str(wrong_by_s), encoding="utf-8")

    def has_seen_clock(self, name: str, wrong_by_s: float) -> bool:
        """Whether the process goes by it."""
        told = self.faults / name / "clock.seen"
        return told.exists() and told.read_text(encoding="utf-8") == str(wrong_by_s)

    def poison_topic(self, size: float) -> None:
        """Bytes that are no event, straight onto the topic, from a thread that goes on until Kafka has them."""
        token = f"poison {len(self.poison)} of {self.topic}".encode()
        self.poison.append(token)
        value = (b"\x00\xff\xfe" + token, b'{"event_id":"' + token, b"[" * 2000 + token)[int(size * 3)]
        headers = [CANONICAL_HEADER] if size > 0.5 else []
        self.in_background(lambda: self._produce(value, headers))

    def finish(self, patience_s: float) -> None:
        """All is well again: wait until everything sent is answered and has landed; then everybody ends as asked."""
        self.sender.finish(patience_s)
        for thread in self._threads:
            thread.join(patience_s)
            if thread.is_alive():
                raise Broken("something begun in the background does not end")
        self._complain()
        self._wait(self._spool_is_empty, patience_s, "the collector's spool does not get empty")
        self._end({"collector"})
        ends = end_offsets(self.cluster.inner, self.topic)
        self._wait(lambda: self.has_landed(ends), patience_s, "the lake does not get to the end of the topic")
        self.drained = self.plan.drain and self._has_settled(patience_s)
        self._end(set(self._parts))
        self._complain()

    def close_sessions(self) -> None:
        """What a worker with ``--drain`` does at its end, for partitions that nobody owned then."""
        partitions = range(self.plan.partitions)
        hold = Hold(self.lake, self.ladder, self.topic, partitions, RejectBrake())
        if self.drained and (left := hold.sessioniser.open_events()):
            raise Broken(f"workers were told to drain and left {left} events open")
        hold.checkpoint([], now=datetime.now(UTC), finish=True)

    def in_background(self, work: Callable[[], object], name: str = "") -> threading.Thread:
        """Do it beside everything else; what it raises makes the run fail."""

        def run() -> None:
            try:
                work()
            except Exception as error:
                self.trouble.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)
        if name:
            self._named[name] = thread
        return thread

    def close(self) -> None:
        """Leave nothing running."""
        self.sender.enough()
        self._ended.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        with self._lock:
            for part in self._parts.values():
                with suppress(ProcessLookupError):
                    kill(part.pid, signal.SIGKILL)
                part.stop()
            self._parts.clear()
            for part in self._upkeep.values():
                if part.running:
                    kill(part.pid, signal.SIGKILL)
                part.stop()

    def has_landed(self, ends: Mapping[int, int]) -> bool:
        claim = self.lake.claim(self.source, list(ends))
        return all(claim.next_offset(partition) >= end for partition, end in ends.items())

    def offsets_in_lake(self) -> dict[int, int]:
        """By partition, the first that is not accounted for."""
        places = self.lake.positions((self.source, partition) for partition in range(self.plan.partitions))
        return {partition: position.next_offset for (_, partition), position in places.items()}

    def has_gone_on_since(self, before: Mapping[int, int]) -> bool:
        """Whether every partition has come further than this."""
        now = self.offsets_in_lake()
        return all(now[partition] > offset for partition, offset in before.items())

    def records(self) -> Iterator[Any]:
        """Everything on the topic, in the order of each partition."""
        places = [TopicPartition(self.topic, partition) for partition in range(self.plan.partitions)]
        ends = end_offsets(self.cluster.inner, self.topic)
        consumer = KafkaConsumer(
            bootstrap_servers=self.cluster.inner.addresses, auto_offset_reset="earliest", group_id=None
        )
        try:
            consumer.assign(places)
            until = time.monotonic() + 60
            while any(consumer.position(place) < ends[place.partition] for place in places):
                if time.monotonic() > until:
                    raise Broken("the topic cannot be read to its end")
                for messages in consumer.poll(timeout_ms=500).values():
                    yield from messages
        finally:
            consumer.close()

    def logs(self, name: str) -> str:
        """All that the parts whose names begin so have said."""
        return "\n".join(log.read_text(errors="replace") for log in sorted(self.folder.glob(f"{name}*.log")))

    def _worker(self, *options: str) -> list[str]:
        idle = f"{IDLE_AFTER.total_seconds():g}s" if self.plan.live else "0s"
        timeout = "2s" if self.plan.cluster == "embedded" else f"{SESSION_TIMEOUT_S}s"
        return [
            "worker", "--brokers", self._brokers, "--topic", self.topic, "--group", self.topic,
            "--warehouse", str(self.folder), "--ladder", str(self.ladder_file), "--idle-after", idle,
            "--session-timeout", timeout, "--checkpoint-events", "400", "--max-reject-share", "0.9",
            "--worker-port", "0", "--partitions", str(self.plan.partitions), *(["--drain"] if self.plan.drain else []),
            "--step-minutes", self._step_minutes, *options,
        ]  # fmt: skip

    def _begin(self, name: str, arguments: list[str]) -> None:
        folder = self.faults / name
        folder.mkdir(exist_ok=True)
        with self._lock:
            self._parts[name] = self._part(name, arguments, folder)

    def _part(self, name: str, arguments: list[str], faults: Path) -> Part:
        inherited = environment()
        paths = [str(INSIDE), *filter(None, [inherited.get("PYTHONPATH")])]
        surroundings = inherited | {"PYTHONPATH": pathsep.join(paths), "CHAOS_FAULTS": str(faults)}
        log = self.folder / f"{name}.log"
        return Part(name, arguments, log, environment=surroundings, restarts=RESTARTS)

    def _keep(self) -> None:
        """As a supervisor does: whoever ended is started again, unless it asks to be left."""
        while not self._ended.wait(0.1):
            with self._lock:
                for name, part in list(self._parts.items()):
                    try:
                        self.restarts[name.partition("-")[0]] += part.check()
                    except YesladderError as error:
                        self.trouble.append(str(error))
                        del self._parts[name]

    def _complain(self) -> None:
        if self.trouble:
            raise Broken("; ".join(self.trouble))

    def _wait(self, done: Callable[[], bool], patience_s: float, otherwise: str, every_s: float = 0.1) -> None:
        until = time.monotonic() + patience_s
        while not done():
            self._complain()
            if time.monotonic() > until:
                raise Broken(f"{otherwise} within {patience_s:g} s")
            time.sleep(every_s)

    def _has_begun(self) -> bool:
        return any((self.folder / "lake" / "checkpoints" / "_delta_log").glob("*1.json"))

    def _spool_is_empty(self) -> bool:
        with suppress(httpx.TransportError):
            return bool(httpx.get(f"{self.url}/health", timeout=2).json() == {"status": "ok"})
        return False

    def _has_settled(self, patience_s: float) -> bool:
        """Whether every worker has what is its, so that nothing lies with nobody when all are told to stop."""
        workers = sum(name.startswith("worker") for name in self._parts)
        until = time.monotonic() + patience_s
        settled = 0
        while self.plan.cluster == "apache" and settled < 3 and time.monotonic() < until:
            time.sleep(0.5)
            with suppress(KafkaError):
                settled = settled + 1 if self.cluster.has_settled(self.topic, workers) else 0
        return settled == 3

    def _end(self, names: Collection[str]) -> None:
        """Tell them to stop, all at once, and start them no more."""
        with self._lock:
            parts = [(name, self._parts.pop(name)) for name in names if name in self._parts]
            for _, part in parts:
                if part.running:
                    kill(part.pid, signal.SIGTERM)
        codes = [part.stop() for _, part in parts]
        for (name, _), code in zip(parts, codes, strict=True):
            self._expect_a_good_end(name, code)

    def _expect_a_good_end(self, name: str, code: int) -> None:
        # A worker that is still starting has not begun to listen to signals, and has nothing to give up.
        if code not in (0, -signal.SIGTERM):
            raise Broken(f"{name} was told to stop and ended with {code}")

    def _produce(self, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(KafkaError):
                producer = KafkaProducer(
                    bootstrap_servers=self.cluster.inner.addresses, acks="all", delivery_timeout_ms=8000,
                    request_timeout_ms=4000, max_block_ms=4000,
                )  # fmt: skip
                try:
                    producer.send(self.topic, value, headers=headers).get(timeout=9)
                    return
                finally:
                    producer.close(timeout=1)
            time.sleep(0.5)
        raise Broken("a poison record could not be put onto the topic")


def send_to(pid: int, number: signal.Signals) -> bool:
    """Whether there was anybody to send it to."""
    try:
        kill(pid, number)
    except ProcessLookupError:
        return False
    return True
