"""What people tell the agent while it runs: marks (``deploy 4.2``) and mutes, one JSON line each, never changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from warehouse.durable import sync


class Notes:
    """A file of lines that are only added to; a line that a crash cut short is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, note: dict[str, Any]) -> None:
        """Have a note on the disk for good.  Raises ``OSError``."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(note) + "\n"
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            ends_whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
            os.write(descriptor, (line if ends_whole else "\n" + line).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync(self._path.parent)

    def read(self) -> list[dict[str, Any]]:
        """All notes, oldest first."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        notes = []
        for line in lines:
            try:
                note = json.loads(line)
            except ValueError:
                continue
            if isinstance(note, dict):
                notes.append(note)
        return notes
