"""Whether the marts' 95 % intervals hold what is true of simulated people in 95 of 100 runs, and find what is there.

``benchmarks/coverage.py`` asks the same of a hundred runs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.suites.judge import (
    CLIMB,
    LADDER,
    NOW,
    WORLDS,
    Estimate,
    World,
    differences,
    estimates,
    is_found,
    judged,
    land_runs,
    quantiles,
    true_quantiles,
    truth,
)
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate

RUNS = 20
VISITORS = 700
FEWEST_COVERED = 15
"""Of 20 runs at a true 95 % an estimate has fewer in 3 of 10,000 cases; there are 240 estimates."""


@pytest.fixture(scope="module")
def warehouse(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(tmp_path_factory.mktemp("judged") / "lake")
    for number, world in enumerate(WORLDS):
        land_runs(lake, world, VISITORS, RUNS, first_seed=1 + 1000 * number)
    assert build(lake, LADDER, gate=gate, now=NOW).built
    return lake.root.parent


Found = dict[str, dict[str, Estimate]]


@pytest.fixture(scope="module")
def found(warehouse: Path) -> dict[str, Found]:
    return {world.name: estimates(warehouse, world) for world in WORLDS}


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_the_truth_lies_in_the_interval_of_nearly_every_run(found: dict[str, Found], world: World) -> None:
    runs = found[world.name]
    assert len(runs) == RUNS
    true = truth(world.simulation)
    assert {name for own in runs.values() for name in own} == set(true)
    verdicts = judged(true, runs)
    assert [verdict for verdict in verdicts if verdict.covered < FEWEST_COVERED] == []
    assert sum(verdict.covered for verdict in verdicts) >= 0.93 * RUNS * len(verdicts)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_quantiles_of_times_are_near_the_true_ones(warehouse: Path, world: World) -> None:
    true = true_quantiles(world.simulation)
    found = quantiles(warehouse, world)
    assert set(found) == set(true)
    for name, said in found.items():
        allowed = 0.01 * true[name] + 4 * np.std(said, ddof=1) / len(said) ** 0.5
        assert np.mean(said) == pytest.approx(true[name], abs=allowed), name


def test_effects_that_are_not_there_are_found_in_about_one_of_twenty_cases(found: dict[str, Found]) -> None:
    told = [
        is_found(difference)
        for world, runs in found.items()
        for own in runs.values()
        for name, difference in differences(own).items()
        if world == "nothing" or "cheer" in name
    ]
    assert len(told) > 400
    # neighbours share a rate, so 3.5 standard deviations of independent cases are about 2.5 of these
    assert sum(told) <= 0.05 * len(told) + 3.5 * (0.05 * 0.95 * len(told)) ** 0.5


def test_effects_that_are_there_are_found(found: dict[str, Found]) -> None:
    assert (CLIMB.momentum, CLIMB.leap_penalty) == (1.4, 0.5)
    runs = [differences(own) for own in found["climb"].values()]
    for name, least in (
        ("too soon less in order: yes-rate", 20),
        ("too soon less in order: share lost", 20),
        ("with an earlier yes less without: yes-rate", 20),
        ("earlier yeses 1: adjusted less earlier yeses 0: adjusted", 14),
        ("earlier yeses 3+: adjusted less earlier yeses 2: adjusted", 14),
    ):
        assert sum(is_found(own[name]) for own in runs) >= least, name
    assert all(own["too soon less in order: yes-rate"].high < 0 for own in runs)
    assert all(own["earlier yeses 3+: adjusted less earlier yeses 2: adjusted"].value > 0 for own in runs)
