from __future__ import annotations

import numpy as np
import pytest

from stream.alerts_delay import STANDS_ALONE, arrived_by, delay_shares, stretched


def test_shares_add_up_and_follow_the_counts() -> None:
    shares = delay_shares(np.array([[6000.0], [3000.0], [1000.0]]))

    assert shares.sum() == pytest.approx(1)
    assert shares[:, 0] == pytest.approx([0.6, 0.3, 0.1], abs=1e-3)


def test_a_key_without_yeses_has_the_delays_of_the_pool() -> None:
    shares = delay_shares(np.array([[9000.0, 0.0], [1000.0, 0.0]]))

    assert shares[:, 1] == pytest.approx([0.9, 0.1], abs=0.01)


def test_a_key_with_enough_yeses_does_not_depend_on_its_neighbours() -> None:
    alone = np.array([[STANDS_ALONE * 0.7], [STANDS_ALONE * 0.3]])

    beside = delay_shares(np.hstack([alone, np.array([[5.0], [9000.0]])]))

    assert beside[:, 0].tolist() == delay_shares(alone)[:, 0].tolist()


def test_no_delay_is_impossible() -> None:
    assert (delay_shares(np.array([[5000.0], [0.0]])) > 0).all()


def test_all_have_arrived_at_the_end_of_the_window() -> None:
    assert arrived_by(np.array([[0.25], [0.5], [0.25]]))[:, 0].tolist() == [0.25, 0.75, 1.0]


def test_delays_twice_as_long_are_those_of_a_clock_half_as_fast() -> None:
    waited = np.arange(1, 41)[:, None]
    usual = 1 - np.exp(-waited / 6)

    assert stretched(usual, 2.0) == pytest.approx(1 - np.exp(-waited / 12), abs=1e-9)


def test_delays_as_long_as_ever_stay_as_they_are() -> None:
    usual = arrived_by(delay_shares(np.array([[50.0], [30.0], [20.0]])))

    assert stretched(usual, 1.0) == pytest.approx(usual, abs=1e-5)
