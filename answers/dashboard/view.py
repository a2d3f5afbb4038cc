"""What a page is a view of: everything that changes its numbers, and all of it in its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from ladder.errors import UsageError
from ladder.tiers import Ladder
from warehouse.counted import SEGMENTS, Slice
from warehouse.query import Unit, checked_unit


@dataclass(frozen=True)
class View:
    """``until`` is not in it; None: no end.  ``value``: of the segment, only this one."""

    ladder: str
    unit: Unit = "visitor"
    since: date | None = None
    until: date | None = None
    segment: str | None = None
    value: str | None = None

    def slice(self) -> Slice:
        """Raises ``UsageError`` for what cannot be."""
        return Slice(self.segment, self.unit, self.since, self.until, self.value)

    def slice_of_units(self) -> Slice:
        """The same, and without the segment unless one of its values is meant: one group of people."""
        return self.slice() if self.value is not None else self.slice().of_all

    def query(self, **more: Any) -> str:
        """The address of this view after the ``?``; ``more`` goes along, and nothing that is None."""
        parts = {
            "ladder": self.ladder,
            "unit": self.unit,
            "since": self.since,
            "until": self.until,
            "segment": self.segment,
            "value": self.value,
            **more,
        }
        return urlencode({name: str(part) for name, part in parts.items() if part is not None})

    def but(self, **changes: Any) -> View:
        """Another view that differs in these fields."""
        return replace(self, **changes)

    def before(self) -> View | None:
        """The days before, as many as these; None where these have no beginning or no end, or there are none."""
        if self.since is None or self.until is None or self.until - self.since > self.since - date.min:
            return None
        return replace(self, since=self.since - (self.until - self.since), until=self.since)

    @property
    def days(self) -> int | None:
        """How many there are; None where they have no beginning or no end."""
        return None if self.since is None or self.until is None else (self.until - self.since).days


def read_view(given: Mapping[str, str], ladder: Ladder) -> View:
    """The view that an address asks for; what is empty is not asked for.  Raises ``UsageError`` naming the part."""
    name = given.get("ladder") or ladder.name
    if name != ladder.name:
        raise UsageError(f"ladder: this address is of the ladder {name!r}, and the marts here are of {ladder.name!r}")
    # A message about an alert names its segment as column=value.
    segment = given.get("segment") or next((column for column in SEGMENTS if column in given), None)
    # The empty value is a value: of those who came without one.
    value = None if segment is None else given.get("value", given.get(segment))
    view = View(
        name,
        checked_unit(given.get("unit") or "visitor"),
        _day("since", given.get("since")),
        _day("until", given.get("until")),
        segment,
        value,
    )
    view.slice()
    return view


def _day(name: str, text: str | None) -> date | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        # All of the day that it lies in, where it is a time.
        day = at.date() + timedelta(days=1 if name == "until" and at.time() != time() else 0)
    except (ValueError, OverflowError):
        raise UsageError(f"{name}: {text[:40]!r} is no day; write it as 2026-03-01") from None
    if not date(1971, 1, 1) <= day <= date(9000, 1, 1):
        raise UsageError(f"{name}: {day} lies too far away")
    return day


QUICK_DAYS = (7, 28, 90)


def quick_views(view: View, first: date, last: date) -> list[tuple[str, View]]:
    """The last days that there is data of, and all of them."""
    end = last + timedelta(days=1)
    found = [(f"Last {days} days", view.but(since=end - timedelta(days=days), until=end)) for days in QUICK_DAYS]
    known = (end - first).days
    shown = [one for one, days in zip(found, QUICK_DAYS, strict=True) if days < known]
    return [*shown, ("All days", view.but(since=None, until=None))]
