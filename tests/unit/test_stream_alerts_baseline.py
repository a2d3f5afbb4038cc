from __future__ import annotations

import numpy as np
import pytest

from stream.alerts_baseline import RING, fit_baseline, log_odds, residuals

WANDER = np.array([0.05])
HOUR = np.arange(RING)


def fitted_chance(asks: np.ndarray, chance: np.ndarray, minutes: list[int]) -> list[float]:
    baseline = fit_baseline(asks[:, None], (asks * chance)[:, None], WANDER, 0.9)
    return [float(1 / (1 + np.exp(-log_odds(baseline.coefficients, minute)[0]))) for minute in minutes]


def test_the_hours_of_the_day_are_found() -> None:
    asks = np.full(RING, 600.0)
    chance = 1 / (1 + np.exp(-(-0.8 + 0.3 * np.sin(2 * np.pi * (HOUR % 24 + 0.5) / 24))))

    found = fitted_chance(asks, chance, [390, 1110])

    assert found == pytest.approx([chance[6], chance[18]], abs=0.003)


def test_days_of_the_week_that_differ_are_found_whichever_day_is_0() -> None:
    asks = np.full(RING, 600.0)
    chance = np.where(np.isin(HOUR // 24 % 7, [2, 3]), 0.45, 0.3)

    found = fitted_chance(asks, chance, [2 * 1440 + 720, 5 * 1440 + 720])

    assert found == pytest.approx([0.45, 0.3], abs=0.01)


def test_days_that_differ_by_noise_only_are_one() -> None:
    draw = np.random.default_rng(3)
    asks = np.full(RING, 60.0)
    baseline = fit_baseline(asks[:, None], draw.binomial(60, 0.3, RING)[:, None].astype(np.float64), WANDER, 0.9)

    assert np.ptp(baseline.coefficients[0, -7:]) < 1e-3


def test_hours_left_out_do_not_count() -> None:
    asks = np.full(RING, 600.0)
    chance = np.full(RING, 0.3)
    chance[-20:] = 0.01
    asks[-20:] = 0

    assert fitted_chance(asks, chance, [720]) == pytest.approx([0.3], abs=1e-3)


def test_less_history_leaves_more_doubt() -> None:
    asks = np.full((RING, 2), 600.0)
    asks[:-48, 1] = 0
    baseline = fit_baseline(asks, asks * 0.3, np.full(2, 0.05), 0.9)

    assert baseline.error[1] > 2 * baseline.error[0]
    assert baseline.hours.tolist() == [RING, 48]


def test_a_fit_that_starts_from_a_former_one_is_the_same() -> None:
    asks = np.full((RING, 1), 300.0)
    yeses = np.round(asks * 0.3 + 20 * np.sin(HOUR / 24 * 2 * np.pi)[:, None])
    fresh = fit_baseline(asks, yeses, WANDER, 0.9)

    again = fit_baseline(asks, yeses, WANDER, 0.9, fresh.coefficients)

    assert again.coefficients == pytest.approx(fresh.coefficients, abs=1e-6)


def test_residuals_are_on_the_logit_with_their_information() -> None:
    coefficients = np.zeros((1, 14))
    asks = np.full((RING, 1), 100.0)

    off, information = residuals(coefficients, asks, np.full((RING, 1), 60.0))

    assert off[0, 0] == pytest.approx(0.4)
    assert information[0, 0] == pytest.approx(25)
