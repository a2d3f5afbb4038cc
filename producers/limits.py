"""What the collector takes at most."""

from __future__ import annotations

from dataclasses import dataclass

from ladder.errors import UsageError
from ladder.events import MAX_EVENT_BYTES

MAX_BODY_BYTES = 640 * 1024
"""One bad event of this size, in base64, still fits a Kafka record of 1 MB."""


@dataclass(frozen=True)
class Limits:
    """What one request may bring, and all of them together.  Sizes are after unpacking.

    ``max_in_flight_bytes``: bodies received and not answered yet; beyond, requests are answered with 503.
    ``answer_within_s``: how long a request waits for Kafka; clients give up after 10 s and more.
    ``read_within_s``: how long a client may take to send its body.
    Raises ``UsageError`` for limits that cannot be kept.
    """

    max_body_bytes: int = MAX_BODY_BYTES
    max_batch_events: int = 2500
    max_event_bytes: int = MAX_EVENT_BYTES
    max_in_flight_bytes: int = 64 * 1024 * 1024
    answer_within_s: float = 8.0
    read_within_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.max_body_bytes <= MAX_BODY_BYTES:
            raise UsageError(f"the largest body is between 1 and {MAX_BODY_BYTES} bytes, not {self.max_body_bytes}")
        if not 0 < self.max_event_bytes <= MAX_EVENT_BYTES:
            raise UsageError(f"the largest event is between 1 and {MAX_EVENT_BYTES} bytes, not {self.max_event_bytes}")
        if min(self.max_batch_events, self.max_in_flight_bytes, self.answer_within_s, self.read_within_s) <= 0:
            raise UsageError("every limit of the collector is above zero")


DEFAULT_LIMITS = Limits()
