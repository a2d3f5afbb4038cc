"""What has come in: day by day up to the last build, now, and samples of what was refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from warehouse.located import has_lake, lake_of
from warehouse.query import open_marts

SAMPLE_CHARACTERS = 300


@dataclass(frozen=True)
class Arrived:
    """Events of some checkpoints.  ``late``: of the landed.  ``committed_at``: of the last; None without any.

    ``watermark``: the newest time up to which the stream takes events for complete; None before the first event.
    """

    landed: int
    duplicates: int
    rejected: int
    late: int
    committed_at: datetime | None
    watermark: datetime | None


@dataclass(frozen=True)
class Day:
    """What arrived on one UTC day."""

    day: date
    landed: int
    duplicates: int
    rejected: int
    late: int


@dataclass(frozen=True)
class Sample:
    """A refused event.  ``raw``: its first bytes as text."""

    reason: str
    field: str
    detail: str
    raw: str
    rejected_at: datetime
    stage: str


@dataclass(frozen=True)
class Built:
    """A build of the marts."""

    finished_at: datetime
    seconds: float
    is_full: bool
    ladder: str
    sessions: int
    visitors: int


def arrived(warehouse: Path) -> Arrived | None:
    """By now, whatever the marts know; None where there is no lake."""
    if not has_lake(warehouse):
        return None
    import polars as pl

    counts = ("landed", "duplicates", "rejected", "late")
    rows = lake_of(warehouse).scan("checkpoints")
    found = rows.select(
        *(pl.col(name).sum() for name in counts), pl.col("committed_at").max(), pl.col("watermark").max()
    ).collect()
    return Arrived(**found.row(0, named=True))


def days(warehouse: Path, most: int) -> tuple[Day, ...]:
    """The last days on which anything arrived, up to the last build; the oldest first."""
    with open_marts(warehouse) as marts:
        rows = marts.execute(
            "select landed_date, sum(landed)::bigint, sum(duplicates)::bigint, sum(rejected)::bigint,"
            " sum(late)::bigint from lake.checkpoints group by landed_date order by landed_date desc limit ?",
            [most],
        ).fetchall()
    return tuple(Day(*row) for row in reversed(rows))


def samples(warehouse: Path, of_each: int) -> tuple[Sample, ...]:
    """Of each reason the events refused last."""
    with open_marts(warehouse) as marts:
        rows = marts.execute(
            "select reason, field, detail, raw[1:?], rejected_at, stage from lake.rejects"
            " qualify row_number() over (partition by reason order by rejected_at desc, record_offset desc) <= ?"
            " order by reason, rejected_at desc, record_offset desc",
            [SAMPLE_CHARACTERS, of_each],
        ).fetchall()
    return tuple(
        Sample(reason, field, detail, bytes(raw).decode(errors="replace"), rejected_at, stage)
        for reason, field, detail, raw, rejected_at, stage in rows
    )


def builds(warehouse: Path, most: int) -> tuple[Built, ...]:
    """The last builds, newest first."""
    with open_marts(warehouse) as marts:
        rows = marts.execute(
            "select finished_at, epoch(finished_at) - epoch(started_at), is_full, ladder, sessions, visitors"
            " from main.meta_builds order by build desc limit ?",
            [most],
        ).fetchall()
    return tuple(Built(*row) for row in rows)
