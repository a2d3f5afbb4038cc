"""What the detector is measured against: each turns the minutes of many streams into a score, higher for more alarming.

A contender is told what the detector is told (the history, then minute by minute what was asked and what arrived); the
oracle is told the true chance of each minute's asks and the size of the fall as well.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from alerts.world import HISTORY_DAYS, WINDOW, Minute, delay_shares
from stream.alerts import Detector, Rules
from stream.alerts_learning import History

Floats = NDArray[np.float64]

NOTHING = -1e9


class Contender(Protocol):
    def score(self, minute: int, now: Minute) -> Floats:
        """The score after this minute, one per stream."""


class Ours:
    """The detector's log M, with no alarm ever raised (an alarm would stop it)."""

    def __init__(self, history: History) -> None:
        self._detector = Detector.learn(history, Rules(patience=1e300))

    def score(self, minute: int, now: Minute) -> Floats:
        self._detector.step(now.asks, now.yeses)
        return self._detector.state.log_mixture.copy()


class Hourly:
    """Yes-rate of the clock hour, judged when it is over: a fixed threshold, a relative change, z against last week."""

    def __init__(self, history: History, judge: str) -> None:
        rates = history.yeses / np.maximum(history.asks, 1)
        self._judge = judge
        self._before = rates[-1]
        self._week = list(zip(history.yeses[-168:], history.asks[-168:], strict=True))
        self._asks = np.zeros(history.asks.shape[1])
        self._yeses = np.zeros(history.asks.shape[1])

    def score(self, minute: int, now: Minute) -> Floats:
        self._asks += now.asks
        self._yeses += now.yeses.sum(axis=0)
        if minute % 60 != 59:
            return np.full(len(self._asks), NOTHING)
        asks, yeses = self._asks, self._yeses
        rate = yeses / np.maximum(asks, 1)
        then_yeses, then_asks = self._week.pop(0)
        self._week.append((yeses, asks))
        pooled = (yeses + then_yeses) / np.maximum(asks + then_asks, 1)
        error = np.sqrt(
            np.maximum(pooled * (1 - pooled), 1e-6) * (1 / np.maximum(asks, 1) + 1 / np.maximum(then_asks, 1))
        )
        score = {
            "threshold": -rate,
            "relative": 1 - rate / np.maximum(self._before, 1e-6),
            "last week": (then_yeses / np.maximum(then_asks, 1) - rate) / error,
        }[self._judge]
        self._before = rate
        self._asks, self._yeses = np.zeros_like(asks), np.zeros_like(yeses)
        return np.asarray(np.where(asks >= 5, score, NOTHING))


