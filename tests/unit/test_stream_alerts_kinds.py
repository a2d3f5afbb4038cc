from __future__ import annotations

import numpy as np
import pytest

from stream.alerts_delay import stretched
from stream.alerts_kinds import back_on_time, slower

AGE = np.arange(61)[::-1]
USUAL = (1 - np.exp(-np.arange(1, 62) / 8))[:, None]
ASKS = np.full((61, 1), 50.0)
CHANCE = np.full((61, 1), 0.3)


@pytest.mark.parametrize("change_age", [12, 30, 60])
def test_delays_twice_as_long_are_told_from_fewer_yeses(change_age: int) -> None:
    changed = (change_age >= AGE)[:, None]
    longer = ASKS * CHANCE * np.where(changed, stretched(USUAL, 2.0)[AGE], USUAL[AGE])
    fewer = ASKS * CHANCE * np.where(changed, 0.6, 1.0) * USUAL[AGE]

    better, factor = slower(ASKS, longer, CHANCE, USUAL, change_age)
    worse, _ = slower(ASKS, fewer, CHANCE, USUAL, change_age)

    assert better > 0 > worse
    assert factor == 2.0


def test_a_fall_of_all_arrivals_is_not_slow() -> None:
    before = np.where(AGE > 10, USUAL[np.maximum(AGE - 11, 0), 0], 0.0)[:, None]
    yeses = ASKS * CHANCE * (before + 0.6 * (USUAL[AGE] - before))

    assert slower(ASKS, yeses, CHANCE, USUAL, 10)[0] < 0


def test_young_cohorts_tell_whether_delays_are_back() -> None:
    on_time, late = ASKS * CHANCE * USUAL[AGE], ASKS * CHANCE * stretched(USUAL, 2.0)[AGE]
    mixed = np.where((AGE <= 30)[:, None], on_time, late)

    assert back_on_time(ASKS, mixed, CHANCE, USUAL, 30) > 3
    assert back_on_time(ASKS, late, CHANCE, USUAL, 30) < -3
