"""One owner's hold on some partitions: the offsets it left in the logs, and the commits that they fence.

The fence: before each commit the table's log is read up to its end and the offsets found there must be the ones this
writer left; the commit itself then fails if anyone wrote the same partition in between.  Either way ``Fenced`` is
raised and the writer has lost the partition: it must not go on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import CommitFailedError

from ladder.tables import TABLES, Position
from warehouse.lake_appending import AppendableLake, Fenced
from warehouse.lake_offsets import microseconds, newest_app, offset_app, settled_app, time_of

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)

_ROW_OFFSET = {"events": "record_offset", "rejects": "record_offset"}


class Claim:
    """One owner's hold on some partitions of a source.  Not for use by two threads at once."""

    def __init__(self, lake: AppendableLake, source: str, partitions: Collection[int]) -> None:
        self._lake = lake
        self._source = source
        self._partitions = list(partitions)
        # `sessions` first: whatever is committed while we read, the other tables are then ahead of it and never behind.
        self._handles = {name: lake.table(name) for name in reversed(TABLES)}
        self._left: dict[str, dict[str, int | None]] = {
            name: {app: handle.transaction_version(app) for app in self._apps(name, self._partitions)}
            for name, handle in self._handles.items()
        }
        self._proven = {name: handle.version() for name, handle in self._handles.items()}

    def next_offset(self, partition: int) -> int:
        """Where reading goes on: the first offset whose sessions are not accounted for; 0 for a new partition."""
        return self.next_offset_of("sessions", partition)

    def next_offset_of(self, table: str, partition: int) -> int:
        """The first offset that a table does not hold yet; may be ahead of ``next_offset``."""
        return self._left[table][self._offset_app(partition)] or 0

    def stands(self, partition: int) -> dict[str, int | None]:
        """All that commits have said of a partition; the same of two claims: nobody has come in between."""
        return {f"{name}:{app}": self._left[name][app] for name in TABLES for app in self._apps(name, [partition])}

    def newest(self, partition: int) -> datetime | None:
        """The newest event time that had been seen at ``next_offset``."""
        return self._time(self._newest_app(partition))

    def last_checkpoint(self, partition: int) -> tuple[int, int, datetime | None] | None:
        """The last row of ``checkpoints`` of a partition: its offsets [first, next), and its earliest event.

        None where there is none.  The event is an earlier one where the row has none that is not late.
        """
        left = self._left["checkpoints"]
        first = left[self._first_app(partition)]
        if first is None:
            return None
        earliest = time_of(left[self._earliest_app(partition)])
        return first, self.next_offset_of("checkpoints", partition), earliest

    def counted_events(self, columns: Sequence[str], since: Mapping[int, datetime]) -> pl.DataFrame:
        """Events, not late, that ``checkpoints`` tells of; by partition those that occurred since then."""
        wanted = [
            (pl.col("partition") == p)
            & (pl.col("record_offset") < self.next_offset_of("checkpoints", p))
            & (pl.col("occurred_at") >= pl.lit(at))
            for p, at in since.items()
        ]
        events = self._lake.scan_at(self._handles["events"], "events", min(since.values(), default=_END_OF_TIME))
        own = events.filter((pl.col("source") == self._source) & ~pl.col("late"))
        return own.filter(pl.any_horizontal(pl.lit(False), *wanted)).select(columns).collect()

    def open_events(self, columns: Sequence[str], partitions: Collection[int] | None = None) -> pl.DataFrame:
        """Landed before ``next_offset``, not late, and in no session: the open sessions' events of these partitions.

        None: of all.
        """
        # A partition of which nothing is accounted for has no open events, and is no reason to read all of history.
        asked = self._partitions if partitions is None else partitions
        begun = [p for p in asked if self.next_offset(p) > 0]
        settled_until = {p: self._time(self._settled_app(p)) for p in begun}
        times = list(settled_until.values())
        since = None if None in times else min((at for at in times if at is not None), default=_END_OF_TIME)
        events = self._lake.scan_at(self._handles["events"], "events", since).filter(
            (pl.col("source") == self._source) & ~pl.col("late"),
            pl.any_horizontal(
                pl.lit(False),
                *(
                    (pl.col("partition") == p)
                    & (pl.col("record_offset") < self.next_offset(p))
                    & (pl.lit(at is None) | (pl.col("occurred_at") >= pl.lit(at)))
                    for p, at in settled_until.items()
                ),
            ),
        )
        sessions = self._lake.scan_at(self._handles["sessions"], "sessions", since).filter(
            (pl.col("source") == self._source) & pl.col("partition").is_in(list(settled_until))
        )
        if since is not None:
            sessions = sessions.filter(pl.col("ended_at") >= since)
        marks = sessions.select("partition", "started_at", "sequence").explode("sequence").unnest("sequence")
        closed = marks.select(
            "partition", "event_id", occurred_at=pl.col("started_at") + pl.duration(microseconds="offset_us")
        )
        # The time, too: a second event of an id whose first one's session is closed is an event of its own.
        open_events = events.join(closed, on=["partition", "event_id", "occurred_at"], how="anti")
        return open_events.select(columns).collect()

    def commit(self, rows: Mapping[str, pa.Table], positions: Mapping[int, Position], now: datetime) -> None:
        """Make one checkpoint true, table by table, ``sessions`` last.

        ``rows``: by table, without ``landed_date``; those a table already holds (see ``next_offset_of``) are left out.
        ``positions``: of every partition that the checkpoint covers.  A table without rows is not committed,
        ``sessions`` always is.  Raises ``Fenced``.
        """
        # Before anything is written, so that whoever was overtaken while it slept leaves nothing behind.
        self._prove("sessions", [self._offset_app(p) for p in positions] + [self._newest_app(p) for p in positions])
        for name in TABLES:
            table = self._unseen(name, rows[name])
            if name != "sessions" and table.num_rows == 0:
                continue
            versions = {self._offset_app(p): position.next_offset for p, position in positions.items()}
            if name == "sessions":
                for p, position in positions.items():
                    times = {self._newest_app(p): position.newest, self._settled_app(p): position.settled_until}
                    versions |= {app: microseconds(at) for app, at in times.items() if at is not None}
            else:
                versions = {app: version for app, version in versions.items() if version > (self._left[name][app] or 0)}
            if name == "checkpoints":
                versions |= self._stretches(table, rows["events"])
            self._prove(name, versions)
            self._commit(name, table, versions, now)
            self._left[name].update(versions)

    def _commit(self, name: str, rows: pa.Table, versions: Mapping[str, int], now: datetime) -> None:
        """Commit what is proven to be ours; again where it is refused for what others did, which was nothing to us."""
        lake, handle = self._lake, self._handles[name]
        with lake.writing():
            written = lake.added(name, lake.erasures.without_erased(name, rows, handle), now)
            for attempt in lake.attempts():
                before = self._proven[name]
                # Should this be the log's end the next time, then the commit is ours and nobody else's.
                self._proven[name] = handle.version() + 1
                try:
                    lake.commit_log(handle, name, written, versions)
                    return
                except CommitFailedError as error:
                    self._proven[name] = before
                    try:
                        self._prove(name, versions)
                    except Fenced as fenced:
                        raise fenced from error
                    if attempt.is_last:
                        raise Fenced(f"table {name}: {error}") from error
                if lake.erasures.erased_meanwhile(name, handle):
                    written = lake.added(name, lake.erasures.without_erased(name, rows, handle), now)

    def _prove(self, name: str, apps: Collection[str]) -> None:
        """Read a table's log up to its end; raises ``Fenced`` where another has written of these since we did."""
        handle = self._handles[name]
        self._lake.read_on(handle, name)
        if handle.version() == self._proven[name]:
            return
        for app in apps:
            if handle.transaction_version(app) != self._left[name][app]:
                raise Fenced(f"{app} of table {name} was committed by another worker")
        self._proven[name] = handle.version()

    def _stretches(self, rows: pa.Table, events: pa.Table) -> dict[str, int]:
        """Where the stretches of these rows of ``checkpoints`` begin, in offsets and in time."""
        versions: dict[str, int] = {}
        on_time = events.select(["partition", "record_offset", "occurred_at"]).filter(pc.invert(events["late"]))
        for partition, first in zip(rows["partition"].to_pylist(), rows["first_offset"].to_pylist(), strict=True):
            versions[self._first_app(partition)] = first
            own = pc.and_(pc.equal(on_time["partition"], partition), pc.greater_equal(on_time["record_offset"], first))
            earliest = pc.min(on_time["occurred_at"].filter(own)).as_py()
            if earliest is not None:
                versions[self._earliest_app(partition)] = microseconds(earliest)
        return versions

    def _unseen(self, name: str, rows: pa.Table) -> pa.Table:
        """The rows beyond the table's own offsets."""
        offset_column = _ROW_OFFSET.get(name)
        if offset_column is None:
            return rows
        for partition in pc.unique(rows["partition"]).to_pylist():
            ahead = self.next_offset_of(name, partition)
            if ahead > self.next_offset(partition):
                seen = pc.and_(pc.equal(rows["partition"], partition), pc.less(rows[offset_column], ahead))
                rows = rows.filter(pc.invert(seen))
        return rows

    def _time(self, app: str) -> datetime | None:
        return time_of(self._left["sessions"][app])

    def _apps(self, table: str, partitions: Collection[int]) -> list[str]:
        kinds = [self._offset_app]
        if table == "sessions":
            kinds += [self._newest_app, self._settled_app]
        if table == "checkpoints":
            kinds += [self._first_app, self._earliest_app]
        return [app_of(p) for app_of in kinds for p in partitions]

    def _offset_app(self, partition: int) -> str:
        return offset_app(self._source, partition)

    def _newest_app(self, partition: int) -> str:
        return newest_app(self._source, partition)

    def _settled_app(self, partition: int) -> str:
        return settled_app(self._source, partition)

    def _first_app(self, partition: int) -> str:
        return f"{self._source}/{partition}/first"

    def _earliest_app(self, partition: int) -> str:
        return f"{self._source}/{partition}/earliest"
