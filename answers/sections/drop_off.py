"""L2: who has dropped off and who may still say yes, and how that went from week to week."""

from __future__ import annotations

from collections.abc import Sequence

from answers.numbers import count
from answers.sections.section import Section
from warehouse.drop_off import DropOff
from warehouse.query import TierRow

LEAST_PERIODS = 2
_HIGH, _WIDE = 24.0, 100.0
_TREND = {"day": "Day by day", "week": "Week by week", "month": "Month by month"}


def drop_off_section(found: DropOff[TierRow] | None) -> Section | None:
    """``found``: of visitors, with a trend.  None where nobody was asked for anything."""
    if found is None or not any(row.asked for row in found.rows):
        return None
    every = found.every or "week"
    return Section(
        "drop_off",
        "Who may still say yes?",
        (_in_flight(found.rows),),
        {
            "rows": [(row, _line([period.rows[row.tier - 1] for period in found.trend])) for row in found.rows],
            "trend": _TREND[every] if found.trend else "",
        },
        (
            ("In flight", "Asked, no yes so far, and the conversion window from the first ask is still open."),
            ("Matured", "Asked, and that window has passed; whoever said yes within it did not drop off."),
            (
                _TREND[every],
                f"The drop-off of those first asked in that {every}, from 0 at the bottom to 100% at the top; a "
                f"{every} without any that matured leaves a gap.",
            ),
        ),
    )


def _in_flight(rows: Sequence[TierRow]) -> str:
    """Tiers may share a visitor, so they are told apart."""
    waiting = [row for row in rows if row.in_flight]
    if not waiting:
        return "Nobody's conversion window is open any more: who has not said yes has dropped off."
    words = [f"{count(row.in_flight)} who were asked for {row.name}" for row in waiting]
    return f"Not dropped off, since they may still say yes: {'; '.join(words)}. They are in no drop-off here."


def _line(weeks: Sequence[TierRow]) -> list[str]:
    """The drop-off of each week as points of lines, in a box of 100 by 24; a week without any ends a line."""
    lines: list[list[str]] = [[]]
    for place, row in enumerate(weeks):
        if row.matured == 0:
            lines.append([])
            continue
        x = _WIDE * place / max(1, len(weeks) - 1)
        lines[-1].append(f"{x:.1f},{_HIGH * (1 - row.matured_drop_off):.1f}")
    return [" ".join(line) for line in lines if len(line) >= LEAST_PERIODS]