class Seasonal:
    """Arrivals that the season's rate and the usual delays let expect, minute by minute: common to those below."""

    def __init__(self, history: History) -> None:
        days = (HISTORY_DAYS, 24, history.asks.shape[1])
        self._rate = history.yeses.reshape(days).sum(axis=0) / np.maximum(history.asks.reshape(days).sum(axis=0), 1)
        self._shares = delay_shares()[::-1, None]
        self._due = np.zeros((WINDOW, history.asks.shape[1]))

    def surprise(self, minute: int, now: Minute) -> tuple[Floats, Floats]:
        """Yeses due and come in the minute."""
        self._due[:-1] = self._due[1:]
        self._due[-1] = now.asks * self._rate[minute // 60 % 24]
        return (self._due * self._shares).sum(axis=0), now.yeses.sum(axis=0)


class Ewma(Seasonal):
    """How far the smoothed arrivals are below the smoothed expectation, in standard deviations (Poisson)."""

    def __init__(self, history: History, smoothing: float = 0.03) -> None:
        super().__init__(history)
        self._smoothing = smoothing
        self._mean = np.zeros(history.asks.shape[1])
        self._variance = np.full(history.asks.shape[1], 1e-9)

    def score(self, minute: int, now: Minute) -> Floats:
        due, came = self.surprise(minute, now)
        keep = 1 - self._smoothing
        self._mean = keep * self._mean + self._smoothing * (due - came)
        self._variance = keep**2 * self._variance + self._smoothing**2 * np.maximum(due, 1e-3)
        return np.asarray(self._mean / np.sqrt(self._variance) if minute > 120 else np.full(len(came), NOTHING))


class PageHinkley(Seasonal):
    """Page-Hinkley on arrivals less what is due, over its standard deviation, looking for falls (delta 0.1)."""

    def __init__(self, history: History, delta: float = 0.1) -> None:
        super().__init__(history)
        self._delta = delta
        self._sum = np.zeros(history.asks.shape[1])

    def score(self, minute: int, now: Minute) -> Floats:
        due, came = self.surprise(minute, now)
        if minute > 60:
            self._sum = np.maximum(0.0, self._sum + (due - came) / np.sqrt(np.maximum(due, 0.05)) - self._delta)
        return self._sum.copy()


class Matured:
    """A CUSUM on cohorts that are an hour old, against the season's rate fallen by 27 %."""

    def __init__(self, history: History) -> None:
        days = (HISTORY_DAYS, 24, history.asks.shape[1])
        self._rate = history.yeses.reshape(days).sum(axis=0) / np.maximum(history.asks.reshape(days).sum(axis=0), 1)
        self._asks = np.zeros((WINDOW + 1, history.asks.shape[1]))
        self._yeses = np.zeros((WINDOW + 1, history.asks.shape[1]))
        self._sum = np.zeros(history.asks.shape[1])

    def score(self, minute: int, now: Minute) -> Floats:
        for ring in (self._asks, self._yeses):
            ring[:-1] = ring[1:]
            ring[-1] = 0
        self._asks[-1] = now.asks
        self._yeses[1:] += now.yeses[::-1]
        rate = self._rate[(minute - WINDOW) // 60 % 24]
        asks, yeses = self._asks[0], self._yeses[0]
        gain = yeses * np.log(0.73) + (asks - yeses) * np.log((1 - 0.73 * rate) / (1 - rate))
        self._sum = np.maximum(0.0, self._sum + gain)
        return self._sum.copy()


class Bocpd(Seasonal):
    """Bayesian online change-point detection (Adams, MacKay 2007): Poisson arrivals as a share of those due, gamma
    prior.

    Quarters of an hour; the score is the log odds that the run of the last day or less began with a share below 0.95.
    """

    RUNS = 96

    def __init__(self, history: History, strength: float = 50.0) -> None:
        super().__init__(history)
        streams = history.asks.shape[1]
        self._prior = strength
        self._log_weight = np.full((self.RUNS, streams), -np.inf)
        self._log_weight[0] = 0.0
        self._came = np.zeros((self.RUNS, streams))
        self._due = np.zeros((WINDOW, streams))
        self._due_of_run = np.zeros((self.RUNS, streams))
        self._quarter = np.zeros((2, streams))
        self._last = np.full(streams, NOTHING)

    def score(self, minute: int, now: Minute) -> Floats:
        due, came = self.surprise(minute, now)
        if minute < 60:
            return self._last
        self._quarter += np.stack([due, came])
        if minute % 15 != 14:
            return self._last
        due, came = self._quarter
        shape, rate = self._prior + self._came, self._prior + self._due_of_run
        predictive = (
            _log_gamma(shape + came) - _log_gamma(shape) + shape * np.log(rate) - (shape + came) * np.log(rate + due)
        )
        grown = self._log_weight + predictive
        hazard = 1 / 2880
        change = np.logaddexp.reduce(grown, axis=0) + np.log(hazard)
        grown += np.log1p(-hazard)
        grown[-2] = np.logaddexp(grown[-2], grown[-1])
        self._log_weight = np.vstack([change, grown[:-1]])
        self._log_weight -= np.logaddexp.reduce(self._log_weight, axis=0)
        none = np.zeros((1, len(came)))
        self._came = np.vstack([none, (self._came + came)[:-1]])
        self._due_of_run = np.vstack([none, (self._due_of_run + due)[:-1]])
        share = (self._prior + self._came) / (self._prior + self._due_of_run)
        low = np.logaddexp.reduce(np.where(share < 0.95, self._log_weight, -1e3), axis=0)
        self._last = low - np.log1p(-np.minimum(np.exp(low), 1 - 1e-12))
        self._quarter[:] = 0
        return self._last.copy()


class Quarters(Seasonal, ABC):
    """What arrived in each quarter of an hour as a share of what was due, for detectors that look at one stream."""

    def __init__(self, history: History) -> None:
        super().__init__(history)
        streams = history.asks.shape[1]
        self._quarter = np.zeros((2, streams))
        self._last = np.full(streams, NOTHING)

    def score(self, minute: int, now: Minute) -> Floats:
        due, came = self.surprise(minute, now)
        if minute >= 60:
            self._quarter += np.stack([due, came])
            if minute % 15 == 14:
                self._last = np.array([self.judged(i, min(x, 2.0)) for i, x in enumerate(self._share())])
                self._quarter[:] = 0
        return self._last.copy()

    @abstractmethod
    def judged(self, stream: int, share: float) -> float:
        """The score of a stream after a quarter with that share."""

    def _share(self) -> list[float]:
        due, came = self._quarter
        shares: list[float] = (came / np.maximum(due, 1e-6)).tolist()
        return shares


class Adwin(Quarters):
    """ADWIN as river has it; the score is 1 in the quarter in which it finds that the mean fell."""

    def __init__(self, history: History, delta: float) -> None:
        super().__init__(history)
        adwin = import_module("river.drift").ADWIN
        self._windows = [adwin(delta=delta, clock=1) for _ in range(history.asks.shape[1])]

    def judged(self, stream: int, share: float) -> float:
        window = self._windows[stream]
        before = window.estimation
        window.update(share / 2)
        return float(window.drift_detected and window.estimation < before)


class RiverPageHinkley(Quarters):
    """Page-Hinkley as river has it, on shares; the score is its statistic for a falling mean."""

    def __init__(self, history: History, delta: float = 0.05) -> None:
        super().__init__(history)
        page_hinkley = import_module("river.drift").PageHinkley
        self._tests = [page_hinkley(delta=delta, threshold=np.inf, mode="down") for _ in range(history.asks.shape[1])]

    def judged(self, stream: int, share: float) -> float:
        test = self._tests[stream]
        test.update(share)
        return float(test._max_decrease - test._sum_decrease)


class Oracle:
    """The CUSUM that knows the true chance of each minute, the delays, that new asks fall, and by how much."""

    def __init__(self, history: History, fall: float) -> None:
        streams = history.asks.shape[1]
        self._fall = fall
        self._asks, self._yeses, self._chance = (np.zeros((WINDOW, streams), dtype=np.float32) for _ in range(3))
        self._arrived = np.cumsum(delay_shares())[::-1, None]
        self._sum = np.zeros(streams)

    def score(self, minute: int, now: Minute) -> Floats:
        self._sum = np.maximum(0.0, self._sum + self._gain(self._asks[:1], self._yeses[:1], self._chance[:1])[0])
        for ring in (self._asks, self._yeses, self._chance):
            ring[:-1] = ring[1:]
        self._asks[-1], self._yeses[-1], self._chance[-1] = now.asks, 0, now.chance
        self._yeses += np.minimum(now.yeses[::-1], self._asks - self._yeses)
        total = self._sum
        for gain in self._gain(self._asks, self._yeses, self._chance * self._arrived):
            total = np.maximum(0.0, total + gain)
        return total

    def _gain(self, asks: NDArray[np.floating], yeses: NDArray[np.floating], due: NDArray[np.floating]) -> Floats:
        fallen = np.log1p(-(1 - self._fall) * due) - np.log1p(-due)
        return np.asarray(yeses * np.log1p(-self._fall) + (asks - yeses) * fallen)


def _log_gamma(x: Floats) -> Floats:
    """Stirling's series; arguments here are 50 and more."""
    return np.asarray((x - 0.5) * np.log(x) - x + 0.5 * np.log(2 * np.pi) + 1 / (12 * x))
