"""What a threshold alert would have done: the usual tool's alert on the yes-rate of the clock hour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from answers.alerts_file import MinuteCounts

ENOUGH_ASKS = 20.0
_A_MONTH = 720.0


@dataclass(frozen=True)
class ThresholdAlert:
    """``threshold`` is None where the history has no hour to set it from.  ``fired``: the minutes in which it
    alarmed."""

    key: str
    threshold: float | None
    fired: tuple[int, ...]


def threshold_alerts(counts: MinuteCounts, live_from: int) -> tuple[ThresholdAlert, ...]:
    """Yeses that arrived in the hour, by its asks, against a fixed threshold; judged once, when the hour is over.

    The threshold is as low as it must be to fire once in 30 days of the history (a lower quantile of its hours; of
    shorter histories the lowest).  Hours with less than ``ENOUGH_ASKS`` asks are passed over; consecutive hours are
    one alarm.
    """
    hour = counts.arrival // 60
    oldest = int(hour[0])
    asks = np.zeros((int(hour[-1]) - oldest + 1, len(counts.keys)))
    yeses = np.zeros_like(asks)
    said = counts.delay >= 0
    np.add.at(asks, (hour[~said] - oldest, counts.key[~said]), counts.number[~said])
    np.add.at(yeses, (hour[said] - oldest, counts.key[said]), counts.number[said])
    told = asks >= ENOUGH_ASKS
    rate = np.where(told, yeses / np.maximum(asks, 1), np.inf)
    first_live = min(len(asks), max(0, -(-live_from // 60) - oldest))
    found = []
    for number, key in enumerate(counts.keys):
        past = np.sort(rate[:first_live, number][told[:first_live, number]])
        if past.size == 0:
            found.append(ThresholdAlert(key, None, ()))
            continue
        threshold = float(past[int(past.size / _A_MONTH)]) if past.size >= _A_MONTH else float(past[0])
        below = rate[first_live:, number] < threshold
        starts = np.flatnonzero(below & ~np.concatenate([[False], below[:-1]]))
        fired = tuple(int(at) for at in (starts + first_live + oldest + 1) * 60)
        found.append(ThresholdAlert(key, threshold, fired))
    return tuple(found)
