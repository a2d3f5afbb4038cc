"""Values told by small numbers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np

from stream.cuts import Int64s

T = TypeVar("T", bound=Hashable)


class Interned(Generic[T]):
    """``names[code]`` is the value of a code; code 0 is ``nothing``.

    ``few``: more than so many, and twice as many as were needed the last time, ``are_many``.
    """

    def __init__(self, nothing: T, few: int) -> None:
        self.names = [nothing]
        self._code_of = {nothing: 0}
        self._few = self._limit = few

    @property
    def are_many(self) -> bool:
        """Whether it is worth while to look which of them are still needed."""
        return len(self.names) > self._limit

    def codes(self, values: Sequence[T]) -> Int64s:
        """The codes of values, new ones for those not met before."""
        code_of, names = self._code_of, self.names
        for value in values:
            if value not in code_of:
                code_of[value] = len(names)
                names.append(value)
        return np.fromiter(map(code_of.__getitem__, values), np.int64, len(values))

    def keep(self, codes: Int64s) -> Int64s:
        """Forget all but these (sorted, each once); for each code of before the code from now on."""
        codes = codes[codes > 0]
        new = np.zeros(len(self.names), np.int64)
        new[codes] = np.arange(1, len(codes) + 1)
        self.names = [self.names[0], *(self.names[code] for code in codes.tolist())]
        self._code_of = {name: code for code, name in enumerate(self.names)}
        self._limit = max(self._few, 2 * len(self.names))
        return new
