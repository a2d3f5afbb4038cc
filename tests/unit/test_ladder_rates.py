"""Rates with their intervals, against scipy."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from scipy.stats import binomtest

from ladder.rates import difference, drop_off, standardised, wilson


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts: tuple[int, int]) -> None:
    successes, trials = counts
    theirs = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    ours = wilson(successes, trials)
    assert ours.value == successes / trials
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_of_nobody_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 0.0, 1.0)
    assert drop_off(yes=0, asked=0) == (0.0, 0.0, 1.0)


def test_the_ends_of_the_scale_are_reached_and_not_passed() -> None:
    assert wilson(0, 5).low == 0.0
    assert wilson(5, 5).high == 1.0


@pytest.mark.parametrize(("successes", "trials"), [(-1, 5), (6, 5), (0, -1)])
def test_counts_that_cannot_be_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        wilson(successes, trials)


def test_drop_off_is_the_share_that_did_not_say_yes() -> None:
    assert drop_off(yes=2228, asked=9696).value == pytest.approx(0.770215, abs=1e-6)


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [  # Newcombe (1998), table II, method 10
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((0, 10), (0, 20), (-0.1611, 0.2775)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_differences_are_those_of_newcombes_examples(
    one: tuple[int, int], other: tuple[int, int], wanted: tuple[float, float]
) -> None:
    found = difference(wilson(*one), wilson(*other))
    assert found.value == one[0] / one[1] - other[0] / other[1]
    assert (found.low, found.high) == pytest.approx(wanted, abs=5e-5)


def test_a_rate_is_standardised_by_the_weights_of_its_strata() -> None:
    found = standardised([(30, 1, 4), (10, 9, 10)])
    assert found.value == pytest.approx((30 * 0.25 + 10 * 0.9) / 40)
    effective = 40**2 / (30**2 / 4 + 10**2 / 10)
    assert found[1:] == pytest.approx(wilson(found.value * effective, effective)[1:])
    assert standardised([(7, 3, 5)]) == pytest.approx(wilson(3, 5))
    assert standardised([(3, 4, 4), (0, 1, 2)]).value == 1
    with pytest.raises(ValueError, match="no strata"):
        standardised([])
