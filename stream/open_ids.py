"""Which events of a partition are in no session yet, by id: what a second event of the same id is told by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from stream.cuts import Flags, Int64s
from stream.sorted_runs import Keys, SortedRuns, distinct


class OpenIds:
    """The ids of one partition's open events.

    An id is remembered until the watermark has passed its event's time plus the gap.  That depends on the order of the
    records alone, not on batches; the event is in no session yet as long, so the open events are all there is to know.

    Remembered are 64 bits of a hash: only where two events share them are the ids themselves compared, with those of
    the open events.
    """

    def __init__(self, gap: int, events: pl.DataFrame | None = None) -> None:
        self._gap = gap
        self._hashes = SortedRuns("at")
        if events is not None:
            self._hashes.add(_hashes(events["event_id"]), {"at": events["occurred_at"].to_numpy().view(np.int64)})

    def take(self, ids: pl.Series, at: Int64s, watermarks: Int64s, held: Callable[[], Sequence[pl.DataFrame]]) -> Flags:
        """Which of these events are duplicates; the others are open from now on.

        The events are in record order, none late.  ``watermarks``: as the records ahead of each had set it.  ``held``:
        the open events so far.
        """
        duplicate = np.zeros(len(ids), bool)
        if not len(ids):
            return duplicate
        self._hashes.forget(int(watermarks[0]) - self._gap)
        hashes = _hashes(ids)
        known, _, which = distinct(hashes)
        alike = np.bincount(which) > 1
        alike[self._hashes.rows_of(known)[0]] = True
        if alike.any():
            rows = np.flatnonzero(alike[which])
            duplicate[rows] = self._compared(ids.gather(rows), at[rows], watermarks[rows], held())
        self._hashes.add(hashes[~duplicate], {"at": at[~duplicate]})
        return duplicate

    def _compared(self, ids: pl.Series, at: Int64s, watermarks: Int64s, held: Sequence[pl.DataFrame]) -> list[bool]:
        """``take``, by the ids themselves."""
        # Of two open events with one id the watermark has passed the earlier one: the later one counts.
        time_of: dict[str, int] = {}
        if held:  # in one query: there may be hundreds of frames
            everything = pl.concat([frame[["event_id", "occurred_at"]] for frame in held])
            same = everything.filter(pl.col("event_id").is_in(ids.implode()))
            for event_id, first in zip(same["event_id"], same["occurred_at"].to_physical(), strict=True):
                time_of[event_id] = max(first, time_of.get(event_id, first))
        duplicate = [False] * len(ids)
        for row, event_id in enumerate(ids):
            first = time_of.get(event_id)
            if first is not None and first + self._gap >= watermarks[row]:
                duplicate[row] = True
            else:
                time_of[event_id] = int(at[row])
        return duplicate


def _hashes(ids: pl.Series) -> Keys:
    hashes: Keys = ids.hash().to_numpy()
    return hashes
