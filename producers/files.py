"""Files of events, read in batches: ndjson (Segment spec or our own contract), csv and parquet."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ladder.errors import EventError, UsageError, YesladderError
from ladder.events import MAX_CANONICAL_BYTES, MAX_EVENT_BYTES, Event, decode
from ladder.rejects import Reject
from producers.columns import ColumnMap, RowReader, row_id
from producers.consent import is_refused, letter, without_identity
from producers.dialects import from_segment

_TICK = timedelta(microseconds=1)

_KEPT_BYTES = 256 * 1024
"""How much of a refused line is kept: eight times the limit of an event; in base64 it still fits a Kafka record."""


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
    readers = [_reader(path, columns, say) for path in paths]
    clock = _Clock(received_at)
    for path, read in zip(paths, readers, strict=True):
        progress = _Progress()
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
        except (EOFError, zlib.error, OSError, OverflowError, UnicodeDecodeError, pa.ArrowException) as error:
            if batch.events or batch.rejects:
                yield batch
            why = "the gzip stream breaks off" if isinstance(error, EOFError) else " ".join(str(error).split())
            raise YesladderError(f"{path}: cannot be read any further than line {progress.line}: {why}") from None
        batch.bytes_read = progress.step()
        if batch.events or batch.rejects or batch.bytes_read:
            yield batch


class _Clock:
    """Arrival: a microsecond later for each line."""

    def __init__(self, first: datetime) -> None:
        self._next = first

    def tick(self) -> datetime:
        now = self._next
        self._next = now + _TICK
        return now


class _Progress:
    """How far reading got in one file: the last whole line, and the bytes on the disk."""

    def __init__(self) -> None:
        self.line = 0
        self.position: Callable[[], int] = lambda: 0
        self._reported = 0

    def step(self) -> int:
        """Bytes since the last call."""
        position = self.position()
        since, self._reported = position - self._reported, position
        return since


_Read = Callable[[Path, _Clock, _Progress], Iterator[Event | Reject]]


def _reader(path: Path, columns: ColumnMap | None, say: Callable[[str], None]) -> _Read:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if kind in (".ndjson", ".jsonl", ".json"):
        return _ndjson
    if kind not in (".csv", ".tsv", ".parquet"):
        raise UsageError(f"{path}: cannot tell its format; name it .ndjson, .jsonl, .json, .csv, .tsv or .parquet[.gz]")
    if columns is None:
        raise UsageError(f"{path}: say what its columns are, with --map visitor=COL,event=COL,time=COL")
    read = _parquet if kind == ".parquet" else _csv

    def rows(path: Path, clock: _Clock, progress: _Progress) -> Iterator[Event | Reject]:
        reader = RowReader(columns)
        yield from read(path, clock, progress, reader)
        if reader.time_formats:
            say(f"{path}: {columns.time} holds {' and '.join(reader.time_formats)}")

    return rows


@contextmanager
def _opened(path: Path, progress: _Progress) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked where they are gzip; ``progress`` follows the packed ones."""
    with path.open("rb") as raw:
        progress.position = raw.tell
        try:
            if raw.peek(2)[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield cast(BinaryIO, io.BufferedReader(unpacked, 1 << 20))
            else:
                yield raw
        finally:
            end = raw.tell()
            progress.position = lambda: end


# --- ndjson ---


class _Clocks(msgspec.Struct, rename="camel"):
    sent_at: Annotated[datetime, msgspec.Meta(tz=True)]
    received_at: Annotated[datetime, msgspec.Meta(tz=True)]


class _Named(msgspec.Struct):
    visitor_id: msgspec.Raw = msgspec.Raw()


class _Identified(msgspec.Struct, rename="camel"):
    message_id: str | int | None = None


_clocks_decoder = msgspec.json.Decoder(_Clocks)
_named_decoder = msgspec.json.Decoder(_Named)
_identified_decoder = msgspec.json.Decoder(_Identified)


def _ndjson(path: Path, clock: _Clock, progress: _Progress) -> Iterator[Event | Reject]:
    with _opened(path, progress) as file:
        for line in _lines(file):
            number = progress.line = progress.line + 1
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line or line.isspace():
                continue
            at = clock.tick()
            try:
                yield _line_event(line.rstrip(b"\r\n"), number, at)
            except EventError as error:
                yield Reject.of(error, letter(line.rstrip(b"\r\n")), at, "file")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The file's lines; of one that is too long only its beginning, ``_KEPT_BYTES`` of it."""
    while line := file.readline(_KEPT_BYTES):
        yield line
        while line and not line.endswith(b"\n"):
            line = file.readline(_KEPT_BYTES)


def _line_event(line: bytes, number: int, received_at: datetime) -> Event:
    if len(line) > MAX_CANONICAL_BYTES:
        raise EventError("too_large", "", f"the event has more bytes than the limit of {MAX_EVENT_BYTES}")
    if b'"visitor_id"' in line and _is_canonical(line):
        return _as_agreed(decode(line, received_at, MAX_CANONICAL_BYTES))
    # With sent_at at its receipt an event keeps its own time; the span between the two moves it to our clock.
    sent_at = received_at if b'"receivedAt"' not in line else received_at - _clock_error(line)
    event = from_segment(line, received_at=received_at, sent_at=sent_at)
    if event.event_id.startswith("made-") and not _identified_decoder.decode(line).message_id:
        return msgspec.structs.replace(event, event_id=row_id(line, number))
    return event


def _as_agreed(event: Event) -> Event:
    """An event of our own contract, without identity where its visitor refused."""
    if event.context == "{}" or not is_refused(msgspec.json.decode(event.context)):
        return event
    return without_identity(event, msgspec.json.decode(event.properties))


def _is_canonical(line: bytes) -> bool:
    try:
        return bool(_named_decoder.decode(line).visitor_id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _clock_error(line: bytes) -> timedelta:
    """By how much the sender's clock was behind ours, where the line says both; else nothing."""
    try:
        clocks = _clocks_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return timedelta()
    return clocks.received_at - clocks.sent_at


# --- csv and parquet ---


def _csv(path: Path, clock: _Clock, progress: _Progress, reader: RowReader) -> Iterator[Event | Reject]:
    with _opened(path, progress) as file:
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
                yield Reject.of(error, raw[:_KEPT_BYTES], at, "file")


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
        line = self._file.readline(_KEPT_BYTES)
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


def _parquet(path: Path, clock: _Clock, progress: _Progress, reader: RowReader) -> Iterator[Event | Reject]:
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
                    yield Reject.of(error, raw[:_KEPT_BYTES], at, "file")


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
