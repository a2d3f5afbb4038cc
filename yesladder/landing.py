"""Has everything that is on Kafka landed in the lake?"""

from __future__ import annotations

import time
from collections.abc import Callable

from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from producers.topics import end_offsets
from warehouse.lake import Lake
from yesladder.processes import Part

PATIENCE_S = 120.0
"""Where nothing moves for so long, something has got stuck."""

_LOOK_EVERY_S = 0.1


def wait_for(done: Callable[[], bool], *, patience_s: float = PATIENCE_S) -> None:
    """Look ten times a second.  Raises ``YesladderError`` when patience ends."""
    until = time.monotonic() + patience_s
    while not done():
        if time.monotonic() > until:
            raise YesladderError(f"nothing came of waiting {patience_s:.0f} s; the logs may say why")
        time.sleep(_LOOK_EVERY_S)


def wait_until_landed(
    connection: KafkaConnection,
    topic: str,
    lake: Lake,
    worker: Part,
    report: Callable[[int], None] = lambda _: None,
    *,
    patience_s: float = PATIENCE_S,
) -> None:
    """Until the lake holds what the topic holds now, however long that takes while it moves.

    ``report`` hears how many events have landed.  Raises ``YesladderError`` when the worker has died, or for so long
    nothing more has landed.
    """
    ends = end_offsets(connection, topic)
    furthest, since = -1, time.monotonic()
    while True:
        claim = lake.claim(f"kafka:{topic}", list(ends))
        report(int(lake.scan("checkpoints").select("landed").sum().collect().item() or 0))
        reached = [min(claim.next_offset(partition), end) for partition, end in ends.items()]
        if reached == list(ends.values()):
            return
        if not worker.running:
            raise YesladderError(f"the worker died: {worker.last_words()}")
        if sum(reached) > furthest:
            furthest, since = sum(reached), time.monotonic()
        elif time.monotonic() - since > patience_s:
            missing = sum(ends.values()) - sum(reached)
            raise YesladderError(f"{missing:,} records have not landed for {patience_s:.0f} s: {worker.last_words()}")
        time.sleep(_LOOK_EVERY_S)
