"""Files of events, read in batches: ndjson (Segment spec or our own contract), csv and parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ladder.errors import EventError, UsageError
from ladder.events import Event
from ladder.rejects import Reject
from producers.columns import ColumnMap, RowReader
from producers.ndjson import KEPT_BYTES, read_ndjson
from producers.opened import FAULTS, Clock, Progress, opened, unreadable


@dataclass
class FileBatch:
    """Some of a file's events, in its order.

    ``bytes_read``: how far reading got in the file as it lies on the disk, since the batch before.
    """

    path: Path
    events: list[Event] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    bytes_read: int = 0


def read_batches(
    paths: Sequence[Path],
    columns: ColumnMap | None,
    received_at: datetime,
    batch_size: int = 10_000,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[FileBatch]:
    """All events of the files, in their order, ``batch_size`` lines at a time.

    The name tells the format (``.ndjson``, ``.jsonl``, ``.json``, ``.csv``, ``.tsv``, ``.parquet``), the first bytes
    whether it is gzip.  A line that is no event becomes a ``Reject``; blank lines are passed over.  Lines get
    ``received_at`` and a microsecond more each, unless they are of our own contract and bring theirs.  Times are taken
    as true: a ``sentAt`` corrects them only together with the ``receivedAt`` of its line.  An event without an id gets
    one from its bytes and its line, the same each time.  ``columns`` is for csv and parquet; what is in no named column
    is a property, text in csv.  ``say`` hears how the times of such a file are written.

    Raises ``UsageError`` for a name or columns that do not fit.  Raises ``YesladderError`` for a file that breaks off
    or cannot be read, after the batches of everything before that place.
    """
    readers = [reader_of(path, columns, say) for path in paths]
    clock = Clock(received_at)
    for path, read in zip(paths, readers, strict=True):
        progress = Progress()
        batch = FileBatch(path)
        try:
            for outcome in read(path, clock, progress):
                if isinstance(outcome, Reject):
                    batch.rejects.append(outcome)
                else:
                    batch.events.append(outcome)
                if len(batch.events) + len(batch.rejects) >= batch_size:
                    batch.bytes_read = progress.step()
                    yield batch
                    batch = FileBatch(path)
        except FAULTS as error:
            if batch.events or batch.rejects:
                yield batch
            raise unreadable(path, progress, error) from None
        batch.bytes_read = progress.step()
        if batch.events or batch.rejects or batch.bytes_read:
            yield batch


Read = Callable[[Path, Clock, Progress], Iterator[Event | Reject]]
"""Gives what each line or row is, in their order; raises ``FAULTS``."""


def reader_of(path: Path, columns: ColumnMap | None, say: Callable[[str], None]) -> Read:
    """What reads a file of this name; arguments and errors as those of ``read_batches``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if kind in (".ndjson", ".jsonl", ".json"):
        return read_ndjson
    if kind not in (".csv", ".tsv", ".parquet"):
        raise UsageError(f"{path}: cannot tell its format; name it .ndjson, .jsonl, .json, .csv, .tsv or .parquet[.gz]")
    if columns is None:
        raise UsageError(f"{path}: say what its columns are, with --map visitor=COL,event=COL,time=COL")
    read = _parquet if kind == ".parquet" else _csv

    def rows(path: Path, clock: Clock, progress: Progress) -> Iterator[Event | Reject]:
        reader = RowReader(columns)
        yield from read(path, clock, progress, reader)
        if reader.time_formats:
            say(f"{path}: {columns.time} holds {' and '.join(reader.time_formats)}")

    return rows


# --- csv and parquet ---


