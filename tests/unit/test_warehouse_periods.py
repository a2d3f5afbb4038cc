from __future__ import annotations

from datetime import date

import pytest

from warehouse.periods import Days, Every, before, last_finished, periods


@pytest.mark.parametrize(
    ("first", "last", "every", "wanted"),
    [
        (date(2026, 2, 27), date(2026, 3, 1), "day", ["2026-02-27", "2026-02-28", "2026-03-01"]),
        (date(2026, 2, 23), date(2026, 3, 9), "week", ["2026-02-23", "2026-03-02", "2026-03-09"]),
        (date(2025, 12, 1), date(2026, 3, 1), "month", ["2025-12-01", "2026-01-01", "2026-02-01", "2026-03-01"]),
        (date(2026, 3, 1), date(2026, 3, 1), "month", ["2026-03-01"]),
    ],
)
def test_no_period_is_left_out(first: date, last: date, every: Every, wanted: list[str]) -> None:
    assert [str(day) for day in periods(first, last, every)] == wanted


@pytest.mark.parametrize(
    ("every", "until", "since", "ended"),
    [
        ("day", "2026-03-01", "2026-02-28", "2026-03-01"),
        ("week", "2026-03-02", "2026-02-23", "2026-03-02"),  # a Monday: the week before it has just ended
        ("week", "2026-03-01", "2026-02-16", "2026-02-23"),  # a Sunday: its own week is not over
        ("week", "2026-01-01", "2025-12-22", "2025-12-29"),
        ("month", "2026-03-31", "2026-02-01", "2026-03-01"),
        ("month", "2026-03-01", "2026-02-01", "2026-03-01"),
        ("month", "2024-03-01", "2024-02-01", "2024-03-01"),
        ("month", "2026-01-15", "2025-12-01", "2026-01-01"),
    ],
)
def test_the_last_finished_period_ends_on_that_day_or_before(every: Every, until: str, since: str, ended: str) -> None:
    found = last_finished(every, date.fromisoformat(until))
    assert (str(found.since), str(found.until)) == (since, ended)


@pytest.mark.parametrize(
    ("every", "days", "count", "since"),
    [
        ("day", ("2026-03-01", "2026-03-02"), 1, "2026-02-28"),
        ("week", ("2026-03-02", "2026-03-09"), 2, "2026-02-16"),
        ("month", ("2026-03-01", "2026-04-01"), 1, "2026-02-01"),
        ("month", ("2026-03-01", "2026-04-01"), 3, "2025-12-01"),
        (None, ("2026-03-01", "2026-03-08"), 1, "2026-02-22"),
        (None, ("2026-03-01", "2026-03-08"), 2, "2026-02-15"),
    ],
)
def test_a_period_is_compared_with_the_one_before_it(
    every: Every | None, days: tuple[str, str], count: int, since: str
) -> None:
    on = Days(*map(date.fromisoformat, days))
    assert before(on, every, count) == Days(date.fromisoformat(since), on.since)


def test_a_period_without_a_day_is_refused() -> None:
    with pytest.raises(ValueError, match="no day from 2026-03-01 on and before 2026-03-01"):
        Days(date(2026, 3, 1), date(2026, 3, 1))
