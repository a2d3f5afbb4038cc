from __future__ import annotations

import numpy as np
import pytest

from stream.alerts import Detector, Rules
from stream.alerts_baseline import RING
from stream.alerts_learning import History
from stream.alerts_many import due_alarms, wider_for


def test_one_stream_needs_its_patience() -> None:
    assert due_alarms(np.array([99.0]), 100.0, among=1).tolist() == [False]
    assert due_alarms(np.array([100.0]), 100.0, among=1).tolist() == [True]


def test_one_of_many_needs_more_and_several_together_less() -> None:
    assert due_alarms(np.array([399.0, 0.0, 0.0, 0.0]), 100.0, among=4).tolist() == [False] * 4
    assert due_alarms(np.array([200.0, 200.0, 0.0, 0.0]), 100.0, among=4).tolist() == [True, True, False, False]


def test_streams_that_cannot_alarm_count_too() -> None:
    assert due_alarms(np.array([150.0]), 100.0, among=2).tolist() == [False]


def test_no_streams_no_alarms() -> None:
    assert due_alarms(np.zeros(0), 100.0, among=0).tolist() == []


def test_more_is_tolerated_of_many_streams_than_of_one() -> None:
    assert wider_for(0) == wider_for(1) == 1.0
    assert wider_for(10) < wider_for(200) == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize("streams", [1, 40])
def test_with_a_budget_a_detector_tolerates_more_from_the_first_minute_and_after_each_midnight(streams: int) -> None:
    hours = np.full((RING, streams), 600.0)
    known = History(1439, hours, hours * 0.3, np.full((61, streams), 1e4))
    alone, together = (Detector.learn(known, Rules(together=pooled)) for pooled in (False, True))

    for _ in range(2):
        assert together.state.epsilon == pytest.approx(alone.state.epsilon * wider_for(streams), rel=1e-6)
        for detector in (alone, together):
            for _ in range(2):
                detector.step(np.zeros(streams), np.zeros((61, streams)))
