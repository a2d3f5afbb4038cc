"""A checkpoint: records in, one step of the sessioniser, and a commit that makes all of it true at once.

No Faust, no asyncio and no clock: ``stream.app`` decides when.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import polars as pl
import pyarrow as pa

from ladder.tables import CHECKPOINTS, EVENTS, LANDED, REJECTS
from ladder.tiers import Ladder
from stream.decoding import Decoded, KafkaRecord, PlacedReject, decode
from stream.rejects import RejectBrake
from stream.sessions import Sessioniser, Snapshot


class Claim(Protocol):
    """What a worker needs of the lake while it owns partitions (``warehouse.lake.Claim`` has the meaning)."""

    def next_offset(self, partition: int) -> int: ...
    def next_offset_of(self, table: str, partition: int) -> int: ...
    def newest(self, partition: int) -> datetime | None: ...
    def open_events(self, partition: int) -> pl.DataFrame: ...
    def commit(
        self,
        rows: Mapping[str, pa.Table],
        next_offsets: Mapping[int, int],
        newest: Mapping[int, datetime | None],
        now: datetime,
    ) -> None: ...


class Lake(Protocol):
    """Where partitions can be claimed."""

    def claim(self, source: str, partitions: Collection[int]) -> Claim: ...


@dataclass(frozen=True)
class Checkpoint:
    """What one checkpoint did, and how things stood after it.

    ``watermarks``: per partition, None before its first event.
    """

    landed: int = 0
    late: int = 0
    duplicates: int = 0
    sessions: int = 0
    skipped_offsets: int = 0
    rejects: Mapping[str, int] = field(default_factory=dict)
    open_events: int = 0
    open_sessions: int = 0
    watermarks: Mapping[int, datetime | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A checkpoint worked out and not committed yet: what the claim's ``commit`` takes, and what it will have done."""

    rows: Mapping[str, pa.Table]
    next_offsets: Mapping[int, int]
    newest: Mapping[int, datetime | None]
    now: datetime
    done: Checkpoint


