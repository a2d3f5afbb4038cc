"""Kafka records into columns: a whole fetch at once where every record is canonical, one by one where not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec
import numpy as np
import polars as pl

from ladder.errors import EventError
from ladder.events import ARROW_SCHEMA, CANONICAL_HEADER, Event, decode_record, encode
from ladder.rejects import REJECT_HEADER, Reject, decode_reject


class KafkaRecord(Protocol):
    """What is needed of a consumed record; ``timestamp`` is in milliseconds since 1970."""

    partition: int
    offset: int
    timestamp: int
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
    """Events (the contract's columns, ``partition``, ``record_offset`` and ``record_time``) and dead letters."""

    events: pl.DataFrame
    rejects: list[PlacedReject]


_TIMES = tuple(field.name for field in ARROW_SCHEMA if field.name.endswith("_at"))
_JSON_SCHEMA = dict.fromkeys(ARROW_SCHEMA.names, pl.String())
_OMITTED = {
    field.name: field.default
    for field in msgspec.structs.fields(Event)
    if field.default is not msgspec.NODEFAULT and field.default is not None
}


class _NotCanonical(Exception):
    """A record says it is canonical and is not."""


def decode(records: Sequence[KafkaRecord]) -> Decoded:
    """Decode records, in their order.  Every byte of every record ends in an event or in a dead letter."""
    canonical: list[KafkaRecord] = []
    others: list[KafkaRecord] = []
    for record in records:
        (canonical if CANONICAL_HEADER in record.headers and record.value else others).append(record)
    try:
        frame = _canonical_events(canonical)
    except _NotCanonical:
        frame, others = _canonical_events([]), list(records)
    if not others:
        return Decoded(frame, [])
    strict, rejects = _strict(others)
    order = ("partition", "record_offset")
    return Decoded(pl.concat([frame, strict]).sort(order, maintain_order=True) if len(strict) else frame, rejects)


def _canonical_events(records: Sequence[KafkaRecord]) -> pl.DataFrame:
    """The fast path: all records are lines that ``ladder.events.encode`` printed."""
    values = [record.value or b"" for record in records]
    lines = np.array([value.count(b"\n") + 1 for value in values], np.int64)
    return _frame(
        b"\n".join(values),
        lines,
        np.array([record.partition for record in records], np.int32),
        np.array([record.offset for record in records], np.int64),
        np.array([record.timestamp for record in records], np.int64),
    )


def _frame(
    text: bytes,
    lines: np.ndarray[tuple[int], np.dtype[np.int64]],
    partitions: np.ndarray[tuple[int], np.dtype[np.int32]],
    offsets: np.ndarray[tuple[int], np.dtype[np.int64]],
    timestamps_ms: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> pl.DataFrame:
    """Canonical lines as columns, with the facts of the record of each; ``_NotCanonical`` where they are not."""
    try:
        events = pl.read_ndjson(text, schema=_JSON_SCHEMA) if text else pl.DataFrame(schema=_JSON_SCHEMA)
        if len(events) != int(lines.sum()):
            raise _NotCanonical
        events = events.with_columns(
            *(
                pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC")
                for name in _TIMES
            ),
            *(pl.col(name).fill_null(default) for name, default in _OMITTED.items()),
        )
    except pl.exceptions.PolarsError as error:
        raise _NotCanonical from error
    if any(events[field.name].null_count() for field in ARROW_SCHEMA if not field.nullable):
        raise _NotCanonical
    return events.with_columns(
        pl.Series("partition", np.repeat(partitions, lines)),
        pl.Series("record_offset", np.repeat(offsets, lines)),
        pl.Series("record_time", np.repeat(timestamps_ms * 1000, lines)).cast(pl.Datetime("us", "UTC")),
    )


def frame_of(events: Sequence[Event], partition: int, offsets: Sequence[int]) -> pl.DataFrame:
    """Events at hand as the columns that ``decode`` gives; ``record_time`` is their own ``received_at``."""
    frame = _frame(
        b"\n".join(map(encode, events)),
        np.ones(len(events), np.int64),
        np.full(len(events), partition, np.int32),
        np.array(offsets, np.int64),
        np.zeros(len(events), np.int64),
    )
    return frame.with_columns(record_time=pl.col("received_at"))


def _strict(records: Iterable[KafkaRecord]) -> tuple[pl.DataFrame, list[PlacedReject]]:
    """The careful path: each record for itself, by the contract's own decoder."""
    encoded: list[bytes] = []
    places: list[tuple[int, int, int]] = []
    rejects: list[PlacedReject] = []
    for record in records:
        at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        for outcome in _outcomes(record, at):
            if isinstance(outcome, Reject):
                rejects.append(PlacedReject(outcome, record.partition, record.offset))
            else:
                encoded.append(encode(outcome))
                places.append((record.partition, record.offset, record.timestamp))
    partitions, offsets, timestamps = zip(*places, strict=True) if places else ((), (), ())
    frame = _frame(
        b"\n".join(encoded),
        np.ones(len(encoded), np.int64),
        np.array(partitions, np.int32),
        np.array(offsets, np.int64),
        np.array(timestamps, np.int64),
    )
    return frame, rejects


def _outcomes(record: KafkaRecord, at: datetime) -> list[Event | Reject]:
    """What one record holds.  Records of one millisecond keep their order: their offsets become microseconds."""
    value = record.value or b""
    if REJECT_HEADER in record.headers:
        try:
            return [decode_reject(value)]
        except msgspec.DecodeError as error:
            return [_reject(EventError("not_an_event", "", f"is no dead letter of ours: {error}"), value, at)]
    arrived = at + timedelta(microseconds=record.offset % 1000)
    parts = value.split(b"\n") if CANONICAL_HEADER in record.headers else [value]
    return [
        _reject(outcome, part, at) if isinstance(outcome, EventError) else outcome
        for part in parts
        for outcome in decode_record(part, arrived)
    ]


def _reject(error: EventError, raw: bytes, at: datetime) -> Reject:
    return Reject.of(error, raw, at, "stream")
