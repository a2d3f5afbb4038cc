"""The agent's memory on the disk: whole files that are never changed, the newest one is gone on from."""

from __future__ import annotations

import re
from pathlib import Path

from warehouse.durable import write

_KEPT = 3
_NAME = re.compile(r"state-(\d{20})\.bin")


class Snapshots:
    """Files ``state-OFFSET.bin`` of a folder, OFFSET being where reading the topic goes on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, offset: int, data: bytes) -> None:
        """Keep this; of older ones only a few stay.  Raises ``OSError``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write(self._folder / f"state-{offset:020}.bin", data)
        for _, path in self._files()[_KEPT:]:
            path.unlink(missing_ok=True)

    def set_aside(self, offset: int) -> None:
        """Keep one out of ``newest_first``, for a release that can read it; of these, too, only a few stay."""
        path = self._folder / f"state-{offset:020}.bin"
        path.replace(path.with_name(f"{path.name}.unreadable"))
        for old in sorted(self._folder.glob("state-*.bin.unreadable"), reverse=True)[_KEPT:]:
            old.unlink(missing_ok=True)

    def newest_first(self) -> list[tuple[int, bytes]]:
        """Offset and content of each, for whoever cannot use the newest."""
        return [(offset, path.read_bytes()) for offset, path in self._files()]

    def forget(self) -> None:
        """Remove all: they are about something else."""
        for _, path in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> list[tuple[int, Path]]:
        found = [
            (int(name[1]), path) for path in self._folder.glob("state-*.bin") if (name := _NAME.fullmatch(path.name))
        ]
        return sorted(found, reverse=True)
