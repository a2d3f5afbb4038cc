"""Lines of JSON, one by one: messages in the Segment spec, or events of our own contract."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from ladder.errors import EventError
from ladder.events import MAX_CANONICAL_BYTES, MAX_EVENT_BYTES, Event, decode
from ladder.rejects import Reject
from producers.columns import row_id
from producers.consent import is_refused, letter, without_identity
from producers.dialects import from_segment
from producers.opened import Clock, Progress, opened

KEPT_BYTES = 256 * 1024
"""How much of a refused line is kept: eight times the limit of an event; in base64 it still fits a Kafka record."""

BOM = b"\xef\xbb\xbf"
"""What some editors put before the first line."""


def read_ndjson(path: Path, clock: Clock, progress: Progress) -> Iterator[Event | Reject]:
    """What each line of a file is, in their order; blank lines are passed over."""
    with opened(path, progress) as file:
        for line in _lines(file):
            number = progress.line = progress.line + 1
            if number == 1:
                line = line.removeprefix(BOM)
            if line and not line.isspace():
                yield outcome(line, number, clock.tick())


def outcome(line: bytes, number: int, at: datetime) -> Event | Reject:
    """What one line is.  ``number``: its own in the file, from 1; ``at``: when it arrived."""
    line = line.rstrip(b"\r\n")
    try:
        return _line_event(line, number, at)
    except EventError as error:
        return Reject.of(error, letter(line), at, "file")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The file's lines; of one that is too long only its beginning, ``KEPT_BYTES`` of it."""
    while line := file.readline(KEPT_BYTES):
        yield line
        while line and not line.endswith(b"\n"):
            line = file.readline(KEPT_BYTES)


class _Clocks(msgspec.Struct, rename="camel"):
    sent_at: Annotated[datetime, msgspec.Meta(tz=True)]
    received_at: Annotated[datetime, msgspec.Meta(tz=True)]


class _Named(msgspec.Struct):
    visitor_id: msgspec.Raw = msgspec.Raw()


class _Identified(msgspec.Struct, rename="camel"):
    message_id: str | int | None = None


_clocks_decoder = msgspec.json.Decoder(_Clocks)
_named_decoder = msgspec.json.Decoder(_Named)
_identified_decoder = msgspec.json.Decoder(_Identified)


def _line_event(line: bytes, number: int, received_at: datetime) -> Event:
    if len(line) > MAX_CANONICAL_BYTES:
        raise EventError("too_large", "", f"the event has more bytes than the limit of {MAX_EVENT_BYTES}")
    if b'"visitor_id"' in line and _is_canonical(line):
        return _as_agreed(decode(line, received_at, MAX_CANONICAL_BYTES))
    # With sent_at at its receipt an event keeps its own time; the span between the two moves it to our clock.
    sent_at = received_at if b'"receivedAt"' not in line else received_at - _clock_error(line)
    event = from_segment(line, received_at=received_at, sent_at=sent_at)
    if event.event_id.startswith("made-") and not _identified_decoder.decode(line).message_id:
        return msgspec.structs.replace(event, event_id=row_id(line, number))
    return event


def _as_agreed(event: Event) -> Event:
    """An event of our own contract, without identity where its visitor refused."""
    if event.context == "{}" or not is_refused(msgspec.json.decode(event.context)):
        return event
    return without_identity(event, msgspec.json.decode(event.properties))


def _is_canonical(line: bytes) -> bool:
    try:
        return bool(_named_decoder.decode(line).visitor_id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _clock_error(line: bytes) -> timedelta:
    """By how much the sender's clock was behind ours, where the line says both; else nothing."""
    try:
        clocks = _clocks_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return timedelta()
    return clocks.received_at - clocks.sent_at
