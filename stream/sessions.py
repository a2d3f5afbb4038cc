"""Event-time sessions: the idea of the whole project, with no Faust, no Kafka and no clock.

A session is a maximal run of one visitor's events in which no silence is longer than the gap.  Events are held, in
event time, until the *watermark* (the newest event time seen in their Kafka partition, less the ladder's lateness) has
passed them; what lies before it is final, so sessions are cut from sorted columns and never change afterwards.

An event is *late* when it occurred before the watermark that the events ahead of it in its partition had already set.
That depends on nothing but the order of the records, so for any batching and any restart:

    sessions(stream) == sessions(batch over the same events without the late ones and without duplicates)

A session is given out once the watermark has passed its end plus the gap (in steps, see ``Sessioniser.step``, which
keep the sorting cheap).  Two events of one visitor and instant are ordered by arrival (``received_at``), then by id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ladder.durations import in_microseconds
from ladder.tiers import Ladder
from stream.cuts import Cuts, Int64s
from stream.marks import MarkTable
from stream.open_ids import OpenIds
from stream.session_rows import SESSION_COLUMNS, SessionRows, in_session_order, text_of
from stream.sorted_runs import grouped

HELD = (
    "partition",
    "visitor_id",
    "occurred_at",
    "received_at",
    "event_id",
    "name",
    "user_id",
    "properties",
    "page_url",
    "referrer",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "device_class",
)
"""The columns of an event that its session needs."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NEVER = int(np.iinfo(np.int64).min)

_FRAMES_PER_SLOT = 16
"""Beyond this many, a slot's frames become one: a frame of few rows costs far more than its rows."""


@dataclass(frozen=True)
class Snapshot:
    """All that a partition's sessions to come depend on.

    ``newest``: the newest event time seen (None before the first event).  ``events``: those in no session yet, in the
    columns ``HELD``.
    """

    newest: datetime | None
    events: pl.DataFrame


@dataclass(frozen=True)
class Intake:
    """What became of a batch.

    ``events``: what is to be kept, with the column ``late``.  ``duplicates``: partition and record_offset of the rest.
    """

    events: pl.DataFrame
    duplicates: pl.DataFrame


@dataclass
class _Partition:
    open_ids: OpenIds
    newest: int = _NEVER
    boundary: int = _NEVER
    slots: dict[int, list[pl.DataFrame]] = field(default_factory=dict)
    released: list[pl.DataFrame] = field(default_factory=list)
    carried: pl.DataFrame | None = None

    def held(self) -> list[pl.DataFrame]:
        return [*self.before_slots(), *(frame for slot in self.slots.values() for frame in slot)]

    def earliest(self) -> int | None:
        """The time of the oldest event held."""
        frames = [*self.before_slots(), *(self.slots[min(self.slots)] if self.slots else [])]
        return min((int(_us(frame["occurred_at"]).min()) for frame in frames if len(frame)), default=None)

    def latest(self) -> int | None:
        """The time of the newest event held."""
        frames = [*self.before_slots(), *(self.slots[max(self.slots)] if self.slots else [])]
        return max((int(_us(frame["occurred_at"]).max()) for frame in frames if len(frame)), default=None)

    def before_slots(self) -> list[pl.DataFrame]:
        return self.released if self.carried is None else [self.carried, *self.released]

    def hold(self, slot: int, events: pl.DataFrame) -> None:
        frames = self.slots.setdefault(slot, [])
        frames.append(events)
        if len(frames) > _FRAMES_PER_SLOT:
            self.slots[slot] = [_compact(frames)]


