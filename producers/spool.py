"""Records that wait on the local disk for Kafka, in the order of their coming: one SQLite file in a folder.

Why SQLite, and what it costs: docs/decisions/0010-the-collector-spools.md.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from ladder.errors import UsageError, YesladderError
from producers.records import Record

_log = logging.getLogger(__name__)

FILE = "spool.sqlite"
DAMAGED = "spool.damaged-*.sqlite"
"""Files that could not be read any more; they are kept for whoever mends them."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE records (
    id INTEGER PRIMARY KEY, spooled_at INTEGER NOT NULL, size INTEGER NOT NULL, refused TEXT,
    packed_for INTEGER NOT NULL, partition INTEGER, checksum INTEGER NOT NULL,
    key BLOB, headers BLOB NOT NULL, value BLOB NOT NULL
);
CREATE TABLE topic (partitions INTEGER NOT NULL);
"""
_ROW_BYTES = 100
"""What a record takes beside its key and value, about."""

_SHRINK_ABOVE_BYTES = 16 * 1024 * 1024
_CORRUPT = (11, 26)
"""SQLITE_CORRUPT and SQLITE_NOTADB: the two that no repetition helps."""

_NO_USE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
"""What another attempt finds again: a folder that is not ours, or none.  Anything else is a trouble of the disk."""

_ONE = "SELECT CAST(size AS INTEGER), refused IS NOT NULL FROM records WHERE id = ?"

_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...])
Value = TypeVar("Value")


class SpoolError(YesladderError):
    """The disk did not take or give what it was asked to; what it took before is still there."""


class Spooled(NamedTuple):
    """``packed_for``: how many partitions the topic had.  ``fault``: why the record is not what was put in."""

    id: int
    packed_for: int
    record: Record
    fault: str | None


class Contents(NamedTuple):
    """What a spool holds.  ``oldest``: when the first record that still waits came.  ``refused``: records kept aside
    because Kafka will not take them; they count among ``records``.  ``damaged``: files set aside."""

    records: int
    bytes: int
    refused: int
    oldest: datetime | None
    damaged: int


def footprint(record: Record) -> int:
    """Bytes that a record takes up in a spool, about."""
    return record.size + sum(len(name) + len(value) for name, value in record.headers) + _ROW_BYTES


class Spool:
    """The spool of one collector.  Whatever a method wrote is fsynced when it returns.  For one thread at a time.

    ``records`` (of them ``refused``) and ``bytes`` say what is in it, ``partitions`` what ``remember`` was told last
    (None when it never was); any thread may read them.  A file that SQLite finds damaged is set aside, with an error
    in the log, and an empty one takes its place.
    Raises ``UsageError`` for a folder that is not for us to write or belongs to a running collector, and for the file
    of another release; ``SpoolError`` when the disk does not take or give what it was asked to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = 0
        self.refused = 0
        self.bytes = 0
        self.partitions: int | None = None
        self._last_id = 0
        try:
            _make(folder)
            self._lock = (folder / "lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise UsageError(
                f"another collector runs with the spool in {folder}; give each one a folder of its own (--spool FOLDER)"
            ) from None
        except OSError as error:
            raise (UsageError if error.errno in _NO_USE else SpoolError)(
                f"cannot spool in {folder} ({os.strerror(error.errno or 0)}); name another folder with --spool, "
                "or do without (--spool-bytes 0)"
            ) from None
        try:
            with self._named():
                self._sqlite = self._open()
            self._is_shut = False
            # Whatever made Kafka refuse a record may be mended by now.
            self._repaired(lambda: self._write("UPDATE records SET refused = NULL WHERE refused IS NOT NULL"))
            self._count()
            self.partitions = self._repaired(self._remembered)
        except BaseException:
            self._lock.close()
            raise

    def remember(self, partitions: int) -> None:
        """Note the topic's number of partitions, for a start without Kafka."""
        self._repaired(lambda: self._remember(partitions))
        self.partitions = partitions

    def probe(self) -> None:
        """Write something.  Raises ``SpoolError`` when the disk does not take it."""
        if self.partitions is not None:
            self.remember(self.partitions)

    def append(self, records: Sequence[tuple[Record, int]], at: datetime) -> list[int]:
        """Put records, each with what it was packed for, behind all others, all or none; their ids.

        Raises ``SpoolError`` when the disk does not take them.
        """
        first = self._last_id + 1
        self._last_id += len(records)
        rows = [_row(first + place, *packed, at) for place, packed in enumerate(records)]
        self._repaired(lambda: self._insert(rows))
        self.records += len(records)
        self.bytes += sum(footprint(record) for record, _ in records)
        return list(range(first, first + len(records)))

    def first(self, max_bytes: int, without: Collection[int] = ()) -> list[Spooled]:
        """The records that wait, oldest first: at least one if there is any, and no more than ``max_bytes``."""
        return self._repaired(lambda: list(self._read(max_bytes, without)))

    def remove(self, ids: Collection[int]) -> None:
        """Forget records that Kafka has."""
        self._repaired(lambda: self._delete(ids))
        if self.records == 0:
            self._shrink()

    def set_aside(self, id_: int, reason: str) -> None:
        """Keep a record that Kafka will never take out of the others' way.  It is tried again by the next process."""
        statement = "UPDATE records SET refused = ? WHERE id = ?"
        self.refused += self._repaired(lambda: self._write(statement, reason, id_))

    def oldest(self) -> datetime | None:
        """When the first record that waits came."""
        return self._repaired(lambda: _oldest(self._sqlite)) if self.records > self.refused else None

    def close(self) -> None:
        """Let go of the folder.  Later calls do nothing."""
        if not self._lock.closed:
            try:
                self._sqlite.close()
            finally:
                self._lock.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self.folder / FILE)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._put_away(error)
            return _connect(self.folder / FILE)

    def _repaired(self, work: Callable[[], Value]) -> Value:
        """The work's result; where the file is damaged, of the work on an empty one.  ``SpoolError`` otherwise."""
        with self._named():
            if self._is_shut:
                self._begin_anew()
            try:
                return work()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._is_shut = True
                self._sqlite.close()
                self._put_away(error)
                self._begin_anew()
                return work()

    def _begin_anew(self) -> None:
        """Open whatever is there now: an empty file, or that of before where it could not be put away."""
        self._sqlite = self._open()
        self._is_shut = False
        try:
            self._count()
            if self.partitions is not None:
                self._remember(self.partitions)
        except BaseException:
            self._is_shut = True
            self._sqlite.close()
            raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(f"the spool in {self.folder}: {error}") from None

    def _put_away(self, error: Exception) -> None:
        """Rename the file and what belongs to it; SQLite finds all of it under the new name."""
        taken = len(list(self.folder.glob(DAMAGED)))
        name = DAMAGED.replace("*", f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{taken}")
        # The log goes first: beside a new file of the old name it would be taken for that one's.
        for suffix in ("-wal", "-shm", ""):
            part = self.folder / f"{FILE}{suffix}"
            if part.exists():
                part.rename(self.folder / f"{name}{suffix}")
        _log.error(
            "the spool %s is damaged (%s): it is kept as %s and an empty one begun; what can be read of it comes out "
            "with `sqlite3 %s .recover`",
            self.folder / FILE, error, name, name,
        )  # fmt: skip
        _fsync_folder(self.folder)

    def _remembered(self) -> int | None:
        row = self._sqlite.execute("SELECT partitions FROM topic").fetchone()
        return None if row is None else int(row[0])

    def _remember(self, partitions: int) -> None:
        with self._transaction():
            self._sqlite.execute("DELETE FROM topic")
            self._sqlite.execute("INSERT INTO topic VALUES (?)", (partitions,))

    def _insert(self, rows: Sequence[tuple[object, ...]]) -> None:
        with self._transaction():
            self._sqlite.executemany("INSERT INTO records VALUES (?, ?, ?, NULL, ?, ?, ?, ?, ?, ?)", rows)

    def _write(self, statement: str, *values: object) -> int:
        """How many rows it changed."""
        with self._transaction():
            return self._sqlite.execute(statement, values).rowcount

    def _read(self, max_bytes: int, without: Collection[int]) -> Iterator[Spooled]:
        room = max_bytes
        rows = self._sqlite.execute(
            # A flipped bit may have made another type of a column, and a text comes only if it is UTF-8.
            "SELECT id, CAST(size AS INTEGER), CAST(packed_for AS INTEGER), CAST(partition AS INTEGER), "
            "CAST(checksum AS INTEGER), CAST(key AS BLOB), CAST(headers AS BLOB), CAST(value AS BLOB) FROM records "
            "WHERE refused IS NULL ORDER BY id"
        )
        for id_, size, packed_for, partition, checksum, key, headers, value in rows:
            if id_ in without:
                continue
            if room < (size or 0) and room < max_bytes:
                break
            room -= size or 0
            try:
                fault = None if checksum == _checksum(partition, key, headers, value) else "its checksum is wrong"
                told = () if fault else _headers.decode(headers)
            except Exception as error:  # whatever it is, the records behind this one have to go on
                fault, told = f"it cannot be read: {error}", ()
            yield Spooled(id_, packed_for, Record(key, value, partition, told), fault)

    def _delete(self, ids: Collection[int]) -> None:
        records = size = refused = 0
        with self._transaction():
            for id_ in ids:
                found = self._sqlite.execute(_ONE, (id_,)).fetchone()
                if found is not None:
                    records, size, refused = records + 1, size + (found[0] or 0), refused + found[1]
            self._sqlite.executemany("DELETE FROM records WHERE id = ?", [(id_,) for id_ in ids])
        self.records -= records
        self.bytes -= size
        self.refused -= refused

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._sqlite.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._sqlite.execute("COMMIT")
        except BaseException:
            if self._sqlite.in_transaction:
                self._sqlite.execute("ROLLBACK")
            raise

    def _count(self) -> None:
        """Walks through all rows, though not through their values: 0.1 s for a gigabyte."""
        found = self._repaired(lambda: _contents(self._sqlite, self.folder))
        self.records, self.bytes, self.refused = found.records, found.bytes, found.refused
        (last,) = self._repaired(lambda: self._sqlite.execute("SELECT max(id) FROM records").fetchone())
        self._last_id = max(self._last_id, last or 0)

    def _shrink(self) -> None:
        """Give an emptied file's room back.  No harm if it does not work out now."""
        try:
            (pages,) = self._sqlite.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = self._sqlite.execute("PRAGMA page_size").fetchone()
            if pages * page_bytes > _SHRINK_ABOVE_BYTES:
                self._sqlite.execute("VACUUM")
                self._sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            _log.warning("the spool in %s keeps its size: %s", self.folder, error)


def look_into(folder: Path) -> Contents | None:
    """What the spool in a folder holds, also while its collector runs; None where there is none.

    Raises ``SpoolError`` when it cannot be read.
    """
    path = folder / FILE
    damaged = len(list(folder.glob(DAMAGED)))
    if not path.exists():
        return Contents(0, 0, 0, None, damaged) if damaged else None
    try:
        # mode=ro would need the -shm file, which is there only while a collector runs or after it was killed.
        sqlite = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5)
        try:
            return _contents(sqlite, folder)
        finally:
            sqlite.close()
    except sqlite3.Error as error:
        raise SpoolError(f"the spool {path}: {error}") from None


