"""The ways up the ladder, told per person: who was asked for what while they held less, and who came by a step first.

Each is of visitors, whatever the unit of the slice, and raises ``UsageError`` where no marts were built with this
ladder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ladder.tiers import Ladder
from warehouse.counted import Slice
from warehouse.query import open_marts

Step = tuple[int, str]
"""A tier and a step of it."""

WITNESSES = 5
"""So many sessions are named for each number."""


@dataclass(frozen=True)
class Way:
    """Visitors who were asked for a step of ``tier`` while they held the lower ``held_tier`` (0: none).

    Each visitor counts once: ``asked`` where the window of their first such ask has passed, ``yes`` where they said yes
    to any such ask whose window has, ``lost`` where one of these was the last they were asked for and they never said
    yes again.  ``bridged``: those who had a yes or a reward of a bridging step before their first such ask.
    ``sessions``: of the lost first, then of others without a yes, the newest first.
    """

    segment_value: str
    held_tier: int
    tier: int
    step: str
    asked: int
    yes: int
    lost: int
    bridged: int
    sessions: tuple[str, ...]


@dataclass(frozen=True)
class Came:
    """Visitors whose first ask for ``tier``, from below it, found them at ``held_tier``."""

    segment_value: str
    tier: int
    held_tier: int
    visitors: int


@dataclass(frozen=True)
class Surprised:
    """Visitors asked for anything above the lowest tier; ``surprised``: ever for more than one tier above theirs.

    Of asks whose window has passed.
    """

    segment_value: str
    asked: int
    surprised: int


def ways(
    warehouse: Path, ladder: Ladder, of: Slice, bridges: Mapping[Step, Collection[Step]] | None = None
) -> tuple[Way, ...]:
    """By segment value, tier held, tier asked and step.  ``bridges``: of steps asked, those that lead up to them."""
    pairs = [(*asked, *step) for asked, steps in (bridges or {}).items() for step in sorted(steps)]
    columns: list[list[Any]] = [list(column) for column in zip(*pairs, strict=True)] or [[], [], [], []]
    query = f"""
with

asks as ({_asks(of)}),

people as (
    select
        segment_value, visitor_id, held_tier, tier, step,
        min(asked_at) as asked_at,
        arg_min(is_mature, asked_at) as is_mature,
        bool_or(is_mature and is_yes) as is_yes,
        bool_or(is_mature and is_loss) as is_lost,
        arg_max(session_id, (is_mature, asked_at, session_id)) as session_id
    from asks
    where tier > held_tier
    group by all
),

bridges as (
    select
        unnest($asked_tiers::smallint[]) as asked_tier, unnest($asked_steps::varchar[]) as asked_step,
        unnest($tiers::smallint[]) as tier, unnest($steps::varchar[]) as step
),

bridged as (
    select
        marks.visitor_id, bridges.asked_tier as tier, bridges.asked_step as step,
        min(marks.occurred_at) as bridged_at
    from intermediate.int_marks as marks
    inner join bridges on bridges.tier = marks.tier and bridges.step = marks.step
    where marks.role in ('yes', 'reward')
    group by all
)

select
    segment_value, held_tier, tier, step, count(*), count_if(is_yes), count_if(is_lost),
    count_if(coalesce(bridged.bridged_at <= people.asked_at, false)),
    arg_max(session_id, (is_lost, not is_yes, asked_at, session_id), {WITNESSES})
from people
left join bridged using (visitor_id, tier, step)
where is_mature
group by segment_value, held_tier, tier, step
order by segment_value, held_tier, tier, step
"""
    names = ("asked_tiers", "asked_steps", "tiers", "steps")
    rows = _rows(warehouse, ladder, query, of, dict(zip(names, columns, strict=True)))
    return tuple(Way(*(*row[:-1], tuple(row[-1]))) for row in rows)


def came(warehouse: Path, ladder: Ladder, of: Slice) -> tuple[Came, ...]:
    """By segment value, tier and tier held."""
    query = f"""
with asks as ({_asks(of)}),

firsts as (
    select segment_value, visitor_id, tier, arg_min(held_tier, asked_at) as held_tier
    from asks
    where tier > held_tier and is_mature
    group by all
)

select segment_value, tier, held_tier, count(*) from firsts
group by segment_value, tier, held_tier order by segment_value, tier, held_tier
"""
    return tuple(Came(*row) for row in _rows(warehouse, ladder, query, of))


def surprised(warehouse: Path, ladder: Ladder, of: Slice) -> tuple[Surprised, ...]:
    """By segment value; a value of which nobody was asked for more than the lowest tier has no row."""
    query = f"""
with asks as ({_asks(of)}),

visitors as (
    select segment_value, visitor_id, bool_or(tier > held_tier + 1) as is_surprised
    from asks
    where tier > 1 and is_mature
    group by all
)

select segment_value, count(*), count_if(is_surprised) from visitors group by segment_value order by segment_value
"""
    return tuple(Surprised(*row) for row in _rows(warehouse, ladder, query, of))


def value_of(of: Slice) -> str:
    """The value that a row of ``dim_visitors``, called visitors, has of the slice's segment, as SQL."""
    return "''" if of.segment is None else f"coalesce(visitors.first_{of.segment}, '')"


def bounds(of: Slice) -> dict[str, str | None]:
    """The first day, the day after the last and the segment value of the slice, as parameters; null is any value."""
    return {"since": str(of.since or "-infinity"), "until": str(of.until or "infinity"), "value": of.value}


def _asks(of: Slice) -> str:
    """The asks of the slice, each with its segment value."""
    value = value_of(of)
    return f"""
    select
        {value} as segment_value, asks.visitor_id, asks.session_id, asks.tier, asks.step, asks.held_tier,
        asks.asked_at, asks.is_mature, coalesce(asks.answer = 'yes', false) as is_yes, asks.is_loss
    from main.fct_asks as asks
    inner join main.dim_visitors as visitors using (visitor_id)
    where asks.unit = 'visitor' and asks.asked_date >= $since and asks.asked_date < $until
        and {value} = coalesce($value, {value})
"""


def _rows(
    warehouse: Path, ladder: Ladder, query: str, of: Slice, more: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    with open_marts(warehouse, ladder) as marts:
        return marts.execute(query, {**bounds(of), **(more or {})}).fetchall()
