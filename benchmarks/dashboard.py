"""How long the dashboard's pages take over a large simulated warehouse.

    PYTHONPATH=. python benchmarks/dashboard.py FOLDER [--visitors 220000] [--copies 1] [--rounds 20] [--busy OTHER]

FOLDER keeps the warehouse for the next run (6.5 events a visitor).  Every request is for other days, so that no answer
is remembered; what remembering saves is measured apart.  CPU seconds are the server's own.  ``--copies``: visitors
are simulated and built once, and stand in the warehouse so many times under other names (``copied_warehouse.py``).
``--busy``: meanwhile events land every two seconds, and the warehouse in the folder OTHER is built again and again.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median, quantiles
from urllib.parse import urlencode

import duckdb
import httpx
import polars as pl
import pyarrow as pa
from copied_warehouse import copied
from measured import RESULTS, machine

from answers.funnel_file import load_funnels
from answers.funnel_kept import SavedFunnels
from ladder.events import Event
from ladder.tables import CHECKPOINTS, EVENTS, REJECTS, Position
from ladder.tiers import Ladder, load_ladder
from producers.simulate import simulate
from producers.simulation import Simulation
from stream.checkpoint import without_landed
from stream.decoding import frame_of
from stream.history import sessionise_history
from tests.suites.command_line import Service
from warehouse.build import build
from warehouse.lake import Lake

LADDER = Path(__file__).parents[1] / "ladders" / "shop.toml"
DAYS = 84
BEGIN = date(2026, 1, 5)
STRETCH = timedelta(days=14)
CHUNK = 200_000
"""Visitors simulated at a time, over a stretch of days of their own."""
FUNNEL = (("steps", "Product Viewed"), ("steps", "Product Added"), ("steps", "tier:macro"))
SAVED = '[bought]\nsteps = ["Product Viewed", "Product Added", "tier:macro"]\n'

Address = Callable[[str, Random], str]

PAGES: dict[str, Address] = {
    "ladder": lambda days, random: f"/ladder?{days}",
    "ladder by utm_source": lambda days, random: f"/ladder?{days}&segment=utm_source",
    "people": lambda days, random: f"/people?{days}&tier={random.randint(1, 5)}&outcome=silent",
    "leaps": lambda days, random: f"/leaps?{days}",
    "momentum": lambda days, random: f"/momentum?{days}",
    "hesitation": lambda days, random: f"/hesitation?{days}",
    "value first": lambda days, random: f"/value-first?{days}",
    "cheers": lambda days, random: f"/cheers?{days}",
    "walk": lambda days, random: f"/walk?person=s{random.randint(1, 2)}-v{random.randint(1, 9000)}",
    "data health": lambda days, random: "/health",
    "alerts": lambda days, random: "/alerts",
    "funnel, saved": lambda days, random: f"/funnel?saved=bought&{days}",
    "funnel, not saved": lambda days, random: f"/funnel?{days}&{urlencode(FUNNEL)}",
}

_COUNTED = ("funnel, not saved",)
"""Pages that say first that they are being counted: of these, times are those of that, and fewer are asked for."""


def main() -> None:
    """Measure, print and append to ``results/dashboard.md``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--visitors", type=int, default=220_000)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--busy", type=Path)
    given = parser.parse_args()
    if not (given.folder / "marts.duckdb").exists():
        make(given.folder, given.visitors, given.copies)
    with duckdb.connect(str(given.folder / "marts.duckdb"), read_only=True) as marts:
        ((events,),) = marts.execute("select count(*) from lake.events").fetchall()
        ((visitors,),) = marts.execute("select count(*) from dim_visitors").fetchall()
    options = ["--warehouse", given.folder, "--ladder", LADDER, "--port", 0, "--funnels", given.folder / "funnels.toml"]
    log = given.folder / "dashboard.log"
    log.unlink(missing_ok=True)
    with ExitStack() as stack:
        if given.busy is not None:
            stack.enter_context(busy(given.folder, given.busy))
        service = stack.enter_context(Service("dashboard", *options, cwd=given.folder, log=log))
        service.until(lambda: "dashboard at " in service.words())
        url = service.words().rpartition("dashboard at ")[2].strip()
        lines = [
            f"| {name} | {took} |"
            for name, took in ((name, row(url, service.pid, name, given.rounds)) for name in PAGES)
        ]
    folders = {str(given.folder): "FOLDER", str(given.busy): "OTHER"}
    spoken = [folders.get(word, word) for word in sys.argv[1:]]
    meanwhile = "" if given.busy is None else "; meanwhile events land and another warehouse is built"
    text = [
        f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"`python benchmarks/dashboard.py {' '.join(spoken)}`  ",
        f"{machine()}, load {Path('/proc/loadavg').read_text().split()[1]}  ",
        f"{events:,} events of {visitors:,} visitors in {DAYS} days; {given.rounds} requests a page, one at a time"
        f"{meanwhile}",
        "",
        "| page | median, ms | p95, ms | slowest, ms | CPU, ms a request | remembered, ms | with its numbers, s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *lines,
        "",
    ]
    print("\n".join(text))
    page = RESULTS / "dashboard.md"
    before = page.read_text(encoding="utf-8") if page.exists() else "# dashboard\n\n"
    page.write_text(before + "\n".join(text) + "\n", encoding="utf-8")


