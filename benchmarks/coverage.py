"""How often the marts' 95 % intervals hold what is true of simulated people, and whether they see what is not there.

    PYTHONPATH=. python benchmarks/coverage.py FOLDER [--runs 100] [--visitors 10000] [--seed 1]

FOLDER is for the warehouses (about 1 GB for a million visitors), made once and kept.  In the world ``climb`` yeses have
momentum and leaps cost; in ``nothing`` (a fifth of the visitors, asked about by session) every ask is answered yes by
one of two.  Ends with 1 where less than 93 % of all intervals hold the truth, or those of one estimate so few as chance
does not explain.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import comb, sqrt
from pathlib import Path
from statistics import NormalDist

from measured import RESULTS, machine

from ladder.rates import Z_95
from tests.suites.judge import (
    LADDER,
    NOW,
    WORLDS,
    Estimate,
    Verdict,
    World,
    differences,
    estimates,
    is_found,
    judged,
    land_runs,
    truth,
)
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import open_marts

NAMED_BELOW = 0.93
_ALIKE = """
with asks as (
    select
        {unit} as unit_id, coalesce(answer = 'yes', false)::int as yes,
        held_tier, earlier_yeses, leap, seconds_since_yes
    from main.fct_asks where unit = '{of}' and is_mature
),
grouped as (
    select *, 'earlier yeses ' || case when earlier_yeses < 3 then earlier_yeses::varchar else '3+' end as name
    from asks
    union all select *, 'tier held ' || held_tier from asks
    union all select *, case when leap > 1 then 'too soon' else 'in order' end from asks
    union all
    select *, 'since the last yes ' || case when seconds_since_yes < 60 then 'under a minute' else 'under an hour' end
    from asks where seconds_since_yes is not null
),
units as (select name, unit_id, count(*) as n, sum(yes) as yes from grouped group by name, unit_id),
rates as (select name, sum(yes) / sum(n) as rate, sum(n) as n, count(*) as units from units group by name)
select name, any_value(rates.n / rates.units), sum((yes - rate * units.n) ** 2) / any_value(rates.n * rate * (1 - rate))
from units inner join rates using (name) group by name order by name
"""
"""Design effects: the variance of each rate as a ratio of sums over units, by that of as many independent asks."""

BY_CHANCE = 0.001


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--visitors", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    lines, is_fine = [], True
    for number, world in enumerate(WORLDS):
        visitors = chosen.visitors if number == 0 else chosen.visitors // 5
        folder = chosen.folder / f"{world.name}-{chosen.runs}-{visitors}-{chosen.seed}"
        warehouse = made(folder, world, visitors, chosen.runs, 1_000_000 * chosen.seed + 10_000 * number)
        runs = estimates(warehouse, world)
        verdicts = judged(truth(world.simulation), runs)
        whole = judged(truth(world.simulation), estimates(warehouse, world, together=True))
        lines += [*_said(world, visitors, verdicts, whole, runs), *_alike(warehouse, world)]
        is_fine = is_fine and _is_fine(verdicts)
    _write(lines)
    sys.exit(0 if is_fine else 1)


def made(folder: Path, world: World, visitors: int, runs: int, first_seed: int) -> Path:
    """The warehouse of a world's runs; one that was not finished is made anew."""
    done = folder / "finished"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        lake = Lake(folder / "lake")
        begun = time.process_time()
        events = land_runs(lake, world, visitors, runs, first_seed=first_seed)
        landed = time.process_time()
        with Gate() as gate:
            build(lake, LADDER, gate=gate, now=NOW)
        took = f"landed in {landed - begun:.0f} CPU-s, built in {time.process_time() - landed:.0f}"
        done.write_text(f"{events:,} events, {took}", encoding="utf-8")
        print(world.name, done.read_text(encoding="utf-8"), flush=True)
    return folder


