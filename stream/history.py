"""Sessions of events that are all there: a file, or a past that is cut anew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ladder.tiers import Ladder
from stream.cuts import Cuts, Int64s
from stream.marks import MarkTable
from stream.session_rows import SESSION_COLUMNS, SessionRows
from stream.sorted_runs import ordered

_AT_A_TIME = 10_000
"""Sessions: what is found out about them on the way stays in the processor's cache."""


def sessions_of_history(events: pl.DataFrame, ladder: Ladder, source: str) -> pa.Table:
    """All sessions of events that are complete and free of duplicates, of one partition, in any order.

    Columns in: at least ``stream.sessions.HELD``; out: ``SESSION_COLUMNS``, by visitor and start.  The same as
    ``stream.sessions.sessionise_history``, without the state in which a stream would hold them.
    """
    if events.is_empty():
        return SESSION_COLUMNS.empty_table()
    visitor, at, arrived = _ranks(events["visitor_id"]), _us(events["occurred_at"]), _us(events["received_at"])
    order = ordered(visitor, at, arrived)
    sorted_visitor, sorted_at = visitor[order], at[order]
    new_visitor = np.concatenate(([True], np.diff(sorted_visitor) != 0))
    alike = ~new_visitor[1:] & (np.diff(sorted_at) == 0) & (np.diff(arrived[order]) == 0)
    if alike.any():
        order = _by_id(events["event_id"], order, alike)
    starts, capped = Cuts.of(ladder).sessions(sorted_at, new_visitor)
    rows = SessionRows(events, MarkTable(ladder), ladder.name, source)
    ends = np.append(starts[1:], len(order))
    parts = (slice(first, first + _AT_A_TIME) for first in range(0, len(starts), _AT_A_TIME))
    return pa.concat_tables(
        rows.of(order[starts[part][0] : ends[part][-1]], starts[part] - starts[part][0], capped[part]) for part in parts
    )


def _ranks(visitors: pl.Series) -> Int64s:
    """Each one's place among the visitors: so texts are compared once a visitor, and events by numbers."""
    distinct = pl.Enum(visitors.unique().sort())
    return visitors.cast(distinct).to_physical().to_numpy().astype(np.int64)


def _by_id(ids: pl.Series, order: Int64s, alike: npt.NDArray[np.bool_]) -> Int64s:
    """The order with runs of rows that are alike (each like the one before it) put in the order of their ids."""
    run = np.cumsum(np.concatenate(([True], ~alike)))
    within = np.concatenate(([False], alike)) | np.concatenate((alike, [False]))
    rows = order[within]
    order = order.copy()
    order[within] = pl.DataFrame({"run": run[within], "id": ids[rows], "row": rows}).sort("run", "id")["row"].to_numpy()
    return order


def _us(times: pl.Series) -> Int64s:
    physical: Int64s = times.to_physical().to_numpy()
    return physical
