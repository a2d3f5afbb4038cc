"""Sums from the marts that count asks and yeses: of one kind of unit, over some days, by a segment or of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from ladder.errors import UsageError
from ladder.tiers import Ladder
from warehouse.query import checked_unit, open_marts

SEGMENTS = ("page_url", "referrer", "utm_source", "utm_medium", "utm_campaign", "device_class")
"""By which visitors can be told apart, each as it was at their first touch."""

Bucketed = dict[tuple[str, int, str], Counter[int]]
"""How many times fell into each bucket, by segment value, tier and step."""


@dataclass(frozen=True)
class Slice:
    """Which of the counts: ``since`` that UTC day and before ``until``, None for no end.

    ``segment``: one of ``SEGMENTS``; None for all visitors together.  ``value``: of it this value only.
    Raises ``UsageError`` for what cannot be.
    """

    segment: str | None = None
    unit: str = "visitor"
    since: date | None = None
    until: date | None = None
    value: str | None = None

    @property
    def of_all(self) -> Slice:
        """The same of all visitors together."""
        return replace(self, segment=None, value=None)

    def __post_init__(self) -> None:
        checked_unit(self.unit)
        if self.segment is not None and self.segment not in SEGMENTS:
            raise UsageError(f"there is no segment {self.segment!r}; take {', '.join(SEGMENTS)}")
        if self.value is not None and self.segment is None:
            raise UsageError(f"the value {self.value!r} is of no segment; name one of {', '.join(SEGMENTS)}")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise UsageError(f"until {self.until} must be later than since {self.since}")


def sums(
    warehouse: Path, ladder: Ladder, mart: str, keys: Sequence[str], counts: Sequence[str], of: Slice, where: str = ""
) -> list[tuple[Any, ...]]:
    """Rows of segment value, ``keys`` and the sums of ``counts``, in this order and ordered by the first of these.

    ``mart`` has a row per ladder, unit, segment, date and more.  ``where``: a further condition on its rows.
    Raises ``UsageError`` where no marts were built with this ladder.
    """
    named = ["segment_value", *keys]
    values: list[Any] = ["all" if of.segment is None else f"first_{of.segment}", of.unit]
    conditions = ["segment = ?", "unit = ?"]
    for condition, day in (("date >= ?", of.since), ("date < ?", of.until)):
        if day is not None:
            conditions.append(condition)
            values.append(day)
    if of.value is not None:
        conditions.append("segment_value = ?")
        values.append(of.value)
    if where:
        conditions.append(where)
    query = (
        f"select {', '.join(named)}, {', '.join(f'sum({count})::bigint' for count in counts)} from main.{mart}"
        f" where {' and '.join(conditions)} group by {', '.join(named)} order by {', '.join(named)}"
    )
    with open_marts(warehouse, ladder) as marts:
        return marts.execute(query, values).fetchall()


def times(warehouse: Path, ladder: Ladder, measure: str, of: Slice) -> Bucketed:
    """The times of a measure of ``fct_times``."""
    found: Bucketed = {}
    keys = ("tier", "step", "bucket")
    for value, tier, step, bucket, count in sums(
        warehouse, ladder, "fct_times", keys, ("times",), of, f"measure = '{measure}'"
    ):
        found.setdefault((value, tier, step), Counter())[bucket] += count
    return found
