from __future__ import annotations

from datetime import date

import pytest

from warehouse.periods import Every, periods


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
