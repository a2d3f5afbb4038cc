"""Many streams under one budget of false alarms."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

_STRAYS = 8.5
"""Squared distance, in standard deviations of the walk, that what is tolerated of one stream covers."""


def wider_for(streams: int) -> float:
    """How many times as large what is tolerated must be for many streams.

    The furthest of K walks strays sqrt(2 ln K) standard deviations further than one does (the tail of a normal
    distribution), and where the rate has indeed strayed beyond what is tolerated, no threshold is high enough.
    """
    return sqrt(1 + 2 * log(max(streams, 1)) / _STRAYS)


def due_alarms(statistic: NDArray[np.float64], patience: float, *, among: int) -> NDArray[np.bool_]:
    """Which streams alarm now, so that all of them together have a false alarm every ``patience`` minutes at most.

    e-BH on patience: with K streams, the k largest alarm where the k-th of them is at least K * patience / k
    (Dandapanthula, Ramdas, Multiple testing in multi-stream sequential change detection, arXiv 2501.04130; Wang,
    Ramdas 2022 for e-BH). ``among`` is K: streams that cannot alarm now, as they have already, count too.
    """
    if statistic.size == 0:
        return np.zeros(0, dtype=np.bool_)
    ordered = np.sort(statistic)[::-1]
    ranks = np.arange(1, len(ordered) + 1)
    passes = np.flatnonzero(ordered >= among * patience / ranks)
    if passes.size == 0:
        return np.zeros(statistic.shape, dtype=np.bool_)
    return np.asarray(statistic >= ordered[passes[-1]])
