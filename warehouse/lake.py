"""The Parquet lake: four Delta tables, and the exactly-once join of Kafka offsets with what they produced.

A Delta commit spans one table, so every table carries its own next offset per Kafka partition (Delta's ``txn``
action, written with the rows in one atomic commit).  ``sessions`` is committed last and is the truth: after a crash
reading goes on from its offset, and a table that is ahead skips what it already holds.  The newest event time of each
partition, from which the watermark follows, rides on that last commit, and so does the time before which everything is
settled.  Open sessions need no file of their own: they are exactly the landed events, not late, that are in no session.

The fence: before each commit the table's log is read up to its end and the offsets found there must be the ones this
writer left; the commit itself then fails if anyone wrote the same partition in between.  Either way ``Fenced`` is
raised and the writer has lost the partition: it must not go on.

A lake in an object store (``Lake(copies, store)``) keeps the same promise with one means, the store's conditional put:
a log entry is written only where there is none of its number.  So each commit is made on a log that was read to its
end, and whatever came in between is looked at before it is tried again; an entry whose answer was lost is known by the
number that it carries; and no lock has a part in it (docs/decisions/0025-the-lake-on-object-storage.md).
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, NamedTuple
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
from warehouse.durable import sync, write
from warehouse.erased import ERASURES, Erased
from warehouse.locks import Locked, upkeep_lock
from warehouse.object_store import ObjectStore

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

_FAR_ATTEMPTS = 50
"""At a commit in an object store, where each commit of another is in the way of ours."""
_FAR_PAUSE_S = 0.2
"""The longest before another attempt; chance takes a part of it, so that two do not keep meeting."""

_ASKED_AGAIN = 5
"""Times that an entry is asked for where no answer came."""

_COMMIT_WITHIN_S = 1800.0
LEFTOVER_AFTER = timedelta(hours=1)
"""In an object store: a file that is not committed half an hour after it was written never is, and after an hour it
may be deleted.  In between lie requests that are under way and what clocks differ by."""

_WRITER = "yesladder.writer"
"""What an entry of the log carries the number of its commit under."""

_ERASED = "erasures"
"""The transaction that counts erasures: who commits sees in the log that there are new ones."""
_ERASED_FROM = ("events", "sessions", "rejects")

_UNNEEDED = "unneeded.json"
"""Among the copies: since when which of them are of no use any more."""

COPIES_STAY = timedelta(minutes=10)
"""On this machine, once they are of no use: a question to the marts of before, or a worker, may be reading them."""

_REMOVED = "removed"
"""The folder of what says when files were replaced; in a store nobody can set a file's time."""

_LEASE = "upkeep/until"
_LEASE_TABLE = "checkpoints"
_LEASE_FOR = timedelta(minutes=15)
_RENEW_AFTER_S = 120.0

_FETCHING = 16
"""Files at a time."""

_TALLY = "tally/"

_ROW_OFFSET = {"events": "record_offset", "rejects": "record_offset"}


class Fenced(YesladderError):
    """Another writer has taken a partition over; this one must stop and start anew from the lake."""


