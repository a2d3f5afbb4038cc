"""``yesladder maintain``: what keeps the lake small and quick, while workers write and builds read.

In this order: retention, compaction, vacuum, and the logs are summed up.  Any of it may be cut short at any instant;
the next one goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ladder.clock import Clock, going_on_from
from ladder.tables import TABLES
from warehouse.compaction import TARGET_BYTES, TARGET_ROWS, Compacted, compact, groups, shelf_of, standing_on
from warehouse.durable import write
from warehouse.lake import Lake
from warehouse.locks import build_lock
from warehouse.retention import first_day_kept, retire
from warehouse.standing import files_in_marts, standings
from warehouse.vacuum import Vacuumed, vacuum

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many files are."""

_BUILD_PATIENCE_S = 600.0

_LAST = "upkeep.json"


@dataclass(frozen=True)
class Maintained:
    """What a pass did.  ``retired``: rows by table that were older than people want to keep.

    ``files``: how many each table has now.
    """

    compacted: Mapping[str, Compacted]
    vacuumed: Vacuumed
    files: Mapping[str, int]
    retired: Mapping[str, int] = field(default_factory=dict)

    def summary(self) -> str:
        """Lines for people."""
        lines = [f"{rows:,} rows of {table} were older than is kept" for table, rows in self.retired.items() if rows]
        for table, done in self.compacted.items():
            if done.files_before:
                lines.append(
                    f"{table}: {done.files_before:,} files became {done.files_after:,}"
                    f" ({_mib(done.bytes_before)} -> {_mib(done.bytes_after)} MiB)"
                )
        lines.append(
            f"{self.vacuumed.files:,} files deleted ({_mib(self.vacuumed.bytes)} MiB); {self.vacuumed.kept:,} more are"
            " still kept for those who read them"
        )
        lines.append("files now: " + ", ".join(f"{table} {count:,}" for table, count in self.files.items()))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def maintain(
    lake: Lake,
    *,
    keep: timedelta,
    retain: timedelta | None = None,
    progress: Progress = lambda what, done, total: None,
    now: datetime,
    clock: Clock | None = None,
    target_bytes: int = TARGET_BYTES,
    target_rows: int = TARGET_ROWS,
) -> Maintained:
    """One pass of upkeep over a lake and the marts beside it.

    ``keep``: how long files stay after they were replaced.  ``retain``: rows from before the day that lies this long
    ago go (None: all are kept).  ``clock``: tells when files were replaced and for how long that is, since a pass may
    take hours (None: it goes on from ``now``).  ``target_bytes`` and ``target_rows``: of a compacted file.
    Raises ``Locked`` where another upkeep is at it, or a build for ten minutes.
    """
    warehouse = lake.root.parent
    clock = clock or going_on_from(now)
    with lake.upkeep(now):
        retired = {} if retain is None else retire(lake, before=first_day_kept(retain, now), now=now, clock=clock)
        compacted = compact_all(
            lake, progress=progress, now=now, clock=clock, target_bytes=target_bytes, target_rows=target_rows
        )
        with build_lock(warehouse, now, patience_s=_BUILD_PATIENCE_S):
            vacuumed = vacuum(lake, files_in_marts(lake), keep=keep, now=clock())
        for table in lake.tables():
            lake.sum_up(table)
        done = Maintained(compacted, vacuumed, {table: len(lake.files(table)) for table in TABLES}, retired)
        _write_down(warehouse, done, now)
        return done


def last_upkeep(warehouse: Path) -> datetime | None:
    """When the last pass that came to its end began; None before the first."""
    try:
        return datetime.fromisoformat(json.loads((warehouse / _LAST).read_text(encoding="utf-8"))["began_at"])
    except (OSError, ValueError, KeyError):
        return None


def compact_all(
    lake: Lake,
    *,
    progress: Progress = lambda what, done, total: None,
    now: datetime,
    clock: Clock | None = None,
    target_bytes: int = TARGET_BYTES,
    target_rows: int = TARGET_ROWS,
) -> dict[str, Compacted]:
    """Compact every table, as ``compaction.groups`` says.  Needs the upkeep lock.

    Builds go on meanwhile.  A group of which one has put a part on another shelf is left for the next pass; a build
    that begins later finds the group whole.  Raises ``Locked`` where one is at it for ten minutes.
    """
    warehouse = lake.root.parent
    done: dict[str, Compacted] = {}
    for table in TABLES:
        shelf = shelf_of(table, files_in_marts(lake), standings(lake))
        planned = groups(lake.logged(table), shelf, target_bytes=target_bytes, target_rows=target_rows)
        total, reached = sum(len(group) for group in planned), 0
        done[table] = Compacted()
        for group in planned:
            progress(table, reached, total)
            with build_lock(warehouse, now, patience_s=_BUILD_PATIENCE_S):
                # A build that may have looked at a part of the group has ended.
                shelf = shelf_of(table, files_in_marts(lake), standings(lake))
            shelves = {shelf(file.path) for file in group}
            if len(shelves) == 1 and (only := shelves.pop()) is not None:
                done[table] += compact(lake, table, group, standing=standing_on(only), now=now, clock=clock)
            reached += len(group)
        if planned:
            progress(table, total, total)
    return done


def _write_down(warehouse: Path, done: Maintained, now: datetime) -> None:
    told = {"began_at": now.isoformat()} | done.to_dict()
    write(warehouse / _LAST, (json.dumps(told, indent=2) + "\n").encode())


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f}"
