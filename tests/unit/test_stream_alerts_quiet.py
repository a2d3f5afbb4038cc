from __future__ import annotations

import numpy as np
import pytest

from stream.alerts_quiet import SUSPECT, missing, recent_volume


def test_silence_adds_half_of_what_was_to_be_expected() -> None:
    assert missing(np.array([1.0]), np.array([8.0]), np.array([6.0]), np.array([0.0])).tolist() == [4.0]


def test_any_count_ends_the_silence() -> None:
    assert missing(np.array([50.0]), np.array([8.0]), np.array([6.0]), np.array([1.0])).tolist() == [0.0]


def test_an_hour_of_the_week_never_seen_leaves_the_recent_volume() -> None:
    assert missing(np.array([0.0]), np.array([np.inf]), np.array([6.0]), np.array([0.0])).tolist() == [3.0]


def test_the_volume_follows_what_comes_but_not_into_a_silence() -> None:
    volume = np.array([10.0, 10.0])
    for _ in range(600):
        volume = recent_volume(volume, np.array([2.0, 0.0]), np.array([0.0, SUSPECT]))

    assert volume.tolist() == [pytest.approx(2, abs=0.1), 10.0]
