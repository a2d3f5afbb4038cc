"""A report on a week in which everything that has a name has the same one."""

from __future__ import annotations

from datetime import UTC, datetime

from answers.facts import Health, Quality, ReportFacts
from ladder.tiers import Ladder, Mark, Rule
from tests.suites.counted_rows import counted_step, counted_tier
from tests.suites.period_facts import changes, week_facts
from tests.suites.report_facts import ask_facts

NOW = datetime(2026, 3, 16, 8, 0, tzinfo=UTC)


def facts_with(name: str) -> ReportFacts:
    """A report in which everything that can have a name has this one."""
    tiers = tuple(f"{name} {n}" for n in range(1, 4))
    return ReportFacts(
        ladder=Ladder(name, tiers, (Rule(name, {}, tuple(Mark(n, "yes", name) for n in (1, 2, 3))),)),
        written_at=NOW,
        first_at=datetime(2026, 3, 9, 1, tzinfo=UTC),
        last_at=datetime(2026, 3, 15, 23, tzinfo=UTC),
        events=1000,
        sessions=280,
        visitors=120,
        per_session=tuple(counted_tier(n, tier, 100, 40, no=10) for n, tier in enumerate(tiers, start=1)),
        per_visitor=tuple(counted_tier(n, tier, 90, 40) for n, tier in enumerate(tiers, start=1)),
        steps=tuple(counted_step(n, name, 100, 40 - n) for n in (1, 2, 3)),
        health=Health(1000, 3, {"bad_time": 2}, 5, landed_at=NOW, built_at=NOW, quality=Quality(NOW, (name,))),
        asks=ask_facts(name, tiers=3),
        attribution=f"Whose\nit is: {name}",
        period=week_facts(
            changes([(1, None, None, (1000, 500), (1000, 600)), (2, name, None, (99, 1), (99, 2)),
                     (3, None, name, (99, 1), (99, 2))])
        ),
    )  # fmt: skip
