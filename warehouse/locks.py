"""One build and one upkeep at a time per warehouse.

*Upkeep* is whatever takes files of the lake away: compaction, retention, erasure, re-sessionising.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ladder.errors import YesladderError

_LOOK_EVERY_S = 0.1


class Locked(YesladderError):
    """Another process is at it; the message says which and since when."""


@contextmanager
def build_lock(warehouse: Path, now: datetime, *, patience_s: float = 0) -> Iterator[None]:
    """Hold ``build.lock`` of a warehouse; it is let go when the process ends, however it does.

    Raises ``Locked`` where another holds it still after ``patience_s`` seconds.
    """
    with _lock(warehouse, "build", "building it", now, patience_s):
        yield


@contextmanager
def upkeep_lock(warehouse: Path, now: datetime, *, patience_s: float = 0) -> Iterator[None]:
    """Hold ``upkeep.lock`` of a warehouse, as ``build_lock`` does its own.

    Who needs both takes this one first, or two could wait for each other.
    """
    with _lock(warehouse, "upkeep", "at its upkeep", now, patience_s):
        yield


@contextmanager
def _lock(warehouse: Path, name: str, doing: str, now: datetime, patience_s: float) -> Iterator[None]:
    path = warehouse / f"{name}.lock"
    until = time.monotonic() + patience_s
    with path.open("a+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise Locked(f"{warehouse}: {_holder(path)} is {doing}; wait for that to end") from None
                time.sleep(_LOOK_EVERY_S)
        try:
            file.truncate(0)
            json.dump({"process": os.getpid(), "host": socket.gethostname(), "since": now.isoformat()}, file)
            file.flush()
            yield
        finally:
            file.truncate(0)


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['process']} on {holder['host']}, since {holder['since']},"
    except (OSError, ValueError, KeyError):
        return "another process"
