"""Whether value comes first, told by plain loops over ``tests/suites/ask_oracle.py``'s asks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date

from ladder.events import Event
from ladder.tiers import Ladder, Mark
from tests.suites.ask_oracle import asks_of
from tests.suites.tier_oracle import sessions_of

Rows = dict[tuple[date, str, str, int], Counter[str]]
"""Counts by day, the two columns that tell rows apart (the second may be empty) and tier."""

Marked = list[tuple[Event, tuple[Mark, ...]]]


def start_rows(events: Sequence[Event], ladder: Ladder, unit: str) -> Rows:
    """The counts of ``fct_starts`` for all visitors: units, asks, yes, in_flight."""
    answered = _answered(events, ladder, unit)
    rows: Rows = {}
    for mine in _lives(events, ladder, unit):
        marked = [(event, marks) for event, marks in mine if marks]
        start = _kind(marked[0][1]) if marked else "neither"
        asking = next((event for event, marks in marked if any(m.role == "ask" and m.tier > 1 for m in marks)), None)
        tier = 0 if asking is None else max(tier for tier, _, _ in answered[asking.event_id])
        counts = rows.setdefault((mine[0][0].occurred_at.date(), start, "", tier), Counter())
        counts["units"] += 1
        if asking is not None:
            asks = answered[asking.event_id]
            if all(is_mature for _, is_mature, _ in asks):
                counts["asks"] += 1
                counts["yes"] += any(is_yes for _, _, is_yes in asks)
            else:
                counts["in_flight"] += 1
    return rows


def give_rows(events: Sequence[Event], ladder: Ladder, unit: str) -> Rows:
    """The counts of ``fct_gives`` for all visitors: asks, yes, in_flight."""
    answered = _answered(events, ladder, unit)
    rows: Rows = {}
    for mine in _lives(events, ladder, unit):
        rewards = gives = 0
        for event, marks in mine:
            received = [mark for mark in marks if mark.role == "reward"]
            rewards += len(received)
            gives += bool(received) or any(mark.role == "yes" and mark.tier == 1 for mark in marks)
            for tier, is_mature, is_yes in answered.get(event.event_id, []):
                for given, number in (("rewards", rewards), ("gives", gives)):
                    bucket = "3+" if number >= 3 else str(number)
                    counts = rows.setdefault((event.occurred_at.date(), given, bucket, tier), Counter())
                    counts["asks"] += is_mature
                    counts["yes"] += is_mature and is_yes
                    counts["in_flight"] += not is_mature
    return rows


def _kind(marks: Sequence[Mark]) -> str:
    gives = any(mark.role == "reward" or (mark.tier == 1 and mark.role in ("ask", "yes")) for mark in marks)
    takes = any(mark.tier > 1 and mark.role in ("ask", "yes", "no") for mark in marks)
    return {(True, True): "both", (True, False): "gives", (False, True): "takes", (False, False): "neither"}[
        gives, takes
    ]


def _answered(events: Sequence[Event], ladder: Ladder, unit: str) -> dict[str, list[tuple[int, bool, bool]]]:
    """Tier, whether it is mature and whether it has a yes of each ask above the lowest tier, by event."""
    found: dict[str, list[tuple[int, bool, bool]]] = {}
    for ask in asks_of(events, ladder, unit):
        if ask.tier > 1:
            found.setdefault(ask.event_id, []).append((ask.tier, ask.is_mature, ask.answer == "yes"))
    return found


def _lives(events: Sequence[Event], ladder: Ladder, unit: str) -> list[Marked]:
    lives: dict[object, Marked] = {}
    for number, session in enumerate(sessions_of(events, ladder)):
        for event in session:
            of = number if unit == "session" else event.visitor_id
            lives.setdefault(of, []).append((event, ladder.marks_of(event.name, json.loads(event.properties))))
    return list(lives.values())
