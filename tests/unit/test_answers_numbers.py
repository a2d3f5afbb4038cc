from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from answers.numbers import count, interval, listing, percent, signed, utc


def test_counts_have_separators() -> None:
    assert [count(n) for n in (0, 999, 1000, 1234567)] == ["0", "999", "1,000", "1,234,567"]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0%"),
        (0.0004, "<0.1%"),
        (0.0006, "0.1%"),
        (0.7702, "77.0%"),
        (0.9994, "99.9%"),
        (0.9996, ">99.9%"),
        (1.0, "100%"),
    ],
)
def test_only_a_true_zero_or_one_is_said_as_0_or_100_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_an_interval_has_both_ends() -> None:
    assert interval(0.0, 0.081) == "0% to 8.1%"


def test_times_of_any_zone_are_said_in_utc() -> None:
    muscat = timezone(timedelta(hours=4))
    assert utc(datetime(2017, 3, 1, 1, 5, tzinfo=muscat)) == "28 Feb 2017, 21:05 UTC"
    assert utc(datetime(2017, 3, 1, 1, 5, tzinfo=UTC)) == "1 Mar 2017, 01:05 UTC"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        utc(datetime(2017, 3, 1))


def test_lists_read_as_people_write_them() -> None:
    assert [listing(list("abcd"[:n])) for n in range(5)] == ["", "a", "a and b", "a, b and c", "a, b, c and d"]
    assert listing(["a", "b"], "or") == "a or b"


def test_a_long_list_names_the_first_three_and_counts_the_others() -> None:
    assert listing(list("abcdef")) == "a, b, c and 3 others"
    assert listing(list("abcde")) == "a, b, c and 2 others"


@pytest.mark.parametrize(("share", "said"), [(0.031, "+3.1"), (-0.0044, "−0.4"), (0.0, "+0.0"), (-1.0, "−100.0")])
def test_a_difference_carries_its_sign(share: float, said: str) -> None:
    assert signed(share) == said
