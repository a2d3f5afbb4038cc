"""The Parquet lake: four Delta tables, and the exactly-once join of Kafka offsets with what they produced.

A Delta commit spans one table, so every table carries its own next offset per Kafka partition (Delta's ``txn``
action, written with the rows in one atomic commit).  ``sessions`` is committed last and is the truth: after a crash
reading goes on from its offset, and a table that is ahead skips what it already holds.  The newest event time of each
partition, from which the watermark follows, rides on that last commit.  Open sessions need no file of their own: they
are exactly the landed events, not late, that are in no session.

The fence: before each commit the table's log is read up to its end and the offsets found there must be the ones this
writer left; the commit itself then fails if anyone wrote the same partition in between.  Either way ``Fenced`` is
raised and the writer has lost the partition: it must not go on.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from ladder.errors import YesladderError
from ladder.tables import LANDED, TABLES, TIME_COLUMN

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_HARDLY_REPEAT = frozenset(
    {"event_id", "visitor_id", "session_id", "occurred_at", "received_at", "started_at", "ended_at", "offset_us", "raw"}
)
"""Columns that a dictionary only makes larger (by a quarter) and slower to write (by a fifth)."""

_ROW_OFFSET = {"events": "record_offset", "rejects": "record_offset"}


class Fenced(YesladderError):
    """Another writer has taken a partition over; this one must stop and start anew from the lake."""


class Lake:
    """The tables under one folder, made on first use."""

    def __init__(self, root: Path) -> None:
        self.root = root = root.absolute()
        for name, schema in TABLES.items():
            if not DeltaTable.is_deltatable(str(root / name)):
                (root / name).mkdir(parents=True, exist_ok=True)
                DeltaTable.create(str(root / name), schema=schema, partition_by=[LANDED.name], mode="ignore")

    def files(self, table: str) -> list[str]:
        """The current Parquet files of a table, as absolute paths; ``landed_date`` stands in the path."""
        return sorted(_paths(self.table(table)))

    def versions(self) -> dict[str, int]:
        """The version of each table's log."""
        return {name: self.table(name).version() for name in TABLES}

    def table(self, name: str) -> DeltaTable:
        """A fresh handle on a table."""
        return DeltaTable(str(self.root / name))

    def scan(self, name: str) -> pl.LazyFrame:
        """A table's rows as they are now, without ``landed_date``."""
        return _scan(self.table(name), name)

    def claim(self, source: str, partitions: Collection[int]) -> Claim:
        """Take partitions of a source over, as they stand in the lake now."""
        return Claim(self, source, partitions)

    def append(self, table: str, rows: pa.Table, *, now: datetime) -> None:
        """Add rows that come from no Kafka offset; all of them become visible at once."""
        handle = self.table(table)
        _commit(handle, self.root / table, table, rows, {}, now)


