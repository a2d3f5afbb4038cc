from __future__ import annotations

import numpy as np
import pytest

from stream.alerts_statistic import advance, advance_all, mixture, restart


def test_the_statistic_adds_one_start_and_multiplies() -> None:
    assert advance(np.array([3.0]), np.log(np.array([2.0])))[0] == pytest.approx(8)


def test_many_steps_at_once_are_the_same_as_one_after_another() -> None:
    evidence = np.random.default_rng(2).normal(0, 1, (20, 4)).astype(np.float32)
    one = np.array([0.0, 1.0, 5.0, 100.0])
    all_at_once = advance_all(one, evidence.copy())
    for row in evidence:
        one = advance(one, row)

    assert all_at_once == pytest.approx(one, rel=1e-5)


def test_evidence_beyond_measure_does_not_overflow() -> None:
    huge = advance_all(np.array([1e30]), np.full((61, 1), 1e6, np.float32))
    nothing = advance_all(huge, np.full((61, 1), -1e6, np.float32))

    assert np.isfinite(huge).all()
    assert nothing[0] == 0


def test_a_mixture_is_the_mean_of_all_its_components() -> None:
    first = np.array([[[1.0], [2.0]], [[3.0], [6.0]]])
    second = np.array([[[0.0], [0.0]], [[4.0], [0.0]]])

    assert mixture(first, second).tolist() == [2.0]


def test_a_cusum_starts_anew_where_it_stood_at_nothing() -> None:
    excess, since = restart(
        np.array([-0.5, 0.0, 2.0], np.float32), np.array([1, 2, 3]), np.array([1.0, -1.0, 0.5], np.float32), 9
    )

    assert excess.tolist() == [1.0, -1.0, 2.5]
    assert since.tolist() == [9, 9, 3]
