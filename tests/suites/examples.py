"""The event contract's examples (``tests/examples``): messages as clients send them, and what becomes of each.

A valid one says what its event is, an invalid one why it is refused.  ``message`` is the message as JSON, ``text`` and
``base64`` are for what JSON cannot carry.  ``grow_to_bytes`` lets its property ``filler`` grow until the message has
that size.
"""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "examples"

_DEFAULTS: dict[str, Any] = {
    "kind": "track",
    "user_id": None,
    "properties": {},
    "context": {},
    "page_url": None,
    "referrer": None,
    "utm_source": None,
    "utm_medium": None,
    "utm_campaign": None,
    "device_class": None,
}
"""What an event says that an example leaves out."""


@dataclass(frozen=True)
class Valid:
    """``raw``: the message's bytes.  ``event``: its fields, properties and context decoded, without ``received_at``.

    An id may be ``{"begins": ..., "in_a_file": ...}``: what a made id begins with.  A time may be
    ``{"seconds_before_receipt": ..., "in_a_file": ...}``, the second for files, which know no receipt.
    """

    name: str
    raw: bytes
    event: dict[str, Any]

    def event_id(self, found: str, *, in_a_file: bool) -> str:
        """The id it must have, given the one found: a made one need only begin right."""
        said = self.event["event_id"]
        if isinstance(said, str):
            return said
        begin = str(said["in_a_file" if in_a_file else "begins"])
        return found if found.startswith(begin) and len(found) == len(begin) + 32 else begin

    def occurred_at(self, received_at: datetime, *, in_a_file: bool) -> datetime:
        said = self.event["occurred_at"]
        if isinstance(said, dict):
            if not in_a_file or "in_a_file" not in said:
                return received_at - timedelta(seconds=said["seconds_before_receipt"])
            said = said["in_a_file"]
        return datetime.fromisoformat(said)


@dataclass(frozen=True)
class Invalid:
    """``alone``: it spoils a whole request, so it is sent in one of its own, which is refused."""

    name: str
    raw: bytes
    reason: str
    field: str
    alone: bool


def valid_examples() -> list[Valid]:
    return [Valid(name, _raw(said), _DEFAULTS | said["event"]) for name, said in _read("valid")]


def invalid_examples() -> list[Invalid]:
    return [
        Invalid(name, _raw(said), said["reason"], said["field"], said.get("alone", False))
        for name, said in _read("invalid")
    ]


def _read(folder: str) -> list[tuple[str, dict[str, Any]]]:
    return [(path.stem, json.loads(path.read_text(encoding="utf-8"))) for path in sorted((FOLDER / folder).iterdir())]


def _raw(said: dict[str, Any]) -> bytes:
    if "base64" in said:
        return b64decode(said["base64"])
    if "text" in said:
        return str(said["text"]).encode()
    message = said["message"]
    if "grow_to_bytes" in said:
        room = int(said["grow_to_bytes"]) - len(_compact(message))
        message["properties"]["filler"] += "x" * room
    return _compact(message)


def _compact(message: Any) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
