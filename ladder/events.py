"""The contract: what an event is, from the collector to the lake.

One struct, one decoder.  The Arrow schema (``ARROW_SCHEMA``) and ``docs/contract.md`` are derived from the struct.

An event travels through Kafka as JSON.  Publishers of this project write *canonical* records: one event per line
(NDJSON), exactly as ``encode`` prints it, with the record header ``CANONICAL_HEADER``.  Such a record was validated
before it was written, so a whole fetch of them may be decoded at once, in columns (``stream.decoding``).  Any other
producer may write one event or a JSON array of events without the header; those go through ``decode_record``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, get_args

import msgspec
import pyarrow as pa

from ladder.errors import EventError, Reason

Kind = Literal["track", "page", "screen", "identify", "group", "alias"]
KINDS: tuple[str, ...] = get_args(Kind)

CANONICAL_HEADER: tuple[str, bytes] = ("content-type", b"application/x-ndjson; contract=1")

MAX_EVENT_BYTES = 32 * 1024
"""The Segment spec's own limit for one message."""

MAX_CANONICAL_BYTES = 4 * MAX_EVENT_BYTES
"""The limit for our own print of such a message: quotes within text are escaped there, and addresses stand twice."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)

MAX_ID_CHARACTERS = 256
"""Of an id or a name."""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One thing a visitor did or was shown.

    ``occurred_at`` never lies after ``received_at``.  ``received_at`` is when Yesladder first saw the event; events of
    one request are one microsecond apart, in their order, so that arrival is a total order.
    """

    event_id: Annotated[
        Id, msgspec.Meta(description="the sender's id of this event; of two with one id the first to arrive counts")
    ]
    visitor_id: Annotated[
        Id, msgspec.Meta(description="who: the anonymous id, else the user id; the key of the Kafka record")
    ]
    occurred_at: Annotated[
        datetime, msgspec.Meta(tz=True, description="when it happened, by the client's clock corrected to ours")
    ]
    received_at: Annotated[
        datetime, msgspec.Meta(tz=True, description="when the collector (or a file's reader) first saw it")
    ]
    kind: Annotated[Kind, msgspec.Meta(description="the Segment call it came as")] = "track"
    name: Annotated[
        Id, msgspec.Meta(description="the event's name; for `page` and `screen` the page's name, else the kind itself")
    ]
    user_id: Annotated[Id | None, msgspec.Meta(description="the known user, when the event carries one")] = None
    properties: Annotated[
        str,
        msgspec.Meta(
            description="a JSON object, as text, verbatim: properties, or the traits of `identify` and `group`"
        ),
    ] = "{}"
    context: Annotated[
        str, msgspec.Meta(description="a JSON object, as text: the sender's context without the IP address")
    ] = "{}"
    page_url: Annotated[str | None, msgspec.Meta(description="the page it happened on")] = None
    referrer: Annotated[str | None, msgspec.Meta(description="where the visitor came from")] = None
    utm_source: Annotated[str | None, msgspec.Meta(description="campaign source")] = None
    utm_medium: Annotated[str | None, msgspec.Meta(description="campaign medium")] = None
    utm_campaign: Annotated[str | None, msgspec.Meta(description="campaign name")] = None
    device_class: Annotated[
        str | None, msgspec.Meta(description="`desktop`, `mobile`, `tablet` or `server`, where it can be told")
    ] = None


