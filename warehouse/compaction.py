"""Many small files become few: of one table, one day of landing and one standing with the marts at a time.

Files are put together in the order of their times, so that each new one covers a stretch of time of its own; within it
the rows are sorted by visitor and then by time.  Reading a stretch of time skips whole files, reading one visitor skips
row groups, and repeated values beside one another compress well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa

from ladder.clock import Clock
from ladder.errors import YesladderError
from ladder.tables import LANDED, TABLES
from warehouse.lake import Lake
from warehouse.lake_files import Part
from warehouse.lake_reading import LoggedFile
from warehouse.standing import Standing, noted

TARGET_BYTES = 128 << 20
"""Large enough that listing files costs nothing, small enough to skip."""

TARGET_ROWS = 1_000_000
"""What is put together is sorted in memory: with a kilobyte of JSON per event, about two gigabytes."""

_ORDER = {
    "events": ("visitor_id", "occurred_at", "received_at", "event_id"),
    "sessions": ("visitor_id", "started_at", "session_id"),
    "rejects": ("rejected_at", "source", "partition", "record_offset"),
    "checkpoints": ("source", "partition", "first_offset"),
}

_BUILT = "built"

_SLICE = 16 * 1024
"""Rows per chunk: text beyond two gigabytes in one chunk is more than Arrow's ``string`` holds."""


@dataclass(frozen=True)
class Compacted:
    """What became of a table's files; ``bytes`` are those read and written."""

    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0

    def __add__(self, other: Compacted) -> Compacted:
        return Compacted(
            self.files_before + other.files_before,
            self.files_after + other.files_after,
            self.bytes_before + other.bytes_before,
            self.bytes_after + other.bytes_after,
        )


def groups(
    files: Iterable[LoggedFile],
    shelf: Callable[[str], str | None],
    *,
    target_bytes: int = TARGET_BYTES,
    target_rows: int = TARGET_ROWS,
) -> list[list[LoggedFile]]:
    """Which files of a table are to become one file each.

    ``shelf``: files (by path) of different shelves stay apart, those of None are left alone.  A file is small below
    half of both targets; only small ones are touched, so of a day's files of one shelf with B bytes and R rows at
    most ``1 + 2 * B / target_bytes + 2 * R / target_rows`` are left, and what has been put together often enough rests.
    """
    shelves: dict[tuple[str, str], list[LoggedFile]] = {}
    for file in files:
        kind = shelf(file.path)
        if kind is not None and file.size < target_bytes / 2 and file.rows < target_rows / 2:
            shelves.setdefault((file.path.partition("/")[0], kind), []).append(file)
    found: list[list[LoggedFile]] = []
    for _, found_there in sorted(shelves.items()):
        group: list[LoggedFile] = []
        size = rows = 0
        for file in sorted(found_there, key=lambda file: (file.earliest, file.latest, file.path)):
            if size + file.size > target_bytes or rows + file.rows > target_rows:
                found.append(group)
                group, size, rows = [], 0, 0
            group.append(file)
            size, rows = size + file.size, rows + file.rows
        found.append(group)
    return [group for group in found if len(group) > 1]


def compact(
    lake: Lake,
    table: str,
    group: Sequence[LoggedFile],
    *,
    standing: Standing = "",
    now: datetime,
    clock: Clock | None = None,
) -> Compacted:
    """Make one file of these, in one commit that workers and builds know for a mere rearrangement.

    ``standing``: of the file that is made.  ``clock``: as ``Lake.replace`` takes it.
    Needs the upkeep lock.  Raises ``YesladderError`` where the rows read are not as many as the log says.
    """
    folder = lake.root / table
    paths = [str(folder / file.path) for file in group]
    lake.fetch(paths)
    frame = pl.scan_parquet(paths, hive_partitioning=False, glob=False).sort(_ORDER[table]).collect()
    expected = sum(file.rows for file in group)
    if len(frame) != expected:
        raise YesladderError(
            f"table {table}: {len(group)} files hold {len(frame):,} rows and the log says {expected:,}; they are left"
            " as they are (`yesladder maintain --check` names the file)"
        )
    part = Part(group[0].landed, arrow_rows(frame, table), standing)
    made = lake.replace(table, paths, [part], rearranges=True, now=now, clock=clock)
    sizes = {file.path: file.size for file in lake.logged(table)}
    after = sum(sizes[Path(path).relative_to(folder).as_posix()] for path in made)
    return Compacted(len(group), len(made), sum(file.size for file in group), after)


def arrow_rows(frame: pl.DataFrame, table: str) -> pa.Table:
    """Rows of a table as ``Lake.replace`` takes them, in chunks of which each fits Arrow's ``string``."""
    schema = TABLES[table].remove(TABLES[table].get_field_index(LANDED.name))
    parts = [
        frame.slice(begin, _SLICE).to_arrow().select(schema.names).cast(schema)
        for begin in range(0, len(frame), _SLICE)
    ]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def shelf_of(table: str, in_marts: Collection[str], standing: Callable[[str], Standing]) -> Callable[[str], str | None]:
    """Which of a table's files may be put together; ``in_marts`` and ``standing`` know them with the table's name.

    Files in the marts and files that no build has seen stay apart, or rows that were built would be taken for new; of
    the latter each standing does.  Files that the quality gate holds back, or that someone let in all the same, are
    left alone, or good rows would be held with them.
    """

    def shelf(path: str) -> str | None:
        name = f"{table}/{path}"
        stands = standing(name)
        if stands in ("held", "accepted"):
            return None
        return _BUILT if name in in_marts else stands

    return shelf


def standing_on(shelf: str) -> Standing:
    """How a file stands that is made of all that is on a shelf."""
    if shelf == _BUILT:
        return "passed"
    return noted(f"{shelf}-")
