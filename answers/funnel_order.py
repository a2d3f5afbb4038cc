"""Events put in order: unit after unit, each unit's by time and arrival.

Sorting is by far quickest for plain whole numbers of 64 bits (numpy sorts them by vector instructions), so a row's
place goes into the low bits of what it is sorted by, and what does not fit beside it is looked at afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from answers.funnel_stream import Flags, Ints

Hashes = npt.NDArray[np.uint64]
Checks = npt.NDArray[np.uint32]
_WORD = 64


@dataclass(frozen=True)
class Ordered:
    """``order``: the rows' places.  In that order ``unit``, counted from 0, and ``time``.

    ``undecided``: places of rows whose unit has another that is alike in time and arrival, as far as the columns of
    arrival told.
    """

    order: Ints
    unit: Ints
    time: Ints
    undecided: Ints


def in_order(hashes: Hashes, checks: Checks, time: Ints, arrival: Mapping[str, npt.NDArray[Any]]) -> Ordered:
    """The order of events.  Two are of one unit if both its hash and its check are the same.

    ``arrival``: columns in whose order events arrived, the first counting most.  There is one event at least.
    """
    order, is_next = _by_unit(hashes, checks, _by_time(time))
    unit = np.zeros(len(order), np.int64)
    np.cumsum(is_next, out=unit[1:])
    timed = time[order]
    same = ~is_next & (timed[1:] == timed[:-1])
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if len(tied) == 0:
        return Ordered(order, unit, timed, tied)
    rows = order[tied]
    keys = [unit[tied], timed[tied], *(column[rows] for column in arrival.values())]
    wanted = np.lexsort(keys[::-1])
    order[tied] = rows[wanted]
    alike = np.logical_and.reduce([~_differ(key[wanted]) for key in keys])
    return Ordered(order, unit, timed, rows[wanted[1:]][alike])


def _by_time(time: Ints) -> Ints:
    since = (time - time.min()).astype(np.uint64)
    bits = len(time).bit_length()
    if int(since.max()).bit_length() + bits > _WORD:
        return np.argsort(time, kind="stable")
    return _places(np.sort(since << np.uint64(bits) | np.arange(len(time), dtype=np.uint64)), bits)


def _by_unit(hashes: Hashes, checks: Checks, order: Ints) -> tuple[Ints, Flags]:
    """Rows brought together by unit, each unit's left in the order in which they are given.

    Also of each row but the first whether it is of another unit than the one before it.
    """
    bits = len(order).bit_length()
    low = np.uint64((1 << bits) - 1)
    sorted_keys = np.sort((hashes[order] & ~low) | np.arange(len(order), dtype=np.uint64))
    found = order[_places(sorted_keys, bits)]
    is_next = _differ(hashes[found]) | _differ(checks[found])
    # Two units that differ only in what was not sorted by may lie among one another.
    if (is_next & ~_differ(sorted_keys & ~low)).any():
        found = order[np.lexsort((checks[order], hashes[order]))]
        is_next = _differ(hashes[found]) | _differ(checks[found])
    return found, is_next


def _differ(values: npt.NDArray[Any]) -> Flags:
    return np.asarray(values[1:] != values[:-1], np.bool_)


def _places(keys: Hashes, bits: int) -> Ints:
    return (keys & np.uint64((1 << bits) - 1)).view(np.int64)
