"""Simulated funnels with planted faults, and what an audit has to say of each: these faults and no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from answers.audit_facts import Audit
from answers.audit_findings import audits
from answers.audit_verdict import Verdict
from answers.gather_audit import gather_audit
from ladder.tiers import Ladder, Mark, Rule
from producers.simulation import Segment, Simulation, Spike
from tests.suites.judge import World, land_runs
from warehouse.counted import Slice
from warehouse.lake import Lake

STEPS = ("read an article", "vote in a poll", "leave your e-mail", "book a demo", "check out")


def _rules() -> Iterator[Rule]:
    for tier, step in enumerate(STEPS, start=1):
        for role in ("ask", "yes", "no", "reward", "cheer"):
            yield Rule(f"{step} {role}", {}, (Mark(tier, role, step),))


LADDER = Ladder(
    "planted",
    ("spark", "micro", "mini", "midi", "macro"),
    tuple(_rules()),
    conversion_window=timedelta(hours=1),
)

CLEAN = Simulation(
    duration=timedelta(days=1),
    visits_per_visitor=1,
    think_time=timedelta(seconds=1),
    yes_rates=(0.92, 0.89, 0.85, 0.80, 0.73),
    momentum=1,
    skip_share=0,
    push_share=0,
    cheer_share=1,
    reward_share=0.2,
    no_share=0,
    regret_share=0,
    segments=(Segment("all"),),
    out_of_order=0,
    late=0,
    duplicates=0,
    malformed=0,
)
"""Asked in order, celebrated, and evenly harder: the log-odds of a yes fall by a third from tier to tier."""


def _harder(step: str, factor: float) -> tuple[Spike, ...]:
    """The step's yes-rate is lower all the time."""
    return (Spike(datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=365), factor, step),)


Found = tuple[str, int, int]
"""A friction point: its kind, the tier held and the tier asked."""


@dataclass(frozen=True)
class Planted:
    """``answers``: to the four questions in their order.  ``points``: the friction points that are there."""

    world: World
    answers: tuple[Verdict, Verdict, Verdict, Verdict]
    points: frozenset[Found]


def _planted(name: str, simulation: Simulation, answers: tuple[Verdict, ...], *points: Found) -> Planted:
    first, second, third, fourth = answers
    return Planted(World(name, simulation, "visitor"), (first, second, third, fourth), frozenset(points))


COLD = replace(CLEAN, blunt_share=0.6, blunt_tier=3, leap_penalty=0.25)

WORLDS = (
    _planted("clean", CLEAN, ("no", "yes", "yes", "yes")),
    _planted("cold", COLD, ("yes", "partly", "partly", "yes"), ("cold lead", 0, 3)),
    _planted(
        "demo",
        replace(CLEAN, spikes=_harder("book a demo", 0.3)),
        ("no", "yes", "partly", "yes"),
        ("demo anxiety", 3, 4),
    ),
    _planted(
        "cart",
        replace(CLEAN, spikes=_harder("check out", 0.2)),
        ("no", "yes", "partly", "yes"),
        ("cart abandonment", 4, 5),
    ),
    _planted(
        "grim",
        replace(CLEAN, cheer_share=0.02, spikes=_harder("vote in a poll", 0.4)),
        ("no", "yes", "partly", "no"),
        ("leap", 1, 2),
    ),
)
MANY = _planted(
    "many",
    replace(COLD, cheer_share=0.02, spikes=_harder("book a demo", 0.3)),
    ("yes", "partly", "partly", "no"),
    ("cold lead", 0, 3),
    ("demo anxiety", 3, 4),
)
"""Several faults at once."""


def land_planted(lake: Lake, worlds: Sequence[Planted], visitors: int, runs: int, first_seed: int) -> int:
    """All runs of all worlds into one lake; tells how many events there are."""
    return sum(
        land_runs(lake, planted.world, visitors, runs, first_seed + 1000 * number, LADDER)
        for number, planted in enumerate(worlds)
    )


def audits_of_runs(warehouse: Path) -> dict[str, Audit]:
    """An audit of each run by itself, by its name."""
    _, facts = gather_audit(warehouse, LADDER, Slice("utm_campaign"))
    return {run: audits([own], LADDER)[0] for run, own in facts.items()}


def answers_of(audit: Audit) -> tuple[Verdict, ...]:
    return tuple(answer.verdict for answer in audit.answers)


def points_of(audit: Audit) -> frozenset[Found]:
    return frozenset((point.kind, point.held_tier, point.tier) for point in audit.frictions)
