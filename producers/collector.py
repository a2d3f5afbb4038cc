"""The collector: clients' HTTP requests in, records on Kafka out.

A request is answered with 200 once Kafka has acknowledged its events or the spool has fsynced them, never before.  What
clients need from a
collector (exactly 200, errors as ``{"code", "message"}``, 503 with Retry-After, JSON under any Content-Type) was
measured with the clients: docs/collector.md.

It is a bare ASGI application: for one event a request, a framework's routing would cost as much as the work itself.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ladder.errors import EventError
from ladder.events import Event, Kind
from ladder.metrics import COLLECTOR_ANSWERS, COLLECTOR_IN_FLIGHT_BYTES
from ladder.rejects import Reject
from producers.bodies import plain_body, too_large
from producers.consent import letter
from producers.dialects import SEGMENT_BATCH, SEGMENT_SINGLE, Dialect, Envelope
from producers.group_commit import GroupCommit
from producers.health import Health
from producers.http_head import PREFLIGHT, ASGIApp, Headers, Receive, Request, Scope, Send, cross_origin
from producers.limits import DEFAULT_LIMITS, Limits
from producers.publisher import Publisher, PublishError
from producers.refusals import ANSWERS, Code, Refused
from producers.spooling import SpoolState

_log = logging.getLogger(__name__)

_ERRORS_SHOWN = 10
_TICK = timedelta(microseconds=1)

_PUT_BACK_A_LITTLE = timedelta(minutes=1)
"""A clock put back by no more than this is waited for, and arrival stays a total order.  By more, it was wrong before:
until it had caught up, all events would seem to come at one moment, and be moved as far into the future."""
_JSON = (b"content-type", b"application/json")


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
    spool: Callable[[], SpoolState] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    now: Callable[[], datetime] = utc_now,
) -> ASGIApp:
    """The collector as an ASGI application.

    ``write_keys``: None accepts any key and none at all.  ``is_ready``: whether Kafka can be reached, asked by
    ``GET /health`` in a thread, at most once a second.  ``spool``: how it is, where the publisher has one; with it the
    collector is ready without Kafka, until it is full.  ``now``: UTC.  The publisher stays its owner's to close.
    """
    return _Collector(publisher, write_keys, Health(is_ready, spool, now), limits, now)


class _Collector:
    def __init__(
        self,
        publisher: Publisher,
        write_keys: frozenset[str] | None,
        health: Health,
        limits: Limits,
        now: Callable[[], datetime],
    ) -> None:
        self._write_keys = write_keys
        self._limits = limits
        self._now = now
        self._next_received = datetime.min.replace(tzinfo=UTC)
        self._in_flight_bytes = 0
        self._commit = GroupCommit(publisher, limits.answer_within_s)
        self._health = health
        self._ok = COLLECTOR_ANSWERS.labels(200)
        COLLECTOR_IN_FLIGHT_BYTES.set_function(lambda: self._in_flight_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"the collector speaks HTTP, not {scope['type']}")
        request = Request(scope)
        try:
            body, headers = await self._answer(request, receive)
            status = 200
            self._ok.inc()
        except _ClientLeft:
            return
        except Refused as refused:
            status, body, headers = _refusal(refused)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            status, body, headers = _refusal(Refused("internal", "the collector failed; it has logged why"))
        headers.append((b"content-length", b"%d" % len(body)))
        if request.origin is not None:
            headers += cross_origin(request.origin)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    async def _answer(self, request: Request, receive: Receive) -> tuple[bytes, Headers]:
        if request.method == "OPTIONS":
            return b"{}", [_JSON, *PREFLIGHT]
        path = request.path
        route = ROUTES.get(path) or ROUTES.get(path.rstrip("/"))
        if route is not None:
            if request.method != "POST":
                raise Refused("wrong_method", f"{path} takes POST")
            return await self._take(route, request, receive), [_JSON]
        if request.method in ("GET", "HEAD"):
            if path == "/health":
                return msgspec.json.encode(await self._health.check()), [_JSON]
            if path == "/metrics":
                return generate_latest(), [(b"content-type", CONTENT_TYPE_LATEST.encode())]
            if settings := _SETTINGS.fullmatch(path):
                self._check_key(settings[1])
                return msgspec.json.encode({"integrations": {"Segment.io": {"apiKey": settings[1]}}}), [_JSON]
        raise Refused("not_found", f"nothing takes {request.method} {path}")

    async def _take(self, route: Route, request: Request, receive: Receive) -> bytes:
        """Store the events of a request; the answer's body."""
        if request.write_key is not None:
            self._check_key(request.write_key)
        held = _Held()
        try:
            body = await self._body(request, receive, held)
            try:
                envelope = route.dialect.open(body)
            except EventError as error:
                raise Refused(error.reason, str(error)) from None
            if request.write_key is None:
                self._check_key(envelope.write_key)
            events, rejects, errors = self._read(route, envelope)
            if events or rejects:
                await self._commit.store(events, rejects)
        except PublishError as error:
            code: Code = "overloaded" if error.reason == "overloaded" else "unavailable"
            raise Refused(code, str(error), error.retry_after_s) from None
        finally:
            self._in_flight_bytes -= held.size
        if not rejects:
            return b'{"success":true,"accepted":%d,"rejected":0}' % len(events)
        return msgspec.json.encode(
            {"success": True, "accepted": len(events), "rejected": len(rejects), "errors": errors}
        )

    def _check_key(self, key: str | None) -> None:
        if self._write_keys is not None and key not in self._write_keys:
            raise Refused("unknown_key", "there is no write key" if key is None else "the write key is not known here")

    def _hold(self, held: _Held, size: int) -> None:
        """Count that many bytes more as under way; ``Refused`` when that would be too many."""
        if self._in_flight_bytes + size > self._limits.max_in_flight_bytes:
            raise Refused("overloaded", f"{self._in_flight_bytes} bytes are waiting for Kafka already")
        self._in_flight_bytes += size
        held.size += size

    async def _body(self, request: Request, receive: Receive, held: _Held) -> bytes:
        """The whole body, unpacked.  What we do not read of it the server discards."""
        limit = self._limits.max_body_bytes
        if request.content_length > limit:
            raise too_large(limit)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientLeft
        body: bytes = message.get("body", b"")
        self._hold(held, len(body))
        if message.get("more_body", False):
            try:
                async with asyncio.timeout(self._limits.read_within_s):
                    body += await self._rest(receive, limit - len(body), held)
            except TimeoutError:
                raise Refused("too_slow", f"the body took more than {self._limits.read_within_s:g} s") from None
        if len(body) > limit:
            raise too_large(limit)
        plain = plain_body(body, request.encoding, limit)
        if plain is not body:
            self._hold(held, len(plain))
        return plain

    async def _rest(self, receive: Receive, room: int, held: _Held) -> bytes:
        """The rest of a body that comes in parts, or a little more than there is room for."""
        parts: list[bytes] = []
        more = True
        while more and room >= 0:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientLeft
            part: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            self._hold(held, len(part))
            parts.append(part)
            room -= len(part)
        return b"".join(parts)

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
        now = self._now()
        received_at = self._next_received if now < self._next_received <= now + _PUT_BACK_A_LITTLE else now
        for place, message in enumerate(messages):
            raw = bytes(message)
            try:
                if envelope.fault is not None:
                    raise envelope.fault
                if len(raw) > largest:
                    raise EventError("too_large", "", f"the event has {len(raw)} bytes; the limit is {largest}")
                events.append(read(raw, received_at=received_at, sent_at=sent_at, kind=kind))
            except EventError as error:
                rejects.append(Reject.of(error, letter(raw), received_at, "collector"))
                if len(errors) < _ERRORS_SHOWN:
                    errors.append({"index": place, "code": error.reason, "message": str(error)})
            received_at += _TICK
            if sent_at is not None:
                sent_at += _TICK  # all events of a request are moved by the same time
        self._next_received = received_at
        return events, rejects, errors


class _Held:
    """The bytes of one request that count as under way."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class _ClientLeft(Exception):
    """The client hung up before its body was here: nobody waits for an answer."""


def _refusal(refused: Refused) -> tuple[int, bytes, Headers]:
    status, again = ANSWERS[refused.code]
    COLLECTOR_ANSWERS.labels(status).inc()
    headers: Headers = [_JSON]
    if again:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(refused.retry_after_s))))
    if status == 405:
        headers.append((b"allow", b"POST, OPTIONS"))
    return status, msgspec.json.encode({"code": refused.code, "message": refused.message}), headers
