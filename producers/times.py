"""Times as people write them in files: ISO text, or a count since 1970 in any usual unit."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from ladder.errors import EventError
from ladder.events import EARLIEST, LATEST

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"\d{9,19}(\.\d+)?")
_UNITS: tuple[tuple[str, int | Decimal], ...] = (
    ("epoch seconds", 1_000_000),
    ("epoch milliseconds", 1_000),
    ("epoch microseconds", 1),
    ("epoch nanoseconds", Decimal("0.001")),
)
"""Name, and microseconds in one.  Between 2000 and 2100 no two units share a number, so the number tells the unit."""

_FIRST_US = (EARLIEST - _EPOCH) // timedelta(microseconds=1)
_LAST_US = (LATEST - _EPOCH) // timedelta(microseconds=1)


def read_time(value: object, field: str) -> tuple[datetime, str]:
    """A time in UTC, and in words how it was written.

    Text without a zone is taken as UTC.  Raises ``EventError`` for anything that is no time between 2000 and 2100.
    """
    if isinstance(value, datetime):
        return _in_range(value, field), "times with a zone" if value.tzinfo else "times without a zone, taken as UTC"
    if isinstance(value, date):
        return _in_range(datetime(value.year, value.month, value.day), field), "dates, taken as midnight UTC"
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _since_1970(value, field)
    if value is None or value == "":
        raise EventError("missing_field", field, "the time is empty")
    if not isinstance(value, str):
        raise EventError("wrong_type", field, f"{value!r} is no time")
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return _since_1970(Decimal(text), field)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise EventError("bad_time", field, f"{text[:60]!r} is neither ISO 8601 nor a count since 1970") from None
    return _in_range(at, field), "ISO text" if at.tzinfo else "ISO text without a zone, taken as UTC"


def _since_1970(number: int | float | Decimal, field: str) -> tuple[datetime, str]:
    exact = Decimal(number)
    if exact.is_finite() and exact < 10**20:
        for unit, microseconds in _UNITS:
            count = int(exact * microseconds)
            if _FIRST_US <= count < _LAST_US:
                return _EPOCH + timedelta(microseconds=count), unit
    raise EventError("bad_time", field, f"{number} is no time between 2000 and 2100 in any unit since 1970")


def _in_range(at: datetime, field: str) -> datetime:
    try:
        utc = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        raise EventError("bad_time", field, f"{at.isoformat()} lies outside 2000 to 2100") from None
    if not EARLIEST <= utc < LATEST:
        raise EventError("bad_time", field, f"{at.isoformat()} lies outside 2000 to 2100")
    return utc
