from __future__ import annotations

import pytest

from ladder.comparisons import compared
from ladder.rates import difference, wilson


def test_with_one_stratum_it_is_the_plain_difference() -> None:
    found = compared({"a": (60, 100)}, {"a": (40, 100)})
    assert found is not None
    assert found.one == pytest.approx(wilson(60, 100))
    assert found.other == pytest.approx(wilson(40, 100))
    assert found.difference == pytest.approx(difference(wilson(60, 100), wilson(40, 100)))
    assert found.trials == (100, 100)
    assert found.is_told


def test_strata_that_only_one_has_compare_nothing_and_are_left_out() -> None:
    found = compared({"a": (5, 10), "b": (10, 10), "c": (0, 0)}, {"a": (5, 10), "c": (9, 9), "d": (0, 50)})
    assert found is not None
    assert (found.one.value, found.other.value, found.trials) == (0.5, 0.5, (10, 10))
    assert not found.is_told
    assert compared({"a": (1, 2)}, {"b": (1, 2)}) is None
    assert compared({}, {}) is None


def test_another_mix_of_strata_is_no_difference() -> None:
    """Half of b and a tenth of a say yes, whoever asks; who asks b more often looks better, and is not."""
    found = compared({"a": (10, 100), "b": (450, 900)}, {"a": (90, 900), "b": (50, 100)})
    assert found is not None
    assert found.difference.value == pytest.approx(0)
    assert found.one.value == pytest.approx(0.3)
    assert not found.is_told


@pytest.mark.parametrize(("yes", "is_told"), [(40, False), (51, True), (29, True)])
def test_a_difference_is_told_where_its_interval_leaves_out_0(yes: int, is_told: bool) -> None:
    found = compared({1: (yes, 100)}, {1: (400, 1000)})
    assert found is not None
    assert found.is_told == is_told == (found.difference.low > 0 or found.difference.high < 0)
