"""Adding rows to the lake: a file is written, then named by the log in one commit."""

from __future__ import annotations

import fcntl
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

from ladder.errors import YesladderError
from ladder.tables import BESIDE, LANDED, TABLES, TIME_COLUMN
from warehouse.lake_erasures import Erasures
from warehouse.lake_files import LAST_TIME, Written, iso, milliseconds, partition_of, write_file, write_rows
from warehouse.lake_logs import first_line
from warehouse.lake_reading import ReadableLake
from warehouse.object_store import ObjectStore

_WRITING = "writing.lock"


class Fenced(YesladderError):
    """Another writer has taken a partition over; this one must stop and start anew from the lake."""


class AppendableLake(ReadableLake):
    """The tables, to which any number of writers add.  ``erasures``: what they must not add."""

    def __init__(self, root: Path, store: ObjectStore | None = None) -> None:
        super().__init__(root, store)
        self.erasures = Erasures(self)

    def append(self, table: str, rows: pa.Table, *, now: datetime) -> None:
        """Add rows that come from no Kafka offset; all of them become visible at once."""
        handle = self.table(table)
        with self.writing():
            written = self.added(table, self.erasures.without_erased(table, rows, handle), now)
            for attempt in self.attempts():
                try:
                    self.commit_log(handle, table, written, {})
                    return
                except CommitFailedError as error:
                    if self.store is None or attempt.is_last:
                        raise YesladderError(f"table {self.at(table)}: {first_line(error)}") from error
                    self.read_on(handle, table)
                    if self.erasures.erased_meanwhile(table, handle):
                        written = self.added(table, self.erasures.without_erased(table, rows, handle), now)

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

    @contextmanager
    def nobody_writing(self, patience_s: float) -> Iterator[None]:
        """Keep all writers of this lake waiting; raises ``YesladderError`` where one is at it all the time.

        In an object store nobody can be kept waiting: see ``leftovers`` and ``Erasures.tell`` for what is done there.
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

    def added(self, name: str, rows: pa.Table, now: datetime) -> Written:
        """Rows, written as one file (of none, none)."""
        written = Written()
        if rows.num_rows:
            written.added.append(self._write(name, rows, now.astimezone(UTC).date(), now))
        return written

    def _write(self, name: str, rows: pa.Table, landed: date, now: datetime, standing: str = "") -> AddAction:
        """One Parquet file, there for good before the log can name it (Delta's own writer does not fsync).

        Its columns are exactly the table's; rows that lack one, or a value that must be there, are refused.
        """
        schema = (TABLES | BESIDE)[name]
        columns = schema.remove(schema.get_field_index(LANDED.name))
        rows = rows.select(columns.names).cast(columns)
        path = f"{LANDED.name}={landed.isoformat()}/{standing and f'{standing}-'}{uuid.uuid4()}.parquet"
        if self.store is None:
            size = write_file(self.root / name, path, rows)
        else:
            sink = pa.BufferOutputStream()
            write_rows(rows, sink)
            data = sink.getvalue()
            self.store.put(f"{name}/{path}", data)
            size = data.size
        ends = {column: pc.min_max(rows[column]) for column in {TIME_COLUMN[name], LAST_TIME[name]}}
        stats = {
            "numRecords": rows.num_rows,
            "minValues": {column: iso(end["min"].as_py()) for column, end in ends.items()},
            "maxValues": {column: iso(end["max"].as_py() + timedelta(milliseconds=1)) for column, end in ends.items()},
        }
        return AddAction(
            path=path,
            size=size,
            partition_values=partition_of(path),
            modification_time=milliseconds(now),
            data_change=True,
            stats=json.dumps(stats),
        )
