"""What must still be there after the power has gone."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Have a folder's entries, or a file that someone else wrote, on the disk for good.  Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
