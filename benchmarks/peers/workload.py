"""The one workload of all contenders: events as lines of JSON, and the sessions that they hold.

Made once from a seed and kept in the user's cache.  Times are whole milliseconds, since several peers know no finer
ones.  The last line of each partition is an event three hours after all others, which closes every session before it;
its own session is not asked for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import msgspec
from msgspec.structs import replace
from workload import LADDER, events

from ladder.events import Event, encode
from producers.partitioner import partition_of

PARTITIONS = 4
FULL = 1_000_000
EVENTS_A_VISITOR = 20
LAST_VISITOR = "last-of-a-partition"
_DEVICES = ("phone", "phone", "desktop", "tablet")
_MILLISECOND = timedelta(milliseconds=1)
GAP_MS = LADDER.session_gap // _MILLISECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Session = tuple[str, int, int, int]
"""Visitor, first and last event in milliseconds since 1970, number of events."""


@dataclass(frozen=True)
class Workload:
    """``events``: lines in the file, without the last ones.  ``sessions``: what every contender must find."""

    path: Path
    events: int
    visitors: int
    sessions: frozenset[Session]

    @property
    def name(self) -> str:
        """Fit for a topic."""
        return f"events-{self.events}-of-{self.visitors}"

    @property
    def lines(self) -> int:
        return self.events + PARTITIONS

    def records(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Key, partition and value of each record, in their order."""
        decoder = msgspec.json.Decoder(_Visitor)
        with self.path.open("rb") as file:
            for line in file:
                visitor = decoder.decode(line).visitor_id
                yield visitor.encode(), partition_of(visitor, PARTITIONS), line.rstrip(b"\n")


class _Visitor(msgspec.Struct):
    visitor_id: str


def cache() -> Path:
    """Where workloads, and what peers are installed to, are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "yesladder" / "peers"


def workload(count: int, *, full: int = FULL, visitors: int | None = None) -> Workload:
    """The first ``count`` of ``full`` events by ``visitors`` (a twentieth of ``full``).  Made where it is not there."""
    many = full // EVENTS_A_VISITOR if visitors is None else visitors
    folder = cache() / "workloads" / f"v1-{count}-of-{full}-by-{many}"
    path, found = folder / "events.ndjson", folder / "sessions.csv"
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        unfinished.mkdir(parents=True)
        _make(unfinished / path.name, unfinished / found.name, list(islice(_events(full, many), count)))
        if folder.exists():
            shutil.rmtree(unfinished)
        else:
            unfinished.rename(folder)
    return Workload(path, count, many, frozenset(read_sessions(found)))


def sessions_of(events: Iterable[tuple[str, int]], gap_ms: int) -> Iterator[Session]:
    """The sessions of visitors and times, by a plain loop: a silence of exactly the gap keeps a session open."""
    visitor, first, last, count = "", 0, 0, 0
    for who, at in sorted(events):
        if count and who == visitor and at - last <= gap_ms:
            last, count = at, count + 1
            continue
        if count:
            yield visitor, first, last, count
        visitor, first, last, count = who, at, at, 1
    if count:
        yield visitor, first, last, count


def read_sessions(path: Path) -> Iterator[Session]:
    """Lines of ``visitor,first,last,events``; those of the last events are passed over."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            visitor, first, last, count = line.rstrip("\n").split(",")
            if not visitor.startswith(LAST_VISITOR):
                yield visitor, int(first), int(last), int(count)


def _make(path: Path, found: Path, made: list[Event]) -> None:
    newest = max(event.received_at for event in made)
    with path.open("wb") as file:
        for event in [*made, *_last_events(newest + timedelta(hours=3))]:
            file.write(encode(event) + b"\n")
    times = ((event.visitor_id, (event.occurred_at - _EPOCH) // _MILLISECOND) for event in made)
    with found.open("w", encoding="utf-8") as file:
        for session in sessions_of(times, GAP_MS):
            file.write(",".join(map(str, session)) + "\n")


def _events(full: int, visitors: int) -> Iterator[Event]:
    for event in events(full, visitors):
        yield replace(
            event,
            occurred_at=_EPOCH + (event.occurred_at - _EPOCH) // _MILLISECOND * _MILLISECOND,
            device_class=_DEVICES[int(event.visitor_id[-3:]) % 4],
        )


def _last_events(at: datetime) -> Iterator[Event]:
    """One a partition."""
    missing = set(range(PARTITIONS))
    for i in range(1000):
        visitor = f"{LAST_VISITOR}-{i}"
        if (partition := partition_of(visitor, PARTITIONS)) in missing:
            missing.remove(partition)
            yield Event(event_id=f"last-{i}", visitor_id=visitor, occurred_at=at, received_at=at, name="page_view")