class Gone(YesladderError, FileNotFoundError):
    """A file of a lake in an object store is not there."""


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
    """The tables under one folder, or in an object store, made on first use.

    ``root``: the folder; of a lake in a ``store`` that of the copies of its files on this machine, which come with
    ``fetch`` and go with ``forget_copies``.  All paths of files are within it.  The folder above it is the warehouse.
    Raises ``UsageError`` for a folder that Delta cannot name.
    """

    def __init__(self, root: Path, store: ObjectStore | None = None) -> None:
        self.root = root = root.absolute()
        self.store = store
        self._erased: Erased | None = None
        self._erasures: dict[str, int | None] = {}
        self._counted_erasures: dict[str, tuple[int, int | None]] = {}
        self._lease: _Lease | None = None
        if store is None and (unquote(str(root)) != str(root) or "\\" in str(root)):
            raise UsageError(f"{root}: Delta cannot name a folder with a backslash or %20 and its like; take another")
        for name, schema in TABLES.items():
            if not self._has(name):
                self._make(name, schema)

    def files(self, table: str) -> list[str]:
        """The current Parquet files of a table, as absolute paths; ``landed_date`` stands in the path."""
        return self.version_and_files(table)[1]

    def version_and_files(self, table: str) -> tuple[int, list[str]]:
        """The version of a table's log, and its ``files`` at that version."""
        handle = self.table(table)
        return handle.version(), sorted(self._paths(table, handle))

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

    def entry(self, table: str, version: int) -> str | None:
        """What the log of a table says of one version; None where that has been summed up and cleaned away."""
        name = _entry(table, version)
        try:
            if self.store is not None:
                return self.store.get(name).decode()
            return (self.root / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def fetch(self, files: Iterable[str], *, anew: bool = False) -> None:
        """Have files (as ``files`` gives them) lie on this machine; in a folder they do already.

        ``anew``: also where copies of them do.  Raises ``Gone`` where one was replaced and deleted since it was listed.
        """
        store = self.store
        if store is None:
            return

        def copy(path: Path) -> None:
            name = path.relative_to(self.root).as_posix()
            try:
                data = store.get(name)
            except FileNotFoundError:
                raise Gone(f"{store.at(name)} was replaced and deleted meanwhile; try again") from None
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, data)

        missing = [path for path in map(Path, files) if anew or not path.exists()]
        with ThreadPoolExecutor(_FETCHING) as threads:
            list(threads.map(copy, missing))

    def forget_copies(self, needed: Collection[str], *, older_than: timedelta = timedelta(0)) -> int:
        """Delete copies of files that are no longer the lake's nor ``needed`` (relative to ``root``); their bytes.

        ``older_than``: only what was found to be neither, here, that long ago: somebody may be reading it.
        """
        if self.store is None:
            return 0
        keep = {f"{table}/{file.path}" for table in self.tables() for file in self.logged(table)} | set(needed)
        noted, now = self.root / _UNNEEDED, time.time()
        known: dict[str, float] = {}
        with suppress(OSError, ValueError):
            known = json.loads(noted.read_bytes())
        since: dict[str, float] = {}
        freed = 0
        for path in self.root.glob(f"*/{LANDED.name}=*/*.parquet"):
            name = path.relative_to(self.root).as_posix()
            if name in keep:
                continue
            since[name] = min(known.get(name, now), now)
            if now - since[name] >= older_than.total_seconds():
                with suppress(FileNotFoundError):
                    freed += path.stat().st_size
                    path.unlink()
                del since[name]
        if since or known:
            write(noted, json.dumps(since).encode())
        return freed

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Held from before a file is written until the log names it: meanwhile nobody may take it for a leftover.

        In an object store nothing is held: there a commit that takes long is given up before its files count as such.
        """
        if self.store is not None:
            yield
            return
        with (self.root / _WRITING).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def without_erased(self, table: str, rows: pa.Table, handle: DeltaTable) -> pa.Table:
        """Rows about to be added, without what people who were erased did before that (see ``warehouse.erased``).

        ``handle``: the table as it will be when they are committed.
        """
        if table not in _ERASED_FROM:
            return rows
        if self.store is not None:
            erasures = self._erasures_of(table, handle)
            if erasures != self._erasures.get(table):
                self.pull_erasures()
                self._erased = Erased.read(self.root.parent)
                self._erasures[table] = erasures
        elif self._erased is None or self._erased.stale(self.root.parent):
            self._erased = Erased.read(self.root.parent)
        if self._erased is None:
            return rows
        frame = pl.from_arrow(rows)
        if not isinstance(frame, pl.DataFrame):
            raise TypeError(f"rows of {table} have no columns")
        kept = self._erased.filtered(table, frame)
        if table == "sessions" and kept is not frame:
            dropped = frame.join(kept, on=["partition", "session_id"], how="anti")
            self.note_erased(self._erased, dropped["visitor_id"])
        return rows if kept is frame else kept.to_arrow()

    def note_erased(self, erased: Erased, visitors: Iterable[str]) -> None:
        """``Erased.note``, for all machines."""
        noted = erased.note(self.root.parent, visitors)
        if self.store is not None:
            for path in noted:
                self.store.put(path.relative_to(self.root.parent).as_posix(), b"")

    def pull_erasures(self) -> None:
        """Learn of what was erased elsewhere; of a lake in a folder all is known already."""
        if self.store is None:
            return
        for one in self.store.list(ERASURES):
            path = self.root.parent / one.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".json" or not path.exists():  # a receipt changes when its erasure is done
                write(path, self.store.get(one.name), private=True)

    def tell_erasures(self) -> None:
        """From now on no writer on any machine commits what the receipts of this warehouse refuse."""
        if self.store is None:
            return
        for path in sorted((self.root.parent / ERASURES).iterdir()):
            if path.is_file() and path.suffix != ".new":
                self.store.put(f"{ERASURES}/{path.name}", path.read_bytes())
        for table in _ERASED_FROM:
            self._step(table, _ERASED, lambda was: (was or 0) + 1)

    @contextmanager
    def nobody_writing(self, patience_s: float) -> Iterator[None]:
        """Keep all writers of this lake waiting; raises ``YesladderError`` where one is at it all the time.

        In an object store nobody can be kept waiting: see ``leftovers`` and ``tell_erasures`` for what is done there.
        """
        if self.store is not None:
            yield
            return
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
        return [*TABLES, *(name for name in BESIDE if self._has(name))]

    def make(self, name: str) -> None:
        """Make a table ``BESIDE`` the others where it is missing."""
        if not self._has(name):
            self._make(name, BESIDE[name])

    def table(self, name: str) -> DeltaTable:
        """A fresh handle on a table.  Raises ``YesladderError`` for a log that cannot be read."""
        try:
            return DeltaTable(self._at(name), storage_options=self._options())
        except (DeltaError, OSError) as error:
            raise YesladderError(
                f"the log of the table {self._at(name)} cannot be read: {_first_line(error)}"
            ) from None

    def scan(self, name: str) -> pl.LazyFrame:
        """A table's rows as they are now, without ``landed_date``."""
        return self.scan_at(self.table(name), name)

    def scan_at(self, handle: DeltaTable, name: str, since: datetime | None = None) -> pl.LazyFrame:
        """A table's rows as a handle has them.

        ``since``: without the files that hold nothing from then on, as far as their statistics tell.
        """
        files = self._paths(name, handle) if since is None else self._paths_since(name, handle, since)
        if files:
            self.fetch(files)
            return pl.scan_parquet(files, hive_partitioning=False, glob=False)
        empty = pl.from_arrow((TABLES | BESIDE)[name].empty_table())
        if not isinstance(empty, pl.DataFrame):
            raise TypeError(f"table {name} has no columns")
        return empty.lazy()

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
            written = self.added(table, rows, now)
            for attempt in self.attempts():
                self.read_on(handle, table)
                if handle.transaction_version(app) != was:
                    raise Fenced(f"{app} of table {table} was committed by another process")
                try:
                    self.commit_log(handle, table, written, {app: version})
                    return
                except CommitFailedError as error:
                    if attempt.is_last:
                        raise Fenced(f"table {table}: {error}") from error

    def append(self, table: str, rows: pa.Table, *, now: datetime) -> None:
        """Add rows that come from no Kafka offset; all of them become visible at once."""
        handle = self.table(table)
        with self.writing():
            written = self.added(table, self.without_erased(table, rows, handle), now)
            for attempt in self.attempts():
                try:
                    self.commit_log(handle, table, written, {})
                    return
                except CommitFailedError as error:
                    if self.store is None or attempt.is_last:
                        raise YesladderError(f"table {self._at(table)}: {_first_line(error)}") from error
                    self.read_on(handle, table)
                    if self.erased_meanwhile(table, handle):
                        written = self.added(table, self.without_erased(table, rows, handle), now)

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
        self._renew()
        handle, folder = self.table(table), self.root / table
        names = sorted(Path(file).relative_to(folder).as_posix() for file in gone)
        self._still_current(table, handle, names)
        with self.writing():
            written = Written(
                [self._write(table, part.rows, part.landed, now, part.standing) for part in parts if part.rows.num_rows]
            )
            for action in written.added:
                action.data_change = not rearranges
            at = now if clock is None else clock()
            if self.store is None:
                for file in gone:
                    with suppress(FileNotFoundError):
                        os.utime(file, (at.timestamp(), at.timestamp()))
            else:
                self._note_removal(table, names, at)
            for attempt in self.attempts():
                current = self._still_current(table, handle, names)
                removed: list[AddAction | RemoveAction] = [
                    RemoveAction(path, not rearranges, _milliseconds(now), current[path], _partition_of(path))
                    for path in names
                ]
                tallies = {
                    _TALLY + name: (handle.transaction_version(_TALLY + name) or 0) + more
                    for name, more in (counted or {}).items()
                }
                try:
                    self.commit_log(handle, table, written, tallies, removed)
                    break
                except CommitFailedError:
                    if self.store is None or attempt.is_last:
                        raise
                    self.read_on(handle, table)
        return [str(folder / action.path) for action in written.added]

    def _still_current(self, table: str, handle: DeltaTable, names: Iterable[str]) -> dict[str, int]:
        current = _sizes(handle)
        for path in names:
            if path not in current:
                raise YesladderError(
                    f"{self._at(table)}/{path} is no file of the table {table} any more; nothing was replaced"
                )
        return current

    def leftovers(self) -> list[Leftover]:
        """Files of a lake in a store that no log names, and since when nobody needs them."""
        store = self.store
        if store is None:
            raise TypeError("the files of a folder have their times themselves")
        current = {f"{table}/{file.path}" for table in self.tables() for file in self.logged(table)}
        since: dict[str, datetime] = {}
        for note in store.list(_REMOVED):
            told = json.loads(store.get(note.name))
            at = datetime.fromisoformat(told["at"])
            for file in told["files"]:
                since[file] = max(at, since.get(file, at))
        return [
            Leftover(one.name, one.size, since.get(one.name), one.changed_at)
            for table in self.tables()
            for one in store.list(table)
            if f"/{LANDED.name}=" in one.name and one.name not in current
        ]

    def delete(self, names: Collection[str]) -> None:
        """Delete files of a lake in a store that no log names, and what was noted of their removal."""
        store = self.store
        if store is None:
            raise TypeError("files of a folder are deleted as any others")
        with ThreadPoolExecutor(_FETCHING) as threads:
            list(threads.map(store.delete, names))
        gone = frozenset(names)
        for note in store.list(_REMOVED):
            told = json.loads(store.get(note.name))
            if all(file in gone or store.look(file) is None for file in told["files"]):
                store.delete(note.name)

    def _note_removal(self, table: str, names: Sequence[str], at: datetime) -> None:
        if self.store is not None and names:
            told = {"at": at.isoformat(), "files": [f"{table}/{name}" for name in names]}
            self.store.put(f"{_REMOVED}/{table}/{uuid.uuid4()}.json", json.dumps(told).encode())

    @contextmanager
    def upkeep(self, now: datetime, *, patience_s: float = 0) -> Iterator[None]:
        """One upkeep at a time, on this machine and, of a lake in a store, on all.

        Raises ``Locked`` where another is at it still after ``patience_s`` seconds.  In a store it is a lease, which
        spares two from working against each other and no more: should one outlive its lease, the commits of both are
        checked all the same.
        """
        with upkeep_lock(self.root.parent, now, patience_s=patience_s):
            if self.store is None:
                yield
                return
            self._lease = lease = _Lease(now, time.monotonic())
            until = time.monotonic() + patience_s
            while True:
                try:
                    self._take_lease(lease)
                    break
                except Locked:
                    if time.monotonic() >= until:
                        self._lease = None
                        raise
                    time.sleep(1)
            try:
                yield
            finally:
                self._lease = None
                self._step(_LEASE_TABLE, _LEASE, lambda was: 0 if was == lease.until else was)

    def _take_lease(self, lease: _Lease) -> None:
        now = lease.now()

        def longer(was: int | None) -> int:
            if was and was != lease.until and was > _microseconds(now):
                raise Locked(
                    f"{self._at(_LEASE_TABLE)}: another machine is at its upkeep; wait for that to end, or, should it"
                    f" have died, until {_time_of(was):%H:%M:%S} UTC"
                )
            return _microseconds(now + _LEASE_FOR)

        lease.until = self._step(_LEASE_TABLE, _LEASE, longer) or 0
        lease.renewed_at = time.monotonic()

    def _renew(self) -> None:
        if self._lease is not None and time.monotonic() - self._lease.renewed_at > _RENEW_AFTER_S:
            self._take_lease(self._lease)

    def _step(self, table: str, app: str, step: Callable[[int | None], int | None]) -> int | None:
        """Have a transaction's version be what ``step`` makes of it, whoever else is at it; the version."""
        handle = self.table(table)
        for attempt in self.attempts():
            was = handle.transaction_version(app)
            becomes = step(was)
            if becomes is None or becomes == was:
                return was
            try:
                self.commit_log(handle, table, Written([]), {app: becomes})
                return becomes
            except CommitFailedError as error:
                if attempt.is_last:
                    raise YesladderError(f"table {self._at(table)}: {_first_line(error)}") from error
                self.read_on(handle, table)
        raise RuntimeError("no attempt was the last")

    def erased_meanwhile(self, table: str, handle: DeltaTable) -> bool:
        """Whether somebody was erased since ``without_erased`` was last asked, as this handle has it."""
        is_erased_from = self.store is not None and table in _ERASED_FROM
        return is_erased_from and self._erasures_of(table, handle) != self._erasures.get(table)

    def _erasures_of(self, table: str, handle: DeltaTable) -> int | None:
        """How many erasures a table's log tells of; it is read again only where others have written to it."""
        version = handle.version()
        known = self._counted_erasures.get(table)
        if known is None or known[0] != version:
            known = self._counted_erasures[table] = (version, handle.transaction_version(_ERASED))
        return known[1]

    def attempts(self) -> Iterator[Attempt]:
        """At a commit; in a store with pauses between them."""
        most = _ATTEMPTS if self.store is None else _FAR_ATTEMPTS
        for number in range(1, most + 1):
            if self.store is not None and number > 1:
                time.sleep(random.random() * _FAR_PAUSE_S)
            yield Attempt(number == most)

    def read_on(self, handle: DeltaTable, table: str) -> None:
        """Read a table's log up to its end.  Raises ``YesladderError`` where a store cannot be reached."""
        try:
            handle.update_incremental()
        except (DeltaError, OSError) as error:
            if self.store is None:
                raise
            raise YesladderError(f"the log of {self._at(table)} cannot be read: {_first_line(error)}") from error

    def added(self, name: str, rows: pa.Table, now: datetime) -> Written:
        """Rows, written as one file (of none, none)."""
        return Written([self._write(name, rows, now.astimezone(UTC).date(), now)] if rows.num_rows else [])

    def commit_log(
        self,
        handle: DeltaTable,
        name: str,
        written: Written,
        versions: Mapping[str, int],
        removed: Sequence[AddAction | RemoveAction] = (),
    ) -> None:
        """Commit files with the versions, as the next entry of the log that ``handle`` has read.

        Raises ``CommitFailedError`` where nothing was committed since others were before us; in a store for any commit
        in between, and ``YesladderError`` where it cannot be told whether something was (what is read next tells).
        """
        actions = [*removed, *written.added]
        if self.store is None:
            _commit(handle, self.root / name, actions, versions)
            return
        if written.age_s() > _COMMIT_WITHIN_S:
            raise YesladderError(
                f"table {self._at(name)}: {_COMMIT_WITHIN_S / 60:.0f} minutes did not do for a commit; nothing was"
                " committed"
            )
        writer, number = str(uuid.uuid4()), handle.version() + 1
        for tried in range(_ASKED_AGAIN):
            try:
                _create_entry(handle, actions, versions, {_WRITER: writer}, 0)
                break
            except (DeltaError, OSError) as error:
                # Done all the same where only the answer was lost, or what came after it went wrong.
                if writer in (self.entry(name, number) or ""):
                    break
                if isinstance(error, CommitFailedError):
                    raise
                # The request may be on its way still.  Asked for once more, the entry of this number is ours once,
                # whichever of the two comes first, or another's, and then neither does.
                if tried == _ASKED_AGAIN - 1:
                    raise YesladderError(f"table {self._at(name)}: {_first_line(error)}") from error
                time.sleep(_FAR_PAUSE_S * 2**tried)
        known = self._counted_erasures.get(name)
        if known is not None and known[0] == number - 1:
            self._counted_erasures[name] = (number, versions.get(_ERASED, known[1]))
        if number % _CLEAN_EVERY == 0:
            with suppress(DeltaError, OSError, YesladderError):
                self.table(name).cleanup_metadata()

    def _has(self, name: str) -> bool:
        try:
            return DeltaTable.is_deltatable(self._at(name), storage_options=self._options())
        except (DeltaError, OSError) as error:
            raise YesladderError(f"{self._at(name)} cannot be reached: {_first_line(error)}") from None

    def _at(self, name: str) -> str:
        return str(self.root / name) if self.store is None else self.store.at(name)

    def _options(self) -> dict[str, str] | None:
        return None if self.store is None else dict(self.store.options)

    def _make(self, name: str, schema: pa.Schema) -> None:
        """Make an empty table.  Should another process have made it at the same moment, that one is the table."""
        if self.store is None:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        try:
            DeltaTable.create(
                self._at(name),
                schema=schema,
                partition_by=[LANDED.name],
                mode="ignore",
                configuration=_PROPERTIES,
                storage_options=self._options(),
                # Else whoever comes second makes it once more, as version 1.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except (DeltaError, OSError) as error:
            if self._has(name):
                return
            if self.store is None:
                raise
            raise YesladderError(f"{self._at(name)} cannot be made: {_first_line(error)}") from None

    def _paths(self, table: str, handle: DeltaTable) -> list[str]:
        """The table's current files; Delta gives them as they stand in an address, a space as ``%20``."""
        uris = [unquote(uri) for uri in handle.file_uris()]
        return uris if self.store is None else [str(self.root / table / _within(uri)) for uri in uris]

    def _paths_since(self, table: str, handle: DeltaTable, since: datetime) -> list[str]:
        """Those files of which some row may have a time of ``since`` or later."""
        column = LAST_TIME[table]
        actions = pa.table(handle.get_add_actions(flatten=True))
        if f"max.{column}" not in actions.column_names:
            return self._paths(table, handle)
        kept = pc.fill_null(pc.greater_equal(actions[f"max.{column}"], pa.scalar(since, _TIME)), True)
        wanted = {unquote(path) for path in actions["path"].filter(kept).to_pylist()}
        return [path for path in self._paths(table, handle) if _within(path) in wanted]

    def _write(self, name: str, rows: pa.Table, landed: date, now: datetime, standing: str = "") -> AddAction:
        """One Parquet file, there for good before the log can name it (Delta's own writer does not fsync).

        Its columns are exactly the table's; rows that lack one, or a value that must be there, are refused.
        """
        schema = (TABLES | BESIDE)[name]
        columns = schema.remove(schema.get_field_index(LANDED.name))
        rows = rows.select(columns.names).cast(columns)
        path = f"{LANDED.name}={landed.isoformat()}/{standing and f'{standing}-'}{uuid.uuid4()}.parquet"
        if self.store is None:
            size = _write_file(self.root / name, path, rows)
        else:
            sink = pa.BufferOutputStream()
            _write_rows(rows, sink)
            data = sink.getvalue()
            self.store.put(f"{name}/{path}", data)
            size = data.size
        ends = {column: pc.min_max(rows[column]) for column in {TIME_COLUMN[name], LAST_TIME[name]}}
        stats = {
            "numRecords": rows.num_rows,
            "minValues": {column: _iso(end["min"].as_py()) for column, end in ends.items()},
            "maxValues": {column: _iso(end["max"].as_py() + timedelta(milliseconds=1)) for column, end in ends.items()},
        }
        return AddAction(
            path=path,
            size=size,
            partition_values=_partition_of(path),
            modification_time=_milliseconds(now),
            data_change=True,
            stats=json.dumps(stats),
        )


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
                    versions |= {app: _microseconds(at) for app, at in times.items() if at is not None}
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
            written = lake.added(name, lake.without_erased(name, rows, handle), now)
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
                if lake.erased_meanwhile(name, handle):
                    written = lake.added(name, lake.without_erased(name, rows, handle), now)

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
        on_time = events.filter(pc.invert(events["late"]))
        for partition, first in zip(rows["partition"].to_pylist(), rows["first_offset"].to_pylist(), strict=True):
            versions[self._first_app(partition)] = first
            own = pc.and_(pc.equal(on_time["partition"], partition), pc.greater_equal(on_time["record_offset"], first))
            earliest = pc.min(on_time["occurred_at"].filter(own)).as_py()
            if earliest is not None:
                versions[self._earliest_app(partition)] = _microseconds(earliest)
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


@dataclass(frozen=True)
class Leftover:
    """A file in a store that no log names.

    ``removed_at``: when it was replaced, by the clock of who did; None where it never was the log's, as far as is
    known.  ``changed_at``: when it was written, by the store's clock.
    """

    name: str
    size: int
    removed_at: datetime | None
    changed_at: datetime


class Attempt(NamedTuple):
    """At a commit."""

    is_last: bool


@dataclass
class Written:
    """Files that are there and not in the log yet, begun when this was made."""

    added: list[AddAction]
    _monotonic: float = field(default_factory=time.monotonic)
    _wall: float = field(default_factory=time.time)

    def age_s(self) -> float:
        """The longer of what two clocks say: one stands still while the machine sleeps, the other may be set."""
        return max(time.monotonic() - self._monotonic, time.time() - self._wall)


@dataclass
class _Lease:
    """On a store's upkeep.  ``began``: as the caller told the time; ``until``: in microseconds."""

    began: datetime
    _monotonic: float
    until: int = 0
    renewed_at: float = 0.0

    def now(self) -> datetime:
        return self.began + timedelta(seconds=time.monotonic() - self._monotonic)


def _offset_app(source: str, partition: int) -> str:
    return f"{source}/{partition}"


def _newest_app(source: str, partition: int) -> str:
    return f"{source}/{partition}/newest"


def _settled_app(source: str, partition: int) -> str:
    return f"{source}/{partition}/settled"


def _time_of(us: int | None) -> datetime | None:
    return None if us is None else _EPOCH + us * _MICROSECOND


def _within(path: str) -> str:
    """A file's path within its table: its day and its name."""
    return "/".join(path.rsplit("/", 2)[1:])


def _entry(table: str, version: int) -> str:
    return f"{table}/_delta_log/{version:020}.json"


def _first_line(error: Exception) -> str:
    """What follows is where in Rust it happened."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _create_entry(
    handle: DeltaTable,
    actions: Sequence[AddAction | RemoveAction],
    versions: Mapping[str, int],
    said: Mapping[str, str] | None = None,
    retries: int | None = None,
) -> None:
    handle.create_write_transaction(
        list(actions),
        mode="append",
        schema=handle.schema(),
        partition_by=[LANDED.name],
        commit_properties=CommitProperties(
            custom_metadata=None if said is None else dict(said),
            max_commit_retries=retries,
            app_transactions=[Transaction(app, version) for app, version in versions.items()],
        ),
        # By default every commit looks for old logs, which takes longer than the commit.
        post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
    )


def _commit(
    handle: DeltaTable, folder: Path, actions: Sequence[AddAction | RemoveAction], versions: Mapping[str, int]
) -> None:
    """Commit files, which are on the disk for good, with the versions."""
    number = handle.version() + 1
    _create_entry(handle, actions, versions)
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


def _write_file(folder: Path, path: str, rows: pa.Table) -> int:
    """Write a file below a table's folder, on the disk for good; its bytes."""
    target = folder / path
    if not target.parent.exists():
        target.parent.mkdir(exist_ok=True)
        sync(folder)
    with target.open("wb") as file:
        _write_rows(rows, file)
        file.flush()
        os.fsync(file.fileno())
    sync(target.parent)
    return target.stat().st_size


def _write_rows(rows: pa.Table, sink: IO[bytes] | pa.NativeFile) -> None:
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        compression_level=1,
        row_group_size=128 * 1024,
        write_page_checksum=True,
        use_dictionary=[path for path in _leaves(rows.schema) if path.rpartition(".")[2] not in _HARDLY_REPEAT],
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
