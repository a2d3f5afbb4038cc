"""What must still be there after the power has gone."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

_DRAFT = ".new"


def sync(path: Path) -> None:
    """Have a folder's entries, or a file that someone else wrote, on the disk for good.  Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes, *, private: bool = False) -> None:
    """A whole file in the place of what is there, if anything: who reads or dies meanwhile finds the one or the other.

    ``private``: for this user's eyes only.  Raises ``OSError``.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{_DRAFT}")
    with draft.open("wb") as file:
        if private:
            draft.chmod(0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)


def forget_drafts(folder: Path, *, older_than: timedelta) -> None:
    """Delete what ``write`` left anywhere below a folder where its process was killed."""
    before = time.time() - older_than.total_seconds()
    for draft in folder.rglob(f"*{_DRAFT}"):
        with suppress(FileNotFoundError):  # another is at it, or it has become the file
            if draft.stat().st_mtime <= before:
                draft.unlink()
