"""Dead letters: an event that was refused, with its bytes and the reason.

What the collector refuses inside an accepted batch travels through the events topic itself, marked by
``REJECT_HEADER``, so that it lands by the same offsets and commits as everything else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from ladder.errors import EventError, Reason
from ladder.events import EARLIEST, LATEST

REJECT_HEADER: tuple[str, bytes] = ("content-type", b"application/vnd.yesladder.reject+json; contract=1")

Stage = Literal["collector", "stream", "file"]


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """One refused event.  ``raw``: its bytes as they came (base64 in JSON)."""

    reason: Reason
    field: str
    detail: str
    raw: bytes
    rejected_at: Annotated[datetime, msgspec.Meta(tz=True)]
    stage: Stage

    @classmethod
    def of(cls, error: EventError, raw: bytes, rejected_at: datetime, stage: Stage) -> Reject:
        return cls(
            reason=error.reason, field=error.field, detail=error.detail, raw=raw, rejected_at=rejected_at, stage=stage
        )


def encode_reject(reject: Reject) -> bytes:
    """The value of the Kafka record that carries a dead letter."""
    return msgspec.json.encode(reject)


def decode_reject(value: bytes) -> Reject:
    """Inverse of ``encode_reject``; raises ``ValueError`` where the value is none of ours."""
    reject = msgspec.json.decode(value, type=Reject)
    if not EARLIEST <= reject.rejected_at < LATEST:
        raise ValueError(f"rejected_at {reject.rejected_at.isoformat()} lies outside 2000 to 2100")
    return reject
