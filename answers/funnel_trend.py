"""Units booked on the period of their entry, those whose window has passed apart from those still on their way.

A visitor whose window has not passed has not dropped off.  Nor may the ones who were quick be counted at once: they
would make every young period look better than it is.  So shares are of matured units alone, whoever they are.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args

import numpy as np

from answers.funnel_stream import Flags, Ints

Every = Literal["day", "week", "month"]
EVERY: tuple[Every, ...] = get_args(Every)

_DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1)


def periods_of(times: Ints, every: Every) -> Ints:
    """The first day (UTC, counted from 1970) of the period that each time lies in; weeks begin on Mondays."""
    days = times // _DAY_US
    if every == "day":
        return days
    if every == "week":
        return days - (days + 3) % 7
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    return np.asarray(months.astype("datetime64[D]").astype(np.int64), np.int64)


def has_matured(starts: Ints, window_us: int, as_of_us: int) -> Flags:
    """Whose window has passed: nothing that is known later can still lie in it."""
    return np.asarray(starts + window_us < as_of_us, np.bool_)


def all_periods(first: int, last: int, every: Every) -> list[date]:
    """The first days of all periods from one to another, the empty ones among them."""
    found = [_EPOCH + timedelta(days=first)]
    while found[-1] < _EPOCH + timedelta(days=last):
        found.append(_next(found[-1], every))
    return found


def is_over(period: date, every: Every, window: timedelta, as_of: datetime) -> bool:
    """Whether everybody who entered in a period has matured."""
    end = datetime.combine(_next(period, every), datetime.min.time(), UTC)
    return end + window <= as_of


def _next(period: date, every: Every) -> date:
    if every == "month":
        return (period.replace(day=1) + timedelta(days=31)).replace(day=1)
    return period + timedelta(days=1 if every == "day" else 7)
