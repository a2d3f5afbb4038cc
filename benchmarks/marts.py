"""`yesladder build` after one per cent more data against a build from scratch, mart by mart.

    python benchmarks/marts.py [FOLDER] [--visitors 300000] [--days 100] [--runs 3]

Simulated visitors, all their sessions cut as the worker cuts them.  First everything lands but the sessions of the
last hundredth of the time and a few older ones, and the marts are built from scratch; then the rest lands, and they are
built with what is new, several times from the same state.  Seconds are dbt's for each model, less those that the same
kind of build takes for it in a warehouse with next to nothing in it, which are dbt's own.  In the end the marts are
built from scratch once more and compared.
FOLDER, which must be empty, keeps the warehouse; without one it goes.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from measured import RESULTS, machine

from ladder.tables import EVENTS, LANDED
from ladder.tiers import Ladder, builtin_ladder
from producers.simulate import simulate
from producers.simulation import Simulation
from stream.decoding import frame_of
from stream.history import sessionise_history
from warehouse.build import build
from warehouse.built import MARTS
from warehouse.lake import Lake
from warehouse.quality import Gate

TARGET = 0.10
NEW = 0.01
FELT_S = 0.1
"""Below this a model's seconds are dbt's own, which differ from run to run by as much."""

STRAGGLERS = 0.0005
"""Share of older sessions that land with the last ones, as a file read in late would bring them."""


def landed(simulation: Simulation, ladder: Ladder) -> tuple[pa.Table, pa.Table]:
    """All events of the simulation and all their sessions."""
    items = (item for item in simulate(simulation, ladder).items() if not isinstance(item, bytes))
    frames, offset = [], 0
    while some := list(islice(items, 200_000)):
        frames.append(frame_of(some, 0, range(offset, offset + len(some))))
        offset += len(some)
    frame = pl.concat(frames)
    sessions = sessionise_history(frame, ladder, "kafka:events")
    frame = frame.with_columns(source=pl.lit("kafka:events"), late=pl.lit(False))
    schema = EVENTS.remove(EVENTS.get_field_index(LANDED.name))
    return frame.select(schema.names).to_arrow().cast(schema), sessions


def split(events: pa.Table, sessions: pa.Table, since: datetime) -> list[tuple[pa.Table, pa.Table]]:
    """What lands first and what lands then: sessions that end at ``since`` or later, and a few others."""
    chance = random.Random(1)
    late = pa.array([chance.random() < STRAGGLERS for _ in range(sessions.num_rows)])
    is_new = pc.or_(pc.greater_equal(sessions["ended_at"], pa.scalar(since)), late)
    ids = pc.struct_field(pc.list_flatten(sessions.filter(is_new)["sequence"].combine_chunks()), "event_id")
    event_is_new = pc.is_in(events["event_id"], ids)
    return [
        (events.filter(pc.invert(event_is_new)), sessions.filter(pc.invert(is_new))),
        (events.filter(event_is_new), sessions.filter(is_new)),
    ]


def seconds_of_models(warehouse: Path) -> dict[str, float]:
    """What dbt took for each model in the last build."""
    results = json.loads((warehouse / "dbt" / "target" / "run_results.json").read_text(encoding="utf-8"))["results"]
    return {
        name.rsplit(".", 1)[1]: row["execution_time"]
        for row in results
        for name in [row["unique_id"]]
        if name.startswith("model.")
    }


def contents(marts: Path) -> dict[str, tuple[int, int]]:
    """Per mart how many rows, and a checksum that no order of them changes."""
    connection = duckdb.connect(str(marts), read_only=True)
    try:
        names = connection.execute(
            "select table_name from information_schema.tables"
            " where table_schema = 'main' and (table_name like 'fct_%' or table_name like 'dim_%') order by 1"
        ).fetchall()
        return {
            name: connection.execute(f"select count(*), coalesce(sum(hash(t)), 0) from main.{name} as t").fetchall()[0]
            for (name,) in names
        }
    finally:
        connection.close()


@dataclass(frozen=True)
class Model:
    """``full`` and ``more``: seconds from scratch and after one per cent more; ``rows``: 0 for what is no mart."""

    name: str
    rows: int
    full: float
    more: float


def measure(folder: Path, simulation: Simulation, runs: int, gate: Gate) -> tuple[str, list[Model]]:
    """What was built, and what it took."""
    ladder = builtin_ladder()
    now = datetime.now(UTC)
    events, sessions = landed(simulation, ladder)
    nearly_empty = Lake(folder / "nearly empty" / "lake")
    build(nearly_empty, ladder, gate=gate, now=now)
    build(nearly_empty, ladder, full=True, gate=gate, now=now)
    floor = seconds_of_models(nearly_empty.root.parent)
    land(nearly_empty, events.slice(0, 0), sessions.slice(0, 1))
    build(nearly_empty, ladder, gate=gate, now=now)
    floor_of_more = seconds_of_models(nearly_empty.root.parent)

    lake = Lake(folder / "warehouse" / "lake")
    since = simulation.start + simulation.duration * (1 - NEW)
    first, then = split(events, sessions, since)
    land(lake, *first)
    if build(lake, ladder, gate=gate, now=now).held_back:
        raise RuntimeError("the quality gate holds the simulated data back")
    full = seconds_of_models(lake.root.parent)
    before = folder / "before.duckdb"
    shutil.copyfile(lake.root.parent / MARTS, before)
    land(lake, *then)
    taken: list[Mapping[str, float]] = []
    for _ in range(runs):
        shutil.copyfile(before, lake.root.parent / MARTS)
        if build(lake, ladder, gate=gate, now=now).full:
            raise RuntimeError("the marts were built from scratch where only rows were added")
        taken.append(seconds_of_models(lake.root.parent))
    added = contents(lake.root.parent / MARTS)
    build(lake, ladder, full=True, gate=gate, now=now)
    at_once = contents(lake.root.parent / MARTS)
    if added != at_once:
        wrong = sorted(name for name in at_once if added.get(name) != at_once[name])
        raise RuntimeError(f"marts built step by step are not those built at once: {', '.join(wrong)}")
    rows = []
    for name, seconds in full.items():
        of_full, of_more = seconds - floor[name], median(run[name] for run in taken) - floor_of_more[name]
        count = at_once.get(name, (0, 0))[0]
        rows.append(Model(name, count, of_full, of_more))
    what = (
        f"{events.num_rows:,} events, {sessions.num_rows:,} sessions of {simulation.visitors:,} visitors in"
        f" {simulation.duration.days} days; then {then[0].num_rows:,} events and {then[1].num_rows:,} sessions more"
    )
    return what, rows


def land(lake: Lake, events: pa.Table, sessions: pa.Table) -> None:
    """As workers do, some at a time."""
    for table, rows in (("events", events), ("sessions", sessions)):
        for start in range(0, rows.num_rows, 500_000):
            lake.append(table, rows.slice(start, 500_000), now=datetime.now(UTC))


def _ratio(model: Model) -> str:
    return f"{max(0.0, model.more) / model.full:.3f}" if model.full >= FELT_S else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--visitors", type=int, default=300_000)
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    if chosen.folder is not None and chosen.folder.exists() and any(chosen.folder.iterdir()):
        parser.error(f"{chosen.folder} is not empty")
    simulation = Simulation(
        visitors=chosen.visitors, duration=timedelta(days=chosen.days), late=0.0, duplicates=0.0, malformed=0.0
    )
    with tempfile.TemporaryDirectory() as passing, Gate() as gate:
        folder = passing if chosen.folder is None else chosen.folder
        what, models = measure(Path(folder), simulation, chosen.runs, gate)
    models.sort(key=lambda model: -model.full)
    felt = [model for model in models if max(model.full, model.more) >= FELT_S]
    missed = [model.name for model in felt if model.rows and model.more >= TARGET * model.full]
    share = sum(model.more for model in models) / sum(model.full for model in models)
    lines = [
        f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"`python {' '.join(['benchmarks/' + Path(sys.argv[0]).name, *sys.argv[1:]])}`  ",
        f"{machine()}  ",
        what,
        "",
        "| model | rows | from scratch, s | after 1 % more, s | ratio |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {model.name} | {model.rows:,} | {model.full:.2f} | {model.more:.2f} | {_ratio(model)} |"
            for model in models
            if model.rows or model in felt
        ),
        "",
        f"- all models together: **{share:.3f}** (target {TARGET:.2f})",
        f"- marts that miss the target: **{', '.join(missed) or 'none'}**",
        "",
    ]
    print("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    page = RESULTS / "marts.md"
    earlier = page.read_text(encoding="utf-8") if page.exists() else "# marts\n\n"
    page.write_text(earlier + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
