"""Copies of a store's files on this machine, and when they may go."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta

from ladder.tables import LANDED
from warehouse.durable import write
from warehouse.lake_reading import ReadableLake

_UNNEEDED = "unneeded.json"
"""Among the copies: since when which of them are of no use any more."""

COPIES_STAY = timedelta(minutes=10)
"""On this machine, once they are of no use: a question to the marts of before, or a worker, may be reading them."""


def forget_copies(lake: ReadableLake, needed: Collection[str], *, older_than: timedelta = timedelta(0)) -> int:
    """Delete copies of files that are no longer the lake's nor ``needed`` (relative to ``root``); their bytes.

    ``older_than``: only what was found to be neither, here, that long ago: somebody may be reading it.
    """
    if lake.store is None:
        return 0
    keep = {f"{table}/{file.path}" for table in lake.tables() for file in lake.logged(table)} | set(needed)
    noted, now = lake.root / _UNNEEDED, time.time()
    known: dict[str, float] = {}
    with suppress(OSError, ValueError):
        known = json.loads(noted.read_bytes())
    since: dict[str, float] = {}
    freed = 0
    for path in lake.root.glob(f"*/{LANDED.name}=*/*.parquet"):
        name = path.relative_to(lake.root).as_posix()
        if name in keep:
            continue
        since[name] = min(known.get(name, now), now)
        if now - since[name] >= older_than.total_seconds():
            with suppress(FileNotFoundError):
                freed += path.stat().st_size
                path.unlink()
            del since[name]
    if since or known:
        write(noted, json.dumps(since).encode())
    return freed
