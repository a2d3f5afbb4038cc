from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from stream.alerts import Detector, Rules
from stream.alerts_delay import arrived_by, delay_shares, stretched
from stream.alerts_evidence import by_cohort, by_minute
from stream.alerts_many import due_alarms
from tests.suites.alert_oracle import log_mixture
from tests.suites.alert_world import AGES, history, simulate

shares_of_rate = st.floats(0.01, 0.95)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), shares_of_rate, st.floats(0.0, 1.0), st.floats(0.01, 0.09), st.floats(0.0, 1.0))
def test_the_mean_likelihood_ratio_of_a_cohort_is_at_most_1_for_every_tolerated_rate(
    asks: int, chance: float, arrived: float, epsilon: float, better: float
) -> None:
    true = (1 - epsilon) * chance + better * (1 - (1 - epsilon) * chance)
    share = true * arrived
    mean = np.zeros(6)
    for yeses in range(asks + 1):
        weight = comb(asks, yeses) * share**yeses * (1 - share) ** (asks - yeses)
        evidence = by_cohort(
            np.full((1, 1), asks, np.float32),
            np.full((1, 1), yeses, np.float32),
            np.full((1, 1, 1), chance * arrived, np.float32),
            np.full((1, 1), epsilon, np.float32),
        )
        mean += weight * np.exp(evidence[0, 0, :, 0].astype(np.float64))

    assert (mean <= 1 + 1e-4).all()
    if better == 0:
        assert mean == pytest.approx(1, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.floats(0.0, 0.95), st.floats(0.01, 0.09), st.floats(0.0, 1.0))
def test_the_mean_likelihood_ratio_of_a_minute_is_at_most_1_for_every_tolerated_hazard(
    waiting: int, hazard: float, epsilon: float, better: float
) -> None:
    true = (1 - epsilon) * hazard + better * (1 - (1 - epsilon) * hazard)
    mean = np.zeros(6)
    for yeses in range(waiting + 1):
        weight = comb(waiting, yeses) * true**yeses * (1 - true) ** (waiting - yeses)
        evidence = by_minute(
            np.full((1, 1), waiting - yeses, np.float32),
            np.full(1, yeses, np.float32),
            np.full((1, 1, 1), hazard, np.float32),
            np.full((1, 1), epsilon, np.float32),
        )
        mean += weight * np.exp(evidence[0, :, 0].astype(np.float64))

    assert (mean <= 1 + 1e-4).all()


@pytest.mark.parametrize(
    ("seed", "rate", "chance", "fall"), [(1, 3.0, 0.3, 0.0), (2, 8.0, 0.15, 0.4), (3, 5.0, 0.5, 0.9)]
)
def test_the_detector_holds_the_statistic_of_the_oracle(seed: int, rate: float, chance: float, fall: float) -> None:
    minutes = 45
    counts = simulate(minutes, [rate], [chance], seed, falls=[fall], since=20)
    detector = Detector.learn(history([rate], [chance]), Rules(patience=1e300))
    epsilons = (float(detector.state.epsilon[0, 0]), float(detector.state.epsilon[1, 0]))
    chances: list[tuple[float, float]] = []
    arrivals: dict[tuple[int, int], int] = {}
    for minute in range(minutes):
        detector.step(counts.asks[minute], counts.yeses[minute])
        chances.append((float(detector.state.chance[-1, 0, 0]), float(detector.state.chance[-1, 1, 0])))
        for age in range(min(AGES, minute + 1)):
            if counts.yeses[minute, age, 0]:
                arrivals[minute - age, age] = int(counts.yeses[minute, age, 0])

    asks = counts.asks[:, 0].astype(int).tolist()
    expected = log_mixture(asks, arrivals, chances, detector.state.shares[:, 0].tolist(), epsilons)

    assert detector.state.log_mixture[0] == pytest.approx(expected, abs=0.02)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.integers(0, 4), st.floats(1, 1e5))
def test_alarms_of_many_are_the_largest_number_that_all_reach_their_bar(
    values: list[float], more: int, patience: float
) -> None:
    among = len(values) + more
    found = due_alarms(np.array(values), patience, among=among)

    sizes = [k for k in range(1, len(values) + 1) if sorted(values)[-k] >= among * patience / k]
    bar = sorted(values)[-max(sizes)] if sizes else float("inf")
    assert found.tolist() == [value >= bar for value in values]


@given(st.lists(st.integers(0, 500), min_size=2, max_size=20), st.floats(1.0, 8.0))
def test_longer_delays_arrive_later(counts: list[int], factor: float) -> None:
    usual = arrived_by(delay_shares(np.array(counts, dtype=np.float64)[:, None]))
    longer = stretched(usual, factor)

    assert (longer <= usual + 1e-9).all()
    assert (np.diff(longer[:, 0]) >= -1e-12).all()
