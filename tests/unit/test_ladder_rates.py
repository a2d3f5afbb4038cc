"""Rates with their intervals, against scipy."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from scipy.stats import binomtest

from ladder.rates import drop_off, wilson


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
