"""The people and sessions behind a count of the drop-off: those that were asked, and what they answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast, get_args

from ladder.errors import UsageError
from ladder.tiers import Ladder
from warehouse.counted import Slice
from warehouse.query import checked_unit, open_marts

Outcome = Literal["asked", "yes", "no", "silent", "implicit", "reached", "in_flight", "matured", "dropped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""What ``warehouse.query.COUNTS`` counts; ``dropped``: matured without a yes in time."""

_CONDITIONS: Mapping[Outcome, str] = {
    **{cast(Outcome, name): f"outcomes.is_{name}" for name in OUTCOMES if name != "dropped"},
    "dropped": "outcomes.is_matured and not outcomes.is_matured_yes",
}

MOST = 100


@dataclass(frozen=True)
class Somebody:
    """A session or a visitor.  ``last_asked_at`` and ``last_asked``: the time and step of their last ask of the tier.

    ``asks``: of the tier (or step).  ``held``: what was held at the first of them; all None where none is on record.
    """

    unit_id: str
    visitor_id: str
    began_at: datetime
    highest_tier: int | None
    asks: int
    held: int | None
    last_asked: str | None
    last_asked_at: datetime | None


@dataclass(frozen=True)
class People:
    """``count``: all of them; ``rows``: some of them, by the day on which they are counted, the last day first."""

    tier: int
    step: str | None
    outcome: Outcome
    count: int
    rows: tuple[Somebody, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def people(
    warehouse: Path,
    ladder: Ladder,
    of: Slice,
    tier: int,
    outcome: str,
    *,
    step: str | None = None,
    most: int = MOST,
    skip: int = 0,
) -> People:
    """Who they are that ``tier_drop_off`` (or ``step_drop_off``) counts in a slice.

    A slice with a segment and without a value is of everybody.  ``skip``: how many are passed over.
    Raises ``UsageError`` for another tier or outcome, and where no marts were built with this ladder.
    """
    unit = checked_unit(of.unit)
    if not 1 <= tier <= len(ladder.tiers):
        raise UsageError(f"tier {tier}: there are 1 to {len(ladder.tiers)}")
    if outcome not in OUTCOMES:
        raise UsageError(f"there is no outcome {outcome!r}; take {', '.join(OUTCOMES)}")
    known = cast(Outcome, outcome)
    values: dict[str, Any] = {"unit": unit, "tier": tier}
    conditions = ["outcomes.unit = $unit", "outcomes.tier = $tier", f"({_CONDITIONS[known]})"]
    conditions.append("outcomes.step is null" if step is None else "outcomes.step = $step")
    if step is not None:
        values["step"] = step
    for condition, name, day in (("date >= $since", "since", of.since), ("date < $until", "until", of.until)):
        if day is not None:
            conditions.append(f"outcomes.{condition}")
            values[name] = day
    if of.value is not None:
        conditions.append(f"coalesce(dim_visitors.first_{of.segment}, '') = $value")
        values["value"] = of.value
    whose = "from intermediate.int_outcomes as outcomes"
    if of.value is not None:
        whose += " inner join main.dim_visitors on dim_visitors.visitor_id = outcomes.visitor_id"
    whose += f" where {' and '.join(conditions)}"
    of_step = "" if step is None else " and fct_asks.step = $step"
    with open_marts(warehouse, ladder) as marts:
        ((count,),) = marts.execute(f"select count(*) {whose}", values).fetchall()
        rows = marts.execute(
            _ROWS.format(
                whose=whose,
                of_step=of_step,
                asking_unit="fct_asks.visitor_id" if unit == "visitor" else "fct_asks.session_id",
                table="dim_visitors" if unit == "visitor" else "fct_sessions",
                key="visitor_id" if unit == "visitor" else "session_id",
                began="first_seen_at" if unit == "visitor" else "started_at",
            ),
            {**values, "most": most, "skip": skip},
        ).fetchall()
    return People(tier, step, known, count, tuple(Somebody(*row) for row in rows))


_ROWS = """
with

-- Of these few only is more looked up.
whose as (
    select outcomes.unit_id, outcomes.visitor_id, outcomes.date {whose}
    order by outcomes.date desc, outcomes.unit_id
    limit $most offset $skip
),

asks as (
    select
        {asking_unit} as unit_id,
        count(*) as asks,
        arg_min(fct_asks.held_tier, fct_asks.asked_at) as held,
        arg_max(fct_asks.step, fct_asks.asked_at) as last_asked,
        max(fct_asks.asked_at) as last_asked_at
    from main.fct_asks
    where
        fct_asks.unit = $unit and fct_asks.tier = $tier{of_step}
        and fct_asks.visitor_id in (select visitor_id from whose)
    group by {asking_unit}
)

select
    whose.unit_id,
    whose.visitor_id,
    units.{began},
    units.highest_tier,
    coalesce(asks.asks, 0),
    asks.held,
    asks.last_asked,
    asks.last_asked_at
from whose
inner join main.{table} as units on units.{key} = whose.unit_id
left join asks on asks.unit_id = whose.unit_id
order by whose.date desc, whose.unit_id
"""
