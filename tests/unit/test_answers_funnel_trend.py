from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from answers.funnel_trend import Every, all_periods, has_matured, is_over, periods_of

DAYS = {
    datetime(2026, 3, 1, 0, tzinfo=UTC): {
        "day": date(2026, 3, 1),
        "week": date(2026, 2, 23),
        "month": date(2026, 3, 1),
    },
    datetime(2026, 3, 2, 0, tzinfo=UTC): {"day": date(2026, 3, 2), "week": date(2026, 3, 2), "month": date(2026, 3, 1)},
    datetime(2026, 3, 8, 23, 59, tzinfo=UTC): {
        "day": date(2026, 3, 8),
        "week": date(2026, 3, 2),
        "month": date(2026, 3, 1),
    },
    datetime(2024, 2, 29, 12, tzinfo=UTC): {
        "day": date(2024, 2, 29),
        "week": date(2024, 2, 26),
        "month": date(2024, 2, 1),
    },
}


@pytest.mark.parametrize("every", ["day", "week", "month"])
def test_a_time_lies_in_its_period(every: Every) -> None:
    times = np.array([int(at.timestamp()) * 1_000_000 for at in DAYS], np.int64)
    found = [date(1970, 1, 1) + timedelta(days=day) for day in periods_of(times, every).tolist()]
    assert found == [periods[every] for periods in DAYS.values()]


def test_no_period_between_is_left_out() -> None:
    first, last = (date(2025, 12, 1) - date(1970, 1, 1)).days, (date(2026, 2, 1) - date(1970, 1, 1)).days
    assert all_periods(first, last, "month") == [date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1)]
    assert len(all_periods(first, last, "day")) == 63


def test_a_window_has_passed_once_something_later_is_known() -> None:
    assert has_matured(np.array([0, 1, 2], np.int64), 10, 11).tolist() == [True, False, False]


def test_a_period_is_over_once_the_window_of_its_last_instant_has_passed() -> None:
    end = datetime(2026, 4, 1, tzinfo=UTC)
    assert is_over(date(2026, 3, 1), "month", timedelta(days=7), end + timedelta(days=7))
    assert not is_over(date(2026, 3, 1), "month", timedelta(days=7), end + timedelta(days=7, microseconds=-1))
