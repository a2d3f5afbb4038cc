"""What the gradient score promises, for any ladder."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given, settings, strategies as st

from ladder.gradient import gradient

ASKS = 2_000_000
few = settings(max_examples=20, deadline=None)


def climbed(
    falls: list[float], top: float = 3.0, asks: list[int] | None = None
) -> dict[tuple[int, int], tuple[int, int]]:
    """A ladder climbed in order, whose log-odds fall by so much from tier to tier."""
    ways, log_odds = {}, top
    for held, fall in enumerate([0.0, *falls]):
        log_odds -= fall
        asked = ASKS if asks is None else asks[held]
        ways[held, held + 1] = (asked, round(asked / (1 + exp(-log_odds))))
    return ways


def score(ways: dict[tuple[int, int], tuple[int, int]]) -> float:
    found = gradient(ways)
    assert found is not None
    assert 0 <= found.low <= found.score <= found.high <= 1
    return found.score


@few
@given(st.integers(3, 32), st.floats(0.0, 0.2))
def test_equal_falls_are_even_however_many_tiers(tiers: int, fall: float) -> None:
    assert score(climbed([fall] * (tiers - 1))) == pytest.approx(1, abs=0.02)


@few
@given(st.integers(3, 32).flatmap(lambda tiers: st.tuples(st.just(tiers), st.integers(0, tiers - 2))))
def test_one_cliff_is_near_nothing_wherever_it_is(ladder: tuple[int, int]) -> None:
    tiers, cliff = ladder
    falls = [0.0] * (tiers - 1)
    falls[cliff] = 5.0
    assert score(climbed(falls, top=2.0)) < 0.12


@few
@given(st.lists(st.floats(0.05, 0.6), min_size=2, max_size=8), st.floats(0.2, 2.0))
def test_a_steepest_step_made_steeper_lowers_it(falls: list[float], more: float) -> None:
    steeper = list(falls)
    steeper[falls.index(max(falls))] += more
    assert score(climbed(steeper)) < score(climbed(falls))


@few
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 32), st.integers(1, 32)),
        st.integers(200, 5000).flatmap(lambda asked: st.tuples(st.just(asked), st.integers(20, asked - 20))),
        max_size=30,
    )
)
def test_it_is_of_shares_and_not_of_how_many_people_there_are(ways: dict[tuple[int, int], tuple[int, int]]) -> None:
    found = gradient(ways)
    more = gradient({way: (100 * asked, 100 * yes) for way, (asked, yes) in ways.items()})
    assert (found is None) == (more is None)
    if found is not None and more is not None:
        assert found.score == pytest.approx(more.score, abs=0.06)
        assert more.high - more.low <= found.high - found.low + 0.02
        assert gradient(ways) == found
        unmet = {way: (0, 0) for way in ((4, 9), (31, 32), (0, 30)) if way not in ways}
        assert gradient({**ways, **unmet}) == found


def test_a_leap_counts_as_much_as_people_take_it() -> None:
    in_order = climbed([0.5, 0.5, 0.5])
    seldom = score({**in_order, (0, 4): (ASKS // 50, ASKS // 5000)})
    often = score({**in_order, (0, 4): (ASKS // 2, ASKS // 200)})
    assert often < seldom < score(in_order)


def test_a_tier_that_is_never_asked_for_is_passed_over() -> None:
    assert score({(0, 2): (1000, 800), (3, 5): (1000, 500), (2, 6): (1000, 500)}) == 1


def test_people_asked_for_one_tier_only_have_no_gradient_and_neither_has_a_single_fall() -> None:
    assert gradient({}) is None
    assert gradient({(0, 2): (500, 100), (1, 2): (100, 20), (2, 2): (90, 10), (3, 1): (50, 2)}) is None
    assert gradient({(0, 1): (100, 50), (1, 2): (100, 1)}) is None
    assert gradient({(0, 1): (100, 50), (1, 2): (4, 0)}) is None
    assert gradient({(0, 1): (100, 50), (1, 2): (100, 20), (0, 2): (4, 0)}) is not None


def test_log_odds_that_rise_are_no_fall() -> None:
    assert score(climbed([-1.0, -0.5, 0.0])) == pytest.approx(1, abs=0.01)


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="how many of them got a yes"):
        gradient({(0, 1): (5, 6)})
