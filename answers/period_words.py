"""How the days of a report are called."""

from __future__ import annotations

from datetime import date, timedelta

from warehouse.periods import Days, Every


def called(days: Days, every: Every | None) -> str:
    """``9 April 2018``, ``week 15 of 2018 (9 to 15 April)``, ``April 2018``, ``3 April to 5 May 2018``."""
    first, last = days.since, days.until - timedelta(days=1)
    if every == "month":
        return f"{first:%B %Y}"
    if every == "week":
        week = first.isocalendar()
        return f"week {week.week} of {week.year} ({_span(first, last, with_year=first.year != last.year)})"
    return _span(first, last, with_year=True)


def the_one_before(every: Every | None, days: Days) -> str:
    """``the week before``; of days that are no calendar period, how many they are."""
    if every is not None:
        return f"the {every} before"
    number = (days.until - days.since).days
    return "the day before" if number == 1 else f"the {number} days before"


def _span(first: date, last: date, *, with_year: bool) -> str:
    if first == last:
        return f"{first.day} {first:%B %Y}"
    if first.year != last.year:
        return f"{_day(first)} {first.year} to {_day(last)} {last.year}"
    year = f" {last.year}" if with_year else ""
    return f"{first.day if first.month == last.month else _day(first)} to {_day(last)}{year}"


def _day(day: date) -> str:
    return f"{day.day} {day:%B}"
