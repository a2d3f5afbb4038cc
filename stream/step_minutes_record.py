"""What a worker tells of one stretch of a partition: how many asks and yeses, by the minute of the ask.

One record of the topic of step minutes, JSON.  docs/alerts.md describes it for other readers.
"""

from __future__ import annotations

import msgspec

from ladder.errors import YesladderError

VERSION = 1


class Asks(msgspec.Struct, array_like=True, frozen=True):
    """``count`` asks of a step made in ``minute`` (whole minutes since 1970 UTC), of one combination of ``values``."""

    tier: int
    step: str
    values: tuple[str, ...]
    minute: int
    count: int


class Yeses(msgspec.Struct, array_like=True, frozen=True):
    """``count`` yeses to the asks of ``ask_minute``, said ``delay_minutes`` later, under the asks' ``values``.

    ``count`` is negative where what came out of order shows that yeses told of before answer another ask, which is then
    told of by a count of its own: the sums over all records are right, and never negative.
    """

    tier: int
    step: str
    values: tuple[str, ...]
    ask_minute: int
    delay_minutes: int
    count: int


class StepMinutesRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of the offsets [first, next) of a partition of ``source``.

    Stretches never overlap and are told in their order, some of them twice: a reader passes over those whose ``next``
    is not beyond where it has come.  ``first == next``: nothing came, and time went on (a heartbeat).

    ``reached_us``: how far the partition's event time has come, in microseconds since 1970; None: this record does not
    tell.  It may be less in a record that is told again.  ``segments``: the columns that ``values`` are of, in their
    order.
    """

    ladder: str
    source: str
    partition: int
    first: int
    next: int
    reached_us: int | None
    segments: tuple[str, ...] = ()
    asks: tuple[Asks, ...] = ()
    yeses: tuple[Yeses, ...] = ()
    version: int = VERSION


class NotARecord(YesladderError):
    """A value on the topic is no record of this version."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(StepMinutesRecord)


def encode(record: StepMinutesRecord) -> bytes:
    return _encoder.encode(record)


def decode(value: bytes) -> StepMinutesRecord:
    """Raises ``NotARecord``, which names what is wrong."""
    try:
        record = _decoder.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotARecord(f"not a record of step minutes: {error}") from None
    if record.version != VERSION:
        raise NotARecord(f"a record of step minutes of version {record.version}; this reads version {VERSION}")
    if record.first > record.next:
        raise NotARecord(f"a record of step minutes from offset {record.first} to {record.next}, which is before it")
    values = [*(asks.values for asks in record.asks), *(yeses.values for yeses in record.yeses)]
    wrong = [some for some in values if len(some) != len(record.segments)]
    if wrong:
        raise NotARecord(f"a record of step minutes with {len(record.segments)} segments and the values {wrong[0]}")
    return record
