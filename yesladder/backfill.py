"""Files straight into the lake, by the sessioniser of the stream, without Kafka.

The files of one call are one source: its name is a digest of their contents (and of the columns they are read by), so
the same files again add nothing, and a call that died half way is completed by the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa

from ladder.events import Event
from ladder.rejects import Reject
from ladder.tables import CHECKPOINTS, EVENTS, REJECTS, Position
from ladder.tiers import Ladder
from producers.columns import ColumnMap
from producers.frames import FileFrame, read_frames
from stream.checkpoint import without_landed
from stream.decoding import frame_of
from stream.history import sessionise_history
from warehouse.lake import Lake
from warehouse.lake_claim import Claim

_BUCKET_EVENTS = 2_000_000
"""Sessions are cut for this many events at a time: sorting needs several times their size."""


@dataclass(frozen=True)
class Backfilled:
    """``--json`` of ``backfill``.  ``read`` = ``landed`` + ``duplicates`` + ``rejected``."""

    read: int
    landed: int
    duplicates: int
    rejected: int
    visitors: int
    sessions: int

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


def backfill(
    paths: Sequence[Path],
    lake: Lake,
    ladder: Ladder,
    *,
    now: datetime,
    columns: ColumnMap | None = None,
    progress: Callable[[int], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Backfilled:
    """Read files into the lake: events, dead letters and sessions, all visible once this returns.

    Sessions are cut over all files of the call, whatever the order of their events; sessions that other sources gave
    the same visitors are left as they are.  An event whose id the lake holds already is a duplicate.
    ``columns`` says which columns of csv and parquet files are what.  ``progress`` hears of bytes read, ``say`` how
    the times of such a file were understood.
    Raises ``YesladderError`` for a file that cannot be read to its end; nothing has landed then.
    """
    source = f"file:{_digest(paths, columns)}"
    claim = lake.claim(source, [0])
    frames: list[pl.DataFrame] = []
    rejects: list[tuple[Reject, int]] = []
    read = 0
    for part in read_frames(paths, columns, now, say=say):
        frames.extend(_frames(part))
        rejects.extend(zip(part.rejects, part.reject_places, strict=True))
        read += len(part)
        progress(part.bytes_read)
    events = pl.concat(frames) if frames else _one_by_one([], [])
    if read == 0 or claim.next_offset(0) > 0:
        return Backfilled(read, 0, len(events), len(rejects), 0, 0)

    offered = len(events)
    events = _new_in(lake, _first_of_each_id(events), source)
    sessions = _sessions(events, ladder, source)
    rows = {
        "events": _event_rows(events, source),
        "rejects": _reject_rows(rejects, source),
        "checkpoints": _checkpoint_rows(claim, source, read, offered, len(events), len(rejects), now),
        "sessions": sessions,
    }
    claim.commit(rows, {0: Position(read)}, now)
    return Backfilled(
        read=read,
        landed=len(events),
        duplicates=offered - len(events),
        rejected=len(rejects),
        visitors=pl.Series(sessions["visitor_id"]).n_unique(),
        sessions=sessions.num_rows,
    )


def _frames(part: FileFrame) -> list[pl.DataFrame]:
    """The events of a part of a file as ``stream.decoding`` would have given them, in their order."""
    found: list[pl.DataFrame] = []
    if part.plain is not None and len(part.plain):
        place = pl.col("place").alias("record_offset")
        found.append(part.plain.select(pl.exclude("place"), pl.lit(0, pl.Int32).alias("partition"), place))
    if part.events:
        found.append(_one_by_one(part.events, part.event_places))
    return found if len(found) < 2 else [pl.concat(found).sort("record_offset")]


def _one_by_one(events: Sequence[Event], places: Sequence[int]) -> pl.DataFrame:
    return frame_of(events, 0, places).drop("record_time")


def _first_of_each_id(events: pl.DataFrame) -> pl.DataFrame:
    if events["event_id"].hash().n_unique() == len(events):  # cheap, and as a rule all there is to find
        return events
    return events.unique("event_id", keep="first", maintain_order=True)


def _new_in(lake: Lake, events: pl.DataFrame, source: str) -> pl.DataFrame:
    """The events whose ids the lake has from no other source."""
    if not lake.files("events"):
        return events
    known = lake.scan("events").filter(pl.col("source") != source).select("event_id")
    return events.lazy().join(known, on="event_id", how="anti", maintain_order="left").collect()


def _sessions(events: pl.DataFrame, ladder: Ladder, source: str) -> pa.Table:
    buckets = 1 + len(events) // _BUCKET_EVENTS
    if buckets == 1:
        return sessionise_history(events, ladder, source)
    bucket = events["visitor_id"].hash() % buckets
    return pa.concat_tables(sessionise_history(events.filter(bucket == n), ladder, source) for n in range(buckets))


def _event_rows(events: pl.DataFrame, source: str) -> pa.Table:
    empty = [name for name in events.columns if 0 < events[name].null_count() == len(events)]
    rows = events.drop(empty).with_columns(late=pl.lit(False), source=pl.lit(source)).to_arrow()
    for name in empty:  # campaigns, say: by way of Polars each such column would be written twice on the way
        rows = rows.append_column(name, pa.nulls(len(events), pa.string()))
    return rows.select(without_landed(EVENTS).names)


def _checkpoint_rows(
    claim: Claim, source: str, read: int, offered: int, landed: int, rejected: int, now: datetime
) -> pa.Table:
    """One row; none where a call that died later has left it."""
    row = {
        "source": source,
        "partition": 0,
        "first_offset": 0,
        "next_offset": read,
        "landed": landed,
        "duplicates": offered - landed,
        "rejected": rejected,
        "late": 0,
        "skipped_offsets": 0,
        "watermark": None,
        "open_since": None,
        "committed_at": now,
    }
    is_there = claim.next_offset_of("checkpoints", 0) > 0
    return pa.Table.from_pylist([] if is_there else [row], schema=without_landed(CHECKPOINTS))


def _reject_rows(rejects: Sequence[tuple[Reject, int]], source: str) -> pa.Table:
    rows = [
        {
            "reason": reject.reason,
            "field": reject.field,
            "detail": reject.detail,
            "raw": reject.raw,
            "rejected_at": reject.rejected_at,
            "stage": reject.stage,
            "source": source,
            "partition": 0,
            "record_offset": place,
        }
        for reject, place in rejects
    ]
    return pa.Table.from_pylist(rows, schema=without_landed(REJECTS))


def _digest(paths: Sequence[Path], columns: ColumnMap | None) -> str:
    """Of what the files hold and how they are read: read by other columns, they hold other events."""
    digest = hashlib.blake2b(repr(columns).encode() if columns else b"", digest_size=12)
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
