"""Files of events as columns: where a file's lines are of our own contract a whole piece of it at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl

from ladder.events import Event
from ladder.rejects import Reject
from producers.columns import ColumnMap
from producers.files import Read, reader_of
from producers.ndjson import BOM, KEPT_BYTES, outcome, read_ndjson
from producers.opened import FAULTS, Clock, Progress, opened, unreadable
from producers.plain import line_begins, take_plain

_READ = 1 << 20
_MICROSECOND = timedelta(microseconds=1)


@dataclass
class FileFrame:
    """Some of what is in a file.

    ``plain``: events in the contract's columns, and their ``place``.  ``events``: the others, one by one.  Places count
    events and refusals from 0, in the order of the files and their lines, and are of use to put all in that order.
    ``bytes_read``: as in ``producers.files.FileBatch``.
    """

    path: Path
    plain: pl.DataFrame | None = None
    events: list[Event] = field(default_factory=list)
    event_places: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    reject_places: list[int] = field(default_factory=list)
    bytes_read: int = 0

    def __len__(self) -> int:
        return (0 if self.plain is None else len(self.plain)) + len(self.events) + len(self.rejects)

    def add(self, found: Event | Reject, place: int) -> None:
        """One more, at its place."""
        if isinstance(found, Reject):
            self.rejects.append(found)
            self.reject_places.append(place)
        else:
            self.events.append(found)
            self.event_places.append(place)


def read_frames(
    paths: Sequence[Path],
    columns: ColumnMap | None,
    received_at: datetime,
    say: Callable[[str], None] = lambda _: None,
    piece_bytes: int = 16 << 20,
) -> Iterator[FileFrame]:
    """What ``producers.files.read_batches`` gives for the same files, in larger pieces, with the same errors."""
    readers = [reader_of(path, columns, say) for path in paths]
    clock = Clock(received_at)
    place = 0
    for path, read in zip(paths, readers, strict=True):
        progress = Progress()
        frames = (
            _lines(path, clock, progress, piece_bytes) if read is read_ndjson else _rows(path, read, clock, progress)
        )
        try:
            for frame in frames:
                _move(frame, place)
                place += len(frame)
                frame.bytes_read = progress.step()
                yield frame
        except FAULTS as error:
            raise unreadable(path, progress, error) from None


def _move(frame: FileFrame, by: int) -> None:
    """Frames come with places of their own, from 0."""
    if frame.plain is not None:
        frame.plain = frame.plain.with_columns(pl.col("place") + by)
    frame.event_places = [place + by for place in frame.event_places]
    frame.reject_places = [place + by for place in frame.reject_places]


def _rows(path: Path, read: Read, clock: Clock, progress: Progress, size: int = 10_000) -> Iterator[FileFrame]:
    frame = FileFrame(path)
    try:
        for found in read(path, clock, progress):
            frame.add(found, len(frame))
            if len(frame) == size:
                yield frame
                frame = FileFrame(path)
    except FAULTS:
        yield frame
        raise
    yield frame


def _lines(path: Path, clock: Clock, progress: Progress, piece_bytes: int) -> Iterator[FileFrame]:
    with opened(path, progress) as file:
        for piece in _pieces(file, piece_bytes):
            yield _frame(path, piece, clock, progress)
    yield FileFrame(path)  # tells of the last bytes


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The file in pieces of whole lines; of a line that is too long only its beginning is there for certain."""
    reader: Any = file  # of one that breaks off, what comes before is read all the same
    parts: list[bytes] = []
    held = 0
    skipping = False
    fault: BaseException | None = None
    while True:
        try:
            part = reader.read1(min(size, _READ))
        except FAULTS as error:
            part, fault = b"", error
        if skipping and part:
            at = part.find(b"\n")
            if at < 0:
                continue
            part, skipping = part[at:], False
        parts.append(part)
        held += len(part)
        if part and held < size:
            continue
        text = b"".join(parts)
        end = text.rfind(b"\n") + 1 if part or fault is not None else len(text)
        if end:
            yield text[:end]
        if fault is not None:
            raise fault
        if not part:
            return
        rest = text[end:]
        if len(rest) > KEPT_BYTES:
            rest, skipping = rest[:KEPT_BYTES], True
        parts, held = [rest], len(rest)


def _frame(path: Path, text: bytes, clock: Clock, progress: Progress) -> FileFrame:
    """The lines of a piece."""
    begins = line_begins(text)
    plain, taken = take_plain(text, begins)
    frame = FileFrame(path)
    first, at = progress.line + 1, clock.tick(0)
    blanks: list[int] = []
    for n in np.flatnonzero(~taken).tolist():
        line = text[begins[n] : min(begins[n + 1], begins[n] + KEPT_BYTES)]
        if first + n == 1:
            line = line.removeprefix(BOM)
        if not line or line.isspace():
            blanks.append(n)
            continue
        place = n - len(blanks)
        frame.add(outcome(line, first + n, at + place * _MICROSECOND), place)
    places = np.flatnonzero(taken)
    if blanks:
        places -= np.searchsorted(np.array(blanks), places)
    frame.plain = plain.with_columns(place=pl.Series(places, dtype=pl.Int64))
    progress.line += len(taken)
    clock.tick(len(taken) - len(blanks))
    return frame
