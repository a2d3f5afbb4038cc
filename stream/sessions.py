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
import pyarrow.compute as pc

from ladder.durations import in_microseconds
from ladder.tables import LANDED, MARKED_EVENT, SESSIONS
from ladder.tiers import Ladder, Role
from stream.cuts import Cuts, Int64s
from stream.marks import MarkTable
from stream.open_ids import OpenIds
from stream.sorted_runs import grouped, ordered

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

FIRST_TOUCH = ("page_url", "referrer", "utm_source", "utm_medium", "utm_campaign", "device_class")

SESSION_COLUMNS: pa.Schema = SESSIONS.remove(SESSIONS.get_field_index(LANDED.name))

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

    def hold_history(self, partition: int, events: pl.DataFrame) -> None:
        """Take in events of which none is late or a duplicate, in the columns ``HELD``; they are cut at the next call.

        History spans years: it is kept in one piece instead of in slots of event time.
        """
        self._state(partition).released.append(events)

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
        visitor = _arrow(events["visitor_id"]).dictionary_encode().indices.to_numpy().astype(np.int64)
        who = visitor * (int(partition.max()) + 1) + partition
        order = _ordered(who, at, events)
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
        for state, own, is_own_open in zip(
            states, final, np.split(is_open, np.cumsum([*map(len, final)])), strict=False
        ):
            state.carried, state.released = own.filter(pl.Series(is_own_open)), []
        if not closed.any():
            return SESSION_COLUMNS.empty_table()
        starts, lengths, capped = starts[closed], lengths[closed], capped[closed]
        by_name = _by_name(events, order[starts])
        starts, lengths = starts[by_name], lengths[by_name]
        own = np.cumsum(lengths) - lengths
        rows = order[np.repeat(starts - own, lengths) + np.arange(int(lengths.sum()))]
        return self._sessions(events, rows, own, capped[by_name])

    def _sessions(self, events: pl.DataFrame, rows: Int64s, starts: Int64s, capped: npt.NDArray[np.bool_]) -> pa.Table:
        """Session rows.  ``rows``: events in their order, the n-th session being those from ``starts[n]`` to the next
        start.  Text is gathered where it is put down and nowhere else, for that is most of the work."""
        ends = np.append(starts[1:], len(rows))
        lengths = ends - starts
        at = _us(events["occurred_at"])[rows]
        marks = self._marks
        combo = marks.of(events["name"].gather(rows), events["properties"].gather(rows))

        highest = np.maximum.reduceat(marks.highest_yes[combo], starts)
        held = _running_max_per_session(marks.highest_yes[combo], lengths)
        lowest_ask = marks.lowest_ask[combo]
        leap = np.where(lowest_ask > 0, marks.highest_ask[combo] - held, _NEVER)
        largest_leap = np.maximum.reduceat(leap, starts)
        first_ask = _first(lowest_ask > 0, starts, ends)
        reached = np.bitwise_or.reduceat(marks.yes_bits[combo], starts)

        sizes = marks.row_count[combo]
        row_starts = np.cumsum(sizes) - sizes
        event_of_row = np.repeat(np.arange(len(rows)), sizes)
        mark_row = np.repeat(marks.first_row[combo] - row_starts, sizes) + np.arange(int(sizes.sum()))
        started = at[starts]
        sequence_rows = pa.StructArray.from_arrays(
            [
                pa.array((at - np.repeat(started, lengths))[event_of_row]),
                *(_arrow(events[name].gather(rows[event_of_row])) for name in ("event_id", "name")),
                *(column.take(pa.array(mark_row)) for column in (marks.row_tier, marks.row_role, marks.row_step)),
            ],
            fields=list(MARKED_EVENT),
        )
        offsets = np.append(row_starts[starts], len(event_of_row)).astype(np.int32)
        sequence = pa.ListArray.from_arrays(pa.array(offsets), sequence_rows)

        first_rows = rows[starts]
        visitor = _arrow(events["visitor_id"].gather(first_rows))
        user = _last(events["user_id"].is_not_null().to_numpy()[rows], starts)
        columns: dict[str, Any] = {
            "session_id": pc.binary_join_element_wise(visitor, pa.array(started).cast(pa.string()), "@"),
            "ladder": pa.array([self._ladder.name] * len(starts), pa.string()),
            "visitor_id": visitor,
            "user_id": _gather(events["user_id"], rows, user),
            "started_at": pa.array(started, SESSION_COLUMNS.field("started_at").type),
            "ended_at": pa.array(at[ends - 1], SESSION_COLUMNS.field("ended_at").type),
            "events": pa.array(lengths, pa.int32()),
            **{
                column: pa.array(np.add.reduceat(marks.counts[role][combo], starts), pa.int32())
                for column, role in _ROLE_COLUMNS
            },
            "highest_tier": _nullable(highest, highest > 0),
            "tiers_reached": _tiers(reached),
            "first_ask_tier": _nullable(lowest_ask[np.maximum(first_ask, 0)], first_ask >= 0),
            "largest_leap": _nullable(largest_leap, largest_leap != _NEVER),
            "capped": pa.array(capped),
            **{
                name: _gather(events[name], rows, _first(events[name].is_not_null().to_numpy()[rows], starts, ends))
                for name in FIRST_TOUCH
            },
            "sequence": sequence,
            "source": pa.array([self._source] * len(starts), pa.string()),
            "partition": pa.array(events["partition"].to_numpy()[first_rows], pa.int32()),
        }
        return pa.table(columns, schema=SESSION_COLUMNS)


