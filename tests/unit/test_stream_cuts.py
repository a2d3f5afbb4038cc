from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from ladder.tiers import Ladder
from stream.cuts import Cuts


def cut(
    times: list[int], *visitors: int, gap: int = 10, longest: int = 100, most: int = 5
) -> list[tuple[list[int], bool]]:
    """The sessions of one visitor's times, or of several (at which rows they begin), each with whether a cap cut it."""
    at = np.array(times, np.int64)
    new_visitor = np.isin(np.arange(len(times)), [0, *visitors])
    starts, capped = Cuts(gap, longest, most).sessions(at, new_visitor)
    ends = [*starts[1:].tolist(), len(times)]
    return [(times[start:end], bool(cap)) for start, end, cap in zip(starts, ends, capped, strict=True)]


def whole(*sessions: list[int]) -> list[tuple[list[int], bool]]:
    return [(session, False) for session in sessions]


def test_nothing_is_no_session() -> None:
    starts, capped = Cuts(10, 100, 5).sessions(np.array([], np.int64), np.array([], bool))
    assert (starts.tolist(), capped.tolist()) == ([], [])


def test_a_silence_of_exactly_the_gap_stays_and_one_microsecond_more_closes() -> None:
    assert cut([0, 10]) == whole([0, 10])
    assert cut([0, 11]) == whole([0], [11])


def test_visitors_are_cut_apart_however_close_their_times() -> None:
    assert cut([0, 5, 5, 9], 2) == whole([0, 5], [5, 9])
    assert cut([0, 5, 0, 9], 2) == whole([0, 5], [0, 9])


def test_a_session_may_be_exactly_as_long_as_the_cap_and_is_cut_before_the_event_beyond() -> None:
    assert cut(list(range(0, 101, 10)), most=99) == whole(list(range(0, 101, 10)))
    assert cut([*range(0, 101, 10), 101], most=99) == [(list(range(0, 101, 10)), True), ([101], False)]


def test_the_length_counts_anew_after_each_cut() -> None:
    assert cut(list(range(0, 45, 5)), longest=12, most=99) == [
        ([0, 5, 10], True),
        ([15, 20, 25], True),
        ([30, 35, 40], False),
    ]


def test_a_session_may_hold_exactly_as_many_events_as_the_cap() -> None:
    assert cut([0, 1, 2], most=3) == whole([0, 1, 2])
    assert cut([0, 1, 2, 3], most=3) == [([0, 1, 2], True), ([3], False)]


def test_a_silence_after_a_capped_session_closes_the_rest_as_ever() -> None:
    assert cut([0, 1, 2, 3, 50, 51], most=3) == [([0, 1, 2], True), ([3], False), ([50, 51], False)]


def test_events_of_one_instant_stay_together_so_that_starts_differ() -> None:
    assert cut([0, 1, 1, 1, 2], most=3) == [([0], True), ([1, 1, 1], True), ([2], False)]
    assert cut([0, 1, 2, 2], most=3) == [([0, 1], True), ([2, 2], False)]


def test_an_instant_that_holds_more_than_the_cap_is_a_session_of_its_own() -> None:
    assert cut([0, 0, 0, 0], most=3) == whole([0, 0, 0, 0])
    assert cut([0, 0, 0, 0, 1], most=3) == [([0, 0, 0, 0], True), ([1], False)]
    assert cut([0, 1, 1, 1, 1, 1, 2], most=3) == [([0], True), ([1, 1, 1, 1, 1], True), ([2], False)]


def test_only_the_sessions_that_pass_a_cap_are_cut() -> None:
    times = [0, 1, 0, 1, 2, 3, 7, 7]
    assert cut(times, 2, 6, most=3) == [([0, 1], False), ([0, 1, 2], True), ([3], False), ([7, 7], False)]


@pytest.mark.parametrize("most", [2, 3, 7])
def test_a_hundred_thousand_events_of_a_robot_are_cut_quickly_and_none_is_lost(most: int) -> None:
    sessions = cut(list(range(100_000)), gap=10, longest=10**9, most=most)
    assert [time for session, _ in sessions for time in session] == list(range(100_000))
    assert {len(session) for session, capped in sessions if capped} == {most}


def test_the_ladders_durations_are_taken_in_microseconds() -> None:
    ladder = Ladder("l", ("a", "b"), (), timedelta(minutes=30), timedelta(), timedelta(hours=24, microseconds=7), 9)
    assert Cuts.of(ladder) == Cuts(1_800_000_000, 86_400_000_007, 9)
