"""Days, weeks and months of the UTC calendar, each known by its first day; weeks begin on Mondays."""

from __future__ import annotations

from datetime import date, timedelta
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
