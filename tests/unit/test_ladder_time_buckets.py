from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st

from ladder.time_buckets import ERROR, NO_TIME, bucket_of, seconds_at, seconds_of

MICROSECONDS = st.integers(0, 10**15)


@given(MICROSECONDS)
def test_what_a_bucket_stands_for_is_within_the_error_of_all_in_it(microseconds: int) -> None:
    seconds = microseconds / 1e6
    assert seconds_of(bucket_of(seconds)) == pytest.approx(seconds, rel=ERROR * (1 + 1e-9), abs=0)


@given(st.lists(MICROSECONDS, min_size=1, max_size=200), st.integers(0, 100))
def test_quantiles_after_summing_are_within_the_error_of_numpys_lower_ones(
    all_of_them: list[int], percent: int
) -> None:
    times = [microseconds / 1e6 for microseconds in all_of_them]
    half = len(times) // 2
    summed = Counter(map(bucket_of, times[:half])) + Counter(map(bucket_of, times[half:]))
    exact = np.sort(times)[percent * (len(times) - 1) // 100]
    assert seconds_at(percent, summed) == pytest.approx(exact, rel=ERROR * (1 + 1e-9), abs=0)


def test_no_time_at_all_is_no_time_and_of_nothing_there_is_no_quantile() -> None:
    assert (bucket_of(0), seconds_of(NO_TIME)) == (NO_TIME, 0)
    assert seconds_at(50, {}) is None
    assert seconds_at(50, {NO_TIME: 2, 3: 1}) == 0
