"""Kafka to sessions: Yesladder's worker and its peers on one workload, one broker and the same two cores.

    PYTHONPATH=.:benchmarks python -m peers.stream [--events 1000000] [--runs 3] [--only yesladder,floor,faust]

Each run is a fresh process; contenders take turns.  Counted is what a contender uses from the first record it asks for
to the last session it has written: CPU seconds of all its processes (the broker is none of them), and time.  What it
uses to start is told apart.  Sessions are compared with those of a plain loop.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from xml.etree import ElementTree

from confluent_kafka import Producer
from peers.contenders import CONTENDERS, YESLADDER, Contender
from peers.report import FILES, Part, Row, keep, now_and_here
from peers.running import ContenderFailed, Run, run
from peers.workload import EVENTS_A_VISITOR, FULL, PARTITIONS, Workload, read_sessions, workload

from ladder.connection import KafkaConnection
from ladder.events import CANONICAL_HEADER
from producers.embedded import EmbeddedBroker
from producers.topics import ensure_step_minutes, ensure_topic
from tests.suites.apache_kafka import POM, ApacheKafka

TIMEOUT_S = 900


@dataclass
class Measured:
    """All runs of a contender.  ``differs``: how its sessions are not the expected ones; None where they are."""

    contender: Contender
    events: int
    runs: list[Run] = field(default_factory=list)
    differs: str | None = None


@contextmanager
def broker(kind: str, folder: Path) -> Iterator[KafkaConnection]:
    """``embedded``, or a real Apache Kafka, which Java's clients need."""
    if kind == "embedded":
        with EmbeddedBroker() as embedded:
            yield embedded.connection
    else:
        with ApacheKafka(folder) as kafka:
            yield KafkaConnection(kafka.bootstrap)


def publish(connection: KafkaConnection, work: Workload) -> None:
    """The workload onto a topic of its name, in its order within each partition."""
    ensure_topic(connection, work.name, PARTITIONS, 1)
    failed: list[str] = []
    producer = Producer(
        {"bootstrap.servers": connection.brokers, "enable.idempotence": True, "linger.ms": 20, "log_level": 0,
         "batch.size": 262_144, "queue.buffering.max.messages": 200_000}
    )  # fmt: skip

    def told(error: object, _: object) -> None:
        if error is not None:
            failed.append(str(error))

    for key, partition, value in work.records():
        while True:
            try:
                producer.produce(work.name, value, key, partition, on_delivery=told, headers=[CANONICAL_HEADER])
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(120) or failed:
        raise RuntimeError(f"the workload was not published: {failed[:1]}")


def one_run(contender: Contender, work: Workload, connection: KafkaConnection) -> tuple[Run, str | None]:
    """Run a contender on a published workload; how its sessions differ."""
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        found = folder / "found.csv"
        own = folder / "own"
        own.mkdir()
        arguments = (connection.brokers, work.name, len(work.sessions), work.lines, found, own)
        done = run(
            [*contender.command(), *map(str, arguments), *contender.more()],
            log=folder / "log",
            timeout_s=TIMEOUT_S,
        )
        return done, differences(work, found) if contender.finds_sessions else None


def differences(work: Workload, found: Path) -> str | None:
    """In a few words how sessions differ from the expected ones; None where they are the same."""
    sessions = list(read_sessions(found))
    missing = work.sessions - set(sessions)
    unexpected = len(sessions) - (len(work.sessions) - len(missing))
    if not missing and not unexpected:
        return None
    example = min(missing or set(sessions) - work.sessions or sessions)
    return (
        f"{len(missing):,} of {len(work.sessions):,} sessions are missing, {unexpected:,} are wrong (such as {example})"
    )


def measure(contenders: Sequence[Contender], events: int, runs: int, kind: str) -> list[Measured]:
    """All runs, in turns.  A contender that fails is out; why is said."""
    works = {c.name: workload(c.events(events), full=events) for c in contenders}
    measured = {c.name: Measured(c, works[c.name].events) for c in contenders}
    with tempfile.TemporaryDirectory(prefix="peers-broker-") as folder, broker(kind, Path(folder)) as connection:
        ensure_step_minutes(connection, "step_minutes", 1)
        for work in {work.name: work for work in works.values()}.values():
            publish(connection, work)
        try:
            for number in range(runs):
                for contender in contenders:
                    _round(number, contender, works[contender.name], connection, measured[contender.name])
        except KeyboardInterrupt:
            print("stopped; what was measured is kept", file=sys.stderr)
    return list(measured.values())


def _round(number: int, contender: Contender, work: Workload, connection: KafkaConnection, measured: Measured) -> None:
    try:
        done, differs = one_run(contender, work, connection)
    except ContenderFailed as error:
        print(f"{contender.name}: {error}", file=sys.stderr, flush=True)
        return
    print(
        f"run {number + 1}, {contender.name}: {work.events / done.cpu_s:,.0f} events/CPU s, {done.cpu_s:.1f} CPU s,"
        f" {done.wall_s:.1f} s, {done.start_cpu_s:.1f} CPU s to start{', ' + differs if differs else ''}",
        file=sys.stderr,
        flush=True,
    )
    measured.runs.append(done)
    measured.differs = measured.differs or differs


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=FULL)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default=",".join(CONTENDERS), help="names, with commas")
    parser.add_argument("--broker", choices=("kafka", "embedded"), default="kafka")
    parser.add_argument("--results", type=Path, default=FILES, help="the folder for what was measured")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)  # so that contenders and broker end with us
    contenders = [CONTENDERS[name] for name in chosen.only.split(",")]
    when, where = now_and_here()
    measured = measure(contenders, chosen.events, chosen.runs, chosen.broker)
    keep(
        Part(
            part="stream",
            title="Stream: Kafka to sessions",
            command=f"python -m peers.stream {' '.join(sys.argv[1:])}".strip(),
            when=when,
            where=where,
            versions=versions(),
            conditions=f"{chosen.events:,} events of about 260 bytes by {chosen.events // EVENTS_A_VISITOR:,} visitors,"
            f" a record each, {PARTITIONS} partitions, 2 % out of order by up to five minutes, a gap of 30 minutes;"
            f" {'Apache Kafka' if chosen.broker == 'kafka' else 'the embedded broker'} on the same cores",
            rows=[_row(one) for one in measured if one.runs],
        ),
        chosen.results,
    )


def _row(one: Measured) -> Row:
    finds = one.contender.finds_sessions
    return Row(
        name=one.contender.name,
        events=one.events,
        per_cpu_s=[one.events / run.cpu_s for run in one.runs],
        per_s=[one.events / run.wall_s for run in one.runs],
        is_ours=one.contender is YESLADDER,
        start_cpu_s=median(run.start_cpu_s for run in one.runs),
        same=one.differs is None if finds else None,
        note="; ".join(filter(None, (one.differs, one.contender.note))),
    )


def versions() -> dict[str, str]:
    """Of what takes part and is ours to choose; the peers' own are in their names."""
    packages = ("faust-streaming", "aiokafka", "polars", "duckdb", "deltalake")
    java = ElementTree.parse(POM).findtext(".//{*}kafka.version") or ""
    return {package: version(package) for package in packages} | {"Apache Kafka": java}


if __name__ == "__main__":
    main()
