"""Has everything that is on Kafka landed in the lake?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from producers.topics import end_offsets
from warehouse.lake import Lake
from yesladder.processes import Part

PATIENCE_S = 120.0
"""Nothing we wait for here takes this long; what does has got stuck."""


def wait_for(done: Callable[[], bool], *, patience_s: float = PATIENCE_S) -> None:
    """Look ten times a second.  Raises ``YesladderError`` when patience ends."""
    until = time.monotonic() + patience_s
    while not done():
        if time.monotonic() > until:
            raise YesladderError(f"nothing came of waiting {patience_s:.0f} s; the logs may say why")
        time.sleep(0.1)


def wait_until_landed(
    connection: KafkaConnection, topic: str, lake: Lake, worker: Part, report: Callable[[int], None] = lambda _: None
) -> None:
    """Until the lake holds what the topic holds now.  ``report`` hears how many events have landed."""
    ends = end_offsets(connection, topic)
    wait_for(lambda: _landed(topic, ends, lake, worker, report))


def _landed(topic: str, ends: Mapping[int, int], lake: Lake, worker: Part, report: Callable[[int], None]) -> bool:
    if not worker.running:
        raise YesladderError(f"the worker died: {worker.last_words()}")
    claim = lake.claim(f"kafka:{topic}", list(ends))
    report(int(lake.scan("checkpoints").select("landed").sum().collect().item() or 0))
    return all(claim.next_offset(partition) >= end for partition, end in ends.items())