class Hold:
    """All that one assignment owns: the claim, the open sessions, the next offsets.

    Replaced whole at every assignment and never mended: whoever holds an old one can commit nothing any more.
    ``reached``: per partition the first offset not taken in yet (``skip`` moves it over offsets the broker lost).
    """

    def __init__(self, lake: Lake, ladder: Ladder, topic: str, partitions: Collection[int], brake: RejectBrake) -> None:
        self._source = f"kafka:{topic}"
        self._claim = lake.claim(self._source, partitions)
        self._brake = brake
        self.reached = {p: self._claim.next_offset(p) for p in partitions}
        self.sessioniser = Sessioniser(ladder, self._source)
        for p in partitions:
            self.sessioniser.restore(p, Snapshot(self._claim.newest(p), self._claim.open_events(p)))

    def checkpoint(
        self,
        records: Sequence[KafkaRecord],
        *,
        now: datetime,
        idle_until: Mapping[int, datetime] | None = None,
        finish: bool = False,
    ) -> Checkpoint:
        """``prepare`` and ``commit`` in one go."""
        prepared = self.prepare(records, now=now, idle_until=idle_until, finish=finish)
        return Checkpoint() if prepared is None else self.commit(prepared)

    def prepare(
        self,
        records: Sequence[KafkaRecord],
        *,
        now: datetime,
        idle_until: Mapping[int, datetime] | None = None,
        finish: bool = False,
    ) -> Prepared | None:
        """Take records in (those of a partition in offset order, none missing) and work out what they make true.

        What was prepared is committed in that order, and all of it, or this hold is of no more use.  The next may be
        prepared while the one before is being committed, in another thread.

        ``idle_until: partitions without input, and the event time they may be taken to have reached.  ``finish``:
        input has ended, close every session.  None where nothing changed.  Raises ``TooManyRejects``.
        """
        decoded = decode(records)
        self._brake.press(decoded.events, decoded.rejects)

        first = dict(self.reached)
        span = _spans(records)
        self.reached.update({p: last + 1 for p, (_, last) in span.items()})
        before = {p: self.sessioniser.newest(p) for p in self.reached}
        intake = self.sessioniser.add(decoded.events)
        for p, until in (idle_until or {}).items():
            self.sessioniser.advance(p, until)
        if finish:
            self.sessioniser.finish()
        newest = {p: self.sessioniser.newest(p) for p in self.reached}
        if not records and newest == before:
            return None
        sessions = self.sessioniser.take_closed()

        skipped = {p: offset - first[p] for p, (offset, _) in span.items() if offset > first[p]}
        events = intake.events.with_columns(source=pl.lit(self._source))
        rows = {
            "events": events.select(_names(EVENTS)).to_arrow(),
            "rejects": self._reject_rows(decoded.rejects),
            "checkpoints": self._checkpoint_rows(first, list(span), decoded, events, intake.duplicates, skipped, now),
            "sessions": sessions,
        }
        covered = [p for p in self.reached if p in span or newest[p] != before[p]]
        reasons = [placed.reject.reason for placed in decoded.rejects]
        done = Checkpoint(
            landed=len(events),
            late=int(events["late"].sum()),
            duplicates=len(intake.duplicates),
            sessions=sessions.num_rows,
            skipped_offsets=sum(skipped.values()),
            rejects={reason: reasons.count(reason) for reason in dict.fromkeys(reasons)},
            open_events=self.sessioniser.open_events(),
            open_sessions=self.sessioniser.open_sessions(),
            watermarks={p: self.sessioniser.watermark(p) for p in self.reached},
        )
        return Prepared(rows, {p: self.reached[p] for p in covered}, {p: newest[p] for p in covered}, now, done)

    def commit(self, prepared: Prepared) -> Checkpoint:
        """Make it true.  Raises what the claim's ``commit`` raises."""
        self._claim.commit(prepared.rows, prepared.next_offsets, prepared.newest, prepared.now)
        return prepared.done

    def _reject_rows(self, rejects: Sequence[PlacedReject]) -> pa.Table:
        columns: dict[str, list[Any]] = {
            "reason": [placed.reject.reason for placed in rejects],
            "field": [placed.reject.field for placed in rejects],
            "detail": [placed.reject.detail for placed in rejects],
            "raw": [placed.reject.raw for placed in rejects],
            "rejected_at": [placed.reject.rejected_at for placed in rejects],
            "stage": [placed.reject.stage for placed in rejects],
            "source": [self._source] * len(rejects),
            "partition": [placed.partition for placed in rejects],
            "record_offset": [placed.offset for placed in rejects],
        }
        return pa.table(columns, schema=without_landed(REJECTS))

    def _checkpoint_rows(
        self,
        first: Mapping[int, int],
        partitions: Sequence[int],
        decoded: Decoded,
        events: pl.DataFrame,
        duplicates: pl.DataFrame,
        skipped: Mapping[int, int],
        now: datetime,
    ) -> pa.Table:
        """A row per partition.  What a crash left counted already (the table is ahead of the sessions) is left out."""
        rows = []
        for p in partitions:
            begin = max(first[p], self._claim.next_offset_of("checkpoints", p))
            if begin >= self.reached[p]:
                continue
            fresh = (pl.col("partition") == p) & (pl.col("record_offset") >= begin)
            landed = events.lazy().filter(fresh).select(landed=pl.len(), late=pl.col("late").sum()).collect().row(0)
            rejected = sum(placed.partition == p and placed.offset >= begin for placed in decoded.rejects)
            rows.append(
                {
                    "source": self._source,
                    "partition": p,
                    "first_offset": begin,
                    "next_offset": self.reached[p],
                    "landed": landed[0],
                    "duplicates": len(duplicates.filter(fresh)),
                    "rejected": rejected,
                    "late": landed[1],
                    "skipped_offsets": skipped.get(p, 0),
                    "watermark": self.sessioniser.watermark(p),
                    "open_since": self.sessioniser.open_since(p),
                    "committed_at": now,
                }
            )
        return pa.Table.from_pylist(rows, schema=without_landed(CHECKPOINTS))


def without_landed(schema: pa.Schema) -> pa.Schema:
    """A table's columns as a writer gives them; the lake adds the day of the commit."""
    return schema.remove(schema.get_field_index(LANDED.name))


def _names(schema: pa.Schema) -> list[str]:
    names: list[str] = without_landed(schema).names
    return names


def _spans(records: Sequence[KafkaRecord]) -> dict[int, tuple[int, int]]:
    """First and last offset of each partition that occurs."""
    spans: dict[int, tuple[int, int]] = {}
    for record in records:
        first = spans[record.partition][0] if record.partition in spans else record.offset
        spans[record.partition] = (first, record.offset)
    return spans
