"""The Parquet lake: four Delta tables, and the exactly-once join of Kafka offsets with what they produced.

A Delta commit spans one table, so every table carries its own next offset per Kafka partition (Delta's ``txn``
action, written with the rows in one atomic commit).  ``sessions`` is committed last and is the truth: after a crash
reading goes on from its offset, and a table that is ahead skips what it already holds.  The newest event time of each
partition, from which the watermark follows, rides on that last commit, and so does the time before which everything is
settled.  Open sessions need no file of their own: they are exactly the landed events, not late, that are in no session.

The fence: before each commit the table's log is read up to its end and the offsets found there must be the ones this
writer left; the commit itself then fails if anyone wrote the same partition in between.  Either way ``Fenced`` is
raised and the writer has lost the partition: it must not go on.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from ladder.clock import Clock
from ladder.errors import UsageError, YesladderError
from ladder.tables import BESIDE, LANDED, TABLES, TIME_COLUMN, Position
from warehouse.durable import sync
from warehouse.erased import Erased

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_HARDLY_REPEAT = frozenset(
    {"event_id", "visitor_id", "session_id", "occurred_at", "received_at", "started_at", "ended_at", "offset_us", "raw"}
)
"""Columns that a dictionary only makes larger (by a quarter) and slower to write (by a fifth)."""

_PROPERTIES = {
    "delta.logRetentionDuration": "interval 1 hours",
    "delta.deletedFileRetentionDuration": "interval 1 hours",
}
"""Nobody travels back in time here, and every commit lists the log's folder: a day of them would cost half a second.
When a file was removed is known by the file itself (see ``Lake.replace``); the log need not drag it along."""
_CLEAN_EVERY = 100
"""Commits, as often as Delta sums its log up."""

LAST_TIME = TIME_COLUMN | {"sessions": "ended_at"}
"""The column that says how late a row of the table reaches; files carry its statistics, too."""

_TIME = pa.timestamp("us", tz="UTC")

_WRITING = "writing.lock"

_ATTEMPTS = 5
"""At a commit.  Upkeep commits seldom: that it is in the way twice in a row is luck, five times something else."""

_TALLY = "tally/"

_ROW_OFFSET = {"events": "record_offset", "rejects": "record_offset"}


class Fenced(YesladderError):
    """Another writer has taken a partition over; this one must stop and start anew from the lake."""


@dataclass(frozen=True)
class LoggedFile:
    """A current file as the log has it.

    ``path``: relative to its table's folder.  ``earliest`` and ``latest``: bounds of the rows' times (of sessions: the
    first start and the last end); ``size`` in bytes.
    """

    path: str
    size: int
    rows: int
    earliest: datetime
    latest: datetime

    @property
    def landed(self) -> date:
        """The day its rows landed."""
        return date.fromisoformat(self.path.partition("/")[0].partition("=")[2])


class Part(NamedTuple):
    """One file to write: the day its rows landed, the rows without it, and how they stand (``warehouse.standing``)."""

    landed: date
    rows: pa.Table
    standing: str = ""


class Lake:
    """The tables under one folder, made on first use.  Raises ``UsageError`` for a folder that Delta cannot name."""

    def __init__(self, root: Path) -> None:
        self.root = root = root.absolute()
        self._erased: Erased | None = None
        if unquote(str(root)) != str(root) or "\\" in str(root):
            raise UsageError(f"{root}: Delta cannot name a folder with a backslash or %20 and its like; take another")
        for name, schema in TABLES.items():
            if not DeltaTable.is_deltatable(str(root / name)):
                _make(root / name, schema)

    def files(self, table: str) -> list[str]:
        """The current Parquet files of a table, as absolute paths; ``landed_date`` stands in the path."""
        return self.version_and_files(table)[1]

    def version_and_files(self, table: str) -> tuple[int, list[str]]:
        """The version of a table's log, and its ``files`` at that version."""
        handle = self.table(table)
        return handle.version(), sorted(_paths(handle))

    def logged(self, table: str) -> list[LoggedFile]:
        """The current files of a table with what the log says of them, by path."""
        actions = pa.table(self.table(table).get_add_actions(flatten=True)).to_pylist()
        found = [
            LoggedFile(
                unquote(action["path"]),
                action["size_bytes"],
                action["num_records"],
                action[f"min.{TIME_COLUMN[table]}"],
                action[f"max.{LAST_TIME[table]}"],
            )
            for action in actions
        ]
        return sorted(found, key=lambda file: file.path)

    def sum_up(self, table: str) -> None:
        """Write a checkpoint of a table's log, and delete the entries before it that are older than an hour."""
        handle = self.table(table)
        handle.create_checkpoint()
        with suppress(DeltaError, OSError):  # a worker may be at it, too
            self.table(table).cleanup_metadata()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Held from before a file is written until the log names it: meanwhile nobody may take it for a leftover."""
        with (self.root / _WRITING).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def without_erased(self, table: str, rows: pa.Table) -> pa.Table:
        """Rows about to be added, without what people who were erased did before that (see ``warehouse.erased``)."""
        if self._erased is None or self._erased.stale(self.root.parent):
            self._erased = Erased.read(self.root.parent)
        if self._erased is None or table not in ("events", "sessions", "rejects"):
            return rows
        frame = pl.from_arrow(rows)
        if not isinstance(frame, pl.DataFrame):
            raise TypeError(f"rows of {table} have no columns")
        kept = self._erased.filtered(table, frame)
        if table == "sessions" and kept is not frame:
            dropped = frame.join(kept, on=["partition", "session_id"], how="anti")
            self._erased.note(self.root.parent, dropped["visitor_id"])
        return rows if kept is frame else kept.to_arrow()

    @contextmanager
    def nobody_writing(self, patience_s: float) -> Iterator[None]:
        """Keep all writers of this lake waiting; raises ``YesladderError`` where one is at it all the time."""
        until = time.monotonic() + patience_s
        with (self.root / _WRITING).open("a") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:
                        raise YesladderError(
                            f"{self.root}: a worker has been between writing a file and committing it for"
                            f" {patience_s:.0f} s; no file was deleted (is a worker stopped or stuck?)"
                        ) from None
                    time.sleep(0.01)
            yield

    def versions(self) -> dict[str, int]:
        """The version of each table's log."""
        return {name: self.table(name).version() for name in TABLES}

    def tables(self) -> list[str]:
        """Those of a checkpoint, and those beside them that somebody has made."""
        return [*TABLES, *(name for name in BESIDE if DeltaTable.is_deltatable(str(self.root / name)))]

    def make(self, name: str) -> None:
        """Make a table ``BESIDE`` the others where it is missing."""
        if name not in self.tables():
            _make(self.root / name, BESIDE[name])

    def table(self, name: str) -> DeltaTable:
        """A fresh handle on a table.  Raises ``YesladderError`` for a log that cannot be read."""
        try:
            return DeltaTable(str(self.root / name))
        except DeltaError as error:
            why = str(error).splitlines()[0]  # what follows is where in Rust it happened
            raise YesladderError(f"the log of the table {self.root / name} cannot be read: {why}") from None

    def scan(self, name: str) -> pl.LazyFrame:
        """A table's rows as they are now, without ``landed_date``."""
        return _scan(self.table(name), name)

    def positions(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Position]:
        """How far partitions of sources had come at one moment.

        What the tables hold of them from then on may be more, never less.
        """
        version = self.table("sessions").transaction_version
        return {
            (source, p): Position(
                version(_offset_app(source, p)) or 0,
                _time_of(version(_newest_app(source, p))),
                _time_of(version(_settled_app(source, p))),
            )
            for source, p in places
        }

    def tally(self, table: str, name: str) -> int:
        """What all replacements of this table have counted under a name; 0 where none has."""
        return self.table(table).transaction_version(_TALLY + name) or 0

    def claim(self, source: str, partitions: Collection[int]) -> Claim:
        """Take partitions of a source over, as they stand in the lake now."""
        return Claim(self, source, partitions)

    def append_once(
        self, handle: DeltaTable, table: str, rows: pa.Table, app: str, was: int | None, version: int, *, now: datetime
    ) -> None:
        """Add rows; ``version``: how far ``app`` has come with them.

        Raises ``Fenced`` where ``app`` had not come just as far as ``was`` before: another wrote for it meanwhile.
        """
        with self.writing():
            added = _added(self.root / table, table, rows, now)
            for attempt in range(1, _ATTEMPTS + 1):
                handle.update_incremental()
                if handle.transaction_version(app) != was:
                    raise Fenced(f"{app} of table {table} was committed by another process")
                try:
                    _commit(handle, self.root / table, added, {app: version})
                    return
                except CommitFailedError as error:
                    if attempt == _ATTEMPTS:
                        raise Fenced(f"table {table}: {error}") from error

    def append(self, table: str, rows: pa.Table, *, now: datetime) -> None:
        """Add rows that come from no Kafka offset; all of them become visible at once."""
        with self.writing():
            rows = self.without_erased(table, rows)
            _commit(self.table(table), self.root / table, _added(self.root / table, table, rows, now), {})

    def replace(
        self,
        table: str,
        gone: Collection[str],
        parts: Iterable[Part],
        *,
        rearranges: bool,
        now: datetime,
        clock: Clock | None = None,
        counted: Mapping[str, int] | None = None,
    ) -> list[str]:
        """Take files away and put rows in their place in one commit: a reader sees the one or the other.

        ``gone``: as ``files`` gives them; all of them must be current still.  ``rearranges``: the parts are the same
        rows as before, so that marts need not be built anew.  Returns the new files.  The old ones stay on the disk
        until they are vacuumed, for those who are reading them; the time of their last change is from now on that of
        their removal, by the ``clock`` (None: ``now``).
        ``counted``: by name, is added to the table's ``tally``.
        For one process at a time; workers, who only add, commit meanwhile as ever.  Raises ``YesladderError`` where a
        file is not the table's any more; nothing has changed then.
        """
        handle, folder = self.table(table), self.root / table
        current = _sizes(handle)
        removed: list[AddAction | RemoveAction] = []
        for path in sorted(Path(file).relative_to(folder).as_posix() for file in gone):
            if path not in current:
                raise YesladderError(f"{folder / path} is no file of the table {table} any more; nothing was replaced")
            removed.append(RemoveAction(path, not rearranges, _milliseconds(now), current[path], _partition_of(path)))
        with self.writing():
            added = [
                _write(folder, table, part.rows, part.landed, now, part.standing)
                for part in parts
                if part.rows.num_rows
            ]
            for action in added:
                action.data_change = not rearranges
            tallies = {_TALLY + name: self.tally(table, name) + more for name, more in (counted or {}).items()}
            at = (now if clock is None else clock()).timestamp()
            for file in gone:
                with suppress(FileNotFoundError):
                    os.utime(file, (at, at))
            _commit(handle, folder, [*removed, *added], tallies)
        return [str(folder / action.path) for action in added]