class Claim:
    """One owner's hold on some partitions of a source.  Not for use by two threads at once."""

    def __init__(self, lake: Lake, source: str, partitions: Collection[int]) -> None:
        self._lake = lake
        self._source = source
        self._handles = {name: lake.table(name) for name in TABLES}
        self._left: dict[str, dict[str, int | None]] = {
            name: {app: handle.transaction_version(app) for app in self._apps(name, partitions)}
            for name, handle in self._handles.items()
        }

    def next_offset(self, partition: int) -> int:
        """Where reading goes on: the first offset whose sessions are not accounted for; 0 for a new partition."""
        return self.next_offset_of("sessions", partition)

    def next_offset_of(self, table: str, partition: int) -> int:
        """The first offset that a table does not hold yet; may be ahead of ``next_offset``."""
        return self._left[table][self._offset_app(partition)] or 0

    def newest(self, partition: int) -> datetime | None:
        """The newest event time that had been seen at ``next_offset``."""
        us = self._left["sessions"][self._newest_app(partition)]
        return None if us is None else _EPOCH + us * _MICROSECOND

    def open_events(self, partition: int) -> pl.DataFrame:
        """Landed before ``next_offset``, not late, and in no session: the open sessions' events."""
        since = self._open_since(partition)
        mine = (pl.col("source") == self._source) & (pl.col("partition") == partition)
        events = (
            self._scan("events")
            .filter(mine & ~pl.col("late") & (pl.col("record_offset") < self.next_offset(partition)))
            .filter(pl.lit(since is None) | (pl.col("occurred_at") >= pl.lit(since)))
        )
        closed = (
            self._scan("sessions")
            .filter(mine & (pl.lit(since is None) | (pl.col("ended_at") >= pl.lit(since))))
            .select(pl.col("sequence").list.eval(pl.element().struct.field("event_id")).alias("event_id"))
            .explode("event_id")
        )
        return events.join(closed, on="event_id", how="anti").collect()

    def commit(
        self,
        rows: Mapping[str, pa.Table],
        next_offsets: Mapping[int, int],
        newest: Mapping[int, datetime | None],
        now: datetime,
    ) -> None:
        """Make one checkpoint true, table by table, ``sessions`` last.

        ``rows``: by table, without ``landed_date``; those a table already holds (see ``next_offset_of``) are left out.
        ``next_offsets`` and ``newest`` name every partition that the checkpoint covers.  A table without rows is not
        committed, ``sessions`` always is.  Raises ``Fenced``.
        """
        for name in TABLES:
            table = self._unseen(name, rows[name])
            if name != "sessions" and table.num_rows == 0:
                continue
            versions = {self._offset_app(p): offset for p, offset in next_offsets.items()}
            if name == "sessions":
                versions |= {
                    self._newest_app(p): (at - _EPOCH) // _MICROSECOND for p, at in newest.items() if at is not None
                }
            else:
                versions = {app: version for app, version in versions.items() if version > (self._left[name][app] or 0)}
            handle = self._handles[name]
            handle.update_incremental()
            for app, left in self._left[name].items():
                if app in versions and handle.transaction_version(app) != left:
                    raise Fenced(f"{app} of table {name} was committed by another worker")
            try:
                _commit(handle, self._lake.root / name, name, table, versions, now)
            except CommitFailedError as error:
                raise Fenced(f"table {name}: {error}") from error
            self._left[name].update(versions)

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

    def _open_since(self, partition: int) -> datetime | None:
        """No open event is older than this; None where nothing is known.

        From the newest checkpoint at or before ``next_offset``: what was open then, or came since and was not late.
        """
        row = (
            self._scan("checkpoints")
            .filter((pl.col("source") == self._source) & (pl.col("partition") == partition))
            .filter(pl.col("next_offset") <= self.next_offset(partition))
            .sort("next_offset")
            .last()
            .select(pl.min_horizontal("open_since", "watermark"))
            .collect()
        )
        since: datetime | None = row.item() if row.height else None
        return since

    def _scan(self, name: str) -> pl.LazyFrame:
        return _scan(self._handles[name], name)

    def _apps(self, table: str, partitions: Collection[int]) -> list[str]:
        apps = [self._offset_app(p) for p in partitions]
        return apps + [self._newest_app(p) for p in partitions] if table == "sessions" else apps

    def _offset_app(self, partition: int) -> str:
        return f"{self._source}/{partition}"

    def _newest_app(self, partition: int) -> str:
        return f"{self._source}/{partition}/newest"


def _paths(handle: DeltaTable) -> list[str]:
    """The table's current files; Delta gives them as they stand in an address, a space as ``%20``."""
    return [unquote(uri) for uri in handle.file_uris()]


def _scan(handle: DeltaTable, name: str) -> pl.LazyFrame:
    files = _paths(handle)
    if files:
        return pl.scan_parquet(files, hive_partitioning=False)
    empty = pl.from_arrow(TABLES[name].empty_table())
    if not isinstance(empty, pl.DataFrame):
        raise TypeError(f"table {name} has no columns")
    return empty.lazy()


def _commit(
    handle: DeltaTable, folder: Path, name: str, rows: pa.Table, versions: Mapping[str, int], now: datetime
) -> None:
    """Write the rows to one durable file and commit it with the versions."""
    transactions = [Transaction(app, version) for app, version in versions.items()]
    actions: list[AddAction | RemoveAction] = [_write(folder, name, rows, now)] if rows.num_rows else []
    handle.create_write_transaction(
        actions,
        mode="append",
        schema=handle.schema(),
        partition_by=[LANDED.name],
        commit_properties=CommitProperties(app_transactions=transactions),
    )
    _sync_folder(folder / "_delta_log")


def _write(folder: Path, name: str, rows: pa.Table, now: datetime) -> AddAction:
    """One Parquet file, on the disk for good before the log can name it (Delta's own writer does not fsync)."""
    landed = now.astimezone(UTC).date().isoformat()
    path = f"{LANDED.name}={landed}/{uuid.uuid4()}.parquet"
    target = folder / path
    target.parent.mkdir(exist_ok=True)
    with target.open("wb") as file:
        pq.write_table(
            rows,
            file,
            compression="zstd",
            compression_level=1,
            row_group_size=128 * 1024,
            use_dictionary=[path for path in _leaves(rows.schema) if path.rpartition(".")[2] not in _HARDLY_REPEAT],
        )
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(target.parent)
    column = TIME_COLUMN[name]
    ends = pc.min_max(rows[column])
    stats = {
        "numRecords": rows.num_rows,
        "minValues": {column: _iso(ends["min"].as_py())},
        "maxValues": {column: _iso(ends["max"].as_py() + timedelta(milliseconds=1))},
    }
    return AddAction(
        path=path,
        size=target.stat().st_size,
        partition_values={LANDED.name: landed},
        modification_time=int(now.timestamp() * 1000),
        data_change=True,
        stats=json.dumps(stats),
    )


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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
