"""One Parquet file of the lake: how its rows are written, and what the log is told of it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from ladder.tables import LANDED, TIME_COLUMN
from warehouse.durable import sync

_HARDLY_REPEAT = frozenset(
    {"event_id", "visitor_id", "session_id", "occurred_at", "received_at", "started_at", "ended_at", "offset_us", "raw"}
    | {"record_offset"}
)
"""Columns that a dictionary only makes larger (by a quarter) and slower to write (by a fifth)."""

LAST_TIME = TIME_COLUMN | {"sessions": "ended_at"}
"""The column that says how late a row of the table reaches; files carry its statistics, too."""


class Part(NamedTuple):
    """One file to write: the day its rows landed, the rows without it, and how they stand (``warehouse.standing``)."""

    landed: date
    rows: pa.Table
    standing: str = ""


@dataclass
class Written:
    """Files that are not in the log yet; this is made before the first of them is begun, so that its age is theirs."""

    added: list[AddAction] = field(default_factory=list)
    _monotonic: float = field(default_factory=time.monotonic)
    _wall: float = field(default_factory=time.time)

    def age_s(self) -> float:
        """The longer of what two clocks say: one stands still while the machine sleeps, the other may be set."""
        return max(time.monotonic() - self._monotonic, time.time() - self._wall)


def write_file(folder: Path, path: str, rows: pa.Table) -> int:
    """Write a file below a table's folder, on the disk for good; its bytes."""
    target = folder / path
    if not target.parent.exists():
        target.parent.mkdir(exist_ok=True)
        sync(folder)
    with target.open("wb") as file:
        write_rows(rows, file)
        file.flush()
        os.fsync(file.fileno())
    sync(target.parent)
    return target.stat().st_size


def write_rows(rows: pa.Table, sink: IO[bytes] | pa.NativeFile) -> None:
    leaves = _leaves(rows.schema)
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        compression_level=1,
        row_group_size=128 * 1024,
        write_page_checksum=True,
        write_statistics=[path for path in leaves if "." not in path],  # nobody looks for what is within lists by them
        use_dictionary=[path for path in leaves if path.rpartition(".")[2] not in _HARDLY_REPEAT],
    )


def partition_of(path: str) -> dict[str, str | None]:
    """The partition that a file's folder names: ``landed_date=2026-01-31/...``."""
    return {LANDED.name: path.partition("/")[0].partition("=")[2]}


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _leaves(schema: pa.Schema) -> list[str]:
    """The columns as Parquet names them: those within lists and structs by their path."""

    def below(path: str, kind: pa.DataType) -> list[str]:
        if pa.types.is_list(kind):
            return below(f"{path}.list.element", kind.value_type)
        if pa.types.is_struct(kind):
            return [leaf for field in kind for leaf in below(f"{path}.{field.name}", field.type)]
        return [path]

    return [leaf for field in schema for leaf in below(field.name, field.type)]


def iso(at: datetime) -> str:
    """Delta keeps timestamp statistics in milliseconds; the upper end is therefore rounded up by its caller."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def within(path: str) -> str:
    """A file's path within its table: its day and its name."""
    return "/".join(path.rsplit("/", 2)[1:])
