from __future__ import annotations

import numpy as np
import pytest

from stream.alerts_delay import stretched
from stream.alerts_kinds import ByDelay, back_on_time, by_delay, slower

AGE = np.arange(61)[::-1]
USUAL = (1 - np.exp(-np.arange(1, 62) / 8))[:, None]
ASKS = np.full((61, 1), 50.0)
CHANCE = np.full((61, 1), 0.3)


SHARES = np.diff(USUAL, axis=0, prepend=0)


def counted(change_age: int, *, fall: float = 0.0, fall_of_arrivals: float = 0.0, slow: float = 1.0) -> ByDelay:
    """What came in ten hours of 50 asks a minute, of which the last ``change_age`` + 1 minutes are not as usual."""
    shares = SHARES[:, 0]
    later = np.diff(stretched(USUAL, slow), axis=0, prepend=0)[:, 0]
    due, came = np.zeros((61, 1)), np.zeros((61, 1))
    for minutes_ago in range(600):
        for delay in range(61):
            is_new = minutes_ago + delay <= change_age
            usual = 50 * 0.3 * shares[delay]
            comes = 50 * 0.3 * (1 - fall) * later[delay] if is_new else usual
            if minutes_ago <= change_age:
                comes *= 1 - fall_of_arrivals
            weight = 0.5 ** (minutes_ago / 60)
            due[delay] += weight * usual
            came[delay] += weight * comes
    return by_delay(due, came, SHARES, np.full((61, 1), 50 * 0.3), min(change_age, 60))


@pytest.mark.parametrize("change_age", [12, 30, 60, 400])
def test_delays_twice_as_long_are_told_from_fewer_yeses(change_age: int) -> None:
    better, factor = slower(counted(change_age, slow=2.0))
    worse, _ = slower(counted(change_age, fall=0.4))

    assert better > 0 > worse
    assert factor == 2.0


@pytest.mark.parametrize("change_age", [5, 10, 30, 400])
def test_a_fall_of_all_arrivals_is_not_slow(change_age: int) -> None:
    assert slower(counted(change_age, fall_of_arrivals=0.4))[0] < 0


@pytest.mark.parametrize("change_age", [0, 12, 60])
def test_what_was_due_since_the_change_is_part_of_what_was_due_of_late(change_age: int) -> None:
    usual, all_gone, no_arrivals = counted(change_age), counted(change_age, fall=1.0), counted(0, fall_of_arrivals=1.0)

    assert usual.due == pytest.approx(usual.came)
    assert all_gone.of_asks == pytest.approx(all_gone.due - all_gone.came, rel=1e-5, abs=1e-9)
    assert no_arrivals.of_arrivals == pytest.approx(no_arrivals.due - no_arrivals.came, rel=1e-5, abs=1e-9)


def test_young_cohorts_tell_whether_delays_are_back() -> None:
    on_time, late = ASKS * CHANCE * USUAL[AGE], ASKS * CHANCE * stretched(USUAL, 2.0)[AGE]
    mixed = np.where((AGE <= 30)[:, None], on_time, late)

    assert back_on_time(ASKS, mixed, CHANCE, USUAL, 30) > 3
    assert back_on_time(ASKS, late, CHANCE, USUAL, 30) < -3