def _csv(path: Path, clock: Clock, progress: Progress, reader: RowReader) -> Iterator[Event | Reject]:
    with opened(path, progress) as file:
        lines = _CsvLines(file)
        header, delimiter = _header(path, next(lines, ""), reader.columns)
        lines.take()
        rows = csv.reader(lines, delimiter=delimiter)
        while True:
            fault: EventError | None = None
            cells: list[str] = []
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                fault = EventError("bad_value", "", f"is no row of a csv file ({error})")
            raw, is_text = lines.take()
            progress.line = lines.count
            if not cells and not raw.strip():
                continue
            if fault is None and len(cells) != len(header):
                fault = EventError("bad_value", "", f"the row has {len(cells)} cells, the header {len(header)}")
            if not is_text:
                fault = EventError("not_utf8", "", "the text is not UTF-8")
            at = clock.tick()
            try:
                if fault is not None:
                    raise fault
                yield reader.event(dict(zip(header, cells, strict=True)), raw, progress.line, at)
            except EventError as error:
                yield Reject.of(error, raw[:KEPT_BYTES], at, "file")


class _CsvLines:
    """The lines that ``csv.reader`` asks for, remembered until they are taken: one row may need several."""

    def __init__(self, file: BinaryIO) -> None:
        self.count = 0
        self._file = file
        self._since: list[bytes] = []
        self._is_text = True

    def __iter__(self) -> _CsvLines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(KEPT_BYTES)
        if not line:
            raise StopIteration
        self.count += 1
        self._since.append(line)
        try:
            return line.decode()
        except UnicodeDecodeError:
            self._is_text = False
            return line.decode(errors="replace")

    def take(self) -> tuple[bytes, bool]:
        """The bytes since the last call, without the last line's end, and whether all of them are UTF-8."""
        taken = b"".join(self._since).rstrip(b"\r\n"), self._is_text
        self._since.clear()
        self._is_text = True
        return taken


def _header(path: Path, line: str, columns: ColumnMap) -> tuple[list[str], str]:
    """The names of the columns, and the delimiter: the one that shows the columns we look for."""
    line = line.removeprefix("\ufeff").rstrip("\r\n")
    try:
        found = {delimiter: next(csv.reader([line], delimiter=delimiter), []) for delimiter in ",;\t|"}
    except csv.Error as error:
        raise UsageError(f"{path}: its first line is no header of a csv file ({error})") from None
    for delimiter, header in found.items():
        if set(columns.named()) <= set(header):
            twice = next((name for i, name in enumerate(header) if name in header[:i]), None)
            if twice is not None:
                raise UsageError(f"{path}: the column {twice!r} stands there twice")
            return header, delimiter
    columns.check(max(found.values(), key=len), str(path))
    raise UsageError(f"{path}: its first line shows no columns")


def _parquet(path: Path, clock: Clock, progress: Progress, reader: RowReader) -> Iterator[Event | Reject]:
    with pq.ParquetFile(path) as file:
        reader.columns.check(file.schema_arrow.names, str(path))
        size, rows = path.stat().st_size, file.metadata.num_rows
        progress.position = lambda: size * progress.line // max(rows, 1)
        for batch in file.iter_batches(batch_size=10_000):
            for row in _rows(batch):
                progress.line += 1
                at = clock.tick()
                raw = _row_encoder.encode(row)
                try:
                    yield reader.event(row, raw, progress.line, at)
                except EventError as error:
                    yield Reject.of(error, raw[:KEPT_BYTES], at, "file")


_row_encoder = msgspec.json.Encoder(enc_hook=str)


def _rows(batch: Any) -> list[dict[str, Any]]:
    table = _in_microseconds(batch)
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except OverflowError:  # times beyond the year 9999: as text they are refused row by row
        for i, column in enumerate(table.schema):
            if pa.types.is_temporal(column.type):
                table = table.set_column(i, column.name, table.column(i).cast(pa.string()))
        rows = table.to_pylist()
    return rows


def _in_microseconds(batch: Any) -> Any:
    """Nanoseconds are finer than Python's times, and than ours."""
    table = pa.Table.from_batches([batch])
    for i, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            coarse = pa.timestamp("us", tz=column.type.tz)
            table = table.set_column(i, column.name, table.column(i).cast(coarse, safe=False))
    return table
