from __future__ import annotations

import numpy as np
import pytest

from stream.alerts_level import PERSISTENCE, USUAL_WANDER, forecast, observe, wander

ALONE = np.array([True])


def walk(size: float, hours: int, keys: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    level = np.zeros((hours, keys))
    for hour in range(1, hours):
        level[hour] = PERSISTENCE * level[hour - 1] + size * np.sqrt(1 - PERSISTENCE**2) * draw.standard_normal(keys)
    return level


@pytest.mark.parametrize("size", [0.05, 0.15])
def test_the_size_of_the_walk_is_found_through_binomial_noise(size: float) -> None:
    level = walk(size, 672, 40, 5)
    information = np.full(level.shape, 1000.0)
    noise = np.random.default_rng(6).standard_normal(level.shape) / np.sqrt(information)

    found = wander(level + noise, information, np.ones(40, dtype=bool))

    assert float(np.median(found)) == pytest.approx(size, rel=0.2)


def test_without_evidence_the_walk_is_of_the_usual_size() -> None:
    assert wander(np.zeros((672, 1)), np.zeros((672, 1)), ALONE).tolist() == [USUAL_WANDER]


def test_small_keys_share_what_is_known_of_the_walk() -> None:
    off = walk(0.2, 672, 6, 8)
    information = np.full(off.shape, 3000.0)
    information[:, 5] = 0.0

    shared = wander(off, information, np.array([True] * 5 + [False]))
    alone = wander(off, information, np.ones(6, dtype=bool))

    assert shared[5] == pytest.approx(0.2, rel=0.3)
    assert alone[5] == USUAL_WANDER


def test_a_forecast_returns_to_the_baseline() -> None:
    mean, variance = forecast(np.array([0.4]), np.array([0.001]), np.array([0.05]), 1.0)
    far, spread = forecast(np.array([0.4]), np.array([0.001]), np.array([0.05]), 1000.0)

    assert mean[0] == pytest.approx(0.36)
    assert variance[0] == pytest.approx(0.0025 - 0.0015 * 0.81)
    assert (far[0], spread[0]) == (pytest.approx(0), pytest.approx(0.0025))


def test_a_minute_without_asks_teaches_nothing() -> None:
    mean, variance = observe(np.array([0.1]), np.array([0.002]), np.array([-1.0]), np.array([0.0]), np.array([0.0]))

    assert (mean[0], variance[0]) == (0.1, 0.002)


def test_many_asks_move_the_level_to_their_rate() -> None:
    mean, variance = np.array([0.0]), np.array([0.01])
    for _ in range(200):
        mean, variance = observe(mean, variance, np.array([0.0]), np.array([1000.0]), np.array([550.0]))

    assert mean[0] == pytest.approx(np.log(0.55 / 0.45), abs=0.01)
    assert variance[0] < 1e-4
