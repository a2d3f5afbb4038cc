"""Files that the log does not name are deleted: what was replaced, and what a commit that died left behind.

Nobody else's file goes: not one that a worker has written and not committed yet (its writers are kept waiting for the
moment of deletion, see ``Lake.writing``), and not one that the marts' views name.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ladder.tables import LANDED
from warehouse.lake import Lake
from warehouse.lake_copies import COPIES_STAY, forget_copies
from warehouse.lake_leftovers import LEFTOVER_AFTER, delete, leftovers, never_to_be_named

_WRITERS_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Vacuumed:
    """``kept``: files that are no longer the lake's and not deleted yet, since they are young or still needed."""

    files: int = 0
    bytes: int = 0
    kept: int = 0


def vacuum(lake: Lake, needed: Collection[str], *, keep: timedelta, now: datetime) -> Vacuumed:
    """Delete what the log does not name and was written, or removed, at least ``keep`` ago.

    ``needed``: files to keep in any case, relative to the lake's folder.  Needs the upkeep lock, and the build lock, or
    a build under way could lose what it is reading.  Raises ``YesladderError`` where writers never pause.
    In an object store, where writers cannot be kept waiting, what no log ever named stays for an hour in any case, by
    the store's clock, and ``needed`` are the copies on this machine.
    """
    if lake.store is not None:
        return _vacuum_store(lake, needed, keep=keep, now=now)
    before = (now - keep).timestamp()
    current = _current(lake)
    not_current = [
        path for path in sorted(lake.root.glob(f"*/{LANDED.name}=*/*.parquet")) if _name(lake, path) not in current
    ]
    old = [path for path in not_current if _name(lake, path) not in needed and path.stat().st_mtime <= before]
    if not old:
        return Vacuumed(kept=len(not_current))
    freed = 0
    with lake.nobody_writing(_WRITERS_PATIENCE_S):
        # What was being written when we looked may be the log's by now; nothing further comes while we are here.
        current = _current(lake)
        gone = [path for path in old if _name(lake, path) not in current]
        for path in gone:
            freed += path.stat().st_size
            path.unlink()
        for folder in {path.parent for path in gone}:
            with suppress(OSError):  # it holds others
                folder.rmdir()
    return Vacuumed(len(gone), freed, len(not_current) - len(old))


def _vacuum_store(lake: Lake, needed: Collection[str], *, keep: timedelta, now: datetime) -> Vacuumed:
    store = lake.store
    if store is None:
        raise TypeError("this lake is in a folder")
    found = leftovers(lake)
    unnamed_until = store.now("upkeep/clock") - max(keep, LEFTOVER_AFTER)
    old = [
        one
        for one in found
        if (one.changed_at <= unnamed_until if one.removed_at is None else one.removed_at <= now - keep)
    ]
    gone = never_to_be_named(lake, old)
    delete(lake, [one.name for one in gone])
    forget_copies(lake, needed, older_than=min(keep, COPIES_STAY))
    return Vacuumed(len(gone), sum(one.size for one in gone), len(found) - len(gone))


def _current(lake: Lake) -> set[str]:
    return {f"{table}/{file.path}" for table in lake.tables() for file in lake.logged(table)}


def _name(lake: Lake, path: Path) -> str:
    return path.relative_to(lake.root).as_posix()
