"""How often the audit finds the faults that were planted in simulated funnels, and how often others.

    PYTHONPATH=. python benchmarks/audit.py FOLDER [--runs 100] [--visitors 300] [--seed 100000]

FOLDER is for the warehouse (about 300 MB), made once and kept.  Besides the worlds of
``tests/sql/test_audit_planted_faults.py`` there is one with several faults at once and, without any fault, one of a
mixed crowd: three kinds of visitors, who come back, and whom each yes makes more willing.  Each run is audited by
itself.  Ends with 1 where fewer than 95 % of the planted points are found, or others in more than 5 % of the runs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from measured import RESULTS, machine

from answers.audit_facts import Audit
from ladder.rates import wilson
from producers.simulation import SEGMENTS
from tests.suites.judge import NOW, World
from tests.suites.planted import (
    CLEAN,
    LADDER,
    MANY,
    WORLDS,
    Planted,
    answers_of,
    audits_of_runs,
    land_planted,
    points_of,
)
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate

CROWD = Planted(
    World("crowd", replace(CLEAN, segments=SEGMENTS, momentum=1.3, visits_per_visitor=1.6), "visitor"),
    ("no", "yes", "yes", "yes"),
    frozenset(),
)
ALL = (*WORLDS, MANY, CROWD)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--visitors", type=int, default=300)
    parser.add_argument("--seed", type=int, default=100_000)
    chosen = parser.parse_args()
    warehouse = made(chosen.folder / f"{chosen.runs}-{chosen.visitors}-{chosen.seed}", chosen)
    begun = time.process_time()
    found = audits_of_runs(warehouse)
    took = time.process_time() - begun
    rows, is_fine = [], True
    for planted in ALL:
        runs = [own for name, own in found.items() if name.startswith(f"{planted.world.name}-")]
        line, good = _row(planted, runs)
        rows.append(line)
        is_fine = is_fine and good
    _write(rows, len(found), chosen.visitors, took)
    sys.exit(0 if is_fine else 1)


def made(folder: Path, chosen: argparse.Namespace) -> Path:
    """The warehouse; one that was not finished is made anew."""
    done = folder / "finished"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        lake = Lake(folder / "lake")
        begun = time.process_time()
        events = land_planted(lake, ALL, chosen.visitors, chosen.runs, chosen.seed)
        with Gate() as gate:
            build(lake, LADDER, gate=gate, now=NOW)
        done.write_text(f"{events:,} events in {time.process_time() - begun:.0f} CPU-s", encoding="utf-8")
    return folder


def _row(planted: Planted, runs: Sequence[Audit]) -> tuple[str, bool]:
    hits = sum(len(points_of(own) & planted.points) for own in runs)
    planted_points = len(planted.points) * len(runs)
    wrong = sum(bool(points_of(own) - planted.points) for own in runs)
    right = Counter(answers_of(own) == planted.answers for own in runs)[True]
    contrary = sum(
        said not in (true, "not enough data")
        for own in runs
        for said, true in zip(answers_of(own), planted.answers, strict=True)
    )
    cells = (
        planted.world.name,
        str(len(runs)),
        _share(hits, planted_points) if planted_points else "–",
        _share(wrong, len(runs)),
        _share(right, len(runs)),
        _share(contrary, 4 * len(runs)),
    )
    is_fine = (planted_points == 0 or hits >= 0.95 * planted_points) and wrong <= 0.05 * len(runs)
    return f"| {' | '.join(cells)} |", is_fine


def _share(part: int, whole: int) -> str:
    low, high = wilson(part, whole)[1:]
    return f"{part} of {whole} ({low:.1%} to {high:.1%})"


def _write(rows: Sequence[str], runs: int, visitors: int, took: float) -> None:
    said = [
        f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"`PYTHONPATH=. python benchmarks/audit.py FOLDER {' '.join(sys.argv[2:])}`  ",
        machine(),
        "",
        f"{runs} runs of {visitors} visitors each; all audits together took {took:.1f} CPU-s.",
        "",
        "| world | runs | planted points found | runs with another point | all four answers right | contrary answers |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
    ]
    print("\n".join(said))
    page = RESULTS / "audit.md"
    before = page.read_text(encoding="utf-8") if page.exists() else "# audit\n\n"
    page.write_text(before + "\n".join(said) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
