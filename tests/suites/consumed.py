"""Kafka records as a consumer gives them, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ladder.events import CANONICAL_HEADER
from ladder.rejects import REJECT_HEADER

CANONICAL = (CANONICAL_HEADER,)
REJECT = (REJECT_HEADER,)
NOON_MS = 1_772_366_400_000
"""2026-03-01T12:00:00Z"""


@dataclass
class Record:
    """What ``stream.decoding`` needs of a record."""

    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    offset: int = 0
    partition: int = 0
    timestamp: int | None = NOON_MS
