"""How cost grows with data: CPU seconds at 1 x, 3 x and 10 x, the exponent of the curve, and the rate at the margin.

    PYTHONPATH=.:benchmarks python -m peers.growth [--events 1000000] [--runs 1] [--only yesladder,...]

The exponent is the slope of a line through log(CPU seconds) over log(size), by least squares: 1 is in proportion, and
less where a fixed cost is a part of it.  At the margin, from 3 x to 10 x, that fixed cost (a JVM that compiles what is
hot, first) counts no more.  Visitors grow with events, so that open sessions do, too; for open sessions alone, the
events of 3 x stay as many and visitors are ten times as many.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import uvloop
from collector import PARTITIONS as COLLECTED_PARTITIONS, TOPIC, Load, Server, bodies
from peers import batch, query
from peers.contenders import CONTENDERS, Contender
from peers.report import FILES, Part, keep, now_and_here
from peers.running import ContenderFailed, tree_cpu_s
from peers.stream import broker, one_run, publish
from peers.workload import EVENTS_A_VISITOR, FULL, Workload, workload

from ladder.connection import KafkaConnection
from producers.embedded import EmbeddedBroker
from producers.topics import ensure_step_minutes, ensure_topic

SIZES = (1, 3, 10)
EXPLAIN_FROM = 1.1


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The slope of log(cost) over log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def of_stream(names: Sequence[str], events: int, runs: int, kind: str) -> list[list[str]]:
    """Each contender at all sizes, up to its share of the events; and at 3 x with ten times the visitors."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="peers-broker-") as folder, broker(kind, Path(folder)) as connection:
        ensure_step_minutes(connection, "step_minutes", 1)
        published: set[str] = set()
        for name in names:
            contender = CONTENDERS[name]
            largest = contender.events(events)
            works = [workload(largest * size // SIZES[-1], full=largest * size // SIZES[-1]) for size in SIZES]
            costs = _costs(contender, works, connection, published, runs)
            rows.append([contender.name, *_cells([work.events for work in works], costs, "events")])
            fewer = workload(works[1].events, full=works[1].events, visitors=works[1].visitors // 10)
            sessions = [len(fewer.sessions), len(works[1].sessions)]
            costs = [*_costs(contender, [fewer], connection, published, runs), costs[1]]
            rows.append([f"{contender.name}: 10 x the visitors", *_cells(sessions, costs, "sessions")])
    return rows


def _costs(
    contender: Contender, works: Sequence[Workload], connection: KafkaConnection, published: set[str], runs: int
) -> list[float | None]:
    costs: list[float | None] = []
    for work in works:
        if work.name not in published:
            publish(connection, work)
            published.add(work.name)
        try:
            costs.append(median(one_run(contender, work, connection)[0].cpu_s for _ in range(runs)))
        except ContenderFailed as error:
            print(f"{contender.name}: {error}", file=sys.stderr)
            costs.append(None)
            continue
        print(f"{contender.name}, {work.name}: {costs[-1]:.1f} CPU s", file=sys.stderr, flush=True)
    return costs


def of_batch(names: Sequence[str], events: int, runs: int) -> list[list[str]]:
    sizes = [events * size // SIZES[-1] for size in SIZES]
    costs: dict[str, list[float]] = {}
    for size in sizes:
        for row in batch.measure(list(names), size, runs):
            costs.setdefault(row.name, []).append(size / median(row.per_cpu_s))
    return [[name, *_cells(sizes, found, "events")] for name, found in costs.items() if len(found) == len(sizes)]


def of_query(events: int, runs: int) -> list[list[str]]:
    sizes = [events * size // SIZES[-1] for size in SIZES]
    costs: dict[str, list[float]] = {}
    for size in sizes:
        for row in query.measure(query.lake(size, size // EVENTS_A_VISITOR), size, runs):
            costs.setdefault(row.name, []).append(size / median(row.per_cpu_s))
    return [[name, *_cells(sizes, found, "events")] for name, found in costs.items()]


def of_collector() -> list[list[str]]:
    """The CPU seconds of the collector's process while it takes events for 1, 3 and 10 seconds."""
    texts = bodies(10)
    sizes, costs = [], []
    with EmbeddedBroker() as embedded, ExitStack() as stack:
        ensure_topic(embedded.connection, TOPIC, COLLECTED_PARTITIONS, 1)
        server = Server("collector", embedded.brokers)
        stack.callback(server.stop)
        uvloop.run(Load(server.url, texts, 1, 64).run())
        for seconds in SIZES:
            load = Load(server.url, texts, seconds, 64)
            before = tree_cpu_s(server.pid)
            uvloop.run(load.run())
            costs.append(tree_cpu_s(server.pid) - before)
            sizes.append(load.answered * 10)
    return [["Yesladder: collector, 10 events a body", *_cells(sizes, costs, "events")]]


def _cells(sizes: Sequence[int], costs: Sequence[float | None], of: str) -> list[str]:
    """A cost of None: that run failed."""
    said = " / ".join(f"{size:,}" for size in sizes)
    spent = " / ".join("failed" if cost is None else f"{cost:.1f}" for cost in costs)
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return [f"{said} {of}", spent, "", ""]
    margin = (sizes[-1] - sizes[-2]) / (known[-1] - known[-2]) if of == "events" and known[-1] > known[-2] else None
    return [f"{said} {of}", spent, f"{exponent(sizes, known):.2f}", "" if margin is None else f"{margin:,.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=FULL)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders of the stream, with commas")
    parser.add_argument("--batch", default=",".join(batch.CONTENDERS), help="contenders of the batch, with commas")
    parser.add_argument("--parts", default="stream,batch,query,collector", help="some of them, with commas")
    parser.add_argument("--broker", choices=("kafka", "embedded"), default="kafka")
    parser.add_argument("--results", type=Path, default=FILES, help="the folder for what was measured")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that contenders and broker end with us
    when, where = now_and_here()
    rows: list[list[str]] = []
    if "stream" in chosen.parts:
        rows += of_stream(chosen.only.split(","), chosen.events, chosen.runs, chosen.broker)
    if "batch" in chosen.parts:
        rows += of_batch(chosen.batch.split(","), chosen.events, chosen.runs)
    if "query" in chosen.parts:
        rows += of_query(2 * chosen.events, chosen.runs)
    if "collector" in chosen.parts:
        rows += of_collector()
    keep(
        Part(
            part="growth",
            title="Growth: what 3 x and 10 x the data cost",
            command=f"python -m peers.growth {' '.join(sys.argv[1:])}".strip(),
            when=when,
            where=where,
            versions={name: version(name) for name in ("polars", "duckdb", "numpy")},
            conditions=f"the exponent is that of the cost curve, to be explained from {EXPLAIN_FROM} on; the margin is"
            " what the last step of size adds, without what is spent once",
            heads=["what", "sizes", "CPU seconds", "exponent", "events/CPU s at the margin"],
            extra=rows,
        ),
        chosen.results,
    )


if __name__ == "__main__":
    main()
