"""The first value known of a visitor in a clock hour, of one column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream.cuts import Int64s
from stream.interned import Interned
from stream.sorted_runs import Keys, SortedRuns, distinct

HOUR = 3_600_000_000
LONGEST = 100
"""Characters of a value; what is longer is cut."""
UNKNOWN = 0
"""The code of no value."""


def scattered(numbers: npt.NDArray[np.integer]) -> Keys:
    """Numbers spread over 64 bits (the finaliser of SplitMix64; Steele, Lea, Flood 2014)."""
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@dataclass(frozen=True)
class VisitorHours:
    """The distinct pairs of visitor and clock hour in a batch.

    ``of_row``: the pair of each row.  ``keys`` (sorted) and ``before``: of the pair, and of its visitor in the hour
    before; ``before_at``: which pair that is, -1 where it is not in the batch.  ``until``: when nobody asks for the
    pair's values any more, in microseconds.
    """

    of_row: Int64s
    keys: Keys
    before: Keys
    before_at: Int64s
    until: Int64s

    @classmethod
    def of(cls, visitor: Keys, at: Int64s) -> Self:
        """``at`` in microseconds since 1970."""
        hour = at // HOUR
        keys, first, of_row = distinct(visitor ^ scattered(hour))
        before = visitor[first] ^ scattered(hour[first] - 1)
        place = np.minimum(np.searchsorted(keys, before), len(keys) - 1)
        before_at = np.where(keys[place] == before, place, -1)
        return cls(of_row, keys, before, before_at, (hour[first] + 2) * HOUR)


class FirstValues:
    """First is what arrives first.  Values are told by code, UNKNOWN where there is none."""

    def __init__(self, few: int) -> None:
        self._runs = SortedRuns("until")
        self._values = Interned("", few)

    @property
    def names(self) -> list[str]:
        """The value of each code."""
        return self._values.names

    def add(self, values: pa.Array, places: Int64s, pairs: VisitorHours, rows: Int64s, until: Int64s) -> Int64s:
        """Take in the values (null: none) of a batch, and tell those of some of its rows.

        ``places``: where the value of each row of the batch stands in ``values``.
        A row's value is the first of its visitor in the hour before its own, else the first in its own hour; of this
        batch, what stands up to the row's ``until``.
        """
        none = len(places)
        first = np.full(len(pairs.keys) + 1, none, np.int64)
        if values.null_count < len(values):
            known = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False)[places])
            np.minimum.at(first, pairs.of_row[known], known)
        code, before = self._stored(pairs.keys), self._stored(pairs.before)
        new = np.flatnonzero((code == UNKNOWN) & (first[:-1] < none))
        fresh = np.full(len(first), UNKNOWN, np.int64)
        if len(new):
            texts = values.take(pa.array(places[first[new]])).to_pylist()
            fresh[new] = self._values.codes([text[:LONGEST] for text in texts])
            self._runs.add(pairs.keys[new], {"code": fresh[new], "until": pairs.until[new]})

        # What is not in the batch stands at -1, in the last place: no value, and of no row.
        pair, pair_before = pairs.of_row[rows], pairs.before_at[pairs.of_row[rows]]
        found = before[pair]
        for candidate in (
            np.where(first[pair_before] <= until, fresh[pair_before], UNKNOWN),
            code[pair],
            np.where(first[pair] <= until, fresh[pair], UNKNOWN),
        ):
            found = np.where(found == UNKNOWN, candidate, found)
        return found

    def forget(self, watermark: int) -> None:
        """Nobody asks any more for what only rows from before ``watermark`` (microseconds) could ask for."""
        self._runs.forget(watermark)
        if self._values.are_many:
            self._runs.recode("code", self._values.keep(self._runs.values("code")))

    def _stored(self, keys: Keys) -> Int64s:
        found = np.full(len(keys), UNKNOWN, np.int64)
        whose, columns = self._runs.rows_of(keys)
        if len(whose):
            found[whose] = columns["code"]
        return found
