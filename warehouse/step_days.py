"""The asks of one step day by day, and the yeses that alerts wait for: of the same people, by the same hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ladder.errors import UsageError
from ladder.tiers import Ladder
from warehouse.counted import SEGMENTS
from warehouse.query import open_marts

WITHIN_MINUTES = 60
"""From the ask; a later yes is none for an alert."""


@dataclass(frozen=True)
class StepDay:
    """Asks of the UTC day ``day``, and those of them that were answered yes within the hour."""

    day: date
    asks: int
    yes: int


def step_days(
    warehouse: Path,
    ladder: Ladder,
    tier: int,
    step: str,
    *,
    since: date,
    until: date,
    first_touch: Mapping[str, str] | None = None,
) -> tuple[StepDay, ...]:
    """The days, from ``since`` on and before ``until``, on which a visitor was asked; an ask counts once an hour old.

    ``first_touch``: only visitors who came first with these values, by segment.
    Raises ``UsageError`` for another segment, and where no marts were built with this ladder.
    """
    values: dict[str, Any] = {"tier": tier, "step": step, "since": since, "until": until}
    whose = []
    for number, (segment, value) in enumerate((first_touch or {}).items()):
        if segment not in SEGMENTS:
            raise UsageError(f"there is no segment {segment!r}; take {', '.join(SEGMENTS)}")
        whose.append(f"coalesce(first_{segment}, '') = $value{number}")
        values[f"value{number}"] = value
    among = (
        f" and visitor_id in (select visitor_id from main.dim_visitors where {' and '.join(whose)})" if whose else ""
    )
    hour = f"interval {WITHIN_MINUTES} minutes"
    with open_marts(warehouse, ladder) as marts:
        rows = marts.execute(
            "select asked_date, count(*),"
            f" count(*) filter (answer = 'yes' and answered_at <= asked_at + {hour})"
            " from main.fct_asks where unit = 'visitor' and tier = $tier and step = $step"
            " and asked_date >= $since and asked_date < $until"
            f" and asked_at <= (select max(ended_at) from main.fct_sessions) - {hour}{among}"
            " group by asked_date order by asked_date",
            values,
        ).fetchall()
    return tuple(StepDay(*row) for row in rows)
