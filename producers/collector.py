"""The collector: clients' HTTP requests in, records on Kafka out.

A request is answered with 200 once Kafka has acknowledged its events, never before.  What clients need from a
collector (exactly 200, errors as ``{"code", "message"}``, 503 with Retry-After, JSON under any Content-Type) was
measured with the clients: docs/collector.md.

It is a bare ASGI application: for one event a request, a framework's routing would cost as much as the work itself.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ladder.errors import EventError, UsageError
from ladder.events import MAX_EVENT_BYTES, Event, Kind
from ladder.metrics import COLLECTOR_ANSWERS, COLLECTOR_EVENTS, COLLECTOR_IN_FLIGHT_BYTES, COLLECTOR_REJECTED
from ladder.rejects import Reject
from producers.bodies import plain_body, too_large
from producers.dialects import SEGMENT_BATCH, SEGMENT_SINGLE, Dialect, Envelope
from producers.group_commit import GroupCommit
from producers.publisher import Publisher, PublishError
from producers.refusals import ANSWERS, Code, Refused

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_MAX_BODY_BYTES = 640 * 1024
"""One bad event of this size, in base64, still fits a Kafka record of 1 MB."""

_READY_IS_GOOD_FOR_S = 1.0
_ERRORS_SHOWN = 10


@dataclass(frozen=True)
class Limits:
    """What one request may bring, and all of them together.  Sizes are after unpacking.

    ``max_in_flight_bytes``: bodies received and not answered yet; beyond, requests are answered with 503.
    ``answer_within_s``: how long a request waits for Kafka; clients give up after 10 s and more.
    ``read_within_s``: how long a client may take to send its body.
    """

    max_body_bytes: int = _MAX_BODY_BYTES
    max_batch_events: int = 2500
    max_event_bytes: int = MAX_EVENT_BYTES
    max_in_flight_bytes: int = 64 * 1024 * 1024
    answer_within_s: float = 8.0
    read_within_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.max_body_bytes <= _MAX_BODY_BYTES:
            raise UsageError(f"the largest body is between 1 and {_MAX_BODY_BYTES} bytes, not {self.max_body_bytes}")
        if not 0 < self.max_event_bytes <= MAX_EVENT_BYTES:
            raise UsageError(f"the largest event is between 1 and {MAX_EVENT_BYTES} bytes, not {self.max_event_bytes}")
        if min(self.max_batch_events, self.max_in_flight_bytes, self.answer_within_s, self.read_within_s) <= 0:
            raise UsageError("every limit of the collector is above zero")


class Route(NamedTuple):
    dialect: Dialect
    kind: Kind | None


_LETTERS: dict[str, Kind] = {
    "t": "track",
    "p": "page",
    "s": "screen",
    "i": "identify",
    "g": "group",
    "a": "alias",
}

ROUTES: dict[str, Route] = {
    "/v1/batch": Route(SEGMENT_BATCH, None),
    "/v1/b": Route(SEGMENT_BATCH, None),
    **{f"/v1/{letter}": Route(SEGMENT_SINGLE, kind) for letter, kind in _LETTERS.items()},
    **{f"/v1/{kind}": Route(SEGMENT_SINGLE, kind) for kind in _LETTERS.values()},
    **{f"/api/s/{kind}": Route(SEGMENT_SINGLE, kind) for kind in _LETTERS.values()},
}
"""Where events are sent, and in which dialect.  Another client's paths and dialect are lines here."""

_SETTINGS = re.compile(r"/v1/projects/([^/]+)/settings")


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    publisher: Publisher,
    *,
    write_keys: frozenset[str] | None,
    is_ready: Callable[[], bool],
    limits: Limits = Limits(),
    now: Callable[[], datetime] = utc_now,
) -> ASGIApp:
    """The collector as an ASGI application.

    ``write_keys``: None accepts any key and none at all.  ``is_ready``: whether Kafka can be reached, asked by
    ``GET /health`` in a thread, at most once a second.  ``now``: UTC.  The publisher stays its owner's to close.
    """
    return _Collector(publisher, write_keys, is_ready, limits, now)


