"""Requests that real clients sent, replayed: tests/captures holds each with the events that must come of it."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from producers.collector import create_app
from producers.publisher import MemoryPublisher
from tests.suites.collector_client import NOW, ask

CAPTURES = Path(__file__).parents[1] / "captures"


def captured() -> list[Any]:
    cases = []
    for file in sorted(CAPTURES.glob("*.json")):
        for place, request in enumerate(json.loads(file.read_text(encoding="utf-8"))["requests"]):
            cases.append(pytest.param(request, id=f"{file.stem}-{place}-{request['method']}-{request['path']}"))
    return cases


def body_of(request: dict[str, Any]) -> bytes:
    if "body_base64" in request:
        return b64decode(request["body_base64"])
    return json.dumps(request["body"]).encode() if "body" in request else b""


@pytest.mark.parametrize("request_", captured())
def test_a_captured_request_becomes_exactly_these_events(request_: dict[str, Any]) -> None:
    publisher = MemoryPublisher(partitions=4)
    keys = frozenset({"WRITEKEY", "kid:secret"})
    app = create_app(publisher, write_keys=keys, is_ready=lambda: True, now=lambda: NOW)

    answer = ask(app, request_["method"], request_["path"], body_of(request_), request_["headers"])

    assert (answer.status_code, answer.json()) == (200, request_["answer"])
    lines = [line for part in publisher.records for record in part for line in record.value.split(b"\n")]
    events = sorted(map(json.loads, lines), key=lambda event: datetime.fromisoformat(event["received_at"]))
    assert events == request_.get("events", [])
    if origin := request_["headers"].get("origin"):
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
    if asked := request_["headers"].get("access-control-request-headers"):
        allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].split(",")}
        assert set(asked.split(",")) <= allowed
        assert request_["headers"]["access-control-request-method"] in answer.headers["access-control-allow-methods"]


def test_every_client_that_was_recorded_is_here() -> None:
    assert {file.stem for file in CAPTURES.glob("*.json")} == {
        "jitsu-js-browser",
        "jitsu-js-node",
        "rudder-sdk-python",
        "segment-analytics-next",
        "segment-analytics-node",
        "segment-analytics-python",
    }
