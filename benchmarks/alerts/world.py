"""A simulated site: asks, chances and delays per minute, for many replications at once, each a column.

Asks are Poisson with a daily and weekly shape and an hourly gamma factor (14 %); the chance of a yes is about 0.32
with a daily shape and an hourly AR(1) walk on the logit; a yes takes Exp(1 minute) or, as often, LogNormal(median 8,
sigma 0.9), cut at an hour.  What goes wrong is said by a ``Fault``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WINDOW = 61
HISTORY_DAYS = 28
_BUSY = 0.14


@dataclass(frozen=True)
class Fault:
    """What goes wrong in each stream from its ``start`` on, for ``lasts`` minutes.

    ``fall``: of the chance of new asks, or of the arrival of all yeses.  ``slow``: the delays of new asks are that many
    times as long.  ``ramp``: minutes over which the fall builds up.  ``silent``: nothing arrives.
    """

    start: NDArray[np.int64]
    lasts: int = 10**9
    fall: float = 0.0
    of: Literal["asks", "arrivals"] = "asks"
    slow: float = 1.0
    ramp: int = 1
    silent: bool = False

    def grown(self, minute: int) -> Floats:
        """How much of the fault there is in each stream, 0 to 1."""
        since = minute - self.start
        return np.where((since >= 0) & (since < self.lasts), np.minimum(1.0, (since + 1) / self.ramp), 0.0)


@dataclass(frozen=True)
class World:
    """``rate``: asks a minute, on average.  ``wander``: of the AR(1) walk.  ``streams``: columns."""

    rate: float
    streams: int
    seed: int
    wander: float = 0.05
    persistence: float = 0.9
    history_wander: float | None = None


@dataclass
class Minute:
    asks: Floats
    yeses: Floats
    """(ages, streams): arriving now, by age."""
    chance: Floats
    """The true chance of asks of this minute without the fault."""


def delay_shares(longer: float = 1.0) -> Floats:
    """Share of yeses by whole minutes of delay; what takes longer than the window never comes (so they may not add
    up)."""
    draw = np.random.default_rng(7)
    number = 2_000_000
    early = draw.exponential(1.0, number)
    late = draw.lognormal(np.log(8.0), 0.9, number)
    minutes = np.where(draw.random(number) < 0.5, early, late)
    minutes = longer * minutes[minutes < 60]
    counted = np.bincount(np.floor(minutes).astype(np.int64), minlength=WINDOW)[:WINDOW]
    return np.asarray(counted / len(minutes))


def volume_shape(minute: NDArray[np.int64]) -> Floats:
    day = 2 * np.pi * (minute % 1440) / 1440
    weekend = minute // 1440 % 7 >= 5
    return np.asarray((1 + 0.5 * np.sin(day - 2.0) + 0.15 * np.sin(2 * day)) * np.where(weekend, 0.7, 1.0) / 0.914)


def chance_shape(minute: NDArray[np.int64]) -> Floats:
    day = 2 * np.pi * (minute % 1440) / 1440
    return np.asarray(np.log(0.32 / 0.68) + 0.15 * np.sin(day - 1.0) + 0.05 * np.sin(2 * day + 0.5))


def walk(draw: np.random.Generator, hours: int, streams: int, size: float, persistence: float, start: Floats) -> Floats:
    """The AR(1) level by hour, (hours, streams), going on from ``start``."""
    levels = np.empty((hours, streams))
    for hour in range(hours):
        start = persistence * start + size * np.sqrt(1 - persistence**2) * draw.standard_normal(streams)
        levels[hour] = start
    return levels


def past(world: World, draw: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    """Hours of asks and yeses before minute 0, their delays, and the level at the end: of matured cohorts."""
    hours = HISTORY_DAYS * 24
    size = world.history_wander if world.history_wander is not None else world.wander
    levels = walk(draw, hours, world.streams, size, world.persistence, size * draw.standard_normal(world.streams))
    minutes = np.arange(hours) * 60 + 30
    busy = draw.gamma(1 / _BUSY**2, _BUSY**2, (hours, world.streams))
    asks = draw.poisson(world.rate * 60 * volume_shape(minutes)[:, None] * busy)
    yeses = draw.binomial(asks, 1 / (1 + np.exp(-(chance_shape(minutes)[:, None] + levels))))
    shares = delay_shares()
    delays = np.stack([draw.multinomial(total, shares / shares.sum()) for total in yeses.sum(axis=0)], axis=1)
    return asks.astype(np.float64), yeses.astype(np.float64), delays.astype(np.float64), levels[-1]


def live(
    world: World, draw: np.random.Generator, level: Floats, minutes: int, fault: Fault | None = None
) -> Iterator[Minute]:
    """The minutes from 0 on.  ``fault`` counts from the first of them."""
    streams = world.streams
    levels = walk(draw, minutes // 60 + 1, streams, world.wander, world.persistence, level)
    busy = draw.gamma(1 / _BUSY**2, _BUSY**2, (minutes // 60 + 1, streams))
    usual = delay_shares()[:, None] * np.ones(streams)
    longer = usual if fault is None or fault.slow == 1 else delay_shares(fault.slow)[:, None] * np.ones(streams)
    coming = np.zeros((2 * WINDOW, WINDOW, streams), dtype=np.int64)
    for minute in range(minutes):
        at = np.array([minute])
        asks = draw.poisson(world.rate * volume_shape(at)[0] * busy[minute // 60])
        chance = 1 / (1 + np.exp(-(chance_shape(at)[0] + levels[minute // 60])))
        grown = np.zeros(streams) if fault is None else fault.grown(minute)
        gone = grown * (0.0 if fault is None else fault.fall)
        if fault is not None and fault.silent:
            asks = np.where(grown > 0, 0, asks)
            gone = grown
        of_asks = fault is not None and fault.of == "asks" and not fault.silent
        left = draw.binomial(asks, chance * (1 - gone) if of_asks else chance)
        shares = np.where(grown > 0, longer, usual)
        rest = np.ones(streams)
        for delay in range(WINDOW):
            if not left.any():
                break
            now = draw.binomial(left, np.minimum(1.0, shares[delay] / np.maximum(rest, 1e-12)))
            coming[(minute + delay) % (2 * WINDOW), delay] = now
            left = left - now
            rest = rest - shares[delay]
        slot = minute % (2 * WINDOW)
        arrived = coming[slot] if of_asks or not gone.any() else draw.binomial(coming[slot], 1 - gone)
        yield Minute(asks.astype(np.float64), arrived.astype(np.float64), chance)
        coming[slot] = 0
