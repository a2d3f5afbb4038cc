from __future__ import annotations

import numpy as np
import pytest

from stream.alerts_evidence import DELTAS, by_cohort, by_minute, gain_of_a_yes, summed


def single(value: float) -> np.ndarray:
    return np.full((1, 1), value, dtype=np.float32)


def test_a_cohort_says_what_the_formula_says() -> None:
    found = by_cohort(single(10), single(2), np.full((1, 1, 1), 0.24, np.float32), single(0.05))

    expected = 2 * np.log(0.6 / 0.95) + 8 * np.log((1 - 0.6 * 0.24) / (1 - 0.95 * 0.24))
    assert found[0, 0, 3, 0] == pytest.approx(expected, rel=1e-5)


def test_an_empty_cohort_and_one_that_is_not_due_say_nothing() -> None:
    nobody = by_cohort(single(0), single(0), np.full((1, 1, 1), 0.3, np.float32), single(0.05))
    not_due = by_cohort(single(10), single(0), np.full((1, 1, 1), 0.0, np.float32), single(0.05))

    assert not nobody.any()
    assert not not_due.any()


def test_arrays_to_work_in_change_nothing() -> None:
    draw = np.random.default_rng(1)
    asks = draw.integers(0, 50, (7, 3)).astype(np.float32)
    yeses = np.floor(asks * 0.2)
    due = draw.random((7, 2, 3)).astype(np.float32) * 0.5
    epsilon = np.full((2, 3), 0.04, np.float32)
    space = np.full((7, 2, 6, 3), np.nan, np.float32), np.full((7, 2, 6, 3), np.nan, np.float32)

    assert by_cohort(asks, yeses, due, epsilon, space).tolist() == by_cohort(asks, yeses, due, epsilon).tolist()


def test_a_minute_says_nearly_what_the_exact_formula_says_and_never_more() -> None:
    silent = np.array([[90.0], [40.0], [7.0]], dtype=np.float32)
    hazard = np.array([[0.02], [0.1], [0.25]], dtype=np.float32)[:, None, :]

    found = by_minute(silent, np.array([5.0], dtype=np.float32), hazard, single(0.03))[0, :, 0]

    delta = DELTAS.astype(np.float64)
    at_risk = np.log((1 - np.outer(hazard[:, 0, 0], 1 - delta)) / (1 - 0.97 * hazard[:, 0, :])) * silent
    exact = 5 * np.log((1 - delta) / 0.97) + at_risk.sum(axis=0)
    assert (found <= exact + 1e-5).all()
    assert found == pytest.approx(exact, abs=0.02)


def test_a_yes_counts_against_a_fall_the_more_the_deeper_it_is() -> None:
    gain = gain_of_a_yes(single(0.03))[0, :, 0]

    assert (gain < 0).all()
    assert (np.diff(gain) < 0).all()


def test_evidence_of_a_group_is_the_sum_of_its_keys() -> None:
    evidence = np.arange(6, dtype=np.float32).reshape(2, 3)

    assert summed(evidence, [np.array([0, 2])]).tolist() == [[0, 1, 2, 2], [3, 4, 5, 8]]
    assert summed(evidence, []) is evidence
