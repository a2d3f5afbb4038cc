"""What the yes-rate of a key usually is: a regularised logistic regression on hour of day and day of week.

Minutes are whole minutes since any midnight; minute // 1440 modulo 7 is the day of the week, whichever day is 0.
The history is a ring of ``RING`` hours per key (asks, yeses of matured cohorts); the fit needs only its sums by hour of
the week, so it costs the same for one week as for four.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WEEK = 168
RING = 4 * WEEK
HARMONICS = 3
"""Sines and cosines of a day: three follow a morning, a noon and an evening peak."""
_FIRST_DAY = 1 + 2 * HARMONICS
PARAMETERS = _FIRST_DAY + 7
_HARMONIC_SD = 0.4
_INTERCEPT_SD = 10.0
_NO_DAYS_SD = 1e-3
_FIRST_STEPS, _MORE_STEPS = 6, 3


@dataclass
class Baseline:
    """``coefficients`` (keys, parameters) on the logit, and how uncertain they leave the rate.

    ``error``: standard deviation, on the logit, of the fitted log-odds, averaged over the hours of the week.
    ``hours``: how many hours with asks the fit has seen.
    """

    coefficients: Floats
    error: Floats
    hours: Floats


def log_odds(coefficients: Floats, minute: int) -> Floats:
    """The usual log-odds of a yes to asks made in that minute, one per key."""
    return np.asarray(coefficients @ _MINUTES_OF_WEEK[minute % (WEEK * 60)])


def features(minutes: NDArray[np.int64]) -> Floats:
    """The regressors of some minutes: (minutes, ``PARAMETERS``)."""
    day = (minutes % 1440 + 0.5) / 1440 * 2 * np.pi
    columns = [np.ones(len(minutes))]
    for k in range(1, HARMONICS + 1):
        columns += [np.sin(k * day), np.cos(k * day)]
    weekday = minutes // 1440 % 7
    columns += [(weekday == number).astype(np.float64) for number in range(7)]
    return np.column_stack(columns)


_MINUTES_OF_WEEK = features(np.arange(WEEK * 60, dtype=np.int64))
_HOURS_OF_WEEK = features(np.arange(WEEK, dtype=np.int64) * 60 + 30)
_PRODUCTS = (_HOURS_OF_WEEK[:, :, None] * _HOURS_OF_WEEK[:, None, :]).reshape(WEEK, -1)


def fit_baseline(
    asks: Floats, yeses: Floats, wander: Floats, persistence: float, start: Floats | None = None
) -> Baseline:
    """Fit all keys at once to rings of hours, (``RING``, keys) each; hours left out hold 0 asks.

    ``wander`` (keys) is the standard deviation of the level's hourly AR(1) walk on the logit and ``persistence`` its
    phi: an hour's rate strays by that much however many asks it has, and hours next to each other stray together, so
    a cell of h hours counts as an observation of variance 1/(n p q) + wander^2 (1 + phi) / (1 - phi) / h (the
    long-run variance of an AR(1)).  Newton's method on the penalised likelihood, i.e. iteratively reweighted least
    squares (Hastie, Tibshirani, Friedman, Elements of Statistical Learning, 4.4.1).  Days of the week get a prior
    whose variance is what the residuals' daily means show beyond their noise (empirical Bayes); none, where they show
    nothing.  ``start``: coefficients of a former fit, which are near.
    """
    weeks = (RING // WEEK, WEEK, asks.shape[1])
    number, said = asks.reshape(weeks).sum(axis=0).T, yeses.reshape(weeks).sum(axis=0).T
    hours = (asks > 0).reshape(weeks).sum(axis=0).T.astype(np.float64)
    strays = (wander**2 * (1 + persistence) / (1 - persistence))[:, None] / np.maximum(hours, 1.0)
    prior = np.full((asks.shape[1], PARAMETERS), _NO_DAYS_SD**-2)
    prior[:, 0] = _INTERCEPT_SD**-2
    prior[:, 1:_FIRST_DAY] = _HARMONIC_SD**-2
    steps = _MORE_STEPS
    if start is None:
        share = (said.sum(axis=1) + 0.5) / (number.sum(axis=1) + 1.0)
        start = np.zeros((asks.shape[1], PARAMETERS))
        start[:, 0] = np.log(share / (1 - share))
        steps = _FIRST_STEPS
    coefficients, _ = _newton(start, number, said, strays, prior, steps)
    prior[:, _FIRST_DAY:] = 1.0 / _day_variance(coefficients, number, said, strays)
    coefficients, covariance = _newton(coefficients, number, said, strays, prior, _MORE_STEPS)
    variance = covariance.reshape(-1, PARAMETERS**2) @ _PRODUCTS.T
    seen = hours > 0
    error = np.sqrt((variance * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))
    return Baseline(coefficients, np.where(seen.any(axis=1), error, _INTERCEPT_SD), hours.sum(axis=1))


def residuals(coefficients: Floats, asks: Floats, yeses: Floats) -> tuple[Floats, Floats]:
    """Per hour and key: how far the rate is off on the logit, and the information n p q that the hour has of it."""
    expected = np.tile((coefficients @ _HOURS_OF_WEEK.T).T, (RING // WEEK, 1))
    chance = _expit(expected)
    information = asks * chance * (1 - chance)
    return np.asarray((yeses - asks * chance) / np.maximum(information, 1e-9)), np.asarray(information)


def _newton(
    coefficients: Floats, number: Floats, said: Floats, strays: Floats, prior: Floats, steps: int
) -> tuple[Floats, Floats]:
    penalty = prior[:, :, None] * np.eye(PARAMETERS)
    for _ in range(steps):
        target, weight = _working(coefficients, number, said, strays)
        precision = (weight @ _PRODUCTS).reshape(-1, PARAMETERS, PARAMETERS) + penalty
        right = (weight * target) @ _HOURS_OF_WEEK
        coefficients = np.asarray(np.linalg.solve(precision, right[:, :, None])[:, :, 0], dtype=np.float64)
    return coefficients, np.asarray(np.linalg.inv(precision), dtype=np.float64)


def _working(coefficients: Floats, number: Floats, said: Floats, strays: Floats) -> tuple[Floats, Floats]:
    expected = np.clip(coefficients @ _HOURS_OF_WEEK.T, -12.0, 12.0)
    chance = _expit(expected)
    information = number * chance * (1 - chance)
    target = expected + (said - number * chance) / np.maximum(information, 1e-9)
    return target, information / (1 + information * strays)


def _day_variance(coefficients: Floats, number: Floats, said: Floats, strays: Floats) -> Floats:
    target, weight = _working(coefficients, number, said, strays)
    off = ((target - coefficients @ _HOURS_OF_WEEK.T) * weight).reshape(-1, 7, 24).sum(axis=2)
    known = weight.reshape(-1, 7, 24).sum(axis=2)
    days = (known > 0).sum(axis=1)
    noise = 1.0 / np.maximum(known, 1e-9)
    mean = np.where(known > 0, off * noise, 0.0)
    spread = ((mean**2) * (known > 0)).sum(axis=1) / np.maximum(days, 1)
    expected = np.where(known > 0, noise, 0.0).sum(axis=1) / np.maximum(days, 1)
    variance = np.where((days == 7) & (spread > 2 * expected), spread - expected, 0.0)
    return np.asarray(np.maximum(variance, _NO_DAYS_SD**2)[:, None])


def _expit(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))
