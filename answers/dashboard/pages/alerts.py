"""Alerts: what fired and why, its hour by minutes, the step over the days around it, and who carries it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from pathlib import Path
from typing import Any

from answers.dashboard.page import Asked, Page
from ladder.errors import UsageError
from ladder.rates import wilson
from warehouse.counted import SEGMENTS
from warehouse.opened import identity_of
from warehouse.periods import periods
from warehouse.step_days import step_days

_COLUMN = re.compile(rf"(?:^|, )({'|'.join(SEGMENTS)})=")

RARE = "(other)"
"""Stands in an alert for all values of a segment that are not among the most frequent."""

ALERTS_SHOWN = 200
DAYS_AROUND = 21

KINDS: Mapping[str, str] = {
    "drop": "fewer people say yes",
    "slow": "people say yes later",
    "tracking": "no longer counted, though people go on",
    "outage": "nothing is counted any more",
}
NOTICES: Mapping[str, str] = {
    "raised": "it was raised",
    "joined": "more of the same joined it",
    "changed": "its kind became clearer",
    "resolved": "as usual again",
    "lasting": "it lasted a week and is taken for the usual",
}


@dataclass(frozen=True)
class Minute:
    """Yeses ``expected`` in the minute that begins ``at``, those that ``came``, and what is usual by chance."""

    at: datetime
    expected: float
    came: float
    low: float
    high: float

    @property
    def clock(self) -> str:
        return f"{self.at:%H:%M}"


def page(asked: Asked) -> Page:
    """All alerts, or with ``alert`` in the address one of them.  Raises ``UsageError`` for one that is not there."""
    rows = [row for row in _rows(asked.warehouse) if row["ladder"] == asked.ladder.name]
    alerts: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        alerts.setdefault(row["alert_id"], []).append(row)
    wanted = asked.one("alert")
    if wanted is not None:
        if wanted not in alerts:
            raise UsageError(f"alert: there is none called {wanted[:60]!r}; the page Alerts has all")
        return _one(asked, alerts[wanted])
    listed = sorted(alerts.values(), key=lambda notices: notices[0]["raised"], reverse=True)
    return Page(
        "alerts.html",
        "Alerts",
        {
            "alerts": [(notices[0], notices[-1], _is_over(notices)) for notices in listed[:ALERTS_SHOWN]],
            "more_alerts": max(0, len(listed) - ALERTS_SHOWN),
            "kinds": KINDS,
        },
    )


def _one(asked: Asked, notices: Sequence[Mapping[str, Any]]) -> Page:
    first, last = notices[0], notices[-1]
    points, hour = _days(asked, first), hour_of(first["series"])
    began = first["since"].replace(second=0, microsecond=0)
    return Page(
        "alert.html",
        "Alert",
        {
            "first": first,
            "last": last,
            "is_over": _is_over(notices),
            "notices": list(reversed(notices)),
            "carriers": json.loads(last["carried_by"]),
            "kinds": KINDS,
            "words": NOTICES,
            "points": points,
            "people": people_of(first["segment"]),
            "hour": hour,
            "began_before": bool(hour) and began < hour[0].at,
        },
        charts={
            "hour": {
                "periods": [minute.clock for minute in hour],
                "expected": [minute.expected for minute in hour],
                "low": [minute.low for minute in hour],
                "high": [minute.high for minute in hour],
                "came": [minute.came for minute in hour],
                "since": next((minute.clock for minute in hour if minute.at == began), None),
            },
            "around": {
                "periods": [day.isoformat() for day, _ in points],
                "points": [share for _, share in points],
                "since": first["since"].date().isoformat(),
            },
        },
        keep={"alert": first["alert_id"]},
    )


def hour_of(series: str | None) -> list[Minute]:
    """The minutes of the column ``series``; none where a notice has none.

    The band is expected +/- 1.96 sqrt(expected), not below 0: the normal approximation of the Poisson distribution.
    """
    minutes = []
    for one in json.loads(series or "[]"):
        expected, half = one["expected"], 1.96 * sqrt(max(0.0, one["expected"]))
        at = datetime.fromtimestamp(one["minute"] * 60, UTC)
        minutes.append(Minute(at, expected, one["came"], max(0.0, expected - half), expected + half))
    return minutes


def _rows(warehouse: Path) -> list[dict[str, Any]]:
    """All notices, oldest first; none where no agent ever ran."""
    from warehouse.alerts_table import read_alerts
    from warehouse.located import has_lake, lake_of

    return read_alerts(lake_of(warehouse)).to_dicts() if has_lake(warehouse) else []


def _is_over(notices: Sequence[Mapping[str, Any]]) -> bool:
    return notices[-1]["what"] in ("resolved", "lasting")


def _days(asked: Asked, first: Mapping[str, Any]) -> list[tuple[date, list[float] | None]]:
    """The yes-rate of the step by the day of the ask, with its interval, around the day of the fall.

    Of what the alert judges: asks, yeses within the hour, and the people of its segment as they first came.
    """
    if identity_of(asked.warehouse) is None:
        return []
    begun = first["since"].date()
    around = timedelta(days=DAYS_AROUND)
    found = step_days(
        asked.warehouse,
        asked.ladder,
        first["tier"],
        first["step"],
        since=begun - around,
        until=begun + around,
        first_touch=people_of(first["segment"]),
    )
    by_day = {one.day: list(wilson(one.yes, one.asks)) for one in found}
    if not by_day:
        return []
    return [(day, by_day.get(day)) for day in periods(min(by_day), max(by_day), "day")]


def people_of(segment: str) -> dict[str, str]:
    """The values of an alert's ``segment``; none where one of them stands for all that are rare."""
    parts = _COLUMN.split(segment)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    return {} if RARE in found.values() else found
