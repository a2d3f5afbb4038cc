"""One build at a time per warehouse."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ladder.errors import YesladderError


class BuildRunning(YesladderError):
    """Another process builds this warehouse; the message says which and since when."""


@contextmanager
def build_lock(warehouse: Path, now: datetime) -> Iterator[None]:
    """Hold ``build.lock`` of a warehouse; it is let go when the process ends, however it does."""
    path = warehouse / "build.lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildRunning(f"{warehouse}: {_holder(path)} is building it; wait for that to end") from None
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
