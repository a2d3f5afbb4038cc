"""`yesladder funnel` against the same question in ClickHouse (windowFunnel), DuckDB and Polars, over the same files.

    PYTHONPATH=.:benchmarks python -m peers.query [--events 2000000] [--visitors 100000] [--runs 3]

Each run is a fresh process; contenders take turns, after a first round that fills the file cache and is not counted.
The lake is made once and kept in the user's cache.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from funnel import DAYS, STEPS, WINDOW, generate
from peers.contenders import HERE
from peers.report import FILES, Part, Row, keep, now_and_here
from peers.running import ContenderFailed, run
from peers.workload import cache

NAMES = {
    "yesladder": "Yesladder: funnel",
    "chdb": "chdb: windowFunnel",
    "duckdb": "DuckDB: window functions",
    "polars": "Polars: window functions",
}


def lake(events: int, visitors: int) -> Path:
    """A warehouse with its lake and marts."""
    folder = cache() / "funnels" / f"v1-{events}-{visitors}"
    whole = folder / "whole"  # the marts hold the lake's path: it cannot be made elsewhere and moved
    if not whole.exists():
        shutil.rmtree(folder, ignore_errors=True)
        generate(folder, events, visitors)
        whole.touch()
    return folder


def measure(warehouse: Path, events: int, runs: int) -> list[Row]:
    """All runs; the first answer of ours is what the others are compared with."""
    rows = {name: Row(words, events, [], [], is_ours=name == "yesladder") for name, words in NAMES.items()}
    expected: list[int] = []
    for number in range(runs + 1):
        for name, row in rows.items():
            with tempfile.TemporaryDirectory(prefix="peer-") as folder:
                answer = Path(folder) / "answer.json"
                try:
                    done = run(
                        [sys.executable, "-P", str(HERE / "funnel_contender.py"), name, str(warehouse), str(answer)],
                        log=Path(folder) / "log",
                    )
                except ContenderFailed as error:
                    print(f"{row.name}: {error}", file=sys.stderr)
                    continue
                counts: list[int] = json.loads(answer.read_bytes())
            expected = expected or counts
            if row.same is not False:  # one run with another answer is one too many
                row.same, row.note = counts == expected, "" if counts == expected else f"{counts}, ours {expected}"
            print(f"{row.name}: {done.cpu_s:.2f} CPU s, {done.wall_s:.2f} s, {counts}", file=sys.stderr, flush=True)
            if number:
                row.per_cpu_s.append(events / done.cpu_s)
                row.per_s.append(events / done.wall_s)
                row.start_cpu_s = done.start_cpu_s
    return [row for row in rows.values() if row.per_cpu_s]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--visitors", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--results", type=Path, default=FILES, help="the folder for what was measured")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that contenders end with us
    warehouse = lake(chosen.events, chosen.visitors)
    when, where = now_and_here()
    keep(
        Part(
            part="query",
            title="Query: a funnel over the lake",
            command=f"python -m peers.query {' '.join(sys.argv[1:])}".strip(),
            when=when,
            where=where,
            versions={name: version(name) for name in ("duckdb", "polars", "chdb")},
            conditions=f"{chosen.events:,} events of {chosen.visitors:,} visitors in {DAYS} days, {len(STEPS)} steps in"
            f" order within {WINDOW.days} days; visitors that reached each step",
            rows=measure(warehouse, chosen.events, chosen.runs),
        ),
        chosen.results,
    )


if __name__ == "__main__":
    main()
