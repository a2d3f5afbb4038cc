"""The drop-off of some of the units: between two days, told apart by a first-touch column or by when they were counted.

All of it is sums of the integer counts per day, so parts add up to what they are parts of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Generic, TypeVar

import duckdb

from ladder.errors import UsageError
from ladder.tiers import Ladder
from warehouse.asks import SEGMENTS
from warehouse.periods import Every, periods
from warehouse.query import COUNTS, SUMS, StepRow, TierRow, Unit, checked_unit, open_marts, step_row, tier_row

Row = TypeVar("Row", TierRow, StepRow)


@dataclass(frozen=True)
class Cut:
    """Which units, and what to tell apart.

    ``segment``: a column of ``SEGMENTS``.  ``every``: the periods of a trend.  ``since`` (inclusive) and ``until``
    (exclusive): UTC days on which units are counted, a session when it began, a visitor when they were first asked for
    the tier or step, or first said yes.
    """

    segment: str | None = None
    every: Every | None = None
    since: date | None = None
    until: date | None = None

    def __post_init__(self) -> None:
        if self.segment is not None and self.segment not in SEGMENTS:
            raise UsageError(f"there is no segment {self.segment!r}; take {', '.join(SEGMENTS)}")


@dataclass(frozen=True)
class Period(Generic[Row]):
    """``begins``: its first day.  ``by`` holds the values that somebody has in it."""

    begins: date
    rows: tuple[Row, ...]
    by: Mapping[str, tuple[Row, ...]]


@dataclass(frozen=True)
class DropOff(Generic[Row]):
    """``rows``: of all units of the cut.  ``by``: by the segment's value, the most asked first; empty without segment.

    ``trend``: from the first period in which anybody is counted to the last, the empty ones among them.
    """

    unit: Unit
    cut: Cut
    rows: tuple[Row, ...]
    by: Mapping[str, tuple[Row, ...]]
    trend: tuple[Period[Row], ...]

    def to_dict(self, name: str) -> dict[str, Any]:
        """For ``--json``; ``name`` says what the rows are."""
        found: dict[str, Any] = {"unit": self.unit, name: _dicts(self.rows)}
        if self.cut.segment is not None:
            found |= {"segment": self.cut.segment, "by": _by(self.by)}
        if self.cut.every is not None:
            found["trend"] = [
                {"period": period.begins.isoformat(), name: _dicts(period.rows)}
                | ({"by": _by(period.by)} if self.cut.segment is not None else {})
                for period in self.trend
            ]
        return found


def tier_drop_off(warehouse: Path, ladder: Ladder, unit: str, cut: Cut) -> DropOff[TierRow]:
    """All tiers of the ladder in every part, zeros where nobody met one.  Raises as ``warehouse.query.tiers`` does."""

    def rows(found: _Counts) -> tuple[TierRow, ...]:
        return tuple(tier_row(ladder, tier, found.get((tier,), _NOBODY)) for tier in range(1, len(ladder.tiers) + 1))

    with open_marts(warehouse, ladder) as marts:
        return _cut(_Mart(marts, "fct_tier_dropoff", ("tier",), checked_unit(unit), cut), rows)


def step_drop_off(warehouse: Path, ladder: Ladder, unit: str, cut: Cut) -> DropOff[StepRow]:
    """In every part the steps that anyone met there, by tier and name.  Raises as ``warehouse.query.tiers`` does."""
    checked = checked_unit(unit)

    def rows(found: _Counts) -> tuple[StepRow, ...]:
        return tuple(step_row(ladder, tier, step, checked, counts) for (tier, step), counts in sorted(found.items()))

    with open_marts(warehouse, ladder) as marts:
        return _cut(_Mart(marts, "fct_step_dropoff", ("tier", "step"), checked, cut), rows)


_Counts = Mapping[tuple[Any, ...], Sequence[int]]
"""The counts of one part, by the tier, or the tier and step."""

_NOBODY = (0,) * len(COUNTS)
_ASKED = COUNTS.index("asked")


@dataclass(frozen=True)
class _Mart:
    connection: duckdb.DuckDBPyConnection
    name: str
    keys: tuple[str, ...]
    unit: Unit
    cut: Cut

    def parts(self, segment: str | None, *told_apart: str) -> dict[tuple[Any, ...], dict[tuple[Any, ...], list[int]]]:
        """The counts of each part, which is known by the values of the columns ``told_apart``; the most asked first."""
        columns = [*told_apart, *self.keys]
        where = {"unit = ?": self.unit, "segment = ?": "all" if segment is None else f"first_{segment}"}
        where |= {"date >= ?": self.cut.since} if self.cut.since is not None else {}
        where |= {"date < ?": self.cut.until} if self.cut.until is not None else {}
        rows = self.connection.execute(
            f"select {', '.join(columns)}, {SUMS} from main.{self.name} where {' and '.join(where)}"
            " group by all order by all",
            list(where.values()),
        ).fetchall()
        found: dict[tuple[Any, ...], dict[tuple[Any, ...], list[int]]] = {}
        for row in rows:
            part, key = row[: len(told_apart)], row[len(told_apart) : len(columns)]
            found.setdefault(part, {})[key] = list(row[len(columns) :])
        return dict(sorted(found.items(), key=lambda item: -sum(counts[_ASKED] for counts in item[1].values())))


def _cut(mart: _Mart, rows: Callable[[_Counts], tuple[Row, ...]]) -> DropOff[Row]:
    cut = mart.cut
    values = {} if cut.segment is None else mart.parts(cut.segment, "segment_value")
    by = {value: rows(found) for (value,), found in values.items()}
    return DropOff(mart.unit, cut, rows(mart.parts(None).get((), {})), by, _trend(mart, rows))


def _trend(mart: _Mart, rows: Callable[[_Counts], tuple[Row, ...]]) -> tuple[Period[Row], ...]:
    cut = mart.cut
    if cut.every is None:
        return ()
    period = f"date_trunc('{cut.every}', date)::date"
    totals = {begins: found for (begins,), found in mart.parts(None, period).items()}
    by: dict[date, dict[str, tuple[Row, ...]]] = {}
    if cut.segment is not None:
        for (begins, value), found in mart.parts(cut.segment, period, "segment_value").items():
            by.setdefault(begins, {})[value] = rows(found)
    every = periods(min(totals), max(totals), cut.every) if totals else []
    return tuple(Period(begins, rows(totals.get(begins, {})), by.get(begins, {})) for begins in every)


def _dicts(rows: Sequence[TierRow] | Sequence[StepRow]) -> list[dict[str, Any]]:
    return [asdict(row) for row in rows]


def _by(by: Mapping[str, Sequence[TierRow] | Sequence[StepRow]]) -> dict[str, list[dict[str, Any]]]:
    return {value: _dicts(rows) for value, rows in by.items()}
