"""Asking the collector without a network, and reading what it stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from ladder.events import CANONICAL_HEADER, Event, decode as decode_event
from ladder.rejects import REJECT_HEADER, Reject, decode_reject
from producers.http_head import ASGIApp
from producers.records import Record

NOW = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)


async def ask_async(
    app: ASGIApp, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://collector") as client:
        return await client.request(method, path, content=body, headers=headers)


def ask(
    app: ASGIApp, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> httpx.Response:
    return asyncio.run(ask_async(app, method, path, body, headers))


def post(
    app: ASGIApp, body: object, path: str = "/v1/batch", headers: Mapping[str, str] | None = None
) -> httpx.Response:
    return ask(app, "POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)


def track(number: int = 0, **other: Any) -> dict[str, Any]:
    """A message as simple as one can be; ``None`` leaves a field out."""
    message = {"type": "track", "event": "Offer Shown", "messageId": f"m{number}", "anonymousId": "ann"} | other
    return {key: value for key, value in message.items() if value is not None}


def stored(records: list[list[Record]]) -> tuple[list[Event], list[Reject]]:
    """The events, in the order of their arrival, and the dead letters of a topic's partitions."""
    events: list[Event] = []
    rejects: list[Reject] = []
    for record in (record for partition in records for record in partition):
        if record.headers == (REJECT_HEADER,):
            rejects.append(decode_reject(record.value))
        elif record.headers == (CANONICAL_HEADER,):
            events += [decode_event(line, NOW) for line in record.value.split(b"\n")]
        else:
            raise ValueError(f"a record with the headers {record.headers}")
    return sorted(events, key=lambda event: event.received_at), sorted(rejects, key=lambda reject: reject.rejected_at)
