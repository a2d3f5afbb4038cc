"""What the lake remembers of step minutes, and a detector that has learnt from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.alerts_baseline import RING
from stream.alerts_config import WINDOW
from stream.alerts_keys import Keys, Name
from stream.alerts_learning import History

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Past:
    """Counts of four weeks or less, of all sources together, and how far the partitions of the watched one had come.

    ``asks`` are (rows, 3): number of the name, minute, count; ``yeses`` (rows, 4): number of the name, minute of the
    ask, delay in minutes, count.  ``positions`` and ``reached_us``: see ``Intake``; ``names`` hold each once.
    """

    names: tuple[Name, ...]
    asks: Whole
    yeses: Whole
    positions: Mapping[int, int]
    reached_us: Mapping[int, int]

    @classmethod
    def nothing(cls) -> Past:
        """That of a new lake."""
        return cls((), np.zeros((0, 3), np.int64), np.zeros((0, 4), np.int64), {}, {})

    def volume(self) -> dict[Name, float]:
        """Asks by name."""
        sums = np.bincount(self.asks[:, 0], weights=self.asks[:, 2], minlength=len(self.names))
        return dict(zip(self.names, sums.tolist(), strict=True))

    def of_keys(self, keys: Keys) -> Past:
        """The same with the numbers of keys in the place of names; without what belongs to none."""
        number = np.array([-1 if (key := keys.find(name)) is None else key for name in self.names], np.int64)

        def renamed(rows: Whole) -> Whole:
            rows = rows.copy()
            rows[:, 0] = number[rows[:, 0]]
            return rows[rows[:, 0] >= 0]

        return Past(tuple(keys.names), renamed(self.asks), renamed(self.yeses), self.positions, self.reached_us)

    def history(self, until: int) -> History:
        """The cohorts before minute ``until``, all of which must have matured."""
        count = len(self.names)
        newest = (until - 1) // 60
        first = int(self.asks[:, 1].min()) // 60 if len(self.asks) else newest + 1
        oldest = max(newest - RING + 1, min(first, newest + 1))
        hours = newest - oldest + 1
        asks, yeses, delays = np.zeros((hours, count)), np.zeros((hours, count)), np.zeros((WINDOW + 1, count))
        made = self.asks[(self.asks[:, 1] >= oldest * 60) & (self.asks[:, 1] < until)]
        said = self.yeses[(self.yeses[:, 1] >= oldest * 60) & (self.yeses[:, 1] < until)]
        np.add.at(asks, (made[:, 1] // 60 - oldest, made[:, 0]), made[:, 2])
        np.add.at(yeses, (said[:, 1] // 60 - oldest, said[:, 0]), said[:, 3])
        np.add.at(delays, (said[:, 2], said[:, 0]), said[:, 3])
        return History(until, asks, np.clip(yeses, 0, asks), np.maximum(delays, 0))
