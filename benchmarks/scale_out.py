"""Several workers in one group: how work spreads, what their commits cost one another, how long a change lasts.

    PYTHONPATH=. python benchmarks/scale_out.py speed [--workers 1,2,4,8] [--events 300000]
    PYTHONPATH=. python benchmarks/scale_out.py steady [--workers 1,2,4,8] [--rate 1000] [--seconds 30]
    PYTHONPATH=. python benchmarks/scale_out.py moves [--rate 1000]

`speed`: a topic that is full already is drained.  `steady`: so many events a second come in.  `moves`: four workers
under a steady load; one joins, one leaves, one is killed, some are restarted, of which two have a name (`--instance`).
Each run has a group and a lake of its own, and ends with an error unless each event is in the lake once and in one
session, or open.  Kafka is Apache Kafka as in `make test-kafka`; `--embedded` takes the broker in memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

from measured import RESULTS, machine
from worker import cpu_s
from workload import LADDER, events

from ladder.connection import KafkaConnection
from ladder.events import Event
from producers.embedded import EmbeddedBroker
from producers.kafka_publisher import KafkaPublisher
from producers.records import pack
from producers.topics import end_offsets, ensure_topic
from warehouse.lake import Lake
from warehouse.lake_claim import Claim

PARTITIONS = 16
SESSION_TIMEOUT_S = 30.0
NAMED = {"named-a", "named-b"}


def child(connection: str, topic: str, group: str, folder: str, notes: str, instance: str, interval_ms: str) -> None:
    """A worker that notes, as lines of JSON, when it pauses and what its commits cost."""
    from stream import app as stream_app

    lock = threading.Lock()

    def note(**what: Any) -> None:
        with lock, Path(notes).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": time.time()} | what) + "\n")

    revoke, replace, take, commit = (
        stream_app.Assignments.revoke, stream_app.Assignments.replace, stream_app.Assignments.take, Lake.commit_log,
    )  # fmt: skip
    prove = Claim._prove
    waiting = [True]

    async def noted_revoke(self: Any) -> None:
        note(what="revoked", had=[] if self.current is None else sorted(self.current.hold.reached))
        await revoke(self)

    def noted_replace(self: Any, owner: Any) -> None:
        replace(self, owner)
        if owner is not None:
            waiting[0] = True
            note(what="owns", partitions=sorted(owner.hold.reached), kept=list(getattr(owner.hold, "stayed", ())))

    async def noted_take(self: Any, batch: Any) -> None:
        if waiting[0]:
            waiting[0] = False
            note(what="first fetch")
        await take(self, batch)

    proving = {}

    def noted_prove(self: Any, name: str, apps: Any) -> None:
        before, begun = self._handles[name].version(), time.perf_counter()
        prove(self, name, apps)
        proving[name] = (self._handles[name].version() - before, time.perf_counter() - begun)

    def noted_commit(self: Any, handle: Any, name: str, written: Any, versions: Any, removed: Any = ()) -> None:
        before, begun = handle.version(), time.perf_counter()
        commit(self, handle, name, written, versions, removed)
        took = time.perf_counter() - begun
        others, prove_s = proving.get(name, (0, 0.0))
        conflicts = number_of(Path(folder) / name, before + 1, versions) - before - 1
        note(what="commit", table=name, ms=1000 * took, conflicts=conflicts, others=others, prove_ms=1000 * prove_s)

    stream_app.Assignments.revoke, stream_app.Assignments.replace = noted_revoke, noted_replace  # type: ignore[method-assign]  # to look on
    stream_app.Assignments.take, Lake.commit_log, Claim._prove = noted_take, noted_commit, noted_prove  # type: ignore[method-assign]  # to look on
    named: dict[str, Any] = {"instance": instance} if instance else {}
    settings = stream_app.WorkerSettings(
        KafkaConnection(connection), topic=topic, group=group, idle_after=None, web_port=0,
        session_timeout=timedelta(seconds=SESSION_TIMEOUT_S), data_dir=Path(folder) / "worker",
        checkpoint_interval=timedelta(milliseconds=int(interval_ms)), **named,
    )  # fmt: skip
    stream_app.run_worker(settings, LADDER, Lake(Path(folder)), loglevel="WARN")


def number_of(table: Path, first: int, versions: Mapping[str, int]) -> int:
    """The number of the commit, ``first`` or a later one, that carries these versions of Delta's ``txn``."""
    app, version = next(iter(versions.items()))
    while True:
        for line in (table / "_delta_log" / f"{first:020}.json").read_text(encoding="utf-8").splitlines():
            said = json.loads(line).get("txn", {})
            if (said.get("appId"), said.get("version")) == (app, version):
                return first
        first += 1


