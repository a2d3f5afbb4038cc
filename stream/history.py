"""Sessions of events that are all there: a file, or a past that is cut anew."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from ladder.tiers import Ladder
from stream.cuts import Cuts, Int64s
from stream.marks import MarkTable
from stream.session_rows import SESSION_COLUMNS, SessionRows, in_session_order

_AT_A_TIME = 10_000
"""Sessions: what is found out about them on the way stays in the processor's cache."""


def sessionise_history(events: pl.DataFrame, ladder: Ladder, source: str) -> pa.Table:
    """All sessions of events that are complete and free of duplicates, in any order: nothing is late or left open.

    Columns in: at least ``stream.sessions.HELD``; out: ``SESSION_COLUMNS``, by partition, visitor and start.
    """
    if events.is_empty():
        return SESSION_COLUMNS.empty_table()
    visitor = _ranks(events["visitor_id"])
    who = events["partition"].to_numpy().astype(np.int64) * (int(visitor.max()) + 1) + visitor
    order = in_session_order(who, events)
    at = events["occurred_at"].to_numpy().view(np.int64)[order]
    new_visitor = np.concatenate(([True], np.diff(who[order]) != 0))
    starts, capped = Cuts.of(ladder).sessions(at, new_visitor)
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
