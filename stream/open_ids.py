"""Which events of a partition are in no session yet, by id: what a second event of the same id is told by."""

from __future__ import annotations

from itertools import repeat

import polars as pl

from stream.cuts import Flags, Int64s


class OpenIds:
    """The ids of one partition's open events.

    An id is remembered until the watermark has passed its event's time plus the gap.  That depends on the order of the
    records alone, not on batches; the event is in no session yet as long, so the open events are all there is to keep.
    """

    def __init__(self, gap: int, events: pl.DataFrame | None = None) -> None:
        self._gap = gap
        # Of two open events with one id the watermark has passed the earlier one: the later one counts.
        known = [] if events is None else _timed(events).sort("at").iter_rows()
        self._time_of: dict[str, int] = dict(known)

    def __len__(self) -> int:
        return len(self._time_of)

    def take(self, events: pl.DataFrame, watermarks: Int64s) -> Flags:
        """Which of these events are duplicates; the others are open from now on.

        ``events``: in record order, none late.  ``watermarks``: as the records ahead of each had set it.
        """
        timed = _timed(events)
        ids, times = timed["event_id"].to_list(), timed["at"].to_list()
        duplicate = [False] * len(ids)
        time_of = self._time_of
        if time_of.keys().isdisjoint(ids) and len(set(ids)) == len(ids):
            time_of.update(zip(ids, times, strict=True))
        else:
            for row, (event_id, at, watermark) in enumerate(zip(ids, times, watermarks.tolist(), strict=True)):
                first = time_of.get(event_id)
                if first is not None and first + self._gap >= watermark:
                    duplicate[row] = True
                else:
                    time_of[event_id] = at
        return pl.Series(duplicate, dtype=pl.Boolean).to_numpy()

    def forget(self, events: pl.DataFrame) -> None:
        """These events' sessions were given out."""
        timed = _timed(events)
        ids, times = timed["event_id"].to_list(), timed["at"].to_list()
        time_of = self._time_of
        known = list(map(time_of.pop, ids, repeat(None)))
        if known == times:
            return
        # Of another event with the same id, which is still open, or the same id twice among these.
        for event_id, at, was in zip(ids, times, known, strict=True):
            if was is not None and was != at:
                time_of[event_id] = was
        for event_id, at in zip(ids, times, strict=True):
            if time_of.get(event_id) == at:
                del time_of[event_id]


def _timed(events: pl.DataFrame) -> pl.DataFrame:
    return events.select("event_id", at=pl.col("occurred_at").to_physical())
