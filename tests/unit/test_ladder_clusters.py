from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from scipy.stats import norm, t

from ladder.clusters import Clustered, t_point
from ladder.comparisons import change, point_for
from ladder.rates import Z_95, difference, wilson

Pairs = Sequence[tuple[int, int]]


def clustered(pairs: Pairs) -> Clustered:
    """Of (successes, trials) of each cluster."""
    return Clustered(
        len(pairs),
        sum(n for _, n in pairs),
        sum(y for y, _ in pairs),
        sum(n * n for _, n in pairs),
        sum(n * y for y, n in pairs),
        sum(y * y for y, _ in pairs),
    )


def test_of_clusters_of_one_trial_it_is_the_plain_interval() -> None:
    assert clustered([(1, 1)] * 3 + [(0, 1)] * 9).rate(Z_95) == wilson(3, 12)
    assert clustered([(1, 1)] * 3 + [(0, 1)] * 9).rate(2.5) == wilson(3, 12, 2.5)


def test_clusters_that_answer_as_one_count_about_once_each() -> None:
    """Twenty people with fifty sessions each, who always or never say yes, tell as much as about twenty answers."""
    found = clustered([(50, 50)] * 8 + [(0, 50)] * 12)
    assert found.effective_trials == pytest.approx(19)
    assert found.rate(Z_95).high - found.rate(Z_95).low > wilson(8, 20).high - wilson(8, 20).low


def test_the_variance_is_the_one_of_a_ratio_of_totals() -> None:
    pairs = [(3, 4), (0, 5), (2, 2), (7, 9), (1, 6), (0, 1), (5, 5), (2, 8)]
    share = sum(y for y, _ in pairs) / sum(n for _, n in pairs)
    residuals = [y - share * n for y, n in pairs]
    variance = sum(r * r for r in residuals) * len(pairs) / (len(pairs) - 1) / sum(n for _, n in pairs) ** 2
    assert clustered(pairs).effective_trials == pytest.approx(share * (1 - share) / variance)


def test_there_are_never_more_effective_trials_than_trials() -> None:
    assert clustered([(5, 10)] * 10).effective_trials == 100


def test_where_all_said_the_same_each_cluster_counts_once() -> None:
    assert clustered([(0, 40)] * 6).effective_trials == 6
    assert clustered([(0, 40)] * 6).rate(Z_95).high > wilson(0, 6).high


@pytest.mark.parametrize("pairs", [[], [(3, 7)]])
def test_of_one_cluster_or_none_nothing_is_known(pairs: Pairs) -> None:
    assert clustered(pairs).rate(Z_95)[1:] == (0.0, 1.0)


@pytest.mark.parametrize("freedom", [6, 9, 40, 1000])
@pytest.mark.parametrize("z", [1.0, Z_95, 2.8, 3.4])
def test_the_point_of_t_is_scipys(z: float, freedom: int) -> None:
    assert t_point(z, freedom) == pytest.approx(t.ppf(norm.cdf(z), freedom), rel=0.003)


def test_many_comparisons_share_one_chance_of_being_wrong() -> None:
    assert point_for(1) == pytest.approx(Z_95)
    assert point_for(10) == pytest.approx(norm.ppf(1 - 0.05 / 20))


def test_a_change_has_its_sides_at_95_percent_and_its_difference_wider() -> None:
    before, after = clustered([(1, 1)] * 40 + [(0, 1)] * 60), clustered([(1, 1)] * 55 + [(0, 1)] * 45)
    alone, many = change(before, after, 1), change(before, after, 20)
    assert (alone.earlier, alone.later) == (many.earlier, many.later)
    assert alone.earlier == pytest.approx(wilson(40, 100))
    assert alone.difference == pytest.approx(difference(wilson(55, 100), wilson(40, 100)))
    assert alone.is_told
    assert not many.is_told


def test_a_change_of_few_people_is_never_told() -> None:
    """However often each of them answered."""
    before, after = clustered([(0, 500)] * 9), clustered([(500, 500)] * 9)
    assert change(before, after, 1).difference.low > 0
    assert not change(before, after, 1).is_told
    assert change(clustered([(0, 5)] * 10), clustered([(5, 5)] * 10), 1).is_told


def test_looking_at_many_things_that_did_not_change_seldom_finds_a_change() -> None:
    """Nine comparisons of the same people's sessions in two weeks: of 300 pairs of weeks at most 1 in 20 is called."""
    chance = random.Random(7)

    def week(people: Sequence[float]) -> Clustered:
        return clustered(
            [(sum(chance.random() < p for _ in range(n)), n) for p in people if (n := chance.randrange(9))]
        )

    called = 0
    for _ in range(300):
        people = [chance.betavariate(1, 2) for _ in range(40)]
        called += any(change(week(people), week(people), 9).is_told for _ in range(9))
    assert called <= 15
    alike = [week([chance.betavariate(6, 6) for _ in range(80)]) for _ in range(2)]
    fallen = week([chance.betavariate(2, 10) for _ in range(80)])
    assert not change(alike[0], alike[1], 9).is_told
    assert change(alike[0], fallen, 9).is_told
