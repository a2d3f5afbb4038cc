"""How the drop-off of tiers and steps changed from one time to the next, and whether chance explains it.

Counted from the very rows that ``fct_tier_dropoff`` and ``fct_step_dropoff`` sum up, person by person, since several
sessions of one person are more alike than those of several.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ladder.clusters import Clustered
from ladder.comparisons import Change, change, is_enough
from ladder.errors import UsageError
from ladder.tiers import Ladder
from warehouse.counted import SEGMENTS
from warehouse.periods import Days
from warehouse.query import checked_unit, open_marts

VALUES_COMPARED = 6
"""Values of a segment that are compared, those with the most asked."""


@dataclass(frozen=True)
class DropOffChange:
    """One tier (``step`` None) or step, of all or of those with a value of the segment (``segment_value``).

    ``earlier`` and ``later``: units asked whose conversion window has passed, those of them without a yes in time, and
    how many people they are of.  ``change``: of the drop-off.
    """

    tier: int
    step: str | None
    segment_value: str | None
    earlier: tuple[int, int, int]
    later: tuple[int, int, int]
    change: Change

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        names = ("asked", "dropped_off", "people")
        return {
            "tier": self.tier,
            "step": self.step,
            "segment_value": self.segment_value,
            "earlier": dict(zip(names, self.earlier, strict=True)),
            "later": dict(zip(names, self.later, strict=True)),
            "drop_off_earlier": self.change.earlier._asdict(),
            "drop_off_later": self.change.later._asdict(),
            "difference": self.change.difference._asdict(),
            "is_told": self.change.is_told,
        }


@dataclass(frozen=True)
class Changes:
    """All that there was in both times, by tier, step and value.

    The intervals of those with enough people hold all at once.
    ``one_sided``: tiers and steps that were asked in only one of the two times.
    """

    rows: tuple[DropOffChange, ...]
    one_sided: int

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"changes": [row.to_dict() for row in self.rows], "one_sided": self.one_sided}


_QUERY = """
with

asked as (
    select
        visitor_id, date >= ? as is_later, tier, step,
        count(*) as trials, count(*) filter (not is_matured_yes) as lost
    from intermediate.int_outcomes
    where unit = ? and is_matured and date >= ? and date < ?
    group by all
),

valued as (
    select asked.*, {first} as segment_value
    from asked {join}
)

select
    tier, step, segment_value, is_later, count(*), sum(trials)::bigint, sum(lost)::bigint,
    sum(trials * trials)::bigint, sum(trials * lost)::bigint, sum(lost * lost)::bigint
from valued
group by tier, step, segment_value, is_later
order by tier, step nulls first, segment_value
"""

_Key = tuple[int, str | None, str | None]


def drop_off_changes(
    warehouse: Path, ladder: Ladder, unit: str, later: Days, earlier: Days, segment: str | None = None
) -> Changes:
    """What changed; ``earlier`` must end where ``later`` begins.

    A step that is all there is of its tier is not compared a second time.  With a ``segment`` the tiers are also
    compared value by value.  Raises ``UsageError`` as ``warehouse.counted.Slice`` does, and where no marts were built
    with this ladder.
    """
    if segment is not None and segment not in SEGMENTS:
        raise UsageError(f"there is no segment {segment!r}; take {', '.join(SEGMENTS)}")
    found = _counts(warehouse, ladder, checked_unit(unit), later, earlier, None)
    found = {key: sides for key, sides in found.items() if key[1] is None or sides != found.get((key[0], None, None))}
    if segment is not None:
        valued = {
            key: sides
            for key, sides in _counts(warehouse, ladder, unit, later, earlier, segment).items()
            if key[1] is None
        }
        shown = set(_most_asked(valued))
        found |= {key: sides for key, sides in valued.items() if key[2] in shown}
    both = {key: (sides[False], sides[True]) for key, sides in found.items() if len(sides) == 2}
    compared = sum(is_enough(before, after) for before, after in both.values())
    rows = tuple(
        DropOffChange(*key, _told(before), _told(after), change(before, after, compared))
        for key, (before, after) in both.items()
    )
    return Changes(rows, len(found) - len(both))


def _told(side: Clustered) -> tuple[int, int, int]:
    return side.trials, side.successes, side.clusters


def _counts(
    warehouse: Path, ladder: Ladder, unit: str, later: Days, earlier: Days, segment: str | None
) -> dict[_Key, dict[bool, Clustered]]:
    first = "null" if segment is None else f"coalesce(people.first_{segment}, '')"
    join = "" if segment is None else "inner join main.dim_visitors as people using (visitor_id)"
    query = _QUERY.format(first=first, join=join)
    found: dict[_Key, dict[bool, Clustered]] = {}
    with open_marts(warehouse, ladder) as marts:
        rows = marts.execute(query, [later.since, unit, earlier.since, later.until]).fetchall()
    for tier, step, value, is_later, *sums in rows:
        found.setdefault((tier, step, value), {})[is_later] = Clustered(*sums)
    return found


def _most_asked(found: dict[_Key, dict[bool, Clustered]]) -> Iterator[str | None]:
    asked: dict[str | None, int] = {}
    for (_, _, value), sides in found.items():
        asked[value] = asked.get(value, 0) + sum(side.trials for side in sides.values())
    yield from sorted(asked, key=lambda value: (-asked[value], value or ""))[:VALUES_COMPARED]