class _Collector:
    def __init__(
        self,
        publisher: Publisher,
        write_keys: frozenset[str] | None,
        is_ready: Callable[[], bool],
        limits: Limits,
        now: Callable[[], datetime],
    ) -> None:
        self._write_keys = write_keys
        self._limits = limits
        self._now = now
        self._last_received = datetime.min.replace(tzinfo=UTC)
        self._in_flight_bytes = 0
        self._commit = GroupCommit(publisher, limits.answer_within_s)
        self._health = _Health(is_ready)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"the collector speaks HTTP, not {scope['type']}")
        request = _Request(scope)
        try:
            status, body, headers = await self._answer(request, receive)
        except _ClientLeft:
            return
        except Refused as refused:
            status, body, headers = _refusal(refused)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            status, body, headers = _refusal(Refused("internal", "the collector failed; it has logged why"))
        COLLECTOR_ANSWERS.labels(status).inc()
        headers.append((b"content-length", b"%d" % len(body)))
        if request.origin is not None:
            headers += _cross_origin(request.origin)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    async def _answer(self, request: _Request, receive: Receive) -> tuple[int, bytes, Headers]:
        if request.method == "OPTIONS":
            return 200, b"{}", [_JSON, *_PREFLIGHT]
        route = ROUTES.get(request.path) or ROUTES.get(request.path.rstrip("/"))
        if route is not None:
            if request.method != "POST":
                raise Refused("wrong_method", f"{request.path} takes POST")
            return 200, await self._take(route, request, receive), [_JSON]
        if request.method not in ("GET", "HEAD"):
            raise Refused("not_found", f"nothing takes {request.method} {request.path}")
        if request.path == "/health":
            await self._health.check()
            return 200, b'{"status":"ok"}', [_JSON]
        if request.path == "/metrics":
            return 200, generate_latest(), [(b"content-type", CONTENT_TYPE_LATEST.encode())]
        if settings := _SETTINGS.fullmatch(request.path):
            self._check_key(settings[1])
            return 200, msgspec.json.encode({"integrations": {"Segment.io": {"apiKey": settings[1]}}}), [_JSON]
        raise Refused("not_found", f"there is nothing at {request.path}")

    async def _take(self, route: Route, request: _Request, receive: Receive) -> bytes:
        """Store the events of a request; the answer's body."""
        key = request.write_key
        if key is not None:
            self._check_key(key)
        taken = _Taken(self)
        try:
            body = await self._body(request, receive, taken)
            envelope = _opened(route.dialect, body)
            if key is None:
                self._check_key(envelope.write_key)
            events, rejects, errors = self._read(route, envelope)
            if events or rejects:
                await self._store(events, rejects)
        finally:
            taken.give_back()
        if not rejects:
            return b'{"success":true,"accepted":%d,"rejected":0}' % len(events)
        return msgspec.json.encode(
            {"success": True, "accepted": len(events), "rejected": len(rejects), "errors": errors}
        )

    def _check_key(self, key: str | None) -> None:
        if self._write_keys is not None and key not in self._write_keys:
            raise Refused("unknown_key", "there is no write key" if key is None else "the write key is not known here")

    async def _body(self, request: _Request, receive: Receive, taken: _Taken) -> bytes:
        limit = self._limits.max_body_bytes
        if request.content_length > limit:
            raise too_large(limit)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientLeft
        body: bytes = message.get("body", b"")
        taken.take(len(body))
        if message.get("more_body", False):
            try:
                async with asyncio.timeout(self._limits.read_within_s):
                    body += await _rest(receive, limit - len(body), taken)
            except TimeoutError:
                raise Refused("too_slow", f"the body took more than {self._limits.read_within_s:g} s") from None
        if len(body) > limit:
            raise too_large(limit)
        plain = plain_body(body, request.encoding, limit)
        taken.take(len(plain) - len(body))
        return plain

    def _read(self, route: Route, envelope: Envelope) -> tuple[list[Event], list[Reject], list[dict[str, Any]]]:
        """Events and dead letters, a microsecond apart in the batch's order; and the first errors, for the answer."""
        messages = envelope.messages
        if len(messages) > self._limits.max_batch_events:
            raise Refused(
                "too_large", f"the batch has {len(messages)} events; the limit is {self._limits.max_batch_events}"
            )
        read, kind, sent_at, largest = route.dialect.read, route.kind, envelope.sent_at, self._limits.max_event_bytes
        events: list[Event] = []
        rejects: list[Reject] = []
        errors: list[dict[str, Any]] = []
        received_at = max(self._now(), self._last_received + _TICK)
        for place, message in enumerate(messages):
            raw = bytes(message)
            try:
                if envelope.fault is not None:
                    raise envelope.fault
                if len(raw) > largest:
                    raise EventError("too_large", "", f"the event has {len(raw)} bytes; the limit is {largest}")
                events.append(read(raw, received_at=received_at, sent_at=sent_at, kind=kind))
            except EventError as error:
                rejects.append(Reject.of(error, raw, received_at, "collector"))
                if len(errors) < _ERRORS_SHOWN:
                    errors.append({"index": place, "code": error.reason, "message": str(error)})
            received_at += _TICK
        self._last_received = received_at
        return events, rejects, errors

    async def _store(self, events: list[Event], rejects: list[Reject]) -> None:
        try:
            await self._commit.store(events, rejects)
        except PublishError as error:
            code: Code = "overloaded" if error.reason == "overloaded" else "unavailable"
            raise Refused(code, str(error), error.retry_after_s) from None
        COLLECTOR_EVENTS.inc(len(events))
        for reject in rejects:
            COLLECTOR_REJECTED.labels(reject.reason).inc()

    def hold(self, size: int) -> None:
        """Count bytes as under way; ``Refused`` when that is too many, which they are then not."""
        total = self._in_flight_bytes + size
        if total > self._limits.max_in_flight_bytes:
            raise Refused("overloaded", f"{self._in_flight_bytes} bytes are waiting for Kafka")
        self._in_flight_bytes = total
        COLLECTOR_IN_FLIGHT_BYTES.set(total)

    def let_go(self, size: int) -> None:
        self._in_flight_bytes -= size
        COLLECTOR_IN_FLIGHT_BYTES.set(self._in_flight_bytes)


