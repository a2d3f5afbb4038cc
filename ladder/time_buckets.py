"""Times counted in buckets, of which quantiles can be taken after they are summed: one definition beside the marts'.

Masson, Rim and Lee (2019), "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
PVLDB 12(12): 2195-2205.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log

ERROR = 0.01
"""How far a time may be from the one its bucket stands for, as a share of itself."""

NO_TIME = -32_768
"""The bucket of no time at all."""

_GROWTH = (1 + ERROR) / (1 - ERROR)


def bucket_of(seconds: float) -> int:
    """The bucket n that reaches from g^(n-1) to g^n seconds, g = 1.01 / 0.99.  ``seconds`` is at least 0."""
    return ceil(log(seconds) / log(_GROWTH)) if seconds > 0 else NO_TIME


def seconds_of(bucket: int) -> float:
    """The time that a bucket stands for: within ``ERROR`` of all that are in it."""
    return 0.0 if bucket == NO_TIME else 2 * _GROWTH**bucket / (_GROWTH + 1)


def seconds_at(percent: int, times: Mapping[int, int]) -> float | None:
    """The time that ``percent`` of the times reach, of two the lower; ``times``: how many by bucket.

    Within ``ERROR`` of the exact one, which is number ``floor(percent / 100 * (n - 1))`` from the shortest, counted
    from 0.  None where there are no times.
    """
    last = sum(times.values()) - 1
    so_far = 0
    for bucket in sorted(times):
        so_far += times[bucket]
        if 100 * so_far > percent * last:
            return seconds_of(bucket)
    return None