class Claim:
    """One owner's hold on some partitions of a source.  Not for use by two threads at once."""

    def __init__(self, lake: Lake, source: str, partitions: Collection[int]) -> None:
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
        earliest = _time_of(left[self._earliest_app(partition)])
        return first, self.next_offset_of("checkpoints", partition), earliest

    def counted_events(self, columns: Sequence[str], since: Mapping[int, datetime]) -> pl.DataFrame:
        """Events, not late, that ``checkpoints`` tells of; by partition those that occurred since then."""
        wanted = [
            (pl.col("partition") == p)
            & (pl.col("record_offset") < self.next_offset_of("checkpoints", p))
            & (pl.col("occurred_at") >= pl.lit(at))
            for p, at in since.items()
        ]
        events = _scan(self._handles["events"], "events", min(since.values(), default=_END_OF_TIME))
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
        events = _scan(self._handles["events"], "events", since).filter(
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
        sessions = _scan(self._handles["sessions"], "sessions", since).filter(
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
                    versions |= {app: (at - _EPOCH) // _MICROSECOND for app, at in times.items() if at is not None}
            else:
                versions = {app: version for app, version in versions.items() if version > (self._left[name][app] or 0)}
            if name == "checkpoints":
                versions |= self._stretches(table, rows["events"])
            self._prove(name, versions)
            with self._lake.writing():
                table = self._lake.without_erased(name, table)
                self._commit(name, _added(self._lake.root / name, name, table, now), versions)
            self._left[name].update(versions)

    def _commit(self, name: str, actions: list[AddAction | RemoveAction], versions: Mapping[str, int]) -> None:
        """Commit what is proven to be ours; again where Delta refuses it for files that upkeep took away meanwhile."""
        handle = self._handles[name]
        for attempt in range(1, _ATTEMPTS + 1):
            before = self._proven[name]
            # Should this be the log's end the next time, then the commit is ours and nobody else's.
            self._proven[name] = handle.version() + 1
            try:
                _commit(handle, self._lake.root / name, actions, versions)
                return
            except CommitFailedError as error:
                self._proven[name] = before
                try:
                    self._prove(name, versions)
                except Fenced as fenced:
                    raise fenced from error
                if attempt == _ATTEMPTS:
                    raise Fenced(f"table {name}: {error}") from error

    def _prove(self, name: str, apps: Collection[str]) -> None:
        """Read a table's log up to its end; raises ``Fenced`` where another has written of these since we did."""
        handle = self._handles[name]
        handle.update_incremental()
        if handle.version() == self._proven[name]:
            return
        for app in apps:
            if handle.transaction_version(app) != self._left[name][app]:
                raise Fenced(f"{app} of table {name} was committed by another worker")
        self._proven[name] = handle.version()

    def _stretches(self, rows: pa.Table, events: pa.Table) -> dict[str, int]:
        """Where the stretches of these rows of ``checkpoints`` begin, in offsets and in time."""
        versions: dict[str, int] = {}
        on_time = events.filter(pc.invert(events["late"]))
        for partition, first in zip(rows["partition"].to_pylist(), rows["first_offset"].to_pylist(), strict=True):
            versions[self._first_app(partition)] = first
            own = pc.and_(pc.equal(on_time["partition"], partition), pc.greater_equal(on_time["record_offset"], first))
            earliest = pc.min(on_time["occurred_at"].filter(own)).as_py()
            if earliest is not None:
                versions[self._earliest_app(partition)] = (earliest - _EPOCH) // _MICROSECOND
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
        return _time_of(self._left["sessions"][app])

    def _apps(self, table: str, partitions: Collection[int]) -> list[str]:
        kinds = [self._offset_app]
        if table == "sessions":
            kinds += [self._newest_app, self._settled_app]
        if table == "checkpoints":
            kinds += [self._first_app, self._earliest_app]
        return [app_of(p) for app_of in kinds for p in partitions]

    def _offset_app(self, partition: int) -> str:
        return _offset_app(self._source, partition)

    def _newest_app(self, partition: int) -> str:
        return _newest_app(self._source, partition)

    def _settled_app(self, partition: int) -> str:
        return _settled_app(self._source, partition)

    def _first_app(self, partition: int) -> str:
        return f"{self._source}/{partition}/first"

    def _earliest_app(self, partition: int) -> str:
        return f"{self._source}/{partition}/earliest"


def _make(folder: Path, schema: pa.Schema) -> None:
    """Make an empty table.  Should another process have made it at the same moment, that one is the table."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        DeltaTable.create(
            str(folder), schema=schema, partition_by=[LANDED.name], mode="ignore", configuration=_PROPERTIES
        )
    except CommitFailedError:
        if not DeltaTable.is_deltatable(str(folder)):
            raise


def _offset_app(source: str, partition: int) -> str:
    return f"{source}/{partition}"


def _newest_app(source: str, partition: int) -> str:
    return f"{source}/{partition}/newest"


def _settled_app(source: str, partition: int) -> str:
    return f"{source}/{partition}/settled"


def _time_of(us: int | None) -> datetime | None:
    return None if us is None else _EPOCH + us * _MICROSECOND


def _paths(handle: DeltaTable) -> list[str]:
    """The table's current files; Delta gives them as they stand in an address, a space as ``%20``."""
    return [unquote(uri) for uri in handle.file_uris()]


def _paths_since(handle: DeltaTable, column: str, since: datetime) -> list[str]:
    """Those files of which some row may have a time of ``since`` or later."""
    actions = pa.table(handle.get_add_actions(flatten=True))
    if f"max.{column}" not in actions.column_names:
        return _paths(handle)
    kept = pc.fill_null(pc.greater_equal(actions[f"max.{column}"], pa.scalar(since, _TIME)), True)
    wanted = {unquote(path) for path in actions["path"].filter(kept).to_pylist()}
    return [path for path in _paths(handle) if "/".join(path.rsplit("/", 2)[1:]) in wanted]


def _scan(handle: DeltaTable, name: str, since: datetime | None = None) -> pl.LazyFrame:
    """A table's rows; without the files that hold nothing from ``since`` on, as far as their statistics tell."""
    files = _paths(handle) if since is None else _paths_since(handle, LAST_TIME[name], since)
    if files:
        return pl.scan_parquet(files, hive_partitioning=False, glob=False)
    empty = pl.from_arrow((TABLES | BESIDE)[name].empty_table())
    if not isinstance(empty, pl.DataFrame):
        raise TypeError(f"table {name} has no columns")
    return empty.lazy()


def _added(folder: Path, name: str, rows: pa.Table, now: datetime) -> list[AddAction | RemoveAction]:
    return [_write(folder, name, rows, now.astimezone(UTC).date(), now)] if rows.num_rows else []


def _commit(
    handle: DeltaTable, folder: Path, actions: list[AddAction | RemoveAction], versions: Mapping[str, int]
) -> None:
    """Commit files, which are on the disk for good, with the versions."""
    number = handle.version() + 1
    transactions = [Transaction(app, version) for app, version in versions.items()]
    handle.create_write_transaction(
        actions,
        mode="append",
        schema=handle.schema(),
        partition_by=[LANDED.name],
        commit_properties=CommitProperties(app_transactions=transactions),
        # By default every commit looks for old logs, which takes longer than the commit.
        post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
    )
    log = folder / "_delta_log"
    clean = False
    # The commit has this number, or a later one if others committed meanwhile.
    while (entry := log / f"{number:020}.json").exists():
        sync(entry)
        clean = clean or number % _CLEAN_EVERY == 0
        number += 1
    sync(log)
    if clean:
        # Another worker may be at it, too; what is left is taken the next time.
        with suppress(DeltaError, OSError):
            DeltaTable(str(folder)).cleanup_metadata()


def _write(folder: Path, name: str, rows: pa.Table, landed: date, now: datetime, standing: str = "") -> AddAction:
    """One Parquet file, on the disk for good before the log can name it (Delta's own writer does not fsync).

    Its columns are exactly the table's; rows that lack one, or a value that must be there, are refused.
    """
    schema = (TABLES | BESIDE)[name]
    columns = schema.remove(schema.get_field_index(LANDED.name))
    rows = rows.select(columns.names).cast(columns)
    path = f"{LANDED.name}={landed.isoformat()}/{standing and f'{standing}-'}{uuid.uuid4()}.parquet"
    target = folder / path
    if not target.parent.exists():
        target.parent.mkdir(exist_ok=True)
        sync(folder)
    with target.open("wb") as file:
        pq.write_table(
            rows,
            file,
            compression="zstd",
            compression_level=1,
            row_group_size=128 * 1024,
            write_page_checksum=True,
            use_dictionary=[path for path in _leaves(rows.schema) if path.rpartition(".")[2] not in _HARDLY_REPEAT],
        )
        file.flush()
        os.fsync(file.fileno())
    sync(target.parent)
    ends = {column: pc.min_max(rows[column]) for column in {TIME_COLUMN[name], LAST_TIME[name]}}
    stats = {
        "numRecords": rows.num_rows,
        "minValues": {column: _iso(end["min"].as_py()) for column, end in ends.items()},
        "maxValues": {column: _iso(end["max"].as_py() + timedelta(milliseconds=1)) for column, end in ends.items()},
    }
    return AddAction(
        path=path,
        size=target.stat().st_size,
        partition_values=_partition_of(path),
        modification_time=_milliseconds(now),
        data_change=True,
        stats=json.dumps(stats),
    )


def _sizes(handle: DeltaTable) -> dict[str, int]:
    """The table's current files, relative to its folder, and their bytes."""
    actions = pa.table(handle.get_add_actions(flatten=True))
    sizes: dict[str, int] = {}
    for path, size in zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True):
        sizes[unquote(path)] = size
    return sizes


def _partition_of(path: str) -> dict[str, str | None]:
    """The partition that a file's folder names: ``landed_date=2026-01-31/...``."""
    return {LANDED.name: path.partition("/")[0].partition("=")[2]}


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _leaves(schema: pa.Schema) -> list[str]:
    """The columns as Parquet names them: those within lists and structs by their path."""

    def below(path: str, kind: pa.DataType) -> list[str]:
        if pa.types.is_list(kind):
            return below(f"{path}.list.element", kind.value_type)
        if pa.types.is_struct(kind):
            return [leaf for field in kind for leaf in below(f"{path}.{field.name}", field.type)]
        return [path]

    return [leaf for field in schema for leaf in below(field.name, field.type)]


def _iso(at: datetime) -> str:
    """Delta keeps timestamp statistics in milliseconds; the upper end is therefore rounded up by its caller."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
