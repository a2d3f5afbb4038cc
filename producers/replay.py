"""Files onto Kafka, as fast as it takes them or at a pace of their own time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ladder.errors import UsageError
from ladder.events import Event
from producers.columns import ColumnMap
from producers.files import read_batches
from producers.publisher import Publisher
from producers.records import pack, pack_reject
from producers.window import PublishWindow

_SHORTEST_SLEEP_S = 0.01


@dataclass(frozen=True)
class Replayed:
    """``read`` = ``published`` + ``rejected``; the rejected ones are on Kafka too, as dead letters."""

    read: int
    published: int
    rejected: int


def parse_speed(text: str) -> float:
    """``60x`` or ``60``: that many seconds of event time in one of ours.  ``UsageError`` unless above 0."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x?", text.strip())
    if found is None or not float(found[1]):
        raise UsageError(f"--speed: {text!r} is no pace; write for example 60x, 1x or 0.5x")
    return float(found[1])


def replay(
    paths: Sequence[Path],
    publisher: Publisher,
    *,
    columns: ColumnMap | None = None,
    speed: float | None = None,
    progress: Callable[[int], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
    patience_s: float = 60.0,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    elapsed_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Replayed:
    """Publish every event of the files, in their order; returns once Kafka has acknowledged all of them.

    ``speed``: seconds of event time that pass in one second; None: as fast as Kafka takes them.  Published again, the
    same files are duplicates of themselves.  ``progress`` hears of bytes read since the last call.
    Raises ``YesladderError`` when Kafka takes nothing for ``patience_s``, or as ``read_batches`` does; then what comes
    before is published.
    """
    window = PublishWindow(publisher, patience_s, elapsed_s, sleep)
    pace: Pace | None = None
    published = rejected = 0
    try:
        for batch in read_batches(paths, columns, now(), say=say):
            if pace is None and speed is not None and batch.events:
                pace = Pace(batch.events[0].occurred_at, elapsed_s(), speed)
            groups = [batch.events] if pace is None else paced(batch.events, pace.due_s, elapsed_s, sleep)
            for events in groups:
                window.publish(pack(events, publisher.partitions))
            window.publish([pack_reject(reject) for reject in batch.rejects])
            published += len(batch.events)
            rejected += len(batch.rejects)
            progress(batch.bytes_read)
    finally:
        window.drain()
    return Replayed(published + rejected, published, rejected)


@dataclass(frozen=True)
class Pace:
    """Event time that passes ``speed`` times as fast as ours, from ``first`` at ``begun_s`` on our clock."""

    first: datetime
    begun_s: float
    speed: float

    def due_s(self, event: Event) -> float:
        """When it is the event's turn; at once for one that is older than the first."""
        return self.begun_s + max(0.0, (event.occurred_at - self.first).total_seconds()) / self.speed


def paced(
    events: Iterable[Event],
    due_s: Callable[[Event], float],
    elapsed_s: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[list[Event]]:
    """The events in their order, in groups: none before it is due, none held back while another is waited for.

    What is due within 10 ms counts as due.
    """
    waiting: list[Event] = []
    for event in events:
        if due_s(event) - elapsed_s() > _SHORTEST_SLEEP_S:
            if waiting:
                yield waiting
                waiting = []
            sleep(max(0.0, due_s(event) - elapsed_s()))
        waiting.append(event)
    if waiting:
        yield waiting
