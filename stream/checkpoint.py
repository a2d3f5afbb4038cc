"""A checkpoint: records in, one step of the sessioniser, and a commit that makes all of it true at once.

No Faust, no asyncio and no clock: ``stream.app`` decides when.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
import polars as pl
import pyarrow as pa

from ladder.tables import CHECKPOINTS, EVENTS, LANDED, REJECTS, TABLES, Position
from ladder.tiers import Ladder
from stream.cuts import Int64s
from stream.decoding import Decoded, KafkaRecord, PlacedReject, decode
from stream.rejects import RejectBrake
from stream.sessions import HELD, Sessioniser, Snapshot
from stream.step_counting import StepCounting, Stretch
from stream.step_minutes_record import StepMinutesRecord


class Claim(Protocol):
    """What a worker needs of the lake while it owns partitions (``warehouse.lake_claim.Claim`` has the meaning)."""

    def next_offset(self, partition: int) -> int: ...
    def next_offset_of(self, table: str, partition: int) -> int: ...
    def newest(self, partition: int) -> datetime | None: ...
    def last_checkpoint(self, partition: int) -> tuple[int, int, datetime | None] | None: ...
    def counted_events(self, columns: Sequence[str], since: Mapping[int, datetime]) -> pl.DataFrame: ...
    def open_events(self, columns: Sequence[str], partitions: Collection[int]) -> pl.DataFrame: ...
    def stands(self, partition: int) -> Mapping[str, int | None]: ...
    def commit(self, rows: Mapping[str, pa.Table], positions: Mapping[int, Position], now: datetime) -> None: ...


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
    """A checkpoint worked out and not committed yet: what the claim's ``commit`` takes, and what it will have done.

    ``step_minutes``: to be published once it is committed.
    """

    rows: Mapping[str, pa.Table]
    positions: Mapping[int, Position]
    now: datetime
    done: Checkpoint
    step_minutes: Sequence[StepMinutesRecord] = ()


class Hold:
    """All that one assignment owns: the claim, the open sessions, the next offsets.

    Replaced whole at every assignment and never mended: whoever holds an old one can commit nothing any more.
    ``kept``: the one before, which is of no more use then: what it holds of partitions that nobody else has written of
    since need not be read again; they are in ``stayed``.
    ``reached``: per partition the first offset not taken in yet.  ``counted``: the first not counted yet; may be ahead.
    ``told_again``: the last checkpoint's step minutes, which may not have been published.
    ``segments``: what asks are told apart by; None: they are not counted.
    """

    def __init__(
        self,
        lake: Lake,
        ladder: Ladder,
        topic: str,
        partitions: Collection[int],
        brake: RejectBrake,
        segments: Sequence[str] | None = None,
        kept: Hold | None = None,
    ) -> None:
        self._source = f"kafka:{topic}"
        self._claim = lake.claim(self._source, partitions)
        self._brake = brake
        self._begun = self._ended = self._committed = 0
        self.reached = {p: self._claim.next_offset(p) for p in partitions}
        self.stayed = [] if kept is None else kept._unchanged(self._claim, partitions)
        come = [p for p in partitions if p not in self.stayed]
        if not self.stayed:
            kept = None  # it may be at work still, in a thread that nobody waits for
        self.sessioniser: Sessioniser = Sessioniser(ladder, self._source) if kept is None else kept.sessioniser
        self.sessioniser.keep(self.stayed)
        open_events = self._claim.open_events(HELD, come)
        for p in come:
            own = open_events.filter(pl.col("partition") == p)
            self.sessioniser.restore(p, Snapshot(self._claim.newest(p), own))
        self.counted = {p: self._claim.next_offset_of("checkpoints", p) for p in partitions}
        self._counting = None
        self.told_again: list[StepMinutesRecord] = []
        if segments is not None:
            before = None if kept is None else kept._counting
            self._counting = StepCounting(ladder, self._source, segments) if before is None else before
            self._counting.keep(self.stayed)
            self.told_again = self._restored(self._counting, come)

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

        ``idle_until``: partitions without input, and the event time they may be taken to have reached.  ``finish``:
        input has ended, close every session.  Neither touches a partition of which a crash left something in the lake
        that is still to come here.  None where nothing changed.  Raises ``TooManyRejects``.
        """
        self._begun += 1
        decoded = decode(records)
        self._brake.press(decoded.events, decoded.rejects)

        first = dict(self.reached)
        offsets = _offsets(records)
        self.reached.update({p: int(own[-1]) + 1 for p, own in offsets.items()})
        before = {p: self.sessioniser.newest(p) for p in self.reached}
        intake = self.sessioniser.add(decoded.events)
        # What a crash left landed or counted beyond our offset was judged before time passed: so it must be again.
        ours = [p for p in self.reached if self.reached[p] >= max(self._claim.next_offset_of(t, p) for t in TABLES)]
        for p in ours:
            if idle_until is not None and p in idle_until:
                self.sessioniser.advance(p, idle_until[p])
        if finish:
            self.sessioniser.finish(ours)
        sessions = self.sessioniser.take_closed()
        newest = {p: self.sessioniser.newest(p) for p in self.reached}
        closed = set(sessions["partition"].unique().to_pylist())
        covered = [p for p in self.reached if p in offsets or p in closed or newest[p] != before[p]]
        if not covered:
            self._ended += 1
            return None

        events = intake.events.hstack([pl.repeat(self._source, len(intake.events), eager=True).alias("source")])
        rows = {
            "events": events[_names(EVENTS)].to_arrow(),
            "rejects": self._reject_rows(decoded.rejects),
            "checkpoints": self._checkpoint_rows(first, offsets, decoded, events, intake.duplicates, now),
            "sessions": sessions,
        }
        reasons = [placed.reject.reason for placed in decoded.rejects]
        done = Checkpoint(
            landed=len(events),
            late=int(events["late"].sum()),
            duplicates=len(intake.duplicates),
            sessions=sessions.num_rows,
            skipped_offsets=sum(self.reached[p] - first[p] - len(own) for p, own in offsets.items()),
            rejects={reason: reasons.count(reason) for reason in dict.fromkeys(reasons)},
            open_events=self.sessioniser.open_events(),
            open_sessions=self.sessioniser.open_sessions(),
            watermarks={p: self.sessioniser.watermark(p) for p in self.reached},
        )
        step_minutes = self._counted(intake.events, list(offsets), newest)
        positions = {p: Position(self.reached[p], newest[p], self.sessioniser.settled_until(p)) for p in covered}
        return Prepared(rows, positions, now, done, step_minutes)

    def commit(self, prepared: Prepared) -> Checkpoint:
        """Make it true.  Raises what the claim's ``commit`` raises."""
        self._claim.commit(prepared.rows, prepared.positions, prepared.now)
        self._committed += 1
        return prepared.done

    def _unchanged(self, now: Claim, partitions: Collection[int]) -> list[int]:
        """Those of which the lake says just what we left there; none where something was worked out that is not
        there."""
        if self._begun != self._ended + self._committed:
            return []
        return [p for p in partitions if p in self.reached and self._claim.stands(p) == now.stands(p)]

    def heartbeat(self, partition: int, at: datetime) -> StepMinutesRecord | None:
        """That nothing came and time has come to ``at``; None where nothing is counted, or was counted already that is
        still to come here once more."""
        if self._counting is None or self.counted[partition] != self.reached[partition]:
            return None
        newest = self.sessioniser.newest(partition)
        return self._counting.heartbeat(partition, self.reached[partition], at if newest is None else max(at, newest))

    def _restored(self, counting: StepCounting, partitions: Collection[int]) -> list[StepMinutesRecord]:
        newest = {p: self._claim.newest(p) for p in partitions}
        last = {p: None if (row := self._claim.last_checkpoint(p)) is None else Stretch(*row) for p in partitions}
        since = {p: at for p in partitions if (at := counting.known_since(newest[p], last[p])) is not None}
        events = self._claim.counted_events(counting.columns, since)
        records: list[StepMinutesRecord] = []
        for p in partitions:
            records += counting.restore(p, events.filter(pl.col("partition") == p), newest[p], last[p])
        return records

    def _counted(
        self, events: pl.DataFrame, partitions: Sequence[int], newest: Mapping[int, datetime | None]
    ) -> list[StepMinutesRecord]:
        if self._counting is None:
            return []
        stretches = {p: (self.counted[p], self.reached[p]) for p in partitions if self.counted[p] < self.reached[p]}
        self.counted.update({p: end for p, (_, end) in stretches.items()})
        return self._counting.records(events, stretches, newest)

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
        offsets: Mapping[int, Int64s],
        decoded: Decoded,
        events: pl.DataFrame,
        duplicates: pl.DataFrame,
        now: datetime,
    ) -> pa.Table:
        """A row per partition.  What a crash left counted already (the table is ahead of the sessions) is left out."""
        rows = []
        partition, offset, late = (events[name].to_numpy() for name in ("partition", "record_offset", "late"))
        again, again_at = (duplicates[name].to_numpy() for name in ("partition", "record_offset"))
        for p, own in offsets.items():
            begin = max(first[p], self._claim.next_offset_of("checkpoints", p))
            if begin >= self.reached[p]:
                continue
            fresh = (partition == p) & (offset >= begin)
            rejected = sum(placed.partition == p and placed.offset >= begin for placed in decoded.rejects)
            rows.append(
                {
                    "source": self._source,
                    "partition": p,
                    "first_offset": begin,
                    "next_offset": self.reached[p],
                    "landed": int(fresh.sum()),
                    "duplicates": int(((again == p) & (again_at >= begin)).sum()),
                    "rejected": rejected,
                    "late": int(late[fresh].sum()),
                    "skipped_offsets": self.reached[p] - begin - (len(own) - int(np.searchsorted(own, begin))),
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


def _offsets(records: Sequence[KafkaRecord]) -> dict[int, Int64s]:
    """The offsets of each partition that occurs, in their order."""
    partition = np.fromiter(map(attrgetter("partition"), records), np.int64, len(records))
    offset = np.fromiter(map(attrgetter("offset"), records), np.int64, len(records))
    return {p: offset[partition == p] for p in np.unique(partition).tolist()}