def sessionise_history(events: pl.DataFrame, ladder: Ladder, source: str) -> pa.Table:
    """All sessions of events that are complete and free of duplicates, in any order: nothing is late or left open.

    Columns in: those of ``HELD``; out: ``SESSION_COLUMNS``.
    """
    sessioniser = Sessioniser(ladder, source)
    for (number,), rows in events.select(HELD).partition_by("partition", as_dict=True, maintain_order=True).items():
        sessioniser.hold_history(int(number), rows)
    sessioniser.finish()
    return sessioniser.take_closed()


_ROLE_COLUMNS: tuple[tuple[str, Role], ...] = (
    ("asks", "ask"),
    ("yeses", "yes"),
    ("noes", "no"),
    ("rewards", "reward"),
    ("cheers", "cheer"),
    ("regrets", "regret"),
)

_TIME = pl.Datetime("us", "UTC")
_HELD_SCHEMA: dict[str, Any] = {
    name: {"partition": pl.Int32, "occurred_at": _TIME, "received_at": _TIME}.get(name, pl.String) for name in HELD
}


def _ordered(who: Int64s, at: Int64s, events: pl.DataFrame) -> Int64s:
    """The order of events by visitor, time, arrival and id; the text is compared only where all else is the same."""
    received = _us(events["received_at"])
    order = ordered(who, at, received)
    same = np.zeros(len(order) + 1, bool)
    same[1:-1] = np.logical_and.reduce([column[order[1:]] == column[order[:-1]] for column in (who, at, received)])
    tied = np.flatnonzero(same[:-1] | same[1:])
    if len(tied):
        rows = order[tied]
        ties = pl.DataFrame({"run": np.cumsum(~same[:-1])[tied], "event_id": events["event_id"].gather(rows)})
        order[tied] = rows[ties.select(pl.arg_sort_by("run", "event_id")).to_series().to_numpy()]
    return order


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


def _running_max_per_session(values: Int64s, lengths: Int64s) -> Int64s:
    """The running maximum of small non-negative values, begun anew in each session."""
    lift = np.repeat(np.arange(len(lengths), dtype=np.int64) << 8, lengths)
    running: Int64s = np.maximum.accumulate(values + lift) - lift
    return running


def _first(flags: npt.NDArray[np.bool_], starts: Int64s, ends: Int64s) -> Int64s:
    """Per session the index of its first flagged row, else -1."""
    rows = np.where(flags, np.arange(len(flags)), len(flags))
    first = np.minimum.reduceat(rows, starts)
    return np.where(first < ends, first, -1)


def _last(flags: npt.NDArray[np.bool_], starts: Int64s) -> Int64s:
    """Per session the index of its last flagged row, else -1."""
    rows = np.where(flags, np.arange(len(flags)), -1)
    last = np.maximum.reduceat(rows, starts)
    return np.where(last >= starts, last, -1)


def _arrow(series: pl.Series) -> pa.Array:
    array = series.to_arrow().cast(pa.string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _gather(series: pl.Series, rows: Int64s, places: Int64s) -> pa.Array:
    """The values at ``rows[places]``; null where a place is -1."""
    known = places >= 0
    found = _arrow(series.gather(rows[places[known]]))
    return found if len(found) == len(places) else found.take(pa.array(np.cumsum(known) - 1, mask=~known))


def _nullable(values: Int64s, known: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.array(np.where(known, values, 0).astype(np.int16), pa.int16(), mask=~known)


def _tiers(bits: Int64s) -> pa.Array:
    """The tiers of each bit set, lowest first."""
    distinct, which = np.unique(bits, return_inverse=True)
    lists = [[tier + 1 for tier in range(32) if bit >> tier & 1] for bit in distinct.tolist()]
    return pa.array(lists, pa.list_(pa.int16())).take(pa.array(which))
