"""How clients write events, and what those events are in ours.

A dialect opens a request's body into messages and turns one message into an ``Event``.  Segment, Rudder and Jitsu speak
one language; a client that speaks another gets a module of its own and a ``Dialect`` for its routes in the collector.

All of it is pure: nothing here reads a clock or draws a random number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Any, NamedTuple, Protocol

import msgspec

from ladder.errors import EventError
from ladder.events import EARLIEST, KINDS, LATEST, MAX_EVENT_BYTES, MAX_ID_CHARACTERS, Event, Kind, event_error
from producers.consent import is_refused, without_identity
from producers.devices import DeviceClass, device_class

Message = bytes | msgspec.Raw
"""One event as its sender wrote it: JSON text."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request's body, opened: its messages, not yet read, and what it says about all of them.

    ``fault``: why no message of it can be read, where one of the envelope's own fields is wrong.
    """

    messages: Sequence[Message]
    sent_at: datetime | None
    write_key: str | None
    fault: EventError | None = None


class Reader(Protocol):
    """Reads one message.  ``kind``: what the route says, for messages that do not say it themselves.

    Raises ``EventError``, its field spelled as the sender spells it.
    """

    def __call__(
        self, message: Message, *, received_at: datetime, sent_at: datetime | None, kind: Kind | None = None
    ) -> Event: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of writing requests.

    ``open`` raises ``EventError`` for a body in which no message can be told from another.
    """

    open: Callable[[bytes], Envelope]
    read: Reader


# --- bodies ---

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _Batch(msgspec.Struct, rename="camel"):
    batch: list[msgspec.Raw]
    sent_at: msgspec.Raw = msgspec.Raw(b"null")
    write_key: str | None = None


class _Single(msgspec.Struct, rename="camel"):
    write_key: str | None = None


_batch_decoder = msgspec.json.Decoder(_Batch)
_single_decoder = msgspec.json.Decoder(_Single)
_time_decoder = msgspec.json.Decoder(_Time | None)


def open_batch(body: bytes) -> Envelope:
    """Open ``{"batch": [...], "sentAt": ..., "writeKey": ...}``.

    A value that only some writers of JSON allow (``NaN``, half of a surrogate pair) spoils its own message, not the
    batch: such messages come out as they were written, and ``from_segment`` refuses them.
    Raises ``EventError`` for a body that is not JSON or has no list ``batch``.
    """
    try:
        batch = _batch_decoder.decode(body)
    except msgspec.ValidationError as error:
        raise event_error(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        original = event_error(error)
        batch = _as_written(body, _forgiving(body, original), original)
    except RecursionError as error:
        raise event_error(error) from None
    try:
        sent_at = _time_decoder.decode(batch.sent_at)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Envelope(batch.batch, None, batch.write_key, EventError("bad_time", "sentAt", _TIME_WANTED))
    if sent_at is not None and not EARLIEST <= sent_at < LATEST:
        fault = EventError("bad_time", "sentAt", f"{sent_at.isoformat()} lies outside 2000 to 2100")
        return Envelope(batch.batch, None, batch.write_key, fault)
    return Envelope(batch.batch, sent_at, batch.write_key)


def open_single(body: bytes) -> Envelope:
    """A body that is one message.  Raises ``EventError`` for one that is no JSON object."""
    try:
        return Envelope((body,), None, _single_decoder.decode(body).write_key)
    except msgspec.ValidationError as error:
        raise event_error(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Envelope((body,), None, _key(_forgiving(body, event_error(error))))
    except RecursionError as error:
        raise event_error(error) from None


def _forgiving(body: bytes, original: EventError) -> dict[str, Any]:
    """The body's object by the standard library's rules, which are laxer; raises ``original`` where those fail too."""
    try:
        found = json.loads(body.decode())
    except UnicodeDecodeError as error:
        raise event_error(error) from None
    except (ValueError, RecursionError):
        raise original from None
    if not isinstance(found, dict):
        raise original
    return found


def _as_written(body: bytes, found: dict[str, Any], original: EventError) -> _Batch:
    """The batch that ``_forgiving`` found, each message with its own bytes."""
    if not isinstance(found.get("batch"), list):
        raise original
    text = body.decode()
    members = {name: (begin, end) for name, begin, end in _spans(text, _past_blanks(text, 0), named=True)}
    messages = _spans(text, members["batch"][0], named=False)
    sent_at = slice(*members["sentAt"]) if "sentAt" in members else slice(0)
    return _Batch(
        batch=[msgspec.Raw(text[begin:end].encode()) for _, begin, end in messages],
        sent_at=msgspec.Raw(text[sent_at].encode() or b"null"),
        write_key=_key(found),
    )


_value_and_end = json.JSONDecoder().raw_decode
_BLANKS = re.compile(r"[ \t\n\r]*")


def _spans(text: str, at: int, *, named: bool) -> Iterator[tuple[str, int, int]]:
    """Name, begin and end of each member of the sound object (or list, without names) that begins at ``at``."""
    at = _past_blanks(text, at + 1)
    while text[at] not in "]}":
        name = ""
        if named:
            name, colon = _value_and_end(text, at)
            at = _past_blanks(text, _past_blanks(text, colon) + 1)
        end = _value_and_end(text, at)[1]
        yield name, at, end
        at = _past_blanks(text, end)
        if text[at] == ",":
            at = _past_blanks(text, at + 1)


def _past_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return at if found is None else found.end()


def _key(found: dict[str, Any]) -> str | None:
    key = found.get("writeKey")
    return key if isinstance(key, str) else None


# --- messages ---

_Text = Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARACTERS)]
_Id = _Text | Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None
"""Numbers serve as ids too: some senders keep their users under integers."""

