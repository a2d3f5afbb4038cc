"""`yesladder resessionise`: late events come into their sessions, copies beyond the stream's reach go.

Runs beside workers.  What is settled is asked of the lake first, then its files are listed; whatever a worker commits
afterwards lies after the settled time, and only what lies before it is touched (``stream.resessionise``).

Sessions are replaced before surplus copies are taken from ``events``: a session never holds an event that is not
there, and after a crash between the two the copies are found again.  Both happen bucket by bucket of visitors, each
visitor's all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from ladder.clock import Clock, going_on_from
from ladder.errors import YesladderError
from ladder.tables import LANDED, REMOVED_COPIES
from ladder.tiers import Ladder
from stream.resessionise import ENTRY, SESSION_KEY, entries, repair
from stream.sessions import HELD
from warehouse.erased import suspects, unfinished
from warehouse.lake import Lake
from warehouse.lake_files import Part
from warehouse.standing import standings

_BUCKET_IDS = 20_000_000
"""Copies are looked for among so many events at a time, by a hash of their ids."""

_VISITOR = ("source", "partition", "visitor_id")
_EVENT = (*_VISITOR, "event_id")
_ID = ("source", "event_id")
_ARRIVAL = ("received_at", "source", "partition", "record_offset", "visitor_id", "occurred_at")
"""Of several copies the first in this order counts, as in the marts (`macros/arrival.sql`)."""


@dataclass(frozen=True)
class Resessionised:
    """``--json`` of ``resessionise``.

    ``visitors``: whose sessions were replaced.  ``late``: events that are in sessions now: late ones, and such as an
    erasure had left without one.  ``duplicates``: copies removed.  ``sessions_removed`` and ``sessions_added``: the
    wrong ones and those in their place.
    Left as they were are late events and copies: ``waiting``, since their sessions may still grow (the next pass finds
    them again); ``cut_otherwise``, since the sessions around them were cut by another ladder; ``incomplete``, since
    events of the sessions around them are no longer kept.
    """

    visitors: int = 0
    late: int = 0
    duplicates: int = 0
    sessions_removed: int = 0
    sessions_added: int = 0
    waiting: int = 0
    cut_otherwise: int = 0
    incomplete: int = 0

    def __add__(self, other: Resessionised) -> Resessionised:
        return Resessionised(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    def summary(self) -> str:
        """For people: what was done, and a line for each reason to leave something."""
        lines = [
            f"{self.late:,} late events put into sessions, {self.duplicates:,} copies removed: "
            f"{self.sessions_removed:,} sessions of {self.visitors:,} visitors replaced by {self.sessions_added:,}"
        ]
        for left, why in [
            (self.waiting, "wait for the sessions around them to close"),
            (self.cut_otherwise, "stay as they are: the sessions around them were cut by another ladder"),
            (self.incomplete, "stay as they are: events of the sessions around them are no longer kept"),
        ]:
            if left:
                lines.append(f"{left:,} late events or copies {why}")
        return "\n".join(lines)


def resessionise(
    lake: Lake,
    ladder: Ladder,
    *,
    now: datetime,
    since: date | None = None,
    progress: Callable[[str], None] = lambda _: None,
    bucket_events: int = 1_000_000,
) -> Resessionised:
    """Cut the sessions anew that late events or surplus copies make wrong, and take the copies away.

    ``since``: only for visitors with such that landed on this UTC day or later.  ``progress`` is told in a few words
    what is being done.  ``bucket_events``: visitors are taken together up to so many, which bounds the memory.
    Nothing to do is no commit.  Raises ``Locked`` while other upkeep is going on, and ``YesladderError`` where an
    erasure was cut short: half of a person's rows may have other ids then.
    """
    clock = going_on_from(now)
    with lake.upkeep(now):
        lake.erasures.pull()
        if unfinished(lake.root.parent):
            raise YesladderError("an erasure was cut short and must be ended first: `yesladder erase` without an id")
        progress("looking for late events and copies")
        bounds = _bounds(lake)
        copies = _copies(lake, bounds)
        counting = copies.sort(_ARRIVAL).unique(_ID, keep="first", maintain_order=True)
        of_copies = _landed_since(lake, copies, since).select(_VISITOR)
        touched = pl.concat([of_copies, _late(lake, bounds, since)]).unique()
        done = Resessionised()
        for number, (source, visitors) in enumerate(_buckets(lake, touched, bucket_events), start=1):
            progress(f"cutting sessions anew, part {number}")
            of_source = pl.col("source") == source
            of_bounds, of_counting = bounds.filter(of_source), counting.filter(of_source)
            done += _mend(lake, ladder, source, visitors, of_bounds, of_counting, now=now, clock=clock)
        return done


def _bounds(lake: Lake) -> pl.DataFrame:
    """By source and partition, how far it has come and until when it is settled; without those that have no such time.

    Asked before any file is listed, so that the files hold all that lies within.
    """
    places = lake.scan("events").select("source", "partition").unique().sort("source", "partition").collect().rows()
    rows = [
        (source, p, position.next_offset, position.settled_until)
        for (source, p), position in lake.positions(places).items()
        if position.settled_until is not None
    ]
    time = pl.Datetime("us", "UTC")
    schema: dict[str, Any] = {
        "source": pl.String,
        "partition": pl.Int32,
        "next_offset": pl.Int64,
        "settled_until": time,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _copies(lake: Lake, bounds: pl.DataFrame) -> pl.DataFrame:
    """All copies of each event that landed more than once in its source, in the columns ``event_id`` and ``_ARRIVAL``.

    First by hashes, of which most are there once, whatever their event's source.
    """
    id_hash = pl.col("event_id").hash()
    buckets = 1 + sum(file.rows for file in lake.logged("events")) // _BUCKET_IDS
    hashes = lake.scan("events").select(id_hash=id_hash)
    repeated = [
        hashes.filter(pl.col("id_hash") % buckets == n)
        .group_by("id_hash")
        .agg(times=pl.len())
        .filter(pl.col("times") > 1)
        .select("id_hash")
        .collect(engine="streaming")
        for n in range(buckets)
    ]
    found = (
        _accounted(lake.scan("events"), bounds)
        .with_columns(id_hash=id_hash)
        .join(pl.concat(repeated).lazy(), on="id_hash", how="semi")
        .select("event_id", *_ARRIVAL)
        .collect(engine="streaming")
    )
    return found.filter(pl.len().over(_ID) > 1)


def _landed_since(lake: Lake, copies: pl.DataFrame, since: date | None) -> pl.DataFrame:
    """The copies of those events of which one landed since then."""
    if since is None:
        return copies
    fresh = _scan(lake, "events", since).join(copies.lazy(), on=_ID, how="semi").select(_ID)
    return copies.join(fresh.collect(engine="streaming"), on=_ID, how="semi")


def _late(lake: Lake, bounds: pl.DataFrame, since: date | None) -> pl.DataFrame:
    """The visitors (``_VISITOR``) of events in no session that are late or that an erasure left without one."""
    key = ["source", *ENTRY]
    wanted = pl.col("late")
    left_by_erasures = suspects(
        lake.root.parent, lake.scan("events").select("visitor_id").unique().collect().to_series()
    )
    if len(left_by_erasures):
        wanted = wanted | pl.col("visitor_id").is_in(left_by_erasures.implode())
    late = _accounted(_scan(lake, "events", since), bounds).filter(wanted).select(key).collect(engine="streaming")
    sessions = lake.scan("sessions").join(late.lazy(), on=_VISITOR, how="semi")
    held = entries(sessions, "source").join(late.lazy(), on=key, how="semi").collect(engine="streaming")
    return late.join(held, on=key, how="anti").select(_VISITOR)


def _buckets(lake: Lake, touched: pl.DataFrame, bucket_events: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """A source and some of its visitors (partition and visitor_id) at a time."""
    sizes = (
        lake.scan("events")
        .join(touched.lazy(), on=_VISITOR, how="semi")
        .group_by(_VISITOR)
        .agg(events=pl.len())
        .collect(engine="streaming")
        .sort(_VISITOR)
        .with_columns(bucket=pl.col("events").cum_sum().over("source") // bucket_events)
    )
    for (source, _), visitors in sizes.partition_by("source", "bucket", as_dict=True, maintain_order=True).items():
        yield str(source), visitors.select("partition", "visitor_id")


def _mend(
    lake: Lake,
    ladder: Ladder,
    source: str,
    visitors: pl.DataFrame,
    bounds: pl.DataFrame,
    counting: pl.DataFrame,
    *,
    now: datetime,
    clock: Clock,
) -> Resessionised:
    """Replace some visitors' sessions, then take their surplus copies away.

    ``bounds`` and ``counting`` (of events with copies the one that counts) are those of the source.
    """
    found = _of_visitors(_scan(lake, "events"), source, visitors)
    rows = found.select("source", *HELD, "record_offset", "late", "file", "row").sort("row")
    events = _accounted(rows.with_columns(_nth("file", *_EVENT)), bounds).sort("row").collect()
    found = _of_visitors(_scan(lake, "sessions"), source, visitors)
    sessions = found.select(
        *SESSION_KEY, "visitor_id", "ladder", "started_at", "ended_at", "sequence", "source", "file"
    ).collect()
    settled_until = dict(bounds.select("partition", "settled_until").rows())
    mended = repair(_flag_surplus(events, counting), sessions, ladder, source, settled_until)

    key = ["source", *SESSION_KEY]
    gone = sessions.join(mended.gone, on=SESSION_KEY, how="semi")
    today = now.astimezone(UTC).date()
    if len(gone) or mended.come.num_rows:
        parts = chain(_kept_rows(lake, gone.select("file", *key), key), [Part(today, mended.come, "mended")])
        lake.replace("sessions", _files(gone), parts, rearranges=False, now=now, clock=clock)
    if len(mended.surplus):
        counted = {REMOVED_COPIES: len(mended.surplus)}
        key = [*_EVENT, "nth"]
        kept = _kept_rows(lake, mended.surplus.select("file", *key), key)
        lake.replace("events", _files(mended.surplus), kept, rearranges=False, now=now, clock=clock, counted=counted)
    return Resessionised(
        visitors=mended.visitors,
        late=mended.late,
        duplicates=len(mended.surplus),
        sessions_removed=len(gone),
        sessions_added=mended.come.num_rows,
        waiting=mended.waiting,
        cut_otherwise=mended.cut_otherwise,
        incomplete=mended.incomplete,
    )


def _flag_surplus(events: pl.DataFrame, counting: pl.DataFrame) -> pl.DataFrame:
    """With ``is_surplus``: copies of an event, but for the one that counts; of several alike that is the first row."""
    key = ["event_id", *_ARRIVAL]
    ids = counting.select("event_id", has_copies=pl.lit(True))
    return (
        events.join(ids, on="event_id", how="left", maintain_order="left")
        .join(counting.select(*key, counts=pl.lit(True)), on=key, how="left", maintain_order="left")
        .with_columns(alike=pl.int_range(pl.len()).over(key))
        .with_columns(
            is_surplus=pl.col("has_copies").is_not_null() & (pl.col("counts").is_null() | (pl.col("alike") > 0))
        )
    )


def _kept_rows(lake: Lake, gone: pl.DataFrame, key: Sequence[str]) -> Iterator[Part]:
    """Of each ``file`` the rows that do not go, under its landed date and standing."""
    standing = standings(lake)
    for (file,), rows in gone.partition_by("file", as_dict=True, include_key=False).items():
        there = pl.read_parquet(
            file, columns=[name for name in key if name != "nth"], glob=False, hive_partitioning=False
        )
        if "nth" in key:
            there = there.with_columns(_nth(*_EVENT))
        there = there.join(rows.unique().with_columns(goes=pl.lit(True)), on=key, how="left", maintain_order="left")
        rest = pq.ParquetFile(file).read().filter(there["goes"].is_null().to_arrow())
        yield Part(_landed(file), rest, standing(Path(file).relative_to(lake.root).as_posix()))


def _nth(*key: str) -> pl.Expr:
    """The how-manieth row of its key it is, in the order of the file: what tells copies in one file apart."""
    return pl.int_range(pl.len()).over(key).alias("nth")


def _accounted(events: pl.LazyFrame, bounds: pl.DataFrame) -> pl.LazyFrame:
    """Those whose sessions are accounted for; a crash may have left more, which a worker still has to judge again."""
    places = bounds.lazy().select("source", "partition", "next_offset")
    known = events.join(places, on=["source", "partition"])
    return known.filter(pl.col("record_offset") < pl.col("next_offset")).drop("next_offset")


def _of_visitors(rows: pl.LazyFrame, source: str, visitors: pl.DataFrame) -> pl.LazyFrame:
    return rows.filter(pl.col("source") == source).join(visitors.lazy(), on=["partition", "visitor_id"], how="semi")


def _scan(lake: Lake, table: str, since: date | None = None) -> pl.LazyFrame:
    """A table's rows with their ``file`` and ``row`` number over all files, of what landed ``since`` a day."""
    files = [file for file in lake.files(table) if since is None or _landed(file) >= since]
    lake.fetch(files)
    if not files:
        return lake.scan(table).limit(0).with_columns(file=pl.lit(""), row=pl.lit(0, pl.UInt32))
    return pl.scan_parquet(files, hive_partitioning=False, glob=False, include_file_paths="file", row_index_name="row")


def _files(rows: pl.DataFrame) -> list[str]:
    return rows["file"].unique().to_list()


def _landed(file: str) -> date:
    """The day that a file's folder names."""
    return date.fromisoformat(Path(file).parent.name.removeprefix(f"{LANDED.name}="))
