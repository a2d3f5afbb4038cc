"""Minute counts through the detector, as they arrived: what would have fired, and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from answers.alerts_file import MinuteCounts
from ladder.errors import UsageError
from stream.alerts import Detector, Rules
from stream.alerts_baseline import RING
from stream.alerts_kinds import Kind
from stream.alerts_learning import History
from stream.alerts_open import Notice

WINDOW = 60
"""Minutes after an ask in which a yes counts, unless told otherwise."""
_LONGEST_HISTORY = 28 * 1440
_LONGEST_REPLAY = 5 * 366 * 1440


@dataclass(frozen=True)
class Alarm:
    """One alarm of the replay.

    ``minute``, ``lost`` (with a 95% interval) and ``fall`` are as they were when it was raised; ``kind`` is what it was
    corrected to at most half an hour later.  ``resolved`` is None while it is open.  ``sure``: see ``Notice``.
    """

    key: str
    minute: int
    change_point: int
    kind: Kind
    lost: float
    lost_low: float
    lost_high: float
    fall: float
    resolved: int | None
    lost_in_all: float
    sure: bool


@dataclass(frozen=True)
class Replay:
    """``live_from`` is the first minute in which an alarm could be; ``until`` the last one of the file."""

    alarms: tuple[Alarm, ...]
    live_from: int
    until: int


def default_live_from(counts: MinuteCounts) -> int:
    """Where the history ends unless told: after half of the file, or after four weeks if that is earlier."""
    arrival = counts.arrival
    first, last = int(arrival[0]), int(arrival[-1])
    return first + min(_LONGEST_HISTORY, (last - first + 1) // 2)


def replay(
    counts: MinuteCounts, live_from: int | None = None, rules: Rules | None = None, window: int = WINDOW
) -> Replay:
    """Learn from what had arrived before ``live_from``, then go on minute by minute.  Nothing is seen before it
    arrived.

    ``window``: a yes after more minutes is none.  Raises ``UsageError`` where nothing is left to replay.
    """
    arrival = counts.arrival
    first, last = int(counts.ask_minute.min()), int(arrival[-1])
    start = default_live_from(counts) if live_from is None else live_from
    if start > last:
        raise UsageError(f"--live-from {start}: the last count arrived in minute {last}, so there is nothing to replay")
    if last - max(first, start - window) > _LONGEST_REPLAY:
        raise UsageError(
            f"ask_minute reaches from {first} to {last}: more than five years of minutes; is it in seconds?"
        )
    start = max(start, first)
    catch_up = start - (window + 1)
    detector = Detector.learn(_history(counts, catch_up, window), rules)
    notices: list[Notice] = []
    bounds = np.searchsorted(arrival, np.arange(catch_up, last + 2))
    asks = np.zeros(len(counts.keys))
    yeses = np.zeros((window + 1, len(counts.keys)))
    for number, minute in enumerate(range(catch_up, last + 1)):
        rows = slice(bounds[number], bounds[number + 1])
        key, delay, count = counts.key[rows], counts.delay[rows], counts.number[rows]
        asks[:] = 0
        yeses[:] = 0
        is_ask = delay < 0
        np.add.at(asks, key[is_ask], count[is_ask])
        said = ~is_ask & (delay <= window)
        np.add.at(yeses, (delay[said], key[said]), count[said])
        notices += detector.step(asks, yeses, armed=minute >= start)
    return Replay(_alarms(counts.keys, notices, detector), start, last)


def _history(counts: MinuteCounts, until: int, window: int) -> History:
    """Cohorts before ``until``, which is a window before the replay starts: all of it had arrived by then."""
    keys = len(counts.keys)
    known = (counts.ask_minute < until) & (counts.delay <= window)
    newest = (until - 1) // 60
    oldest = max(newest - RING + 1, int(counts.ask_minute.min()) // 60)
    known &= counts.ask_minute >= oldest * 60
    hours = max(0, newest - oldest + 1)
    hour, key = counts.ask_minute[known] // 60 - oldest, counts.key[known]
    delay, number = counts.delay[known], counts.number[known]
    asks, yeses, delays = np.zeros((hours, keys)), np.zeros((hours, keys)), np.zeros((window + 1, keys))
    said = delay >= 0
    np.add.at(asks, (hour[~said], key[~said]), number[~said])
    np.add.at(yeses, (hour[said], key[said]), number[said])
    np.add.at(delays, (delay[said], key[said]), number[said])
    return History(until, asks, np.minimum(yeses, asks), delays)


def _alarms(keys: tuple[str, ...], notices: list[Notice], detector: Detector) -> tuple[Alarm, ...]:
    alarms: list[Alarm] = []
    is_open: dict[int, Notice] = {}
    kinds: dict[int, Kind] = {}

    def close(unit: int, resolved: int | None, lost: float) -> None:
        raised = is_open.pop(unit)
        alarms.append(
            Alarm(
                key=keys[unit],
                minute=raised.minute,
                change_point=raised.change_point,
                kind=kinds[unit],
                lost=raised.lost,
                lost_low=raised.lost_low,
                lost_high=raised.lost_high,
                fall=raised.fall,
                resolved=resolved,
                lost_in_all=lost,
                sure=raised.sure,
            )
        )

    for notice in notices:
        if notice.what == "alarm":
            is_open[notice.unit], kinds[notice.unit] = notice, notice.kind
        elif notice.what == "changed":
            kinds[notice.unit] = notice.kind
        else:
            close(notice.unit, notice.minute, notice.lost)
    for unit in list(is_open):
        close(unit, None, detector.lost(unit)[0])
    return tuple(sorted(alarms, key=lambda alarm: (alarm.minute, alarm.key)))
