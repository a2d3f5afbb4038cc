"""A file of events that is being read: its bytes, how far reading got, and when its lines arrived."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from ladder.errors import YesladderError

_TICK = timedelta(microseconds=1)

FAULTS = (EOFError, zlib.error, OSError, OverflowError, UnicodeDecodeError, pa.ArrowException)
"""What a file raises that breaks off or cannot be read."""


class Clock:
    """Arrival: a microsecond later for each line."""

    def __init__(self, first: datetime) -> None:
        self._next = first

    def tick(self, lines: int = 1) -> datetime:
        """When the next of so many lines arrived."""
        now = self._next
        self._next = now + lines * _TICK
        return now


class Progress:
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


@contextmanager
def opened(path: Path, progress: Progress) -> Iterator[BinaryIO]:
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


def unreadable(path: Path, progress: Progress, error: BaseException) -> YesladderError:
    """What to say of one of ``FAULTS``."""
    why = "the gzip stream breaks off" if isinstance(error, EOFError) else " ".join(str(error).split())
    return YesladderError(f"{path}: cannot be read any further than line {progress.line}: {why}")
