"""How long the dashboard's pages take over a large simulated warehouse.

    PYTHONPATH=. python benchmarks/dashboard.py FOLDER [--visitors 220000] [--rounds 20]

FOLDER keeps the warehouse for the next run (7 events a visitor).  Every request is for other days, so that no answer is
remembered; what remembering saves is measured apart.  CPU seconds are the server's own.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median, quantiles
from urllib.parse import urlencode

import duckdb
import httpx
from measured import RESULTS, machine

from ladder.tiers import load_ladder
from producers.simulate import simulate, write_simulated
from producers.simulation import Simulation
from tests.suites.command_line import Service
from warehouse.build import build
from warehouse.lake import Lake
from yesladder.backfill import backfill

LADDER = Path(__file__).parents[1] / "ladders" / "shop.toml"
DAYS = 84
BEGIN = date(2026, 1, 5)
FUNNEL = (("steps", "Product Viewed"), ("steps", "Product Added"), ("steps", "tier:macro"))

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
    "walk": lambda days, random: f"/walk?person=s1-v{random.randint(1, 1000)}",
    "data health": lambda days, random: "/health",
    "funnel, not saved": lambda days, random: f"/funnel?{days}&{urlencode(FUNNEL)}",
}


def main() -> None:
    """Measure, print and append to ``results/dashboard.md``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--visitors", type=int, default=220_000)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    if not (given.folder / "marts.duckdb").exists():
        make(given.folder, given.visitors)
    with duckdb.connect(str(given.folder / "marts.duckdb"), read_only=True) as marts:
        ((events,),) = marts.execute("select count(*) from lake.events").fetchall()
        ((visitors,),) = marts.execute("select count(*) from dim_visitors").fetchall()
    options = ["--warehouse", given.folder, "--ladder", LADDER, "--port", 0]
    log = given.folder / "dashboard.log"
    log.unlink(missing_ok=True)
    with Service("dashboard", *options, cwd=given.folder, log=log) as service:
        service.until(lambda: "dashboard at " in service.words())
        url = service.words().rpartition("dashboard at ")[2].strip()
        lines = [
            f"| {name} | {took} |"
            for name, took in ((name, row(url, service.pid, name, given.rounds)) for name in PAGES)
        ]
    text = [
        f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"`python {' '.join(['benchmarks/' + Path(sys.argv[0]).name, *sys.argv[1:]])}`  ",
        f"{machine()}  ",
        f"{events:,} events of {visitors:,} visitors in {DAYS} days; {given.rounds} requests a page, one at a time",
        "",
        "| page | median, ms | p95, ms | slowest, ms | CPU, ms a request | remembered, ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *lines,
        "",
    ]
    print("\n".join(text))
    page = RESULTS / "dashboard.md"
    before = page.read_text(encoding="utf-8") if page.exists() else "# dashboard\n\n"
    page.write_text(before + "\n".join(text) + "\n", encoding="utf-8")


def make(folder: Path, visitors: int) -> None:
    """Simulate, land and build."""
    folder.mkdir(parents=True, exist_ok=True)
    ladder, sent = load_ladder(LADDER), folder / "sent.ndjson.gz"
    start = datetime(BEGIN.year, BEGIN.month, BEGIN.day, tzinfo=UTC)
    write_simulated(simulate(Simulation(visitors=visitors, start=start, duration=timedelta(days=DAYS)), ladder), sent)
    now = datetime.now(UTC)
    lake = Lake(folder / "lake")
    backfill([sent], lake, ladder, now=now)
    sent.unlink()
    build(lake, ladder, now=now)


def row(url: str, pid: int, name: str, rounds: int) -> str:
    """The cells of a page's line."""
    random = Random(name)
    seconds = []
    address = ""
    began = cpu(pid)
    for _ in range(rounds):
        since = BEGIN + timedelta(days=random.randint(0, DAYS // 2))
        until = since + timedelta(days=random.randint(7, DAYS // 2))
        address = PAGES[name](f"since={since}&until={until}", random)
        seconds.append(timed(f"{url}{address}"))
    spent = (cpu(pid) - began) / rounds
    remembered = min(timed(f"{url}{address}") for _ in range(5))
    p95 = quantiles(seconds, n=20)[-1]
    return " | ".join(f"{1000 * one:,.0f}" for one in (median(seconds), p95, max(seconds), spent, remembered))


def timed(address: str) -> float:
    began = time.perf_counter()
    answer = httpx.get(address, timeout=60)
    answer.raise_for_status()
    return time.perf_counter() - began


def cpu(pid: int) -> float:
    """Seconds that a process has spent."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    main()
