"""Kafka records into columns: a whole fetch at once where every record is canonical, one by one where not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter, methodcaller
from typing import Protocol

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from ladder.errors import EventError
from ladder.events import (
    ARROW_SCHEMA,
    CANONICAL_HEADER,
    EARLIEST,
    KINDS,
    LATEST,
    MAX_CANONICAL_BYTES,
    MAX_EVENT_BYTES,
    MAX_ID_CHARACTERS,
    Event,
    decode_record,
    encode,
)
from ladder.rejects import REJECT_HEADER, Reject, decode_reject


class KafkaRecord(Protocol):
    """What is needed of a consumed record; ``timestamp`` is in milliseconds since 1970, negative or None if unknown."""

    partition: int
    offset: int
    timestamp: int | None
    headers: Sequence[tuple[str, bytes]]
    value: bytes | None


@dataclass(frozen=True)
class PlacedReject:
    """A dead letter and the record it came in."""

    reject: Reject
    partition: int
    offset: int


@dataclass(frozen=True)
class Decoded:
    """Events (the contract's columns, ``partition``, ``record_offset`` and ``record_time``) and dead letters.

    ``record_time``: the record's own, or ``received_at`` where that is unknown or absurd.
    """

    events: pl.DataFrame
    rejects: list[PlacedReject]


_TIMES = tuple(field.name for field in ARROW_SCHEMA if field.name.endswith("_at"))
_JSON_SCHEMA = dict.fromkeys(ARROW_SCHEMA.names, pl.String())
_OMITTED = {
    field.name: field.default
    for field in msgspec.structs.fields(Event)
    if field.default is not msgspec.NODEFAULT and field.default is not None
}


_EARLIEST_MS = int(EARLIEST.timestamp() * 1000)
_LATEST_MS = int(LATEST.timestamp() * 1000)

_LINE_BEGINS = b'{"event_id":"'
_OBJECTS_BEGIN = (b'"properties":{', b'"context":{')
_LOOKED_THROUGH = 4096
"""Bytes of a record: enough for its first events, and the others are of the same producer."""

_BEGINS = methodcaller("startswith", _LINE_BEGINS)

_TIMES_ARE_PLAIN = [
    (pl.col(name).str.len_bytes().is_in([20, 27]) & pl.col(name).str.ends_with("Z")).all().alias(name)
    for name in _TIMES
]
"""Whole seconds or six digits after them, as we print them; null counts as plain here."""

_FEW = 50
"""So many records are not worth being halved again."""


def _text_is_sound(field: pa.Field) -> list[pl.Expr]:
    """The contract for one text column; null counts as sound where it may be null."""
    text = pl.col(field.name)
    rules: list[pl.Expr] = []
    if field.name in _IDS:
        rules.append(text.str.len_chars().is_between(1, MAX_ID_CHARACTERS))
    if field.name in ("properties", "context"):
        rules.append(text.str.starts_with("{") & text.str.ends_with("}"))
    if field.name == "kind":
        rules.append(text.is_in(KINDS))
    if not field.nullable:
        rules.append(text.is_not_null())
    return rules


_IDS = ("event_id", "visitor_id", "name", "user_id")
_CONTRACT = [
    rule.all().alias(str(i))
    for i, rule in enumerate(
        [
            *(rule for field in ARROW_SCHEMA if field.name not in _TIMES for rule in _text_is_sound(field)),
            pl.col("occurred_at") >= EARLIEST,
            pl.col("received_at") < LATEST,
            pl.col("occurred_at") <= pl.col("received_at"),
            *(pl.col(name).is_not_null() for name in _TIMES),
        ]
    )
]


class _NotCanonical(Exception):
    """A record says it is canonical and is not."""


def decode(records: Sequence[KafkaRecord]) -> Decoded:
    """Decode records, in their order.  Every byte that is not blank ends in an event or in a dead letter."""
    canonical: Sequence[KafkaRecord] = [r for r in records if CANONICAL_HEADER in r.headers and r.value]
    others = (
        [r for r in records if not (CANONICAL_HEADER in r.headers and r.value)] if len(canonical) < len(records) else []
    )
    frames, false_friends = _canonical_frames(canonical)
    if not others and not false_friends:
        return Decoded(pl.concat(frames), [])
    strict, rejects = _strict([*others, *false_friends])
    return Decoded(pl.concat([*frames, strict]).sort("partition", "record_offset", maintain_order=True), rejects)


def _canonical_frames(records: Sequence[KafkaRecord]) -> tuple[list[pl.DataFrame], Sequence[KafkaRecord]]:
    """The fast path, and the few records it is not for: what fails is halved, so that one bad record costs little."""
    try:
        return [_canonical_events(records)], []
    except _NotCanonical:
        if len(records) <= _FEW:
            return [], records
    half = len(records) // 2
    frames, others = _canonical_frames(records[:half])
    more_frames, more_others = _canonical_frames(records[half:])
    return frames + more_frames, [*others, *more_others]


def _canonical_events(records: Sequence[KafkaRecord]) -> pl.DataFrame:
    """All records are lines that ``ladder.events.encode`` printed, or ``_NotCanonical``."""
    values = [record.value or b"" for record in records]
    text = b"\n".join(values)
    # A producer that took our header for its own print would have its objects taken for text, and printed wrong.
    # One look through all of the text costs a tenth of one at each record.
    if any(key in text for key in _OBJECTS_BEGIN) and any(
        value.find(key, 0, _LOOKED_THROUGH) >= 0 for value in values for key in _OBJECTS_BEGIN
    ):
        raise _NotCanonical
    if not all(map(_BEGINS, values)):
        raise _NotCanonical
    rows = _rows(text)
    return _placed(
        rows,
        _lines(values, len(rows)),
        np.fromiter(map(attrgetter("partition"), records), np.int32, len(records)),
        np.fromiter(map(attrgetter("offset"), records), np.int64, len(records)),
        _known_times_ms(records),
    )


def _lines(values: Sequence[bytes], rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How many lines each record holds, all of which begin with one; ``_NotCanonical`` where that is not ``rows``."""
    if rows == len(values):
        return np.ones(len(values), np.int64)
    lines = np.array([1 + value.count(b"\n" + _LINE_BEGINS) for value in values], np.int64)
    if int(lines.sum()) != rows:
        raise _NotCanonical
    return lines


def _rows(text: bytes) -> pl.DataFrame:
    """Canonical lines as columns; ``_NotCanonical`` where they are not.

    What the contract says of an event is checked, but for the JSON inside ``properties`` and ``context``.
    """
    try:
        events = pl.read_ndjson(text, schema=_JSON_SCHEMA) if text else pl.DataFrame(schema=_JSON_SCHEMA)
        if not all(events.select(_TIMES_ARE_PLAIN).row(0)):
            raise _NotCanonical
        events = events.with_columns(
            *(_times(events[name]) for name in _TIMES),
            *(pl.col(name).fill_null(default) for name, default in _OMITTED.items()),
        )
    except (pl.exceptions.PolarsError, pa.ArrowInvalid) as error:
        raise _NotCanonical from error
    if not all(events.select(_CONTRACT).row(0)):
        raise _NotCanonical
    return events


def _times(texts: pl.Series) -> pl.Series:
    # Six times as fast as Polars, which knows many more ways to write a time.
    return pl.Series(texts.name, texts.to_arrow().cast(pa.string()).cast(pa.timestamp("us", "UTC")))


def _placed(
    events: pl.DataFrame,
    lines: np.ndarray[tuple[int], np.dtype[np.int64]],
    partitions: np.ndarray[tuple[int], np.dtype[np.int32]],
    offsets: np.ndarray[tuple[int], np.dtype[np.int64]],
    timestamps_ms: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> pl.DataFrame:
    """With the facts of the record of each."""
    record_time = pl.Series(np.repeat(timestamps_ms * 1000, lines))
    return events.with_columns(
        pl.Series("partition", np.repeat(partitions, lines)),
        pl.Series("record_offset", np.repeat(offsets, lines)),
        record_time=pl.when(record_time > 0).then(record_time.cast(pl.Datetime("us", "UTC"))).otherwise("received_at"),
    )


def frame_of(events: Sequence[Event], partition: int, offsets: Sequence[int]) -> pl.DataFrame:
    """Events at hand as the columns that ``decode`` gives; ``record_time`` is their own ``received_at``."""
    return _placed(
        _rows(b"\n".join(map(encode, events))),
        np.ones(len(events), np.int64),
        np.full(len(events), partition, np.int32),
        np.array(offsets, np.int64),
        np.zeros(len(events), np.int64),
    )


def _strict(records: Iterable[KafkaRecord]) -> tuple[pl.DataFrame, list[PlacedReject]]:
    """The careful path: each record for itself, by the contract's own decoder."""
    encoded: list[bytes] = []
    places: list[tuple[int, int, int]] = []
    rejects: list[PlacedReject] = []
    for record in records:
        known_ms = _known_ms(record)
        at = datetime.fromtimestamp(known_ms / 1000, UTC)
        for outcome in _outcomes(record, at):
            if isinstance(outcome, Reject):
                rejects.append(PlacedReject(outcome, record.partition, record.offset))
            else:
                encoded.append(encode(outcome))
                places.append((record.partition, record.offset, known_ms))
    partitions, offsets, timestamps = zip(*places, strict=True) if places else ((), (), ())
    frame = _placed(
        _rows(b"\n".join(encoded)),
        np.ones(len(encoded), np.int64),
        np.array(partitions, np.int32),
        np.array(offsets, np.int64),
        np.array(timestamps, np.int64),
    )
    return frame, rejects


def _outcomes(record: KafkaRecord, at: datetime) -> list[Event | Reject]:
    """What one record holds.

    Records of one millisecond keep their order (but where their offsets pass a thousand): offsets become microseconds.
    """
    value = record.value or b""
    if REJECT_HEADER in record.headers:
        try:
            return [decode_reject(value)]
        except ValueError as error:
            return [_reject(EventError("not_an_event", "", f"is no dead letter of ours: {error}"), value, at)]
    arrived = at + timedelta(microseconds=record.offset % 1000)
    parts, largest = [value], MAX_EVENT_BYTES
    if CANONICAL_HEADER in record.headers:
        parts, largest = [line for line in value.split(b"\n") if line.strip()] or parts, MAX_CANONICAL_BYTES
    return [
        _reject(outcome, raw, at) if isinstance(outcome, EventError) else outcome
        for part in parts
        for raw, outcome in decode_record(part, arrived, largest)
    ]


def _known_ms(record: KafkaRecord) -> int:
    """The record's own time; 0 where it has none that could be true."""
    timestamp = record.timestamp
    return timestamp if timestamp is not None and _EARLIEST_MS <= timestamp < _LATEST_MS else 0


def _known_times_ms(records: Sequence[KafkaRecord]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """``_known_ms`` of all."""
    times = [0 if at is None else at for at in map(attrgetter("timestamp"), records)]
    given = np.array(times, np.int64)
    return np.where((given >= _EARLIEST_MS) & (given < _LATEST_MS), given, 0)


def _reject(error: EventError, raw: bytes, at: datetime) -> Reject:
    return Reject.of(error, raw, at, "stream")
