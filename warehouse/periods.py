"""Days, weeks and months of the UTC calendar, each known by its first day; weeks begin on Mondays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, get_args

Every = Literal["day", "week", "month"]
EVERY: tuple[Every, ...] = get_args(Every)


def periods(first: date, last: date, every: Every) -> list[date]:
    """The first days of all periods from the one that begins on ``first`` to the one that begins on ``last``."""
    found = [first]
    while found[-1] < last:
        found.append(_next(found[-1], every))
    return found


def _next(period: date, every: Every) -> date:
    if every == "month":
        return (period.replace(day=1) + timedelta(days=31)).replace(day=1)
    return period + timedelta(days=1 if every == "day" else 7)


@dataclass(frozen=True)
class Days:
    """The days from ``since`` on and before ``until``.  Raises ``ValueError`` for none."""

    since: date
    until: date

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise ValueError(f"there is no day from {self.since} on and before {self.until}")

    @property
    def begins(self) -> datetime:
        """Its first moment."""
        return datetime.combine(self.since, time(), UTC)

    @property
    def ends(self) -> datetime:
        """The first moment after it."""
        return datetime.combine(self.until, time(), UTC)


def last_finished(every: Every, until: date) -> Days:
    """The last day, week or month of which all lies before the day ``until``."""
    begins = _begin(until, every)
    before = _begin(begins - timedelta(days=1), every)
    return Days(before, begins)


def before(days: Days, every: Every | None, count: int = 1) -> Days:
    """What ``days`` are compared with: the period that ended when they began, ``count`` of it as one.

    ``every``: None for days that are no calendar period, which are compared with as many days.
    """
    if every is None:
        return Days(days.since - count * (days.until - days.since), days.since)
    begins = days.since
    for _ in range(count):
        begins = last_finished(every, begins).since
    return Days(begins, days.since)


def _begin(day: date, every: Every) -> date:
    """The first day of the period that ``day`` is in."""
    if every == "month":
        return day.replace(day=1)
    return day if every == "day" else day - timedelta(days=day.weekday())