_TIME_WANTED = "is not RFC 3339 with a zone, such as 2026-11-22T20:53:28.509Z"


class _Message(msgspec.Struct, rename="camel", gc=False):
    """The fields of Segment's spec that we read; all others are passed over."""

    type: Kind | None = None
    message_id: _Id = None
    anonymous_id: _Id = None
    user_id: _Id = None
    previous_id: _Id = None
    group_id: _Id = None
    event: _Text | None = None
    name: _Text | None = None
    category: str | None = None
    timestamp: _Time | None = None
    original_timestamp: _Time | None = None
    sent_at: _Time | None = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    traits: msgspec.Raw = msgspec.Raw(b"{}")
    context: msgspec.Raw = msgspec.Raw(b"{}")


_message_decoder = msgspec.json.Decoder(_Message)
_object_decoder = msgspec.json.Decoder(dict[str, Any])
_parts_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()


def from_segment(
    message: Message, *, received_at: datetime, sent_at: datetime | None, kind: Kind | None = None
) -> Event:
    """One message in the Segment spec as an event.

    ``received_at`` is UTC.  ``sent_at`` is the request's; without one the message's own ``sentAt`` counts, and without
    that the client's clock is taken as right.  ``kind`` serves messages without a ``type``.
    A message without ``messageId`` gets an id from its text and ``received_at``: sent again, it counts again.
    A message whose visitor refused consent comes out without identity (``producers.consent``).
    Raises ``EventError`` whose field is the sender's name for it.
    """
    try:
        return _event(bytes(message), received_at, sent_at, kind)
    except RecursionError as error:
        raise event_error(error) from None


def _event(raw: bytes, received_at: datetime, sent_at: datetime | None, kind: Kind | None) -> Event:
    if len(raw) > MAX_EVENT_BYTES:
        raise EventError("too_large", "", f"the event has {len(raw)} bytes; the limit is {MAX_EVENT_BYTES}")
    try:
        said = _message_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _spec_error(error) from None
    kind = said.type or kind
    if kind is None:
        raise EventError("missing_field", "type", f"is required; one of {', '.join(KINDS)}")

    user_id = _text(said.user_id)
    visitor_id = _text(said.anonymous_id) or user_id
    if kind == "alias":
        visitor_id = _text(said.previous_id) or _text(said.anonymous_id)
        if user_id is None:
            raise EventError("missing_field", "userId", "is required: an alias says who previousId became")
        if visitor_id is None:
            raise EventError("missing_field", "previousId", "is required: an alias says who became userId")
    about = _context(said.context)
    if visitor_id is None:
        if not about.refused:
            raise EventError("missing_field", "anonymousId", "is required, or userId in its place")
        visitor_id = "nobody"

    properties, found = _object("properties", bytes(said.properties))
    name: str | None
    if kind == "track":
        if not said.event:
            raise EventError("missing_field", "event", "is required: what happened")
        name = said.event
    elif kind == "page" or kind == "screen":
        name = said.name or _short_text(found.get("name")) or kind
        if said.category and "category" not in found:
            properties = _with(properties, "category", said.category)
    else:
        name = kind
        if kind != "alias":
            properties, _ = _object("traits", bytes(said.traits))
        if kind == "group" and (group_id := _text(said.group_id)) is not None:
            properties = _with(properties, "group_id", group_id)

    if kind == "identify" and properties == "{}":
        properties = _traits_of(about.text)
    event = Event(
        event_id=_text(said.message_id) or _made_id(raw, received_at),
        visitor_id=visitor_id,
        occurred_at=_occurred_at(said.timestamp or said.original_timestamp, sent_at or said.sent_at, received_at),
        received_at=received_at,
        kind=kind,
        name=name,
        user_id=user_id,
        properties=properties,
        context=about.text,
        page_url=about.page_url or _filled(found.get("url")),
        referrer=about.referrer or _filled(found.get("referrer")),
        utm_source=about.utm_source,
        utm_medium=about.utm_medium,
        utm_campaign=about.utm_campaign,
        device_class=about.device_class,
    )
    return without_identity(event, found) if about.refused else event


