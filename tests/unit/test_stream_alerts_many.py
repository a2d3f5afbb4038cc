from __future__ import annotations

import numpy as np

from stream.alerts_many import due_alarms


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
