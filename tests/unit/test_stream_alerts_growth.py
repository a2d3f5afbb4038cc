from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream.alerts import Detector, Rules
from stream.alerts_growth import grown
from stream.alerts_learning import is_known
from stream.alerts_open import Notice
from tests.suites.alert_world import Counts, history, simulate

RATES, CHANCES = [60.0, 40.0, 30.0], [0.3, 0.4, 0.5]
GROWS, LIVE = 40, 240


def steps(detector: Detector, counts: Counts, minutes: range, keys: int) -> list[Notice]:
    """Of the keys that there are so far; new ones are silent."""
    notices = []
    for minute in minutes:
        asks, yeses = np.zeros(keys), np.zeros((counts.yeses.shape[1], keys))
        asks[:3], yeses[:, :3] = counts.asks[minute], counts.yeses[minute]
        notices += detector.step(asks, yeses)
    return notices


def test_what_was_there_before_finds_what_it_would_have_found() -> None:
    counts = simulate(LIVE, RATES, CHANCES, 2, falls=[0.4, 0.0, 0.0], since=50, until=150)
    rules, before, after = Rules(groups=((0, 1, 2),)), [(0, 1, 2)], [(0, 1, 2), (3, 4)]
    undisturbed = Detector.learn(history(RATES, CHANCES), rules)
    expected = steps(undisturbed, counts, range(LIVE), 3)

    detector = Detector.learn(history(RATES, CHANCES), rules)
    found = steps(detector, counts, range(GROWS), 3)
    detector = Detector(grown(detector.state, 5, before, after), replace(rules, groups=tuple(after)))
    found += steps(detector, counts, range(GROWS, LIVE), 5)

    assert {0, 3} <= {notice.unit for notice in expected}
    place = {0: 0, 1: 1, 2: 2, 3: 5}
    assert found == [replace(notice, unit=place[notice.unit]) for notice in expected]


def test_new_keys_know_nothing() -> None:
    detector = Detector.learn(history(RATES, CHANCES))
    steps(detector, simulate(LIVE, RATES, CHANCES, 2), range(LIVE), 3)
    state = grown(detector.state, 5, [], [(3, 4)])
    assert is_known(state).tolist() == [True, True, True, False, False]
    assert state.due_total.tolist() == [*detector.state.due_total, 0, 0]
    assert state.kind.tolist() == [-1] * 6


def test_who_joins_a_group_with_an_open_alarm_has_lost_nothing_before() -> None:
    counts = simulate(LIVE, RATES, CHANCES, 2, falls=[0.5, 0.5, 0.0])
    detector = Detector.learn(history(RATES, CHANCES), Rules(groups=((0, 1),)))
    steps(detector, counts, range(LIVE), 3)
    assert detector.state.kind[3] >= 0
    state = grown(detector.state, 3, [(0, 1)], [(0, 1, 2)])
    joined = Detector(state, Rules(groups=((0, 1, 2),)))
    assert joined.lost(3)[0] == pytest.approx(detector.lost(3)[0])
