from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from ladder.errors import EventError
from producers.times import read_time

AT = datetime(2017, 2, 28, 12, 45, 0, 250_000, tzinfo=UTC)
ON_THE_SECOND = AT.replace(microsecond=0)


@pytest.mark.parametrize(
    ("written", "expected", "how"),
    [
        ("2017-02-28T12:45:00.250Z", AT, "ISO text"),
        ("2017-02-28T14:45:00.250+02:00", AT, "ISO text"),
        (" 2017-02-28 12:45:00.25 ", AT, "ISO text without a zone, taken as UTC"),
        ("2017-02-28 12:45:00.250", AT, "ISO text without a zone, taken as UTC"),
        ("2017-02-28", datetime(2017, 2, 28, tzinfo=UTC), "ISO text without a zone, taken as UTC"),
        ("1488285900", ON_THE_SECOND, "epoch seconds"),
        ("1488285900.25", AT, "epoch seconds"),
        (1488285900, ON_THE_SECOND, "epoch seconds"),
        (1488285900.25, AT, "epoch seconds"),
        (Decimal("1488285900.25"), AT, "epoch seconds"),
        ("1488285900250", AT, "epoch milliseconds"),
        (1488285900250, AT, "epoch milliseconds"),
        (1488285900250000, AT, "epoch microseconds"),
        (1488285900250000999, AT, "epoch nanoseconds"),
        (AT, AT, "times with a zone"),
        (AT.astimezone(timezone(timedelta(hours=5))), AT, "times with a zone"),
        (AT.replace(tzinfo=None), AT, "times without a zone, taken as UTC"),
        (date(2017, 2, 28), datetime(2017, 2, 28, tzinfo=UTC), "dates, taken as midnight UTC"),
        (946684800, datetime(2000, 1, 1, tzinfo=UTC), "epoch seconds"),
        (4102444799999999, datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "epoch microseconds"),
    ],
)
def test_a_time_is_understood_however_it_is_written(written: object, expected: datetime, how: str) -> None:
    assert read_time(written, "ts") == (expected, how)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (None, "missing_field"),
        ("", "missing_field"),
        ("yesterday", "bad_time"),
        ("1999-12-31T23:59:59Z", "bad_time"),
        ("2100-01-01T00:00:00Z", "bad_time"),
        ("0001-01-01T00:00:00+14:00", "bad_time"),
        (946684799, "bad_time"),
        (0, "bad_time"),
        (-1488285900, "bad_time"),
        (float("nan"), "bad_time"),
        (float("inf"), "bad_time"),
        ("9" * 400, "bad_time"),
        (10**400, "bad_time"),
        (True, "wrong_type"),
        ([1488285900], "wrong_type"),
    ],
)
def test_what_is_no_time_is_refused_with_a_reason(written: object, reason: str) -> None:
    with pytest.raises(EventError) as caught:
        read_time(written, "ts")
    assert (caught.value.reason, caught.value.field) == (reason, "ts")
