"""Small worlds for the detector: constant rates, exponential delays, faults at a minute; seeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.alerts import Detector
from stream.alerts_learning import History
from stream.alerts_open import Notice

Floats = NDArray[np.float64]

AGES = 31
HOURS = 28 * 24
SHARES = np.append(np.exp(-np.arange(AGES - 1) / 5) * (1 - np.exp(-1 / 5)), np.exp(-(AGES - 1) / 5))


@dataclass
class Counts:
    """``asks`` (minutes, keys) and ``yeses`` (minutes, ages, keys) by the minute of their arrival."""

    asks: Floats
    yeses: Floats


def simulate(
    minutes: int,
    rates: list[float] | Floats,
    chances: list[float],
    seed: int,
    *,
    falls: list[float] | Floats | None = None,
    since: int = 0,
    until: int = 10**9,
    of_arrivals: bool = False,
    slower: int = 1,
) -> Counts:
    """Each key has its rate of asks a minute, its chance of a yes and its fall, from ``since`` to ``until``.

    Rates and falls may be given for each minute, (minutes, keys).
    """
    draw = np.random.default_rng(seed)
    keys = len(chances)
    asks = draw.poisson(np.broadcast_to(rates, (minutes, keys)))
    fall = np.zeros((minutes, keys))
    if falls is not None and np.ndim(falls) == 2:
        fall[:] = falls
    elif falls is not None:
        fall[since:until] = falls
    said = draw.binomial(asks, np.array(chances) * (1 - (0 if of_arrivals else fall)))
    minute, key = np.repeat(np.indices(said.shape).reshape(2, -1), said.ravel(), axis=1)
    delay = draw.choice(AGES, size=len(minute), p=SHARES)
    delay = np.where((minute >= since) & (minute < until), delay * slower, delay)
    arrival = minute + delay
    kept = (arrival < minutes) & (delay < AGES)
    if of_arrivals:
        kept &= draw.random(len(minute)) >= fall[np.minimum(arrival, minutes - 1), key]
    yeses = np.zeros((minutes, AGES, keys))
    np.add.at(yeses, (arrival[kept], delay[kept], key[kept]), 1)
    return Counts(asks.astype(np.float64), yeses)


def history(
    rates: list[float], chances: list[float], hours: int = HOURS, *, wander: float = 0.0, until: int = 0
) -> History:
    """A history before minute ``until`` that was exactly as usual, or whose chances walked around it as AR(1)."""
    draw = np.random.default_rng(hours)
    level = np.zeros((hours, len(rates)))
    for hour in range(1, hours):
        level[hour] = 0.9 * level[hour - 1] + wander * 0.19**0.5 * draw.standard_normal(len(rates))
    asks = np.round(np.tile(np.array(rates) * 60, (hours, 1)))
    yeses = np.round(asks / (1 + (1 / np.array(chances) - 1) * np.exp(-level)))
    return History(until, asks, yeses, SHARES[:, None] * yeses.sum(axis=0))


def run(detector: Detector, counts: Counts) -> list[Notice]:
    """All notices of these minutes."""
    found: list[Notice] = []
    for asks, yeses in zip(counts.asks, counts.yeses, strict=True):
        found += detector.step(asks, yeses)
    return found
