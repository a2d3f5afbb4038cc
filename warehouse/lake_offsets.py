"""What a log says of a partition of a source, in Delta's transaction versions: their names, and times as numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def offset_app(source: str, partition: int) -> str:
    return f"{source}/{partition}"


def newest_app(source: str, partition: int) -> str:
    return f"{source}/{partition}/newest"


def settled_app(source: str, partition: int) -> str:
    return f"{source}/{partition}/settled"


def time_of(us: int | None) -> datetime | None:
    return None if us is None else _EPOCH + us * _MICROSECOND


def microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