def _occurred_at(timestamp: datetime | None, sent_at: datetime | None, received_at: datetime) -> datetime:
    """The client's time on our clock: what its clock was off by when it sent is taken away; never after receipt."""
    if timestamp is None:
        return received_at
    try:
        at = timestamp.astimezone(UTC) if sent_at is None else received_at + (timestamp - sent_at)
    except OverflowError:
        raise EventError("bad_time", "timestamp", "lies outside 2000 to 2100") from None
    if not EARLIEST <= at < LATEST:
        raise EventError("bad_time", "timestamp", f"{at.isoformat()} lies outside 2000 to 2100")
    return min(at, received_at)


class _About(NamedTuple):
    """What a context tells; ``text`` is the context itself without the IP address."""

    text: str
    page_url: str | None
    referrer: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    device_class: DeviceClass | None
    refused: bool


def _context(raw: msgspec.Raw) -> _About:
    """Small ones are cached: a server's SDK sends the same with every event, a browser's with every event of a page."""
    data = bytes(raw)
    return _read_context(data) if len(data) > 4096 else _read_small_context(data)


def _read_context(data: bytes) -> _About:
    text, context = _object("context", data)
    if "ip" in context:
        parts = _parts_decoder.decode(text)
        del parts["ip"]
        text = _encoder.encode(parts).decode()
    page, campaign = _inner(context, "page"), _inner(context, "campaign")
    device, library = _inner(context, "device"), _inner(context, "library")
    return _About(
        text,
        _filled(page.get("url")),
        _filled(page.get("referrer")),
        _filled(campaign.get("source")),
        _filled(campaign.get("medium")),
        _filled(campaign.get("name")),
        device_class(
            _filled(device.get("type")),
            _filled(device.get("model")),
            _filled(context.get("userAgent")),
            _filled(library.get("name")),
            _filled(library.get("env")),
        ),
        is_refused(context),
    )


_read_small_context = lru_cache(maxsize=512)(_read_context)


def _traits_of(context: str) -> str:
    """Rudder's clients keep the traits of an ``identify`` in its context."""
    traits = bytes(_parts_decoder.decode(context).get("traits", b"{}"))
    return traits.decode() if traits.startswith(b"{") else "{}"


def _object(field: str, data: bytes) -> tuple[str, dict[str, Any]]:
    """A JSON object as its text and decoded; nothing for null.  Decoding it all is what proves the text sound."""
    if data == b"{}" or data == b"null":
        return "{}", {}
    try:
        return data.decode(), _object_decoder.decode(data)
    except UnicodeDecodeError:
        raise EventError("not_utf8", field, "the text is not UTF-8") from None
    except msgspec.DecodeError as error:
        inner = event_error(error)
        if inner.reason == "not_an_event":
            raise EventError("wrong_type", field, inner.detail) from None
        raise EventError("bad_value", field, inner.detail) from None


def _with(text: str, key: str, value: str) -> str:
    """The object's text with one more member; every other member stays as it was written."""
    parts: dict[str, Any] = dict(_parts_decoder.decode(text))
    parts[key] = value
    return _encoder.encode(parts).decode()


_NOTHING: dict[str, Any] = {}


def _inner(context: dict[str, Any], key: str) -> dict[str, Any]:
    value = context.get(key)
    return value if isinstance(value, dict) else _NOTHING


def _filled(value: object) -> str | None:
    """Text that says something; senders write empty strings for what they do not know."""
    return value if isinstance(value, str) and value else None


def _short_text(value: object) -> str | None:
    text = _filled(value)
    return text if text is not None and len(text) <= MAX_ID_CHARACTERS else None


def _text(value: str | int | None) -> str | None:
    if isinstance(value, str):
        return value or None
    return None if value is None else str(value)


def _made_id(raw: bytes, received_at: datetime) -> str:
    return "made-" + blake2b(raw, digest_size=16, key=received_at.isoformat().encode()).hexdigest()


def _spec_error(error: Exception) -> EventError:
    """As ``event_error``, with the reasons only a sender's spelling has."""
    said = event_error(error)
    if said.field == "type" and said.reason == "bad_value":
        return EventError("unknown_type", "type", f"is none of {', '.join(KINDS)}")
    return said


SEGMENT_BATCH = Dialect(open_batch, from_segment)
"""Batches of Segment's and Rudder's clients."""

SEGMENT_SINGLE = Dialect(open_single, from_segment)
"""One event a request: Segment's browser client, Jitsu."""