_TICK = timedelta(microseconds=1)


class _Taken:
    """The bytes one request holds."""

    __slots__ = ("_collector", "_size")

    def __init__(self, collector: _Collector) -> None:
        self._collector = collector
        self._size = 0

    def take(self, size: int) -> None:
        self._collector.hold(size)
        self._size += size

    def give_back(self) -> None:
        self._collector.let_go(self._size)


class _ClientLeft(Exception):
    """The client hung up before its body was here: nobody waits for an answer."""


async def _rest(receive: Receive, room: int, taken: _Taken) -> bytes:
    """The rest of a body that comes in parts; the server discards what we do not read."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientLeft
        part: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        taken.take(len(part))
        parts.append(part)
        room -= len(part)
        if room < 0:
            break
    return b"".join(parts)


def _opened(dialect: Dialect, body: bytes) -> Envelope:
    try:
        return dialect.open(body)
    except EventError as error:
        raise Refused(error.reason, str(error)) from None


class _Request:
    """What the collector looks at in a request's head."""

    __slots__ = ("content_length", "encoding", "method", "origin", "path", "write_key")

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.origin: bytes | None = None
        self.encoding = b""
        self.content_length = 0
        authorization: bytes | None = None
        x_write_key: bytes | None = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"x-write-key":
                x_write_key = value
            elif name == b"content-encoding":
                self.encoding = value.strip().lower()
            elif name == b"origin":
                self.origin = value
            elif name == b"content-length" and value.isdigit():
                self.content_length = int(value)
        self.write_key = _authorized(authorization) or (x_write_key.decode("latin-1") if x_write_key else None)


def _authorized(header: bytes | None) -> str | None:
    """The user name of Basic, else the token of Bearer; None for what is neither."""
    if header is None:
        return None
    scheme, _, value = header.partition(b" ")
    scheme, value = scheme.lower(), value.strip()
    if scheme == b"bearer":
        return value.decode("latin-1") or None
    if scheme != b"basic":
        return None
    try:
        user_name = b64decode(value, validate=True).decode().partition(":")[0]
    except ValueError:
        return None
    return user_name or None


class _Health:
    """Whether Kafka can be reached, asked by one thread at a time and remembered for a moment."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready
        self._asking: asyncio.Task[bool] | None = None
        self._asked_at = -math.inf

    async def check(self) -> None:
        """Raises ``Refused`` when it is not ready."""
        loop = asyncio.get_running_loop()
        if self._asking is None or (self._asking.done() and loop.time() - self._asked_at > _READY_IS_GOOD_FOR_S):
            self._asking = loop.create_task(asyncio.to_thread(self._is_ready))
            self._asked_at = loop.time()
        if not await asyncio.shield(self._asking):
            raise Refused("not_ready", "Kafka cannot be reached")


_JSON = (b"content-type", b"application/json")
_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
    # the last one is Rudder's browser client's
    (b"access-control-allow-headers", b"authorization, content-type, x-write-key, x-retry-count, anonymousid"),
    (b"access-control-max-age", b"7200"),
]


def _cross_origin(origin: bytes) -> Headers:
    """Any page may send, with its cookies; and may see Retry-After, without which clients come back too early."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"Retry-After"),
        (b"vary", b"Origin"),
    ]


def _refusal(refused: Refused) -> tuple[int, bytes, Headers]:
    status, again = ANSWERS[refused.code]
    headers: Headers = [_JSON]
    if again:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(refused.retry_after_s))))
    if status == 405:
        headers.append((b"allow", b"POST, OPTIONS"))
    return status, msgspec.json.encode({"code": refused.code, "message": refused.message}), headers
