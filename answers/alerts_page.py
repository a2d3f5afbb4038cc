"""A replay as one page that needs no network and no script: each alarm with the rate around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from answers.alerts_file import MinuteCounts
from answers.alerts_replay import Alarm, Replay
from answers.alerts_threshold import ThresholdAlert
from answers.page import asset, render, write_page

ALARMS_SHOWN = 30
BIN = 10
"""Minutes of a point of the chart."""
WIDTH, HEIGHT = 720, 160
_AROUND = 360
_LONGEST = 4320


@dataclass(frozen=True)
class _Chart:
    """Where things are drawn; x and y in the picture's units.  ``fired``: the threshold's alarms."""

    alarm: Alarm
    points: str
    began: float
    raised: float
    ended: float
    fired: tuple[float, ...]
    threshold: float | None
    highest: float
    first: int
    last: int


def render_alerts_page(counts: MinuteCounts, found: Replay, thresholds: Sequence[ThresholdAlert]) -> str:
    """The page as HTML.  Keys are untrusted text."""
    by_key = {alert.key: alert for alert in thresholds}
    return render(
        "alerts.html",
        styles=[asset("report.css"), asset("alerts.css")],
        charts=[_chart(counts, alarm, by_key[alarm.key], found.until) for alarm in found.alarms[:ALARMS_SHOWN]],
        more=max(0, len(found.alarms) - ALARMS_SHOWN),
        alarms=len(found.alarms),
        keys=len(counts.keys),
        minutes=found.until - found.live_from + 1,
        fired=sum(len(alert.fired) for alert in thresholds),
        bin=BIN,
        width=WIDTH,
        height=HEIGHT,
    )


def write_alerts_page(counts: MinuteCounts, found: Replay, thresholds: Sequence[ThresholdAlert], path: Path) -> None:
    """Put the page into a file, whole or not at all.  Raises ``UsageError`` where it cannot."""
    write_page(render_alerts_page(counts, found, thresholds), path)


def _chart(counts: MinuteCounts, alarm: Alarm, threshold: ThresholdAlert, until: int) -> _Chart:
    ended = until if alarm.resolved is None else alarm.resolved
    first = max(alarm.change_point - _AROUND, int(counts.arrival[0]))
    last = min(max(ended, alarm.minute) + _AROUND, first + _LONGEST, until)
    rate = _rates(counts, counts.keys.index(alarm.key), first, last)
    highest = max([float(np.nanmax(rate, initial=0.0)), threshold.threshold or 0.0, 0.01]) * 1.1

    def across(minute: float) -> float:
        return round(WIDTH * min(max(0.0, (minute - first) / max(1, last - first)), 1.0), 1)

    def up(share: float) -> float:
        return round(HEIGHT * (1 - share / highest), 1)

    known = np.flatnonzero(~np.isnan(rate))
    return _Chart(
        alarm=alarm,
        points=" ".join(f"{across(first + (at + 0.5) * BIN)},{up(float(rate[at]))}" for at in known),
        began=across(alarm.change_point),
        raised=across(alarm.minute),
        ended=across(ended),
        fired=tuple(across(minute) for minute in threshold.fired if first <= minute <= last),
        threshold=None if threshold.threshold is None else up(threshold.threshold),
        highest=highest,
        first=first,
        last=last,
    )


def _rates(counts: MinuteCounts, key: int, first: int, last: int) -> NDArray[np.float64]:
    """Yeses that arrived by asks made, for each ``BIN`` minutes; NaN where nobody was asked."""
    arrival = counts.arrival
    rows = (counts.key == key) & (arrival >= first) & (arrival <= last)
    place, said, number = (arrival[rows] - first) // BIN, counts.delay[rows] >= 0, counts.number[rows]
    bins = (last - first) // BIN + 1
    asks = np.bincount(place[~said], weights=number[~said], minlength=bins)
    yeses = np.bincount(place[said], weights=number[said], minlength=bins)
    return np.asarray(np.where(asks > 0, yeses / np.maximum(asks, 1), np.nan))
