"""The slow walk of a key's yes-rate around its baseline: an AR(1) on the logit, its size and its filter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PERSISTENCE = 0.9
"""phi of the walk, hour to hour."""
USUAL_WANDER = 0.05
"""Standard deviation of the walk, on the logit, that is taken for granted until a history says otherwise."""
_LAGS = (1, 2, 3)
_LOWEST, _HIGHEST = 0.02, 0.5


def wander(off: Floats, information: Floats, stands_alone: NDArray[np.bool_]) -> Floats:
    """The standard deviation of the walk of each key, from the hourly residuals of its history, (hours, keys) each.

    Binomial noise of different hours is independent, the walk is not: the products of residuals 1 to 3 hours apart have
    the mean wander^2 phi^lag whatever the number of asks.  Weighted least squares of these products (weights: what an
    hour tells beside a walk of the usual size), with the usual wander as a prior of the weight of one observation of
    it; keys that do not stand alone share theirs.
    """
    weight = information / (1 + information * USUAL_WANDER**2)
    products = np.zeros(off.shape[1])
    known = np.zeros(off.shape[1])
    for lag in _LAGS:
        both = weight[lag:] * weight[:-lag]
        products += PERSISTENCE**lag * (both * off[lag:] * off[:-lag]).sum(axis=0)
        known += PERSISTENCE ** (2 * lag) * both.sum(axis=0)
    lean = USUAL_WANDER**-4
    pooled = (products.sum() + lean * USUAL_WANDER**2) / (known.sum() + lean)
    prior = np.where(stands_alone, USUAL_WANDER**2, pooled)
    variance = (products + lean * prior) / (known + lean)
    return np.asarray(np.sqrt(np.clip(variance, _LOWEST**2, _HIGHEST**2)))


def forecast(mean: Floats, variance: Floats, size: Floats, hours: float) -> tuple[Floats, Floats]:
    """The level some hours ahead: it returns to 0, and its variance to that of the walk, ``size`` squared."""
    kept = PERSISTENCE**hours
    return np.asarray(mean * kept), np.asarray(size**2 + (variance - size**2) * kept**2)


def observe(mean: Floats, variance: Floats, log_odds: Floats, asks: Floats, yeses: Floats) -> tuple[Floats, Floats]:
    """Take in matured cohorts: one step of the extended Kalman filter with binomial noise (Fahrmeir 1992).

    Keys with 0 asks stay as they were.
    """
    chance = 1.0 / (1.0 + np.exp(-(log_odds + mean)))
    posterior = variance / (1.0 + variance * asks * chance * (1.0 - chance))
    return np.asarray(mean + posterior * (yeses - asks * chance)), np.asarray(posterior)
