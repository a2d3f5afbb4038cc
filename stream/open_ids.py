"""Which events of a partition are in no session yet, by id: what a second event of the same id is told by."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np
import polars as pl

from stream.cuts import Cuts, Flags, Int64s


class OpenIds:
    """The ids of one partition's open events.

    Whether a second event is a duplicate depends on whether the first one's session was open by the watermark that the
    records ahead of the second had set, and on nothing else: not on batches, not on when sessions were taken.
    """

    def __init__(self, cuts: Cuts, events: pl.DataFrame | None = None) -> None:
        self._cuts = cuts
        # Of two open events with one id the earlier one's session is about to be given out; the later one counts.
        known = [] if events is None else _timed(events).sort("at").iter_rows()
        self._time_of: dict[str, int] = {event_id: at for event_id, _, at in known}

    def __len__(self) -> int:
        return len(self._time_of)

    def take(self, events: pl.DataFrame, boundaries: Int64s, held: Sequence[pl.DataFrame]) -> Flags:
        """Which of these events are duplicates; the others are open from now on.

        ``events``: in record order, none late.  ``boundaries``: the watermark ahead of each.  ``held``: all open events
        (and those whose sessions are closed but not taken yet).
        """
        time_of = self._time_of
        duplicate = np.zeros(len(events), bool)
        doubtful: set[str] = set()
        timed = _timed(events)
        rows = zip(timed["event_id"].to_list(), timed["at"].to_list(), boundaries.tolist(), strict=True)
        for row, (event_id, at, boundary) in enumerate(rows):
            first = time_of.get(event_id)
            if first is None:
                time_of[event_id] = at
            else:
                duplicate[row] = True
                if first < boundary:
                    doubtful.add(event_id)
        if doubtful:
            self._look_into(doubtful, timed, boundaries, pl.concat(map(_timed, [*held, events[:0]])), duplicate)
        return duplicate

    def forget(self, events: pl.DataFrame) -> None:
        """These events' sessions were given out."""
        for event_id, _, at in _timed(events).iter_rows():
            if self._time_of.get(event_id) == at:
                del self._time_of[event_id]

    def _look_into(
        self, doubtful: set[str], events: pl.DataFrame, boundaries: Int64s, held: pl.DataFrame, duplicate: Flags
    ) -> None:
        """Decide anew for ids whose first event the watermark has passed: its session may have been closed since."""
        is_doubtful = pl.col("event_id").is_in(list(doubtful))
        accepted = events.filter(~pl.Series(duplicate) & ~is_doubtful)
        first_of = {
            event_id: (visitor, at) for event_id, visitor, at in held.filter(is_doubtful).sort("at").iter_rows()
        }
        rows = events.select(pl.arg_where(is_doubtful)).to_series().to_list()
        visitors = {visitor for visitor, _ in first_of.values()} | set(events["visitor_id"].gather(rows).to_list())
        times: dict[str, list[int]] = {visitor: [] for visitor in visitors}
        concerned = pl.concat([held, accepted]).filter(pl.col("visitor_id").is_in(list(visitors))).sort("at")
        for _, visitor, at in concerned.iter_rows():
            times[visitor].append(at)
        for row in rows:
            event_id, visitor, at = events.row(row)
            first = first_of.get(event_id)
            duplicate[row] = first is not None and not self._given_out(times[first[0]], first[1], int(boundaries[row]))
            if not duplicate[row]:
                first_of[event_id] = (visitor, at)
                insort(times[visitor], at)
                self._time_of[event_id] = at

    def _given_out(self, times: list[int], first: int, boundary: int) -> bool:
        """Whether the session of a visitor's event at ``first`` is closed when the watermark is at ``boundary``."""
        if first >= boundary:
            return False
        final = np.array(times[: bisect_left(times, boundary)], np.int64)
        starts, capped = self._cuts.sessions(final, np.arange(len(final)) == 0)
        place = int(np.searchsorted(starts, bisect_left(times, first), side="right")) - 1
        end = np.append(starts[1:], len(final))[place] - 1
        return bool(capped[place] or final[end] + self._cuts.gap < boundary)


def _timed(events: pl.DataFrame) -> pl.DataFrame:
    return events.select("event_id", "visitor_id", at=pl.col("occurred_at").to_physical())