class _Wire(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``Event`` as another producer may write it: ``properties`` and ``context`` also as plain objects."""

    event_id: Id
    visitor_id: Id
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]
    received_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    kind: Kind = "track"
    name: Id
    user_id: Id | None = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    context: msgspec.Raw = msgspec.Raw(b"{}")
    page_url: str | None = None
    referrer: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    device_class: str | None = None


if _Wire.__struct_fields__ != Event.__struct_fields__:
    raise RuntimeError("the wire form must have the fields of Event, in their order")

_TIMESTAMP = pa.timestamp("us", tz="UTC")


def _arrow_field(field: Any) -> pa.Field:
    """A struct field as a column: times in microseconds UTC, all else text; only what may be null is nullable."""
    kind = field.type
    nullable = False
    if isinstance(kind, msgspec.inspect.UnionType):
        nullable = kind.includes_none
        kind = next(t for t in kind.types if not isinstance(t, msgspec.inspect.NoneType))
    arrow = _TIMESTAMP if isinstance(_plain(kind), msgspec.inspect.DateTimeType) else pa.string()
    return pa.field(field.name, arrow, nullable=nullable)


def _plain(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    return kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind


def _struct_fields() -> tuple[Any, ...]:
    info = msgspec.inspect.type_info(Event)
    if not isinstance(info, msgspec.inspect.StructType):
        raise TypeError("Event is no struct")
    return tuple(msgspec.structs.replace(field, type=_plain(field.type)) for field in info.fields)


ARROW_SCHEMA: pa.Schema = pa.schema([_arrow_field(field) for field in _struct_fields()])
"""The contract's columns, in the struct's order."""

_encoder = msgspec.json.Encoder()
_wire_decoder = msgspec.json.Decoder(_Wire)
_object_decoder = msgspec.json.Decoder(dict[str, Any])
_raw_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")


def encode(event: Event) -> bytes:
    """The canonical line of an event, without the newline.  JSON escapes newlines, so a line is one event."""
    return _encoder.encode(event)


def decode(data: bytes | msgspec.Raw, received_at: datetime, max_bytes: int = MAX_EVENT_BYTES) -> Event:
    """Decode and check one event.

    ``received_at`` (the Kafka record's own time) stands in where the event has none.
    Raises ``EventError`` with the reason, and the field where one is to blame.
    """
    if len(bytes(data)) > max_bytes:
        raise EventError("too_large", "", f"the event has {len(bytes(data))} bytes; the limit is {max_bytes}")
    try:
        wire = _wire_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise event_error(error) from None
    if wire.received_at is not None:
        received_at = wire.received_at
    return checked(
        Event(
            event_id=wire.event_id,
            visitor_id=wire.visitor_id,
            occurred_at=wire.occurred_at,
            received_at=received_at,
            kind=wire.kind,
            name=wire.name,
            user_id=wire.user_id,
            properties=_object_text("properties", wire.properties),
            context=_object_text("context", wire.context),
            page_url=wire.page_url,
            referrer=wire.referrer,
            utm_source=wire.utm_source,
            utm_medium=wire.utm_medium,
            utm_campaign=wire.utm_campaign,
            device_class=wire.device_class,
        )
    )


def decode_record(
    value: bytes, received_at: datetime, max_bytes: int = MAX_EVENT_BYTES
) -> list[tuple[bytes, Event | EventError]]:
    """Decode a Kafka record that is not canonical: one event, or an array of events, each with its own bytes.

    A bad element of an array does not spoil its neighbours: each place of the result is an event or its error.
    ``received_at`` moves on by a microsecond per element, so that their order stays.
    """
    if value.lstrip()[:1] != b"[":
        return [(value, _decode_or_error(value, received_at, max_bytes))]
    try:
        elements = [bytes(raw) for raw in _raw_list_decoder.decode(value)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return [(value, event_error(error))]
    return [
        (raw, _decode_or_error(raw, received_at + timedelta(microseconds=i), max_bytes))
        for i, raw in enumerate(elements)
    ]


def checked(event: Event) -> Event:
    """The event in UTC with ``occurred_at`` held at or before ``received_at``; ``EventError`` for absurd times."""
    for field in ("occurred_at", "received_at"):
        at = getattr(event, field)
        if not EARLIEST <= at < LATEST:
            raise EventError("bad_time", field, f"{at.isoformat()} lies outside 2000 to 2100")
    occurred_at = min(event.occurred_at, event.received_at)
    return msgspec.structs.replace(
        event, occurred_at=occurred_at.astimezone(UTC), received_at=event.received_at.astimezone(UTC)
    )


def event_error(error: Exception) -> EventError:
    """A decoding error of msgspec as ours, with the field it names."""
    text = str(error)
    if isinstance(error, UnicodeDecodeError):
        return EventError("not_utf8", "", "the text is not UTF-8")
    if isinstance(error, RecursionError):
        return EventError("bad_value", "", "is nested too deeply")
    if not isinstance(error, msgspec.ValidationError):
        return EventError("not_json", "", text)
    if missing := _MISSING.search(text):
        return EventError("missing_field", missing[1], "is required")
    path = _PATH.search(text)
    field, detail = (path[1], text[: path.start()]) if path else ("", text)
    reason: Reason = "bad_value"
    if not field:
        reason = "not_an_event"
    elif "RFC3339" in detail or "timezone" in detail or "date" in detail:
        reason = "bad_time"
    elif detail.startswith("Expected `") and "got" in detail:
        reason = "missing_field" if detail.endswith("got `null`") else "wrong_type"
    elif "length >= 1" in detail:
        reason = "missing_field"
    return EventError(reason, field, detail)


def _decode_or_error(data: bytes, received_at: datetime, max_bytes: int) -> Event | EventError:
    try:
        return decode(data, received_at, max_bytes)
    except EventError as error:
        return error


def _object_text(field: str, raw: msgspec.Raw) -> str:
    """The text of a JSON object that came as an object or as text; ``{}`` for null."""
    data = bytes(raw)
    try:
        if data == b"null":
            return "{}"
        text = msgspec.json.decode(data, type=str) if data.startswith(b'"') else data.decode()
        _object_decoder.decode(text)
    except UnicodeDecodeError:
        raise EventError("not_utf8", field, "the text is not UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise EventError("wrong_type", field, f"is no JSON object ({error})") from None
    return text.strip(" \t\r\n")