@dataclass
class Group:
    """The workers of one run, started again where they end with 3, as a supervisor would."""

    connection: KafkaConnection
    topic: str
    folder: Path
    interval_ms: int = 1000
    group: str = field(default_factory=lambda: f"scale-{uuid.uuid4().hex}")
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    restarts: int = 0
    cpu_begun: dict[int, float] = field(default_factory=dict)

    def start(self, name: str) -> None:
        command = [
            sys.executable, __file__, "--child", self.connection.brokers, self.topic, self.group,
            str(self.folder), str(self.notes_of(name)), name if name in NAMED else "", str(self.interval_ms),
        ]  # fmt: skip
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def notes_of(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def notes(self, name: str) -> list[dict[str, Any]]:
        path = self.notes_of(name)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def all_notes(self) -> dict[str, list[dict[str, Any]]]:
        return {path.stem: self.notes(path.stem) for path in sorted(self.folder.glob("*.jsonl"))}

    def owned(self) -> dict[str, list[int]]:
        """By worker that is running, what it owns by its last word."""
        found = {}
        for name in self.running:
            words = [one for one in self.notes(name) if one["what"] in ("owns", "revoked")]
            found[name] = words[-1]["partitions"] if words and words[-1]["what"] == "owns" else []
        return found

    def settled(self) -> bool:
        """Whether each of the workers owns something and all of it is owned once."""
        owned = self.owned()
        everything = sorted(p for own in owned.values() for p in own)
        return all(owned.values()) and everything == list(range(PARTITIONS))

    def wait(self, done: Any, patience_s: float = 180) -> None:
        until = time.monotonic() + patience_s
        while not done():
            self.look_after()
            if time.monotonic() > until:
                raise RuntimeError(f"nothing came of {patience_s} s of waiting; owned: {self.owned()}")
            time.sleep(0.05)

    def look_after(self) -> None:
        for name, process in list(self.running.items()):
            if (code := process.poll()) is not None:
                if code != 3:
                    raise RuntimeError(f"{name} ended with {code}: {(self.folder / f'{name}.log').read_text()[-3000:]}")
                last_words = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-1:]
                print(f"{name} is started again: {last_words}", flush=True)
                self.restarts += 1
                self.start(name)

    def landed(self) -> bool:
        ends = end_offsets(self.connection, self.topic)
        claim = Lake(self.folder).claim(f"kafka:{self.topic}", list(ends))
        return all(claim.next_offset(p) >= end for p, end in ends.items())

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        process = self.running.pop(name)
        process.send_signal(number)
        process.wait(60)

    def begin_counting(self) -> None:
        self.cpu_begun = {process.pid: cpu_s(process.pid) for process in self.running.values()}

    def cpu_used(self) -> float:
        """Of the workers that ran at ``begin_counting`` and still do."""
        return sum(
            cpu_s(process.pid) - self.cpu_begun[process.pid]
            for process in self.running.values()
            if process.pid in self.cpu_begun
        )

    def end(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


@contextlib.contextmanager
def group_of(connection: KafkaConnection, topic: str, names: Sequence[str], interval_ms: int = 1000) -> Iterator[Group]:
    with tempfile.TemporaryDirectory() as folder:
        group = Group(connection, topic, Path(folder), interval_ms)
        Lake(Path(folder))
        try:
            for name in names:
                group.start(name)
            yield group
        finally:
            group.end()


class Source:
    """Publishes the workload: all of it, or so many events a second until it is closed.  ``sent``: their ids."""

    def __init__(self, connection: KafkaConnection, topic: str, source: Iterator[Event]) -> None:
        ensure_topic(connection, topic, PARTITIONS, 1)
        self.sent: list[str] = []
        self._publisher = KafkaPublisher(connection, topic)
        self._source = source
        self._enough = threading.Event()
        self._thread: threading.Thread | None = None

    def publish(self, count: int) -> int:
        """The number published; fewer where there is no more."""
        some = list(islice(self._source, count))
        if some:
            self._publisher.publish(pack(some, PARTITIONS)).result(60)
            self.sent.extend(event.event_id for event in some)
        return len(some)

    def run(self, rate: float) -> None:
        def steadily() -> None:
            due = time.monotonic()
            while not self._enough.is_set() and self.publish(int(rate / 10)):
                due += 0.1
                self._enough.wait(max(0.0, due - time.monotonic()))

        self._thread = threading.Thread(target=steadily, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._enough.set()
        if self._thread is not None:
            self._thread.join()
        self._publisher.close(timeout_s=30)


def check(group: Group, sent: Sequence[str]) -> str:
    """Raises ``RuntimeError`` unless each event is in the lake once, and in one session or open."""
    lake = Lake(group.folder)
    landed = lake.scan("events").select("event_id", "late").collect()
    if Counter(landed["event_id"].to_list()) != Counter(sent):
        ids = landed["event_id"]
        missing = len(set(sent) - set(ids.to_list()))
        raise RuntimeError(
            f"{len(sent)} sent, {len(ids)} landed, {missing} missing, {len(ids) - ids.n_unique()} doubled"
        )
    sessions = lake.scan("sessions").select("session_id", "events", "sequence").collect()
    claim = lake.claim(f"kafka:{group.topic}", range(PARTITIONS))
    still_open = len(claim.open_events(["event_id"]))
    on_time = len(landed) - int(landed["late"].sum())
    if int(sessions["events"].sum()) + still_open != on_time:
        raise RuntimeError(f"{on_time} on time, {sessions['events'].sum()} in sessions, {still_open} open")
    if sessions["session_id"].n_unique() != len(sessions):
        raise RuntimeError("a session was given out twice")
    stretches = lake.scan("checkpoints").sort("partition", "first_offset").collect()
    for own in stretches.partition_by("partition"):
        if own["first_offset"].to_list()[1:] != own["next_offset"].to_list()[:-1]:
            raise RuntimeError(f"the checkpoints of partition {own['partition'][0]} do not follow one another")
    return f"{len(sent):,} events once each, {len(sessions):,} sessions, {still_open:,} open"


def commits(notes: Mapping[str, Sequence[Mapping[str, Any]]], since: float = 0.0) -> list[Mapping[str, Any]]:
    return [one for own in notes.values() for one in own if one["what"] == "commit" and one["at"] >= since]


def cost_of_commits(found: Sequence[Mapping[str, Any]], seconds: float) -> str:
    """The cells of ``COST_HEADS``."""
    clean = [one["ms"] for one in found if not one["conflicts"]]
    hit = [one for one in found if one["conflicts"]]
    conflicts = sum(one["conflicts"] for one in found)
    more = mean((one["ms"] - median(clean)) / one["conflicts"] for one in hit) if hit and clean else 0.0
    longest = max(one["ms"] for one in found)
    prove = mean(one["prove_ms"] for one in found)
    return (
        f"{len(found) / seconds:.1f} | {conflicts / len(found):.3f} | {median(clean):.1f} | {more:.1f} | {longest:.0f}"
        f" | {prove:.1f}"
    )


COST_HEADS = (
    "commits/s | conflicts a commit | ms, median | ms more for a conflict | ms, longest | ms to read the others'"
)


def speed(connection: KafkaConnection, chosen: argparse.Namespace) -> list[str]:
    topic = f"speed-{uuid.uuid4().hex}"
    source = Source(connection, topic, events(chosen.events, max(1, chosen.events // 10)))
    while source.publish(1000):
        pass
    source.close()
    lines = [f"| workers | events/s | CPU s a million events | {COST_HEADS} | restarts |", "| ---: |" + " ---: |" * 9]
    for n in chosen.workers:
        with group_of(connection, topic, [f"w{i}" for i in range(n)], chosen.interval_ms) as group:
            group.wait(lambda group=group: any(group.owned().values()))
            begun, cpu = time.time(), {process.pid: cpu_s(process.pid) for process in group.running.values()}
            started = dict.fromkeys(cpu, 0.0)
            while not group.landed():
                group.look_after()
                for name, process in group.running.items():
                    # What a worker uses until it owns something is its start, not its work.
                    if process.pid in started and not started[process.pid] and group.owned()[name]:
                        started[process.pid] = cpu_s(process.pid)
                time.sleep(0.2)
            seconds = time.time() - begun
            used = sum(cpu_s(process.pid) - started.get(process.pid, 0.0) for process in group.running.values())
            found = commits(group.all_notes())
            said = check(group, source.sent)
            lines.append(
                f"| {n} | {chosen.events / seconds:,.0f} | {used / chosen.events * 1e6:.1f} |"
                f" {cost_of_commits(found, seconds)} | {group.restarts} |"
            )
            print(lines[-1], said, flush=True)
    return lines


def steady(connection: KafkaConnection, chosen: argparse.Namespace) -> list[str]:
    lines = [f"| workers | CPU s a million events | {COST_HEADS} | restarts |", "| ---: |" + " ---: |" * 8]
    for n in chosen.workers:
        topic = f"steady-{uuid.uuid4().hex}"
        total = int(chosen.rate * (chosen.seconds + 120))
        source = Source(connection, topic, events(total, total // 10))
        with group_of(connection, topic, [f"w{i}" for i in range(n)], chosen.interval_ms) as group:
            group.wait(group.settled)
            source.run(chosen.rate)
            time.sleep(5)
            group.begin_counting()
            begun, before = time.time(), len(source.sent)
            time.sleep(chosen.seconds)
            used, came, seconds = group.cpu_used(), len(source.sent) - before, time.time() - begun
            source.close()
            group.wait(group.landed)
            found = commits(group.all_notes(), begun)
            said = check(group, source.sent)
            lines.append(f"| {n} | {used / came * 1e6:.1f} | {cost_of_commits(found, seconds)} | {group.restarts} |")
            print(lines[-1], said, flush=True)
    return lines


def pauses(group: Group, since: float, but: str) -> list[tuple[float, int, int]]:
    """Each time that a worker gave partitions up: seconds until it owned some again, how many, how many of them kept.

    ``but``: whose own coming and going it was.
    """
    found = []
    for name, notes in group.all_notes().items():
        words = [one for one in notes if one["at"] >= since and one["what"] in ("revoked", "owns")]
        for given_up, owns in pairwise(words):
            if given_up["what"] == "revoked" and given_up["had"] and owns["what"] == "owns" and name != but:
                found.append((owns["at"] - given_up["at"], len(owns["partitions"]), len(owns["kept"])))
    return found


def moves(connection: KafkaConnection, chosen: argparse.Namespace) -> list[str]:
    lines = [
        "| what happens | all is owned again after, s | pauses of the others | s, median | s, longest |"
        " partitions that they kept, of those they had then |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    topic = f"moves-{uuid.uuid4().hex}"
    source = Source(connection, topic, events(int(chosen.rate * 600), int(chosen.rate * 60)))
    with group_of(connection, topic, ["w0", "w1", "named-a", "named-b"], chosen.interval_ms) as group:

        def change(said: str, whose: str, act: Any) -> None:
            group.wait(group.settled)
            time.sleep(5)
            since = time.time()
            act()
            group.wait(group.settled)
            seconds = time.time() - since
            time.sleep(3)
            found = pauses(group, since, whose)
            long = [pause for pause, _, _ in found] or [0.0]
            kept, of = sum(own[2] for own in found), sum(own[1] for own in found)
            lines.append(
                f"| {said} | {seconds:.1f} | {len(found)} | {median(long):.2f} | {max(long):.2f} | {kept} of {of} |"
            )
            print(lines[-1], flush=True)

        def restart(name: str, number: signal.Signals) -> None:
            group.stop(name, number)
            group.notes_of(name).rename(group.folder / f"{name}-before-{time.time_ns()}.jsonl")
            group.start(name)

        group.wait(group.settled)
        source.run(chosen.rate)
        time.sleep(10)
        change("a fifth joins", "w4", lambda: group.start("w4"))
        change("one leaves (SIGTERM)", "w4", lambda: group.stop("w4"))
        change("one is restarted (SIGTERM, start)", "w1", lambda: restart("w1", signal.SIGTERM))
        if chosen.names:
            change("one with a name is restarted", "named-a", lambda: restart("named-a", signal.SIGTERM))
            change("one with a name is killed and started", "named-b", lambda: restart("named-b", signal.SIGKILL))
        change("one is killed", "w0", lambda: group.stop("w0", signal.SIGKILL))
        source.close()
        group.wait(group.landed)
        said = f"{check(group, source.sent)}; workers that ended with 3 and were started again: {group.restarts}"
        print(said)
    return [*lines, "", f"- {said}", f"- session timeout {SESSION_TIMEOUT_S:g} s: so long nobody knows of a kill"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "steady", "moves"])
    parser.add_argument("--workers", default="1,2,4,8", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--interval-ms", type=int, default=1000, help="--checkpoint-interval of the workers")
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--no-names", dest="names", action="store_false")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if chosen.embedded:
            connection = stack.enter_context(EmbeddedBroker()).connection
        else:
            from tests.suites.apache_kafka import ApacheKafka

            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            connection = KafkaConnection(stack.enter_context(ApacheKafka(folder)).bootstrap)
        lines = {"speed": speed, "steady": steady, "moves": moves}[chosen.what](connection, chosen)
    page = RESULTS / "scale_out.md"
    before = page.read_text(encoding="utf-8") if page.exists() else "# scale_out\n"
    broker = "the embedded broker" if chosen.embedded else "one Apache Kafka broker"
    conditions = f"{machine()}; {PARTITIONS} partitions, {broker}, a checkpoint every {chosen.interval_ms} ms"
    head, command = f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", " ".join(sys.argv[1:])
    text = ["", head, "", f"`PYTHONPATH=. python benchmarks/scale_out.py {command}`  ", conditions, "", *lines, ""]
    page.write_text(before + "\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
