"""Is the lake what its log says?  Every file to its last page, and what the rows of all files say together.

A file must be there, have its size, decode to the end (pages carry checksums), have the table's columns and as many
rows and times as the log says.  Offsets are consistent where the checkpoints of each partition follow one another
without a gap and without overlap up to the offset of the table's last commit, no row lies outside of them, and no
checkpoint has more rows than it counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ladder.errors import YesladderError
from ladder.tables import BESIDE, LANDED, TABLES, TIME_COLUMN
from warehouse.lake import Lake
from warehouse.lake_files import LAST_TIME
from warehouse.lake_reading import LoggedFile
from warehouse.views import read_parquet

_SHOWN = 5


@dataclass(frozen=True)
class Fault:
    """Something that is not as the log says: where (a path within the lake's folder, or a table), what, what to do."""

    where: str
    what: str
    do: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    def line(self) -> str:
        return f"{self.where}: {self.what}\n    -> {self.do}"


_RESTORE = (
    "restore it from a backup; without one, give it up: what it held is read again only by a lake made anew from Kafka "
    "or the files (docs/operations.md)"
)
_REPORT = "stop the workers, keep a copy of the folder, and report it: this must not happen"


def files_to_look_at(lake: Lake) -> int:
    """How many files ``check`` looks at: those of the tables whose log can be read."""
    total = 0
    for table in lake.tables():
        with suppress(YesladderError):
            total += len(lake.logged(table))
    return total


def check(lake: Lake, *, progress: Callable[[int], None] = lambda done: None) -> list[Fault]:
    """Everything that is wrong.  ``progress`` is told of each file looked at.  Nothing is changed.

    Workers may write meanwhile; an upkeep must not, since it deletes files that this still looks for.
    """
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        return _check(lake, connection, progress)


def _check(lake: Lake, connection: duckdb.DuckDBPyConnection, progress: Callable[[int], None]) -> list[Fault]:
    faults: list[Fault] = []
    sound: dict[str, list[str]] = {}
    # The table committed last is listed first: what the others hold beyond it is only what has come since.
    for table in reversed(lake.tables()):
        try:
            files = lake.logged(table)
        except YesladderError as error:
            faults.append(Fault(table, str(error), _RESTORE))
            continue
        faults.extend(_schema_faults(lake, table))
        sound[table] = []
        for file in files:
            found = list(_file_faults(lake, connection, table, file))
            faults.extend(found)
            if not found:
                sound[table].append(f"{table}/{file.path}")
            progress(1)
    if not faults:
        faults.extend(_row_faults(lake, connection, sound))
    return faults


def _schema_faults(lake: Lake, table: str) -> Iterator[Fault]:
    found = pa.schema(lake.table(table).schema().to_arrow())
    declared = (TABLES | BESIDE)[table]
    odd = {(field.name, field.nullable) for field in found} ^ {(field.name, field.nullable) for field in declared}
    if odd:
        columns = ", ".join(sorted({name for name, _ in odd}))
        yield Fault(table, f"its log declares other columns than this version knows ({columns})", "use that version")


def _file_faults(lake: Lake, connection: duckdb.DuckDBPyConnection, table: str, file: LoggedFile) -> Iterator[Fault]:
    name, path = f"{table}/{file.path}", lake.root / table / file.path
    try:
        if lake.store is not None:
            lake.fetch([str(path)], anew=True)
        size = path.stat().st_size
    except FileNotFoundError:
        yield Fault(name, "the log names it and it is not there", _RESTORE)
        return
    if size != file.size:
        yield Fault(name, f"it has {size:,} bytes and the log says {file.size:,}", _RESTORE)
        return
    try:
        rows, ends, schema = _read_all(path, table)
        # It minds damage to a footer that Arrow reads over.
        connection.execute(f"select * from {read_parquet(lake.root, [name])} limit 0").fetchall()
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        yield Fault(name, f"it cannot be read to its end: {' '.join(str(error).split())[:200]}", _RESTORE)
        return
    whole = (TABLES | BESIDE)[table]
    declared = whole.remove(whole.get_field_index(LANDED.name))
    if not schema.equals(declared):
        odd = [f.name for f in schema if f.name not in declared.names or not f.equals(declared.field(f.name))]
        missing = [n for n in declared.names if n not in schema.names]
        yield Fault(name, f"its columns are not the table's ({', '.join(odd + missing) or 'another order'})", _RESTORE)
    if rows != file.rows:
        yield Fault(name, f"it has {rows:,} rows and the log says {file.rows:,}", _REPORT)
    if rows and not (file.earliest <= ends[0] and ends[1] <= file.latest):
        said = f"{file.earliest.isoformat()} to {file.latest.isoformat()}"
        held = f"{ends[0].isoformat()} to {ends[1].isoformat()}"
        yield Fault(name, f"its rows are from {held} and the log says {said}: readers would skip it", _REPORT)


def _read_all(path: Path, table: str) -> tuple[int, tuple[datetime, datetime], pa.Schema]:
    """Rows, first and last time, and columns, having decoded every page of every column."""
    rows = 0
    earliest: list[datetime] = []
    latest: list[datetime] = []
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for batch in file.iter_batches(batch_size=64 * 1024):
            rows += batch.num_rows
            batch.validate(full=True)
            for column in batch.schema:
                if not column.nullable and batch[column.name].null_count:
                    raise pa.ArrowInvalid(f"column {column.name} lacks values that must be there")
            earliest.append(pc.min(batch[TIME_COLUMN[table]]).as_py())
            latest.append(pc.max(batch[LAST_TIME[table]]).as_py())
        schema = file.schema_arrow.remove_metadata()
    return rows, (min(earliest), max(latest)) if rows else (datetime.min, datetime.min), schema


def _row_faults(lake: Lake, connection: duckdb.DuckDBPyConnection, files: dict[str, list[str]]) -> Iterator[Fault]:
    for table, names in files.items():
        if names:
            connection.execute(f"create view {table} as select * from {read_parquet(lake.root, names)}")
    if files["checkpoints"]:
        yield from _checkpoint_faults(lake, connection)
    for table in ("events", "rejects"):
        if files[table]:
            yield from _offset_faults(lake, connection, table)
            if files["checkpoints"]:
                yield from _count_faults(connection, table)
    if files["sessions"]:
        for source, partition, session_id, times in connection.execute(
            "select source, partition, session_id, count(*) from sessions group by all having count(*) > 1"
            f" order by all limit {_SHOWN}"
        ).fetchall():
            yield Fault("sessions", f"session {session_id} of {source}/{partition} is there {times} times", _REPORT)


def _checkpoint_faults(lake: Lake, connection: duckdb.DuckDBPyConnection) -> Iterator[Fault]:
    """Gaps and overlaps, and an end that is not the one of the log."""
    for source, partition, ended, begins in connection.execute(
        "select source, partition, ended, first_offset from ("
        " select *, lag(next_offset) over (partition by source, partition order by first_offset, next_offset) as ended"
        f" from checkpoints) where ended <> first_offset order by all limit {_SHOWN}"
    ).fetchall():
        what = "are in no checkpoint" if begins > ended else "are in two checkpoints"
        between = f"{min(begins, ended):,} to {max(begins, ended) - 1:,}"
        yield Fault("checkpoints", f"offsets {between} of {source}/{partition} {what}", _REPORT)
    handle = lake.table("checkpoints")
    for source, partition, end in connection.execute(
        "select source, partition, max(next_offset) from checkpoints group by all order by all"
    ).fetchall():
        committed = handle.transaction_version(f"{source}/{partition}")
        if committed is None or committed < end:
            what = f"{source}/{partition} was counted up to {end:,} and the log says {committed or 0:,}"
            yield Fault("checkpoints", what, _REPORT)


def _offset_faults(lake: Lake, connection: duckdb.DuckDBPyConnection, table: str) -> Iterator[Fault]:
    """Rows that the log does not know of: a worker would read them again."""
    handle = lake.table(table)
    for source, partition, last in connection.execute(
        f"select source, partition, max(record_offset) from {table} group by all order by all"
    ).fetchall():
        committed = handle.transaction_version(f"{source}/{partition}") or 0
        if last >= committed:
            what = f"it has offset {last:,} of {source}/{partition} and the log says {committed:,} is the next to come"
            yield Fault(table, what, _REPORT)


def _count_faults(connection: duckdb.DuckDBPyConnection, table: str) -> Iterator[Fault]:
    """More rows than were counted.  Fewer are none: retention, erasure and re-sessionising take rows away."""
    counted = {"events": "landed", "rejects": "rejected"}[table]
    for source, partition, first, end, expected, rows in connection.execute(
        "with placed as ("
        f" select source, partition, record_offset, count(*) as rows from {table} group by all"
        "), counted as ("
        f" select source, partition, first_offset, next_offset, {counted} as expected from checkpoints"
        ") select c.source, c.partition, first_offset, next_offset, expected, sum(rows)::bigint as found"
        " from placed p asof join counted c"
        " on p.source = c.source and p.partition = c.partition and p.record_offset >= c.first_offset"
        " where record_offset < next_offset"
        f" group by all having found > expected order by all limit {_SHOWN}"
    ).fetchall():
        what = f"offsets {first:,} to {end - 1:,} of {source}/{partition} have {rows:,} rows, and {expected:,} landed"
        yield Fault(table, what, _REPORT)
