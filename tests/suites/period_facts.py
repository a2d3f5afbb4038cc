"""What reports on a period say of people who never were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from answers.facts import PeriodFacts, Totals
from ladder.clusters import Clustered
from ladder.comparisons import change, is_enough
from warehouse.changes import Changes, DropOffChange
from warehouse.periods import Days
from warehouse.query import Unit

WEEK = Days(date(2026, 3, 9), date(2026, 3, 16))
BEFORE = Days(date(2026, 3, 2), date(2026, 3, 9))

_BEFORE = Totals(900, 300, 120)
_KNOWN_UNTIL = datetime(2026, 3, 15, 20, tzinfo=UTC)

Sides = tuple[int, str | None, str | None, tuple[int, int], tuple[int, int]]
"""Tier, step, segment value, and (asked, lost) of the earlier and of the later time."""


def people(asked: int, lost: int) -> Clustered:
    """One ask each."""
    return Clustered(asked, asked, lost, asked, lost, lost)


def changes(rows: Sequence[Sides], one_sided: int = 0) -> Changes:
    """As ``drop_off_changes`` gives them of people who were asked once."""
    sides = [(people(*earlier), people(*later)) for *_, earlier, later in rows]
    compared = sum(is_enough(*pair) for pair in sides)
    found = [
        DropOffChange(tier, step, value, (*earlier, earlier[0]), (*later, later[0]), change(*pair, compared))
        for (tier, step, value, earlier, later), pair in zip(rows, sides, strict=True)
    ]
    return Changes(tuple(found), one_sided)


def week_facts(
    found: Changes | None,
    known_until: datetime | None = _KNOWN_UNTIL,
    *,
    first_at: datetime | None = datetime(2026, 1, 5, 9, tzinfo=UTC),
    last_begun_at: datetime | None = _KNOWN_UNTIL,
    unit: Unit = "session",
    before: Totals = _BEFORE,
) -> PeriodFacts:
    """A week in March against the one before."""
    return PeriodFacts(WEEK, BEFORE, "week", unit, None, before, first_at, last_begun_at, known_until, found)
