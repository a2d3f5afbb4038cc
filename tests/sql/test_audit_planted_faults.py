"""The audit of simulated funnels finds the faults that were planted there, and no others, with every seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from answers.audit_facts import Audit
from tests.suites.judge import NOW
from tests.suites.planted import LADDER, WORLDS, Planted, answers_of, audits_of_runs, land_planted, points_of
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate

SEEDS = 20
VISITORS = 250


@pytest.fixture(scope="module")
def warehouse(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(tmp_path_factory.mktemp("planted") / "lake")
    land_planted(lake, VISITORS, SEEDS, first_seed=1)
    assert build(lake, LADDER, gate=gate, now=NOW).built
    return lake.root.parent


@pytest.fixture(scope="module")
def audits(warehouse: Path) -> dict[str, Audit]:
    return audits_of_runs(warehouse)


@pytest.mark.parametrize("planted", WORLDS, ids=lambda planted: planted.world.name)
def test_every_seed_has_the_planted_friction_points_and_no_others(audits: dict[str, Audit], planted: Planted) -> None:
    runs = {name: own for name, own in audits.items() if name.startswith(f"{planted.world.name}-")}
    assert len(runs) == SEEDS
    assert {name: points_of(own) for name, own in runs.items()} == dict.fromkeys(runs, planted.points)


@pytest.mark.parametrize("planted", WORLDS, ids=lambda planted: planted.world.name)
def test_every_seed_has_the_answers_that_follow_from_what_was_planted(
    audits: dict[str, Audit], planted: Planted
) -> None:
    runs = {name: own for name, own in audits.items() if name.startswith(f"{planted.world.name}-")}
    assert {name: answers_of(own) for name, own in runs.items()} == dict.fromkeys(runs, planted.answers)