def _contents(sqlite: sqlite3.Connection, folder: Path) -> Contents:
    records, size, refused = sqlite.execute(
        "SELECT count(*), coalesce(sum(CAST(size AS INTEGER)), 0), count(refused) FROM records"
    ).fetchone()
    return Contents(records, size, refused, _oldest(sqlite), len(list(folder.glob(DAMAGED))))


def _oldest(sqlite: sqlite3.Connection) -> datetime | None:
    row = sqlite.execute(
        "SELECT CAST(spooled_at AS INTEGER) FROM records WHERE refused IS NULL ORDER BY id LIMIT 1"
    ).fetchone()
    if row is None or row[0] is None:
        return None
    with suppress(OverflowError, ValueError, OSError):  # a flipped bit
        return datetime.fromtimestamp(row[0] / 1e6, UTC)
    return None


def _connect(path: Path) -> sqlite3.Connection:
    # One thread at a time uses it, not always the same one: the first opens, the last closes.
    sqlite = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        (mode,) = sqlite.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise UsageError(
                f"the spool {path} cannot have a write-ahead log (its journal is {mode!r} only); "
                "name a folder on a local disk with --spool"
            )
        sqlite.execute("PRAGMA synchronous = FULL")
        (version,) = sqlite.execute("PRAGMA user_version").fetchone()
        if version == 0:
            sqlite.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise UsageError(f"the spool {path} was made by another release (version {version}, here {_VERSION})")
    except BaseException:
        sqlite.close()
        raise
    return sqlite


def _row(id_: int, record: Record, packed_for: int, at: datetime) -> tuple[object, ...]:
    headers = msgspec.msgpack.encode(record.headers)
    checksum = _checksum(record.partition, record.key, headers, record.value)
    microseconds = round(at.timestamp() * 1e6)
    return (
        id_, microseconds, footprint(record), packed_for, record.partition, checksum, record.key, headers, record.value
    )  # fmt: skip


def _checksum(partition: int | None, key: bytes | None, headers: bytes, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(headers, zlib.crc32(repr((partition, key)).encode())))


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def _make(folder: Path) -> None:
    """Make a folder for good: a folder that power loss forgets would take the spool with it."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _fsync_folder(folder.parent)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
