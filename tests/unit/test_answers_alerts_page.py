from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from answers.alerts_file import MinuteCounts
from answers.alerts_page import HEIGHT, WIDTH, render_alerts_page, write_alerts_page
from answers.alerts_replay import Alarm, Replay
from answers.alerts_threshold import ThresholdAlert
from ladder.errors import UsageError

KEY = "<b>step & co"
MINUTES = np.arange(0, 1200, 10)
COUNTS = MinuteCounts(
    (KEY,),
    np.zeros(240, dtype=np.int64),
    np.repeat(MINUTES, 2),
    np.tile([-1, 0], 120),
    np.column_stack([np.full(120, 10.0), np.where(MINUTES < 600, 4.0, 2.0)]).ravel(),
)
ALARM = Alarm(KEY, 630, 600, "drop", 6.0, 2.0, 9.0, 0.5, 900, 60.0, True)
THRESHOLDS = (ThresholdAlert(KEY, 0.3, (660,)),)


def test_the_page_shows_the_rate_around_the_alarm_and_loads_nothing() -> None:
    page = render_alerts_page(COUNTS, Replay((ALARM,), 500, 1199), THRESHOLDS)

    assert "&lt;b&gt;step &amp; co</bdi>: drop in minute 630" in page
    assert "6 yeses lost by then (2 to 9)" in page
    assert "resolved in minute 900" in page
    assert "would have fired 1 time." in page
    assert not re.search(r"<script|src=|<b>step", page)
    points = re.search(r'points="([^"]*)"', page)
    assert points is not None
    drawn = [tuple(map(float, point.split(","))) for point in points[1].split()]
    assert [y for _, y in drawn[:36]] == [round(HEIGHT * (1 - 0.4 / 0.44), 1)] * 36
    assert [y for _, y in drawn[36:]] == [round(HEIGHT * (1 - 0.2 / 0.44), 1)] * (len(drawn) - 36)
    assert f'<circle class="fired" cx="{round(WIDTH * (660 - 240) / (1199 - 240), 1)}"' in page


def test_a_replay_without_alarms_says_so() -> None:
    assert "Nothing would have been told." in render_alerts_page(COUNTS, Replay((), 500, 1199), THRESHOLDS)


def test_a_page_is_written_or_refused_by_name(tmp_path: Path) -> None:
    write_alerts_page(COUNTS, Replay((ALARM,), 500, 1199), THRESHOLDS, tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")

    with pytest.raises(UsageError, match="the page cannot be written there"):
        write_alerts_page(COUNTS, Replay((), 500, 1199), THRESHOLDS, tmp_path)
