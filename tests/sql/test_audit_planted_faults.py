"""The audit of simulated funnels finds the faults that were planted there, and no others, with every seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from answers.audit_facts import Audit
from answers.audit_json import AuditSaid
from answers.gather import gather
from answers.markdown import markdown
from answers.report import render_report
from answers.report_document import report_document
from tests.suites.judge import NOW
from tests.suites.planted import LADDER, WORLDS, Planted, answers_of, audits_of_runs, land_planted, points_of
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.walks import walk
from yesladder.cli import cli

SEEDS = 20
VISITORS = 200


@pytest.fixture(scope="module")
def warehouse(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(tmp_path_factory.mktemp("planted") / "lake")
    land_planted(lake, WORLDS, VISITORS, SEEDS, first_seed=1)
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


@pytest.fixture
def ask(warehouse: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs `yesladder audit` on the planted warehouse; gives what it says."""
    file = tmp_path / "ladder.toml"
    rules = "\n".join(
        f'[[on]]\nevent = "{rule.event}"\nis = [{{ tier = "{LADDER.tiers[mark.tier - 1]}", role = "{mark.role}",'
        f' step = "{mark.step}" }}]'
        for rule in LADDER.rules
        for mark in rule.marks
    )
    tiers = ", ".join(f'"{tier}"' for tier in LADDER.tiers)
    file.write_text(f'name = "planted"\nconversion_window = "1h"\ntiers = [{tiers}]\n{rules}\n', encoding="utf-8")

    def audit(*words: str) -> str:
        where = ["--warehouse", str(warehouse), "--ladder", str(file)]
        done = CliRunner().invoke(cli, ["audit", *where, *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return audit


def test_the_command_says_it_as_json_that_its_schema_allows(ask: Callable[..., str]) -> None:
    said = msgspec.json.decode(ask("--segment", "utm_campaign", "--json"), type=AuditSaid)
    assert (said.version, said.ladder, said.segment) == (1, "planted", "utm_campaign")
    assert len(said.by) == SEEDS * len(WORLDS)
    assert sum(own.visitors for own in said.by.values()) == said.all.visitors == SEEDS * len(WORLDS) * VISITORS
    assert {own.family for own in said.by.values()} == {said.all.compared + sum(o.compared for o in said.by.values())}
    for planted in WORLDS:
        for run, own in said.by.items():
            if run.startswith(f"{planted.world.name}-"):
                assert points_of(own) <= planted.points
    alone = msgspec.json.decode(ask("--since", "2026-02-01", "--json"), type=AuditSaid)
    assert (alone.all.visitors, alone.by, answers_of(alone.all)) == (0, {}, ("not enough data",) * 4)


def test_every_session_that_is_named_can_be_walked_and_shows_what_it_is_named_for(
    ask: Callable[..., str], warehouse: Path
) -> None:
    found = msgspec.json.decode(ask("--json"), type=AuditSaid).all
    big = found.answers[0]
    for question in found.answers:
        assert question.sessions
        for session in question.sessions[:2]:
            assert session in {one.session_id for one in walk(warehouse, LADDER, session).sessions}
    assert any(
        mark.held is not None and mark.tier - mark.held > 1
        for session in big.sessions[:2]
        for mark in walk(warehouse, LADDER, session).asks()
    )
    assert found.frictions
    for point in found.frictions:
        for session in point.sessions[:1]:
            asks = [(mark.held, mark.tier, mark.step) for mark in walk(warehouse, LADDER, session).asks()]
            assert (point.held_tier, point.tier, point.step) in asks


def test_the_command_writes_the_page_and_the_markdown_that_it_names(ask: Callable[..., str], tmp_path: Path) -> None:
    page, text = tmp_path / "audit.html", tmp_path / "audit.md"
    said = ask("--html", str(page), "--markdown", str(text))
    for title in ("Is there a big ask out of the blue?", "Are wins celebrated?", "Cold lead asked for an e-mail"):
        assert title in said
        assert title in page.read_text(encoding="utf-8")
        assert title in text.read_text(encoding="utf-8")


def test_the_report_begins_with_the_checklist(warehouse: Path) -> None:
    facts = gather(warehouse, LADDER, now=NOW)
    found = facts.asks.audit
    assert found is not None
    page = render_report(facts)
    assert page.index('id="audit"') < page.index('id="leaps"')
    words = markdown(report_document(facts))
    for point in found.frictions:
        assert point.title in page
        assert point.said.split(":")[0] in words
