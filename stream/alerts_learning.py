"""What a detector knows before its first minute, and the daily fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream import alerts_level
from stream.alerts_baseline import RING, WEEK, fit_baseline, log_odds, residuals
from stream.alerts_delay import STANDS_ALONE, delay_shares
from stream.alerts_evidence import DELTAS
from stream.alerts_state import State

Floats = NDArray[np.float64]

TOLERATED = (0.0225, 0.0425)
"""epsilon of the two configurations, with a walk of the usual size and four weeks of history."""
_LEARNT_WITH = float(np.hypot(alerts_level.USUAL_WANDER, 0.025))
_LARGEST_TOLERATED = 0.3
_ENOUGH_HOURS, _ENOUGH_YESES = 24, 50
_FORGET_DELAYS = 0.95
_WARM_HOURS = 72


@dataclass(frozen=True)
class History:
    """What is known when a detector starts: of cohorts that have matured only, of minutes before ``until``.

    ``asks`` and ``yeses`` are (hours, keys), of which the last ``RING`` hours are used; the last hour is that of minute
    ``until`` - 1.  ``delays`` (window, keys) counts their yeses by delay; its rows are the minutes a yes may take.
    """

    until: int
    asks: Floats
    yeses: Floats
    delays: Floats


def first_state(history: History, groups: int, wider: float = 1.0) -> State:
    """The state before minute ``history.until``, fitted, and the level as the last three days leave it.

    ``wider``: how many times as large as usual what is tolerated is.
    """
    window, keys = history.delays.shape
    units, configurations = keys + groups, len(TOLERATED)
    newest = (history.until - 1) // 60
    hours = history.asks[-RING:], history.yeses[-RING:]
    rows = np.arange(newest - len(hours[0]) + 1, newest + 1) % RING
    hour_asks, hour_yeses = np.zeros((RING, keys), dtype=np.float32), np.zeros((RING, keys), dtype=np.float32)
    hour_asks[rows], hour_yeses[rows] = hours
    recent = np.stack([hours[0], hours[0] + hours[1]])[:, -3:-1]
    state = State(
        minute=np.array([history.until - 1]),
        asks=np.zeros((window, keys), dtype=np.float32),
        yeses=np.zeros((window, keys), dtype=np.float32),
        chance=np.full((window, configurations, keys), 0.5, dtype=np.float32),
        due=np.zeros((window, keys), dtype=np.float32),
        came=np.zeros((window, keys), dtype=np.float32),
        due_by_delay=np.zeros((window, keys), dtype=np.float32),
        came_by_delay=np.zeros((window, keys), dtype=np.float32),
        due_total=np.zeros(keys),
        came_total=np.zeros(keys),
        hour_asks=hour_asks,
        hour_yeses=hour_yeses,
        usual_volume=usual_volume(hour_asks, hour_yeses, newest + 1),
        delay_counts=history.delays.astype(np.float64),
        coefficients=np.zeros((keys, 0)),
        baseline_error=np.zeros(keys),
        baseline_hours=np.zeros(keys),
        known_yeses=np.zeros(keys),
        wander=np.full(keys, alerts_level.USUAL_WANDER),
        shares=np.zeros((window, keys)),
        level_mean=np.zeros((configurations, keys)),
        level_variance=np.zeros((configurations, keys)),
        epsilon=np.zeros((configurations, keys), dtype=np.float32),
        by_cohort=np.zeros((configurations, len(DELTAS), units)),
        by_minute=np.zeros((configurations, len(DELTAS), units)),
        log_mixture=np.full(units, -np.inf),
        excess=np.zeros((2, len(DELTAS), units), dtype=np.float32),
        since=np.full((2, len(DELTAS), units), history.until, dtype=np.int64),
        due_then=np.zeros((2, len(DELTAS), units)),
        came_then=np.zeros((2, len(DELTAS), units)),
        quiet=np.zeros(keys),
        quiet_asks=np.zeros(keys),
        volume=recent.mean(axis=1) / 60 if recent.size else np.zeros((2, keys)),
        last_seen=np.full(keys, history.until - 1, dtype=np.int64),
        last_ask=np.full(keys, history.until - 1, dtype=np.int64),
        dark=np.zeros(keys, dtype=np.bool_),
        kind=np.full(units, -1, dtype=np.int8),
        raised=np.zeros(units, dtype=np.int64),
        change_point=np.zeros(units, dtype=np.int64),
        alarm_due=np.zeros(units),
        alarm_came=np.zeros(units),
        fall=np.zeros(units),
        factor=np.ones(units),
        recovery=np.zeros(units),
    )
    _fit(state, wider)
    mean, variance = np.zeros(keys), state.wander**2
    for hour in range(newest - min(_WARM_HOURS, len(hours[0])) + 1, newest + 1):
        mean, variance = alerts_level.forecast(mean, variance, state.wander, 1.0)
        expected = log_odds(state.coefficients, hour * 60 + 30)
        asks, yeses = hour_asks[hour % RING].astype(np.float64), hour_yeses[hour % RING].astype(np.float64)
        mean, variance = alerts_level.observe(mean, variance, expected, asks, yeses)
    state.level_mean[:], state.level_variance[:] = mean, variance
    return state


def refit(state: State, minute: int, wider: float = 1.0) -> None:
    """The daily fit, on what has matured.  The level takes up the difference, so that no expectation jumps."""
    before, knew = log_odds(state.coefficients, minute), is_known(state)
    _fit(state, wider)
    moved = state.level_mean + before - log_odds(state.coefficients, minute)
    state.level_mean = np.where(knew, moved, 0.0)
    state.level_variance = np.where(knew, state.level_variance, state.wander**2)
    state.delay_counts *= _FORGET_DELAYS


def is_known(state: State) -> NDArray[np.bool_]:
    """Keys with a history worth the name: a day of hours, and yeses."""
    return np.asarray((state.baseline_hours >= _ENOUGH_HOURS) & (state.known_yeses >= _ENOUGH_YESES))


def usual_volume(hour_asks: NDArray[np.float32], hour_yeses: NDArray[np.float32], hour: int) -> Floats:
    """Asks, and asks and yeses, a minute at this hour of the week: (2, keys); infinite where it was never seen."""
    rows = np.arange(hour % WEEK, RING, WEEK)
    asks, yeses = hour_asks[rows].astype(np.float64), hour_yeses[rows].astype(np.float64)
    seen = asks > 0
    minutes = np.maximum(seen.sum(axis=0), 1) * 60.0
    both = np.stack([asks.sum(axis=0), (asks + yeses).sum(axis=0)]) / minutes
    return np.asarray(np.where(seen.any(axis=0), both, np.inf))


def _fit(state: State, wider: float) -> None:
    """Baseline, wander, tolerance and delays anew from the state's own history."""
    asks, yeses = state.hour_asks.astype(np.float64), state.hour_yeses.astype(np.float64)
    if state.coefficients.shape[1] == 0:
        state.coefficients = fit_baseline(asks, yeses, state.wander, alerts_level.PERSISTENCE).coefficients
    stands_alone = yeses.sum(axis=0) >= STANDS_ALONE
    state.wander = alerts_level.wander(*residuals(state.coefficients, asks, yeses), stands_alone)
    baseline = fit_baseline(asks, yeses, state.wander, alerts_level.PERSISTENCE, state.coefficients)
    state.coefficients, state.baseline_error = baseline.coefficients, baseline.error
    state.baseline_hours, state.known_yeses = baseline.hours, yeses.sum(axis=0)
    unsure = np.maximum(1.0, np.hypot(state.wander, baseline.error) / _LEARNT_WITH)
    state.epsilon = np.minimum(np.array(TOLERATED)[:, None] * wider * unsure, _LARGEST_TOLERATED).astype(np.float32)
    state.shares = delay_shares(state.delay_counts)
