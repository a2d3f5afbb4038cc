"""What has to be sent and what was: it survives the process, so that nothing is forgotten and little is sent twice."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Parcel:
    """A notice on its way to a sink.  ``key``: the idempotency key, always the same for the two."""

    key: str
    notice_id: str
    sink: str
    body: bytes
    added_at: datetime


class Outbox:
    """A queue per sink in one SQLite file.  Every change is on the disk when a call returns; threads may share it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, timeout=30, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.execute(
            "create table if not exists parcels (number integer primary key, key text unique not null,"
            " notice_id text not null, sink text not null, body blob not null, added_at text not null,"
            " state text not null, attempts integer not null default 0, said text, settled_at text)"
        )
        self._db.execute("create index if not exists waiting on parcels (sink, number) where state = 'waiting'")

    def add(self, notices: Iterable[tuple[str, bytes]], sinks: Sequence[str], *, now: datetime) -> None:
        """Queue each notice (id and body) for each sink; what was queued once is not queued again, sent or not."""
        rows = [(f"{notice}-{sink}", notice, sink, body, now.isoformat()) for notice, body in notices for sink in sinks]
        with self._lock:
            self._db.execute("begin immediate")
            self._db.executemany(
                "insert or ignore into parcels (key, notice_id, sink, body, added_at, state)"
                " values (?, ?, ?, ?, ?, 'waiting')",
                rows,
            )
            self._db.execute("commit")

    def first(self, sink: str) -> Parcel | None:
        """The oldest parcel that waits for this sink."""
        with self._lock:
            row = self._db.execute(
                "select key, notice_id, sink, body, added_at from parcels where sink = ? and state = 'waiting'"
                " order by number limit 1",
                [sink],
            ).fetchone()
        if row is None:
            return None
        key, notice_id, sink_name, body, added_at = row
        return Parcel(key, notice_id, sink_name, body, datetime.fromisoformat(added_at))

    def tried(self, key: str, said: str) -> None:
        """It could not be delivered this time; ``said``: why."""
        self._set("update parcels set attempts = attempts + 1, said = ? where key = ?", said, key)

    def settle(self, key: str, state: str, said: str, *, now: datetime) -> None:
        """It waits no more: ``delivered``, ``refused`` (by the sink, for good) or ``expired``."""
        self._set(
            "update parcels set state = ?, said = ?, settled_at = ?, attempts = attempts + 1 where key = ?",
            state, said, now.isoformat(), key,
        )  # fmt: skip

    def waiting(self) -> dict[str, int]:
        """How many wait, by sink."""
        with self._lock:
            rows = self._db.execute(
                "select sink, count(*) from parcels where state = 'waiting' group by sink"
            ).fetchall()
        return dict(rows)

    def states(self, notice_ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """By notice and sink: waiting, delivered, refused or expired."""
        found: dict[str, dict[str, str]] = {}
        with self._lock:
            for notice in notice_ids:
                rows = self._db.execute("select sink, state from parcels where notice_id = ?", [notice]).fetchall()
                found[notice] = dict(rows)
        return found

    def expire(self, before: datetime, *, now: datetime) -> None:
        """Give up what has waited since before then: its sink is no more."""
        self._set(
            "update parcels set state = 'expired', said = 'its sink is no more', settled_at = ?"
            " where state = 'waiting' and added_at < ?",
            now.astimezone(UTC).isoformat(), before.astimezone(UTC).isoformat(),
        )  # fmt: skip

    def forget(self, before: datetime) -> None:
        """Drop what was settled long ago."""
        self._set("delete from parcels where state != 'waiting' and settled_at < ?", before.astimezone(UTC).isoformat())

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _set(self, statement: str, *values: str) -> None:
        with self._lock:
            self._db.execute(statement, values)