def _said(
    world: World,
    visitors: int,
    verdicts: Sequence[Verdict],
    whole: Sequence[Verdict],
    runs: Mapping[str, Mapping[str, Estimate]],
) -> list[str]:
    pooled = sum(one.covered for one in verdicts) / sum(one.runs for one in verdicts)
    under = [one for one in verdicts if one.covered < NAMED_BELOW * one.runs]
    fewer = _below(len(runs)) + 1
    expected = _at_most(fewer - 1, len(runs)) * len(verdicts)
    held = sum(one.covered for one in whole)
    return [
        f"### {world.name}, by {world.unit}: {len(runs)} runs of {visitors:,} visitors",
        "",
        f"{len(verdicts)} estimates; their intervals hold the truth in **{pooled:.2%}** of all cases. "
        f"{len(under)} of them do in fewer than {fewer} runs; of a true 95 % it would be {expected:.1f}. "
        f"With all {len(runs) * visitors:,} visitors as one run {held} of {len(whole)} do.",
        "",
        *_effects(world, runs),
        "",
        "| estimate | truth | runs | fewest counted | value - truth |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {one.name} | {one.truth:.4f} | {_bold(one.covered, one in under)} | {one.fewest:,} | {one.bias:+.4f} |"
            for one in verdicts
        ),
        "",
    ]


def _alike(warehouse: Path, world: World) -> list[str]:
    """How far the asks of one visitor or session are from independent, which the intervals take them to be."""
    query = _ALIKE.format(unit=f"{world.unit}_id", of=world.unit)
    with open_marts(warehouse, LADDER) as marts:
        rows = marts.execute(query).fetchall()
    return [
        f"What a {world.unit}'s asks have in common makes rates vary more than as many independent asks would. "
        "So of 100 intervals that take them as independent so many can be expected to hold the truth:",
        "",
        f"| rate | asks of a {world.unit} | variance, times | of 100 |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name} | {each:.2f} | {times:.3f} | {100 * (2 * NormalDist().cdf(Z_95 / sqrt(times)) - 1):.1f} |"
            for name, each, times in rows
        ),
        "",
    ]


def _bold(number: int, is_low: bool) -> str:
    return f"**{number}**" if is_low else str(number)


def _effects(world: World, runs: Mapping[str, Mapping[str, Estimate]]) -> list[str]:
    """How many runs have a difference whose interval leaves out 0, effect by effect."""
    found: Counter[str] = Counter()
    for own in runs.values():
        for name, difference in differences(own).items():
            found[name] += is_found(difference)
    absent = {name: n for name, n in found.items() if world.name == "nothing" or "cheer" in name}
    share = sum(absent.values()) / (len(absent) * len(runs))
    lines = [f"Differences that are not there are found in **{share:.2%}** of {len(absent) * len(runs):,} cases."]
    there = [f"{name} in {found[name]}" for name in found if name not in absent]
    return lines + ([f"Those that are there, in so many runs: {'; '.join(there)}."] if there else [])


def _below(runs: int) -> int:
    """The most runs that are still under ``NAMED_BELOW``."""
    return max(n for n in range(runs + 1) if n < NAMED_BELOW * runs)


def _at_most(successes: int, trials: int, share: float = 0.95) -> float:
    """The binomial probability of so many or fewer."""
    return sum(comb(trials, n) * share**n * (1 - share) ** (trials - n) for n in range(successes + 1))


def _is_fine(verdicts: Sequence[Verdict]) -> bool:
    """Enough of all intervals hold the truth, and of no estimate as few as a true 95 % has once in a thousand times."""
    runs = verdicts[0].runs
    lowest = min(one.covered for one in verdicts)
    pooled = sum(one.covered for one in verdicts) / (runs * len(verdicts))
    return pooled >= NAMED_BELOW and _at_most(lowest, runs) * len(verdicts) >= BY_CHANCE


def _write(lines: Sequence[str]) -> None:
    said = [
        f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"`PYTHONPATH=. python benchmarks/coverage.py FOLDER {' '.join(sys.argv[2:])}`  ",
        machine(),
        "",
        *lines,
    ]
    print("\n".join(said))
    page = RESULTS / "coverage.md"
    before = page.read_text(encoding="utf-8") if page.exists() else "# coverage\n\n"
    page.write_text(before + "\n".join(said) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
