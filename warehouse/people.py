"""The people and sessions behind a count of the drop-off: those that were asked, and what they answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import duckdb

from ladder.errors import UsageError
from ladder.tiers import Ladder
from warehouse.counted import Slice
from warehouse.query import Unit, checked_unit, open_marts

Outcome = Literal["asked", "yes", "no", "silent", "implicit", "reached", "in_flight", "matured", "dropped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""What ``warehouse.query.COUNTS`` counts; ``dropped``: matured without a yes in time."""

_CONDITIONS: Mapping[Outcome, str] = {
    **{cast(Outcome, name): f"is_{name}" for name in OUTCOMES if name != "dropped"},
    "dropped": "is_matured and not is_matured_yes",
}

MOST = 50


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
    with open_marts(warehouse, ladder) as marts:
        of_days = _counts(marts, of, tier, step, known)
        stretch = _stretch(of_days, skip, most)
        whose = [] if stretch is None else _whose(marts, of, tier, step, known, stretch, most)
        asks = _asks(marts, unit, tier, step, whose)
        units = _units(marts, unit, whose)
    rows = (
        Somebody(unit_id, visitor_id, *units[unit_id], *asks.get(unit_id, (0, None, None, None)))
        for _, unit_id, visitor_id in whose
    )
    return People(tier, step, known, sum(count for _, count in of_days), tuple(rows))


_Whose = Sequence[tuple[int, str, str]]
"""Row of ``int_outcomes``, unit and visitor."""

_FEW = 1000
"""So many names can be told to DuckDB one by one, and it reads only the blocks in which they may be."""


class _Stretch(NamedTuple):
    """Days, both in it, and how many on them are passed over."""

    first: date
    last: date
    skip: int


def _counts(
    marts: duckdb.DuckDBPyConnection, of: Slice, tier: int, step: str | None, outcome: Outcome
) -> list[tuple[date, int]]:
    """How many there are of each day, the last day first: the counts that they are behind."""
    count = "matured - matured_yes" if outcome == "dropped" else outcome
    conditions, values = ["segment = $segment", "segment_value = $value"], _values(of, tier, step)
    values |= {"segment": "all" if of.value is None else f"first_{of.segment}", "value": of.value or ""}
    mart = "fct_tier_dropoff" if step is None else "fct_step_dropoff"
    conditions += _on_days(of, tier, step)
    return marts.execute(
        f"select date, sum({count})::bigint as people from main.{mart}"
        f" where {' and '.join(conditions)} group by date having people > 0 order by date desc",
        values,
    ).fetchall()


def _stretch(of_days: Sequence[tuple[date, int]], skip: int, most: int) -> _Stretch | None:
    """The days that hold ``most`` people after ``skip`` of them; None: there are no more."""
    last, passed, over = None, 0, 0
    for day, count in of_days:
        if last is None and over + count > skip:
            last, passed = day, over
        over += count
        if last is not None and over >= skip + most:
            return _Stretch(day, last, skip - passed)
    return None if last is None else _Stretch(of_days[-1][0], last, skip - passed)


def _whose(
    marts: duckdb.DuckDBPyConnection,
    of: Slice,
    tier: int,
    step: str | None,
    outcome: Outcome,
    stretch: _Stretch,
    most: int,
) -> _Whose:
    values = _values(of, tier, step) | {"first": stretch.first, "last": stretch.last}
    conditions = [*_on_days(of, tier, step), "date between $first and $last", f"({_CONDITIONS[outcome]})"]
    conditions.append("step is null" if step is None else "true")
    if of.value is not None:
        conditions.append(
            f"visitor_id in (select visitor_id from main.dim_visitors where coalesce(first_{of.segment}, '') = $value)"
        )
        values["value"] = of.value
    table, kept = "intermediate.int_outcomes", " and ".join(conditions)
    order = f"order by date desc, rowid limit {int(most)} offset {int(stretch.skip)}"
    if most > _FEW:
        return marts.execute(f"select rowid, unit_id, visitor_id from {table} where {kept} {order}", values).fetchall()
    # Names are long: those of all who might be on the page are not read, only of those who are.
    rows = [row for (row,) in marts.execute(f"select rowid from {table} where {kept} {order}", values).fetchall()]
    if not rows:
        return []
    found = marts.execute(
        f"select rowid, unit_id, visitor_id from {table} where rowid in ({', '.join(map(str, rows))})"
    ).fetchall()
    place = {row: number for number, row in enumerate(rows)}
    return sorted(found, key=lambda one: place[one[0]])


def _on_days(of: Slice, tier: int, step: str | None) -> list[str]:
    conditions = ["unit = $unit", "tier = $tier"]
    conditions += [] if step is None else ["step = $step"]
    conditions += [] if of.since is None else ["date >= $since"]
    return conditions + ([] if of.until is None else ["date < $until"])


def _values(of: Slice, tier: int, step: str | None) -> dict[str, Any]:
    values = {"unit": of.unit, "tier": tier, "step": step, "since": of.since, "until": of.until}
    return {name: value for name, value in values.items() if value is not None}


def _asks(
    marts: duckdb.DuckDBPyConnection, unit: Unit, tier: int, step: str | None, whose: _Whose
) -> dict[str, tuple[Any, ...]]:
    """By unit: asks of the tier (or step), what was held at the first, and step and time of the last."""
    among, names = _among(visitor for _, _, visitor in whose)
    of_step = "" if step is None else " and step = ?"
    rows = marts.execute(
        f"select {unit}_id, count(*), arg_min(held_tier, asked_at), arg_max(step, asked_at), max(asked_at)"
        f" from main.fct_asks where visitor_id in ({among}) and unit = ? and tier = ?{of_step} group by {unit}_id",
        [*names, unit, tier, *([] if step is None else [step])],
    ).fetchall()
    return {unit_id: tuple(rest) for unit_id, *rest in rows}


def _units(marts: duckdb.DuckDBPyConnection, unit: Unit, whose: _Whose) -> dict[str, tuple[Any, ...]]:
    """By unit: when it began, and its highest tier."""
    among, names = _among(visitor for _, _, visitor in whose)
    began, table = ("first_seen_at", "dim_visitors") if unit == "visitor" else ("started_at", "fct_sessions")
    rows = marts.execute(
        f"select {unit}_id, {began}, highest_tier from main.{table} where visitor_id in ({among})", names
    ).fetchall()
    return {unit_id: tuple(rest) for unit_id, *rest in rows}


def _among(visitors: Iterable[str]) -> tuple[str, list[Any]]:
    """What stands in the brackets of an ``in``, and its values."""
    names: list[Any] = list(dict.fromkeys(visitors))
    return (", ".join("?" * len(names)), names) if 0 < len(names) <= _FEW else ("select unnest(?::varchar[])", [names])
