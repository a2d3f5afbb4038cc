"""From evidence to a statistic that may be looked at every minute: e-Shiryaev-Roberts and where the change began.

R <- (1 + R) L adds up, over every moment the change may have begun, the likelihood ratio since then.  R_t - t is a
supermartingale while all is well, and so is it for any mixture of such R; a stopping rule "M >= A" therefore has an
average run length of at least A (Shin, Ramdas, Rinaldo, E-detectors, arXiv 2203.03532, theorem 2.4; Roberts 1966).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CEILING = 1e30
_MOST = 10.0
"""Caps of the statistic and of one cohort's log L, far beyond what an alarm needs: nothing overflows, and a statistic
that
is cut down stays a supermartingale."""


def advance(statistic: Floats, evidence: NDArray[np.floating]) -> Floats:
    """One step of R <- (1 + R) L for each entry; ``evidence`` is log L."""
    return np.asarray(np.minimum((1.0 + statistic) * np.exp(np.minimum(evidence, _MOST).astype(np.float64)), _CEILING))


def advance_all(statistic: Floats, evidence: NDArray[np.float32]) -> Floats:
    """``advance`` through the first axis of ``evidence``, the oldest first; ``evidence`` is used up."""
    np.minimum(evidence, np.float32(_MOST), out=evidence)
    np.exp(evidence, out=evidence)
    now = statistic.copy()
    for ratio in evidence:
        now += 1.0
        now *= ratio
    return np.asarray(np.minimum(now, _CEILING))


def mixture(*statistics: Floats) -> Floats:
    """The mean over all axes but the last (configurations, deltas) of statistics that count the same."""
    means = [statistic.reshape(-1, statistic.shape[-1]).mean(axis=0) for statistic in statistics]
    return np.asarray(sum(means) / len(means))


def restart(
    excess: NDArray[np.float32],
    since: NDArray[np.int64],
    evidence: NDArray[np.float32],
    minute: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """One step of the CUSUM that estimates the change-point: where it stood at 0 or below, it starts at ``minute``.

    The likeliest beginning of a change is the last start of the CUSUM of log L (Page 1954).
    """
    starts = excess <= 0
    return np.where(starts, 0, excess) + evidence, np.where(starts, minute, since)
