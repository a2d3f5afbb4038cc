"""Rows of the table of sessions, made of events that need not lie in the order of their sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ladder.tables import LANDED, MARKED_EVENT, SESSIONS
from ladder.tiers import Role
from stream.cuts import Int64s
from stream.marks import MarkTable
from stream.sorted_runs import ordered

FIRST_TOUCH = ("page_url", "referrer", "utm_source", "utm_medium", "utm_campaign", "device_class")

SESSION_COLUMNS: pa.Schema = SESSIONS.remove(SESSIONS.get_field_index(LANDED.name))

_ROLE_COLUMNS: tuple[tuple[str, Role], ...] = (
    ("asks", "ask"),
    ("yeses", "yes"),
    ("noes", "no"),
    ("rewards", "reward"),
    ("cheers", "cheer"),
    ("regrets", "regret"),
)

_NEVER = int(np.iinfo(np.int64).min)


class SessionRows:
    """Makes sessions of events, in the columns ``SESSION_COLUMNS``.  Of text only what a session keeps is moved."""

    def __init__(self, events: pl.DataFrame, marks: MarkTable, ladder: str, source: str) -> None:
        self._marks = marks
        self._ladder = ladder
        self._source = source
        self._at = _us(events["occurred_at"])
        self._combo = marks.of(events["name"], events["properties"])
        self._partition = events["partition"].to_numpy()
        names = ("event_id", "name", "visitor_id", "user_id", *FIRST_TOUCH)
        self._known = {name: events[name].is_not_null().to_numpy() for name in ("user_id", *FIRST_TOUCH)}
        empty = {name for name, known in self._known.items() if not known.any()}
        self._text = {name: text_of(events[name]) for name in names if name not in empty}

    def of(self, order: Int64s, starts: Int64s, capped: npt.NDArray[np.bool_]) -> pa.Table:
        """Some sessions.

        ``order``: rows of the events, session after session, each by time.  ``starts``: where in ``order`` each session
        begins; ``capped``: whether a cap cut it off.
        """
        marks = self._marks
        ends = np.append(starts[1:], len(order))
        lengths = ends - starts
        at, combo = self._at[order], self._combo[order]

        highest = np.maximum.reduceat(marks.highest_yes[combo], starts)
        held = _running_max_per_session(marks.highest_yes[combo], lengths)
        lowest_ask = marks.lowest_ask[combo]
        leap = np.where(lowest_ask > 0, marks.highest_ask[combo] - held, _NEVER)
        largest_leap = np.maximum.reduceat(leap, starts)
        first_ask = _first(lowest_ask > 0, starts, ends)
        reached = np.bitwise_or.reduceat(marks.yes_bits[combo], starts)

        sizes = marks.row_count[combo]
        row_starts = np.cumsum(sizes) - sizes
        mark_row = pa.array(np.repeat(marks.first_row[combo] - row_starts, sizes) + np.arange(int(sizes.sum())))
        event_row = np.repeat(order, sizes)
        started = at[starts]
        sequence_rows = pa.StructArray.from_arrays(
            [
                pa.array(np.repeat(at - np.repeat(started, lengths), sizes)),
                *(self._text[name].take(pa.array(event_row)) for name in ("event_id", "name")),
                *(column.take(mark_row) for column in (marks.row_tier, marks.row_role, marks.row_step)),
            ],
            fields=list(MARKED_EVENT),
        )
        offsets = np.append(row_starts[starts], len(event_row)).astype(np.int32)

        first = order[starts]
        visitors = self._text["visitor_id"].take(pa.array(first))
        session_id = pl.concat_str(pl.lit(pl.Series(visitors)), pl.lit("@"), pl.lit(pl.Series(started)))

        columns: dict[str, Any] = {
            "session_id": text_of(pl.select(session_id).to_series()),
            "ladder": pa.array([self._ladder] * len(starts), pa.string()),
            "visitor_id": visitors,
            "user_id": self._told("user_id", len(starts), order, lambda known: _last(known, starts)),
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
                name: self._told(name, len(starts), order, lambda known: _first(known, starts, ends))
                for name in FIRST_TOUCH
            },
            "sequence": pa.ListArray.from_arrays(pa.array(offsets), sequence_rows),
            "source": pa.array([self._source] * len(starts), pa.string()),
            "partition": pa.array(self._partition[first], pa.int32()),
        }
        return pa.table(columns, schema=SESSION_COLUMNS)

    def _told(
        self, name: str, sessions: int, order: Int64s, place: Callable[[npt.NDArray[np.bool_]], Int64s]
    ) -> pa.Array:
        """A text for each session: that at the place found among those where one is known; null for -1."""
        text = self._text.get(name)
        if text is None:
            return pa.nulls(sessions, pa.string())
        places = place(self._known[name][order])
        return text.take(pa.array(order[places], mask=places < 0))


def in_session_order(who: Int64s, events: pl.DataFrame) -> Int64s:
    """The order of events by visitor, time, arrival and id; the text is compared only where all else is the same.

    ``who``: by event a number of its visitor.
    """
    at, received = _us(events["occurred_at"]), _us(events["received_at"])
    order = ordered(who, at, received)
    same = np.zeros(len(order) + 1, bool)
    same[1:-1] = np.logical_and.reduce([column[order[1:]] == column[order[:-1]] for column in (who, at, received)])
    tied = np.flatnonzero(same[:-1] | same[1:])
    if len(tied):
        rows = order[tied]
        ties = pl.DataFrame({"run": np.cumsum(~same[:-1])[tied], "event_id": events["event_id"].gather(rows)})
        order[tied] = rows[ties.select(pl.arg_sort_by("run", "event_id")).to_series().to_numpy()]
    return order


def _us(times: pl.Series) -> Int64s:
    return times.to_numpy().view(np.int64)


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


def text_of(series: pl.Series) -> pa.Array:
    """Polars's text as Arrow's, in one piece."""
    array = series.to_arrow().cast(pa.string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _nullable(values: Int64s, known: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.array(np.where(known, values, 0).astype(np.int16), pa.int16(), mask=~known)


def _tiers(bits: Int64s) -> pa.Array:
    """The tiers of each bit set, lowest first."""
    distinct, which = np.unique(bits, return_inverse=True)
    lists = [[tier + 1 for tier in range(32) if bit >> tier & 1] for bit in distinct.tolist()]
    return pa.array(lists, pa.list_(pa.int16())).take(pa.array(which))