class Sessioniser:
    """Folds batches of events in, gives closed sessions out.

    ``source`` fills the column of that name.  Visitors are told apart per partition: a visitor's events must share one.
    """

    def __init__(self, ladder: Ladder, source: str) -> None:
        self._ladder = ladder
        self._source = source
        self._marks = MarkTable(ladder)
        self._cuts = Cuts.of(ladder)
        self._lateness = in_microseconds(ladder.lateness)
        self._slot = max(1, self._cuts.gap // 8, self._lateness // 64)
        self._partitions: dict[int, _Partition] = {}

    @property
    def step(self) -> timedelta:
        """Sessions are given out each time the watermark has moved on by this: an eighth of the gap or, where that is
        more, a 64th of the lateness."""
        return self._slot * _MICROSECOND

    def add(self, events: pl.DataFrame) -> Intake:
        """Take a batch in, rows in record order within each partition.

        Columns: the contract's, ``partition``, ``record_offset`` and ``record_time`` (the Kafka record's own time,
        which keeps an event that claims to come from the future from moving the watermark).  Of events with one id that
        are not late, those after the first are duplicates until the watermark has passed the first one by the gap.
        """
        at = _us(events["occurred_at"])
        ids = events["event_id"]
        moves = np.minimum(at, _us(events["record_time"]))
        partition = events["partition"].to_numpy()
        late = np.zeros(len(events), bool)
        duplicate = np.zeros(len(events), bool)
        for number in np.unique(partition).tolist():
            rows = np.flatnonzero(partition == number)
            state = self._state(number)
            before = np.maximum.accumulate(np.concatenate(([state.newest], moves[rows])))
            watermarks = _minus(before[:-1], self._lateness)
            late[rows] = at[rows] < watermarks
            state.newest = int(before[-1])
            is_on_time = ~late[rows]
            own = rows[is_on_time]
            duplicate[own] = state.open_ids.take(ids.gather(own), at[own], watermarks[is_on_time], state.held)
        kept = events.hstack([pl.Series("late", late)])
        if duplicate.any():
            kept = kept.filter(pl.Series(~duplicate))
        # By name instead of with ``select``, which wakes Polars's threads: they look for work for a millisecond.
        on_time = kept[list(HELD)]
        self._hold(on_time.filter(~kept["late"]) if late.any() else on_time)
        without_time = [name for name in kept.columns if name != "record_time"]
        return Intake(kept[without_time], events[["partition", "record_offset"]][np.flatnonzero(duplicate)])

    def advance(self, partition: int, newest: datetime) -> None:
        """Say that time has come to ``newest`` in a partition although no event did; never moves backwards."""
        state = self._state(partition)
        state.newest = max(state.newest, _to_us(newest))

    def finish(self, partitions: Iterable[int] | None = None) -> None:
        """Say that input has ended: the watermark passes every open session; what still comes for then is late."""
        for number in list(self._partitions if partitions is None else partitions):
            state = self._state(number)
            last = state.latest()
            if last is not None:
                state.newest = max(state.newest, last + self._lateness + self._cuts.gap + self._slot + 1)

    def take_closed(self) -> pa.Table:
        """The sessions closed since the last call, in the columns ``SESSION_COLUMNS``."""
        moved = [state for state in self._partitions.values() if self._release(state)]
        return self._cut(moved) if moved else SESSION_COLUMNS.empty_table()

    def newest(self, partition: int) -> datetime | None:
        """The newest event time seen in a partition; None before its first event."""
        state = self._partitions.get(partition)
        return None if state is None or state.newest == _NEVER else _from_us(state.newest)

    def watermark(self, partition: int) -> datetime | None:
        """Up to where a partition's event time is final; None before its first event."""
        newest = self.newest(partition)
        return None if newest is None else newest - self._ladder.lateness

    def open_events(self) -> int:
        """Events held because their sessions may still grow."""
        return sum(len(frame) for state in self._partitions.values() for frame in state.held())

    def open_sessions(self) -> int:
        """Visitors with an open session (an estimate within a few per cent, cheap enough for every checkpoint)."""
        visitors = [frame["visitor_id"] for state in self._partitions.values() for frame in state.held()]
        return int(pl.concat(visitors).to_frame().select(pl.all().approx_n_unique()).item()) if visitors else 0

    def open_since(self, partition: int) -> datetime | None:
        """The oldest event that is in no session yet."""
        state = self._partitions.get(partition)
        earliest = state.earliest() if state is not None else None
        return None if earliest is None else _from_us(earliest)

    def settled_until(self, partition: int) -> datetime | None:
        """Every older event, come or still to come, is late or in a session given out; None before the first event."""
        times = (self.watermark(partition), self.open_since(partition))
        return min((at for at in times if at is not None), default=None)

    def snapshot(self, partition: int) -> Snapshot:
        """A partition's state; ``restore`` of it, here or elsewhere, goes on as if nothing had happened."""
        state = self._partitions[partition]
        frames = state.held()
        events = pl.concat(frames) if frames else pl.DataFrame(schema=_HELD_SCHEMA)
        return Snapshot(self.newest(partition), events)

    def keep(self, partitions: Collection[int]) -> None:
        """Forget all other partitions."""
        self._partitions = {number: state for number, state in self._partitions.items() if number in partitions}

    def restore(self, partition: int, snapshot: Snapshot) -> None:
        """Take over a partition, forgetting what was known of it.  ``snapshot.events`` may be in any order."""
        newest = _NEVER if snapshot.newest is None else _to_us(snapshot.newest)
        self._partitions[partition] = _Partition(OpenIds(self._cuts.gap, snapshot.events), newest)
        self._hold(snapshot.events[list(HELD)])

    def _state(self, partition: int) -> _Partition:
        state = self._partitions.get(partition)
        if state is None:
            state = self._partitions[partition] = _Partition(OpenIds(self._cuts.gap))
        return state

    def _hold(self, events: pl.DataFrame) -> None:
        """Put events into their slot of event time."""
        partition, slot = events["partition"].to_numpy(), _us(events["occurred_at"]) // self._slot
        order, starts = grouped(partition, slot)
        events = events[order]
        for start, end in pairwise([*starts.tolist(), len(order)]):
            self._partitions[int(partition[order[start]])].hold(int(slot[order[start]]), events[start:end])

    def _boundary(self, state: _Partition) -> int:
        """The watermark, rounded down to a slot."""
        if state.newest == _NEVER:
            return _NEVER
        return (state.newest - self._lateness) // self._slot * self._slot

    def _release(self, state: _Partition) -> bool:
        """Move the slots that the watermark has passed to ``released``; False where nothing can have closed since."""
        boundary = self._boundary(state)
        passed = [slot for slot in state.slots if (slot + 1) * self._slot <= boundary]
        moved = boundary != state.boundary
        state.boundary = boundary
        for slot in passed:
            state.released.extend(state.slots.pop(slot))
        return (moved or bool(state.released)) and any(map(len, state.before_slots()))

    def _cut(self, states: Sequence[_Partition]) -> pa.Table:
        """Sort final events, cut them into sessions, give out the closed ones and carry the rest."""
        final = [pl.concat(state.before_slots()) for state in states]
        events = pl.concat(final)
        at, partition = _us(events["occurred_at"]), events["partition"].to_numpy()
        visitor = text_of(events["visitor_id"]).dictionary_encode().indices.to_numpy().astype(np.int64)
        who = visitor * (int(partition.max()) + 1) + partition
        order = in_session_order(who, events)
        new_visitor = np.ones(len(events), bool)
        new_visitor[1:] = np.diff(who[order]) != 0
        starts, capped = self._cuts.sessions(at[order], new_visitor)
        lengths = np.diff(np.append(starts, len(at)))

        boundary = np.full(int(partition.max()) + 1, _NEVER)
        for number, state in self._partitions.items():
            boundary[number : number + 1] = state.boundary
        # Those that a cap cut off, too: an id is remembered for the gap, and what is given out is not.
        closed = at[order[starts + lengths - 1]] + self._cuts.gap < boundary[partition[order[starts]]]
        is_open = np.ones(len(events), bool)
        is_open[order] = np.repeat(~closed, lengths)
        ends = np.cumsum([*map(len, final)])
        for state, own, is_own_open in zip(states, final, np.split(is_open, ends[:-1]), strict=True):
            kept = own.filter(pl.Series(is_own_open))
            # Each piece keeps the text of its whole batch alive, as long as one of its events is open.
            state.carried = _compact([kept]) if kept.n_chunks() > _FRAMES_PER_SLOT else kept
            state.released = []
        if not closed.any():
            return SESSION_COLUMNS.empty_table()
        starts, lengths, capped = starts[closed], lengths[closed], capped[closed]
        by_name = _by_name(events, order[starts])
        starts, lengths = starts[by_name], lengths[by_name]
        own = np.cumsum(lengths) - lengths
        rows = order[np.repeat(starts - own, lengths) + np.arange(int(lengths.sum()))]
        if is_open.any():  # nothing is asked of what stays open: it will be when it closes
            events, rows = events.filter(pl.Series(~is_open)), (np.cumsum(~is_open) - 1)[rows]
        made = SessionRows(events, self._marks, self._ladder.name, self._source)
        return made.of(rows, own, capped[by_name])


_TIME = pl.Datetime("us", "UTC")
_HELD_SCHEMA: dict[str, Any] = {
    name: {"partition": pl.Int32, "occurred_at": _TIME, "received_at": _TIME}.get(name, pl.String) for name in HELD
}


def _by_name(events: pl.DataFrame, rows: Int64s) -> npt.NDArray[np.uint32]:
    """The order of these rows by partition, visitor and time."""
    by = [events[name].gather(rows) for name in ("partition", "visitor_id", "occurred_at")]
    order: npt.NDArray[np.uint32] = pl.DataFrame(by).select(pl.arg_sort_by(by)).to_series().to_numpy()
    return order


def _compact(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """One frame with text buffers of its own; merely concatenated, each row of a small batch keeps kilobytes alive."""
    table: pa.Table = pl.concat(frames).to_arrow()
    return pl.DataFrame(table)


def _us(times: pl.Series) -> Int64s:
    return times.to_numpy().view(np.int64)


def _to_us(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _from_us(us: int) -> datetime:
    return _EPOCH + us * _MICROSECOND


def _minus(values: Int64s, amount: int) -> Int64s:
    """``values - amount``, where "never" stays never."""
    return np.where(values == _NEVER, _NEVER, values - amount)
