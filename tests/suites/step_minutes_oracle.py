"""The counts of asks and yeses by minute, told by plain loops.  Shares only the ladder's rules with ``stream``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ladder.events import Event
from ladder.tiers import Ladder
from tests.suites.session_oracle import EPOCH

Key = tuple[int | str | tuple[str, ...], ...]


class Placed(NamedTuple):
    """An event of one partition that is kept and not late, and the offset of its record."""

    event: Event
    offset: int


class StepMinuteCounts(NamedTuple):
    """By (tier, step, values, minute), and by (tier, step, values, ask minute, delay in minutes)."""

    asks: Counter[Key]
    yeses: Counter[Key]


def step_minutes_of(
    events: Sequence[Placed], ladder: Ladder, segments: Sequence[str] = (), window: timedelta = timedelta(hours=1)
) -> StepMinuteCounts:
    """All counts of events in the order of their records."""
    said: dict[tuple[str, int, str], list[tuple[datetime, datetime, int, Placed]]] = {}
    for placed in events:
        event = placed.event
        for mark in ladder.marks_of(event.name, json.loads(event.properties)):
            if mark.role in ("ask", "yes"):
                one = (event.occurred_at, event.received_at, int(mark.role == "yes"), placed)
                said.setdefault((event.visitor_id, mark.tier, mark.step), []).append(one)
    asks: Counter[Key] = Counter()
    yeses: Counter[Key] = Counter()
    of_visitor: dict[str, list[Placed]] = {}
    for placed in events:
        of_visitor.setdefault(placed.event.visitor_id, []).append(placed)
    for (visitor, tier, step), life in said.items():
        life.sort(key=lambda one: one[:3])
        for n, (at, _, is_yes, ask) in enumerate(life):
            if is_yes:
                continue
            values = tuple(_value(of_visitor[visitor], ask, segment) for segment in segments)
            asks[tier, step, values, minute_of(at)] += 1
            if n + 1 < len(life) and life[n + 1][2] and life[n + 1][0] - at <= window:
                yeses[tier, step, values, minute_of(at), minute_of(life[n + 1][0]) - minute_of(at)] += 1
    return StepMinuteCounts(asks, yeses)


def difference(after: StepMinuteCounts, before: StepMinuteCounts) -> StepMinuteCounts:
    """What came between; counts that are equal are left out."""
    found = []
    for more, less in zip(after, before, strict=True):
        changed = Counter(more)
        changed.subtract(less)
        found.append(Counter({key: count for key, count in changed.items() if count}))
    return StepMinuteCounts(*found)


def minute_of(at: datetime) -> int:
    return (at - EPOCH) // timedelta(minutes=1)


def _value(events: Sequence[Placed], ask: Placed, segment: str) -> str:
    """The first to arrive up to the ask's record, of the hour before the ask's or else of its own.

    ``events``: the visitor's.
    """
    hour = minute_of(ask.event.occurred_at) // 60
    for wanted in (hour - 1, hour):
        for event, offset in events:
            value = getattr(event, segment)
            if offset <= ask.offset and minute_of(event.occurred_at) // 60 == wanted and value is not None:
                return str(value)[:100]
    return "(none)"
