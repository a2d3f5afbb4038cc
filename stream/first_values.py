"""The value of one column that was first known of a visitor, by clock hour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from stream.cuts import Int64s
from stream.sorted_runs import Keys, SortedRuns

HOUR = 3_600_000_000
LONGEST = 100
"""Characters of a value; what is longer is cut."""


def keys_of(visitor: Keys, hour: Int64s) -> Keys:
    """One number for each visitor and clock hour."""
    return visitor ^ scattered(hour)


class FirstValues:
    """First is what arrives first.  Hours are whole hours since 1970."""

    def __init__(self) -> None:
        self._runs = SortedRuns("key", "until")

    def add(self, values: pl.Series, visitor: Keys, hour: Int64s, rows: Int64s, until: Int64s) -> pl.Series:
        """Take in the values (null: none) of a batch, and tell those of some of its rows.

        A row's value is the first of its visitor in the hour before its own, else the first in its own hour; of this
        batch, what stands up to the row's ``until``.
        """
        keys = keys_of(visitor, hour)
        own, before = keys[rows], keys_of(visitor[rows], hour[rows] - 1)
        known = np.flatnonzero(values.is_not_null().to_numpy())
        fresh, first = np.unique(keys[known], return_index=True)
        places = known[first]

        stored = self._runs.rows_of(np.unique(np.concatenate((fresh, own, before))))
        if stored is not None:
            is_new = ~np.isin(fresh, stored["key"].to_numpy())
            fresh, places = fresh[is_new], places[is_new]
        new = pl.DataFrame(
            {"key": fresh, "until": (hour[places] + 2) * HOUR, "value": values[places].str.slice(0, LONGEST)}
        )
        self._runs.add(new)

        table = new.select("key", "value", place=pl.Series(places))
        if stored is not None:
            table = pl.concat([table, stored.select("key", "value", place=pl.lit(-1, pl.Int64))])
        table = table.sort("key")
        found = np.where((there := _places(table, before, until)) >= 0, there, _places(table, own, until))
        return table["value"].gather(pl.Series(found).replace(-1, None))

    def forget(self, watermark: int) -> None:
        """Nobody asks any more for what only rows from before ``watermark`` (microseconds) could ask for."""
        self._runs.forget(watermark)


def _places(table: pl.DataFrame, keys: Keys, until: Int64s) -> Int64s:
    """Where each key stands in a table sorted by it, -1 where it does not, or only later than ``until``."""
    if table.is_empty():
        return np.full(len(keys), -1, np.int64)
    known = table["key"].to_numpy()
    index = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where((known[index] == keys) & (table["place"].to_numpy()[index] <= until), index, -1)


def scattered(numbers: npt.NDArray[np.integer]) -> Keys:
    """Numbers spread over 64 bits (the finaliser of SplitMix64; Steele, Lea, Flood 2014)."""
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
