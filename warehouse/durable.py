"""What must still be there after the power has gone."""

from __future__ import annotations

import os
import threading
from pathlib import Path


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
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    with draft.open("wb") as file:
        if private:
            draft.chmod(0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)
