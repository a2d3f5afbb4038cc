"""The drop-off of a slice of the units, told apart by a first-touch column, or by when they were counted.

All of it is sums of the integer counts per day, so parts add up to what they are parts of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Generic, TypeVar

from ladder.tiers import Ladder
from warehouse.counted import Slice, sums
from warehouse.periods import Every, periods
from warehouse.query import COUNTS, StepRow, TierRow, checked_unit, step_row, tier_row

Row = TypeVar("Row", TierRow, StepRow)


@dataclass(frozen=True)
class Period(Generic[Row]):
    """``begins``: its first day.  ``by`` holds the values that somebody has in it."""

    begins: date
    rows: tuple[Row, ...]
    by: Mapping[str, tuple[Row, ...]]


@dataclass(frozen=True)
class DropOff(Generic[Row]):
    """``rows``: of all units of the slice.  ``by``: by its segment's value, the most asked first; empty without one.

    A session is counted when it began, a visitor when they were first asked for the tier or step, or first said yes.
    ``trend``: from the first period in which anybody is counted to the last, the empty ones among them.
    """

    of: Slice
    every: Every | None
    rows: tuple[Row, ...]
    by: Mapping[str, tuple[Row, ...]]
    trend: tuple[Period[Row], ...]

    def to_dict(self, name: str) -> dict[str, Any]:
        """For ``--json``; ``name`` says what the rows are."""
        found: dict[str, Any] = {"unit": self.of.unit, name: _dicts(self.rows)}
        if self.of.segment is not None:
            found |= {"segment": self.of.segment, "by": _by(self.by)}
        if self.every is not None:
            found["trend"] = [
                {"period": period.begins.isoformat(), name: _dicts(period.rows)}
                | ({"by": _by(period.by)} if self.of.segment is not None else {})
                for period in self.trend
            ]
        return found


def tier_drop_off(warehouse: Path, ladder: Ladder, of: Slice, every: Every | None = None) -> DropOff[TierRow]:
    """All tiers of the ladder in every part, zeros where nobody met one.

    Raises ``UsageError`` where no marts were built with this ladder.
    """

    def rows(found: _Counts) -> tuple[TierRow, ...]:
        return tuple(tier_row(ladder, tier, found.get((tier,), _NOBODY)) for tier in range(1, len(ladder.tiers) + 1))

    return _drop_off(_Mart(warehouse, ladder, "fct_tier_dropoff", ("tier",)), of, every, rows)


def step_drop_off(warehouse: Path, ladder: Ladder, of: Slice, every: Every | None = None) -> DropOff[StepRow]:
    """In every part the steps that anyone met there, by tier and name.  Raises as ``tier_drop_off`` does."""
    unit = checked_unit(of.unit)

    def rows(found: _Counts) -> tuple[StepRow, ...]:
        return tuple(step_row(ladder, tier, step, unit, counts) for (tier, step), counts in sorted(found.items()))

    return _drop_off(_Mart(warehouse, ladder, "fct_step_dropoff", ("tier", "step")), of, every, rows)


_Counts = Mapping[tuple[Any, ...], Sequence[int]]
"""The counts of one part, by the tier, or the tier and step."""

_NOBODY = (0,) * len(COUNTS)
_ASKED = COUNTS.index("asked")


@dataclass(frozen=True)
class _Mart:
    warehouse: Path
    ladder: Ladder
    name: str
    keys: tuple[str, ...]

    def parts(self, of: Slice, *told_apart: str) -> dict[tuple[Any, ...], dict[tuple[Any, ...], Sequence[int]]]:
        """The counts by segment value and the columns ``told_apart``; of two parts the more asked first."""
        columns = (*told_apart, *self.keys)
        found: dict[tuple[Any, ...], dict[tuple[Any, ...], Sequence[int]]] = {}
        for row in sums(self.warehouse, self.ladder, self.name, columns, COUNTS, of):
            part, key = row[: 1 + len(told_apart)], row[1 + len(told_apart) : 1 + len(columns)]
            found.setdefault(part, {})[key] = row[1 + len(columns) :]
        return dict(sorted(found.items(), key=lambda item: -sum(counts[_ASKED] for counts in item[1].values())))


def _drop_off(mart: _Mart, of: Slice, every: Every | None, rows: Callable[[_Counts], tuple[Row, ...]]) -> DropOff[Row]:
    whole = mart.parts(of.of_all).get(("",), {})
    values = {} if of.segment is None else mart.parts(of)
    by = {value: rows(found) for (value,), found in values.items()}
    return DropOff(of, every, rows(whole), by, () if every is None else _trend(mart, of, every, rows))


def _trend(mart: _Mart, of: Slice, every: Every, rows: Callable[[_Counts], tuple[Row, ...]]) -> tuple[Period[Row], ...]:
    period = f"date_trunc('{every}', date)::date"
    wholes = {begins: found for (_, begins), found in mart.parts(of.of_all, period).items()}
    by: dict[date, dict[str, tuple[Row, ...]]] = {}
    if of.segment is not None:
        for (value, begins), found in mart.parts(of, period).items():
            by.setdefault(begins, {})[value] = rows(found)
    begun = periods(min(wholes), max(wholes), every) if wholes else []
    return tuple(Period(begins, rows(wholes.get(begins, {})), by.get(begins, {})) for begins in begun)


def _dicts(rows: Sequence[TierRow] | Sequence[StepRow]) -> list[dict[str, Any]]:
    return [asdict(row) for row in rows]


def _by(by: Mapping[str, Sequence[TierRow] | Sequence[StepRow]]) -> dict[str, list[dict[str, Any]]]:
    return {value: _dicts(rows) for value, rows in by.items()}
