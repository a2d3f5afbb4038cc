"""What is watched: each key, and groups of keys whose evidence is summed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Units:
    """The ``keys`` first, then the ``groups``, each a set of keys (the segments of a step)."""

    def __init__(self, keys: int, groups: Sequence[Sequence[int]] = ()) -> None:
        self.keys = keys
        self.groups = [np.array(group, dtype=np.int64) for group in groups]

    def __len__(self) -> int:
        return self.keys + len(self.groups)

    def members(self, unit: int) -> NDArray[np.int64]:
        """The keys of a unit."""
        return np.array([unit]) if unit < self.keys else self.groups[unit - self.keys]

    def totals(self, of_keys: NDArray[np.floating]) -> NDArray[np.floating]:
        """Numbers of the keys, followed by their sums over each group."""
        return np.concatenate([of_keys, [of_keys[members].sum() for members in self.groups]])

    def any_of(self, keys: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Truths of the keys, followed by whether any key of a group has it."""
        together = np.array([bool(keys[members].any()) for members in self.groups], dtype=np.bool_)
        return np.concatenate([keys, together])

    def touched(self, units: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The keys that are, or are in, one of these units."""
        keys = units[: self.keys].copy()
        for number in np.flatnonzero(units[self.keys :]):
            keys[self.groups[number]] = True
        return keys
