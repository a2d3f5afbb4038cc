"""Rows found by a number, of which more come all the time and the old ones are forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.cuts import Int64s

Keys = npt.NDArray[np.uint64]
Columns = Mapping[str, npt.NDArray[Any]]


def ordered(*columns: Int64s) -> Int64s:
    """The order of rows by columns, the first of them first; of rows that are the same in all, any.

    Columns are packed into one number as far as they fit, which is several times as fast as ``np.lexsort``.
    """
    packed, width = np.zeros(len(columns[0]), np.int64), 1
    rest = list(columns)
    while rest and len(packed):
        least = int(rest[0].min())
        span = int(rest[0].max()) - least + 1
        if width * span >= 1 << 63:
            break
        packed = packed * span + (rest.pop(0) - least)
        width *= span
    order = np.argsort(packed)
    if rest and len(packed):
        same = packed[order[1:]] == packed[order[:-1]]
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        rows = order[tied]
        order[tied] = rows[np.lexsort((*(column[rows] for column in reversed(rest)), packed[rows]))]
    return order


def grouped(*columns: Int64s) -> tuple[Int64s, Int64s]:
    """``ordered``, and where in that order each group of rows that are the same in all columns starts."""
    order = ordered(*columns)
    begins = np.ones(len(order), bool)
    begins[1:] = np.logical_or.reduce([column[order[1:]] != column[order[:-1]] for column in columns])
    return order, np.flatnonzero(begins)


def distinct(keys: Keys) -> tuple[Keys, Int64s, Int64s]:
    """The distinct keys, sorted; a row of each; and of each row which it has."""
    order = np.argsort(keys)
    begins = np.ones(len(order), bool)
    begins[1:] = keys[order[1:]] != keys[order[:-1]]
    which = np.empty(len(order), np.int64)
    which[order] = np.cumsum(begins) - 1
    rows = order[begins]
    return keys[rows], rows, which


class _Run(NamedTuple):
    """``starts[i]`` to ``starts[i + 1]`` are the rows of ``keys[i]``."""

    keys: Keys
    starts: Int64s
    columns: dict[str, npt.NDArray[Any]]
    latest: int


class SortedRuns:
    """Columns sorted by a key, in runs; one is merged with the one before it unless that is twice its size.

    So there are few of them, and a row is sorted a few times in its life.  ``at``: the column of a row's time.
    """

    def __init__(self, at: str) -> None:
        self._at = at
        self._since: int | None = None
        self._runs: list[_Run] = []

    def __len__(self) -> int:
        return sum(int(run.starts[-1]) for run in self._runs)

    def add(self, keys: Keys, columns: Columns) -> None:
        """Rows of one key stay in the order in which they were added."""
        self._push(keys, columns)
        while len(self._runs) > 1 and self._runs[-2].starts[-1] < 2 * self._runs[-1].starts[-1]:
            newer, older = self._runs.pop(), self._runs.pop()
            merged = {name: np.concatenate((values, newer.columns[name])) for name, values in older.columns.items()}
            both = np.concatenate([np.repeat(run.keys, np.diff(run.starts)) for run in (older, newer)])
            if self._since is not None:
                kept = merged[self._at] >= self._since
                both, merged = both[kept], {name: values[kept] for name, values in merged.items()}
            self._push(both, merged)

    def rows_of(self, keys: Keys) -> tuple[Int64s, Columns]:
        """All rows of these keys: which of the keys each belongs to, and its columns (none where no row is found)."""
        whose, found = [], []
        for run in self._runs:
            place = np.minimum(np.searchsorted(run.keys, keys), len(run.keys) - 1)
            hits = np.flatnonzero(run.keys[place] == keys)
            begin = run.starts[place[hits]]
            lengths = run.starts[place[hits] + 1] - begin
            whose.append(np.repeat(hits, lengths))
            found.append((run, np.arange(len(whose[-1])) + np.repeat(begin - (np.cumsum(lengths) - lengths), lengths)))
        if not found:
            return np.zeros(0, np.int64), {}
        names = found[0][0].columns
        return np.concatenate(whose), {
            name: np.concatenate([run.columns[name][index] for run, index in found]) for name in names
        }

    def forget(self, before: int) -> None:
        """Rows from before a time are not needed any more; they go when it costs little."""
        self._since = before
        self._runs = [run for run in self._runs if run.latest >= before]

    def values(self, name: str) -> Int64s:
        """The distinct values of a column."""
        found: Int64s = np.unique(np.concatenate([np.zeros(0, np.int64), *(run.columns[name] for run in self._runs)]))
        return found

    def recode(self, name: str, codes: Int64s) -> None:
        """Replace each value of a column by the one that stands at its place in ``codes``."""
        for run in self._runs:
            run.columns[name] = codes[run.columns[name]]

    def _push(self, keys: Keys, columns: Columns) -> None:
        if not len(keys):
            return
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        own = {name: values[order] for name, values in columns.items()}
        self._runs.append(_Run(keys[starts], np.append(starts, len(keys)), own, int(own[self._at].max())))
