"""Rows of csv and parquet files as events: which column is what."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from ladder.errors import EventError, UsageError
from ladder.events import MAX_EVENT_BYTES, Event
from producers.times import read_time

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class ColumnMap:
    """The columns that hold who, what and when; all columns not named here become properties."""

    visitor: str
    event: str
    time: str
    user: str | None = None
    id: str | None = None

    def named(self) -> list[str]:
        return [column for column in (self.visitor, self.event, self.time, self.user, self.id) if column is not None]

    def check(self, present: Collection[str], origin: str) -> None:
        """Raises ``UsageError`` when the file lacks one of them."""
        missing = [column for column in self.named() if column not in present]
        if missing:
            there = ", ".join(map(repr, present))
            raise UsageError(f"{origin}: there is no column {missing[0]!r}; its columns are {there}")


def parse_columns(text: str) -> ColumnMap:
    """``visitor=COL,event=COL,time=COL`` with ``user=COL`` and ``id=COL`` where there are such.  ``UsageError``."""
    example = "write visitor=COL,event=COL,time=COL[,user=COL][,id=COL]"
    columns: dict[str, str] = {}
    for part in text.split(","):
        role, equals, column = part.partition("=")
        role, column = role.strip(), column.strip()
        if role not in ("visitor", "event", "time", "user", "id") or not equals or not column:
            raise UsageError(f"--map: {part.strip()!r} is not understood; {example}")
        if role in columns:
            raise UsageError(f"--map: {role} stands there twice")
        columns[role] = column
    missing = [role for role in ("visitor", "event", "time") if role not in columns]
    if missing:
        raise UsageError(f"--map: {missing[0]} is missing; {example}")
    return ColumnMap(**columns)


class RowReader:
    """Turns the rows of one file into events.  ``time_formats`` tells how the times seen so far were written."""

    def __init__(self, columns: ColumnMap) -> None:
        self.columns = columns
        self._named = frozenset(columns.named())
        self.time_formats: dict[str, None] = {}

    def event(self, row: Mapping[str, Any], raw: bytes, number: int, received_at: datetime) -> Event:
        """``raw`` and ``number`` (of the row in its file) make the id of a row that has none.

        Empty cells are no properties.  Raises ``EventError`` with the column's name as field.
        """
        columns = self.columns
        if len(raw) > MAX_EVENT_BYTES:
            raise EventError("too_large", "", f"the row has {len(raw)} bytes; the limit is {MAX_EVENT_BYTES}")
        at, time_format = read_time(row[columns.time], columns.time)
        self.time_formats[time_format] = None
        event_id = None if columns.id is None else _id(row[columns.id], columns.id)
        try:
            properties = _encoder.encode(dict(self._properties(row))).decode()
        except (TypeError, UnicodeEncodeError, OverflowError) as error:
            raise EventError("bad_value", "", f"the row cannot be written as JSON ({error})") from None
        return Event(
            event_id=event_id or row_id(raw, number),
            visitor_id=_required(row[columns.visitor], columns.visitor),
            occurred_at=min(at, received_at),
            received_at=received_at,
            name=_required(row[columns.event], columns.event),
            user_id=None if columns.user is None else _id(row[columns.user], columns.user),
            properties=properties,
        )

    def _properties(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for column, value in row.items():
            if column not in self._named and value is not None and value != "":
                yield column, value


def row_id(raw: bytes, number: int) -> str:
    """The id of an event that came without: the same place and bytes of a file always give the same."""
    return "file-" + blake2b(raw, digest_size=16, key=number.to_bytes(8, "big")).hexdigest()


def _required(value: object, column: str) -> str:
    text = _id(value, column)
    if text is None:
        raise EventError("missing_field", column, "is empty")
    return text


def _id(value: object, column: str) -> str | None:
    """Numbers serve as ids too, also those that a missing value elsewhere in the column turned into floats."""
    if value is None or value == "" or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    if len(text) > 256:
        raise EventError("bad_value", column, f"has {len(text)} characters; the limit is 256")
    return text