def make(folder: Path, visitors: int, copies: int) -> None:
    """Simulate, land and build, stretch by stretch of the days; then copy."""
    ladder = load_ladder(LADDER)
    made = folder if copies == 1 else folder / "once"
    made.mkdir(parents=True, exist_ok=True)
    lake = Lake(made / "lake")
    parts = max(1, visitors // CHUNK)
    begin = datetime(BEGIN.year, BEGIN.month, BEGIN.day, tzinfo=UTC)
    for part in range(parts):
        start = begin + (timedelta(days=DAYS) - STRETCH) // max(1, parts - 1) * part
        land(lake, ladder, Simulation(visitors=visitors // parts, seed=part + 1, start=start, duration=STRETCH))
    build(lake, ladder, now=datetime.now(UTC))
    if copies > 1:
        copied(made, folder, ladder, copies, parts)
    (folder / "funnels.toml").write_text(SAVED, encoding="utf-8")
    kept = SavedFunnels(load_funnels(folder / "funnels.toml"), ladder)
    with duckdb.connect(str(folder / "marts.duckdb")) as marts:
        kept.renew(marts)


def land(lake: Lake, ladder: Ladder, simulation: Simulation, source: str | None = None) -> None:
    """One checkpoint of all that is simulated, each event once, without the files that a backfill reads."""
    source = source or f"simulated:{simulation.seed}"
    claim = lake.claim(source, [0])
    if claim.next_offset(0) > 0:
        return
    frames, read, items = [], 0, simulate(simulation, ladder).items()
    while batch := list(islice(items, 100_000)):
        events = [item for item in batch if isinstance(item, Event)]
        frames.append(frame_of(events, 0, range(read, read + len(events))))
        read += len(events)
    frame = pl.concat(frames).unique("event_id", keep="first", maintain_order=True)
    rows = frame.with_columns(late=pl.lit(False), source=pl.lit(source))
    now = min(datetime.now(UTC), simulation.start + simulation.duration)
    checkpoint = {field.name: 0 for field in CHECKPOINTS} | {"source": source, "next_offset": read}
    checkpoint |= {"landed": len(frame), "duplicates": read - len(frame), "committed_at": now}
    checkpoint |= {"watermark": None, "open_since": None}
    tables = {
        "events": rows.select(without_landed(EVENTS).names).to_arrow(),
        "rejects": without_landed(REJECTS).empty_table(),
        "checkpoints": pa.Table.from_pylist([checkpoint], schema=without_landed(CHECKPOINTS)),
        "sessions": sessionise_history(frame, ladder, source),
    }
    claim.commit(tables, {0: Position(read)}, now)


@contextmanager
def busy(folder: Path, other: Path) -> Iterator[None]:
    """Events land in the one warehouse, and builds from scratch of the other follow one another, until the end."""
    ladder, over = load_ladder(LADDER), threading.Event()

    def landing() -> None:
        lake, begun = Lake(folder / "lake"), datetime.now(UTC)
        for number in range(1_000_000):
            at = Simulation(visitors=100, seed=1_000_000 + number, start=begun - STRETCH, duration=STRETCH)
            land(lake, ladder, at, source=f"busy:{begun:%Y%m%dT%H%M%S}:{number}")
            if over.wait(2):
                return

    def building() -> None:
        while not over.is_set():
            with Service(
                "build", "--full", "--warehouse", other, "--ladder", LADDER, cwd=folder, log=folder / "builds.log"
            ) as service:
                while service.is_running and not over.wait(0.5):
                    pass

    threads = [threading.Thread(target=work) for work in (landing, building)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def row(url: str, pid: int, name: str, rounds: int) -> str:
    """The cells of a page's line."""
    random = Random(name)
    rounds = max(3, rounds // 5) if name in _COUNTED else rounds
    first, whole = [], []
    address = ""
    began = cpu(pid)
    for _ in range(rounds):
        since = BEGIN + timedelta(days=random.randint(0, DAYS // 2))
        until = since + timedelta(days=random.randint(7, DAYS // 2))
        address = PAGES[name](f"since={since}&until={until}", random)
        told, found = timed(f"{url}{address}")
        first.append(told)
        whole.append(found)
    spent = (cpu(pid) - began) / rounds
    remembered = min(timed(f"{url}{address}")[1] for _ in range(5))
    seconds = first if name in _COUNTED else whole
    p95 = quantiles(seconds, n=20, method="inclusive")[-1]
    cells = " | ".join(f"{1000 * one:,.0f}" for one in (median(seconds), p95, max(seconds), spent, remembered))
    return f"{cells} | {median(whole):,.1f}" if name in _COUNTED else f"{cells} |"


def timed(address: str) -> tuple[float, float]:
    """Seconds until a browser shows something, and until it shows the numbers."""
    began = time.perf_counter()
    first = None
    while True:
        answer = httpx.get(address, timeout=60, headers={"sec-fetch-dest": "document"})
        answer.raise_for_status()
        took = time.perf_counter() - began
        first = took if first is None else first
        if 'id="counting"' not in answer.text:
            return first, took
        time.sleep(1)


def cpu(pid: int) -> float:
    """Seconds that a process has spent."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    main()
