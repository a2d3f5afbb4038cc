"""Rows found by a number, of which more come all the time and the old ones are forgotten."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from stream.cuts import Int64s

Keys = npt.NDArray[np.uint64]


class _Run(NamedTuple):
    keys: Keys
    rows: pl.DataFrame
    latest: int


class SortedRuns:
    """Frames sorted by the column ``key``; one is merged with the one before it unless that is twice its size.

    So there are few of them, and a row is sorted a few times in its life.  ``at``: the column of a row's time.
    """

    def __init__(self, key: str, at: str) -> None:
        self._key = key
        self._at = at
        self._since: int | None = None
        self._runs: list[_Run] = []

    def __len__(self) -> int:
        return sum(len(run.keys) for run in self._runs)

    def add(self, rows: pl.DataFrame) -> None:
        """Rows of one key stay in the order in which they were added."""
        self._push(rows)
        while len(self._runs) > 1 and len(self._runs[-2].keys) < 2 * len(self._runs[-1].keys):
            newer, older = self._runs.pop(), self._runs.pop()
            self._push(self._merged(older.rows, newer.rows))

    def rows_of(self, keys: Keys) -> pl.DataFrame | None:
        """All rows of these keys (sorted, each once); None where there are none."""
        found = []
        for run in self._runs:
            index = _ranges(np.searchsorted(run.keys, keys, "left"), np.searchsorted(run.keys, keys, "right"))
            if len(index):
                found.append(run.rows[index])
        return pl.concat(found) if found else None

    def forget(self, before: int) -> None:
        """Rows from before a time are not needed any more; they go when it costs little."""
        self._since = before
        self._runs = [run for run in self._runs if run.latest >= before]

    def _merged(self, older: pl.DataFrame, newer: pl.DataFrame) -> pl.DataFrame:
        rows = pl.concat([older, newer])
        if self._since is not None:
            rows = rows.filter(pl.col(self._at) >= self._since)
        if pl.String in rows.dtypes:
            # With text buffers of its own; as they are, each row keeps alive all the text that it arrived with.
            rows = pl.DataFrame(rows.to_arrow())
        return rows

    def _push(self, rows: pl.DataFrame) -> None:
        if not rows.is_empty():
            rows = rows.sort(self._key, maintain_order=True)
            self._runs.append(_Run(rows[self._key].to_numpy(), rows, int(rows[self._at].to_numpy().max())))


def _ranges(begin: Int64s, end: Int64s) -> Int64s:
    """The numbers of all [begin, end), one after the other."""
    lengths = end - begin
    found: Int64s = np.arange(int(lengths.sum())) + np.repeat(begin - (np.cumsum(lengths) - lengths), lengths)
    return found
