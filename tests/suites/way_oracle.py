"""What the ways up the ladder must be, told by plain loops over asks and events."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from ladder.events import Event
from ladder.tiers import Ladder
from tests.suites.ask_oracle import Asked

Step = tuple[int, str]
WayKey = tuple[str, int, int, str]
"""Segment value, tier held, tier asked and step."""


def way_rows(
    asks: Sequence[Asked],
    value_of: Mapping[str, str],
    events: Iterable[Event],
    ladder: Ladder,
    bridges: Mapping[Step, Collection[Step]],
) -> dict[WayKey, Counter[str]]:
    """Visitors asked, and of them those who said yes, are lost, had done a bridging step before."""
    done: dict[str, list[tuple[Step, Event]]] = {}
    for event in events:
        for mark in ladder.marks_of(event.name, json.loads(event.properties)):
            if mark.role in ("yes", "reward"):
                done.setdefault(event.visitor_id, []).append(((mark.tier, mark.step), event))
    lives: dict[tuple[str, int, int, str], list[Asked]] = {}
    for ask in asks:
        if ask.tier > ask.held_tier:
            lives.setdefault((ask.visitor_id, ask.held_tier, ask.tier, ask.step), []).append(ask)
    found: dict[WayKey, Counter[str]] = {}
    for (visitor, held, tier, step), some in lives.items():
        first = min(some, key=lambda ask: ask.asked_at)
        if not first.is_mature:
            continue
        row = found.setdefault((value_of[visitor], held, tier, step), Counter())
        row["asked"] += 1
        row["yes"] += any(ask.is_mature and ask.answer == "yes" for ask in some)
        row["lost"] += any(ask.is_mature and ask.is_loss for ask in some)
        row["bridged"] += any(
            one in bridges.get((tier, step), ()) and event.occurred_at <= first.asked_at
            for one, event in done.get(visitor, ())
        )
    return found


def came_rows(asks: Sequence[Asked], value_of: Mapping[str, str]) -> Counter[tuple[str, int, int]]:
    """Visitors by segment value, tier and the tier that they held when they were first asked for it from below."""
    firsts: dict[tuple[str, int], Asked] = {}
    for ask in sorted(asks, key=lambda ask: ask.asked_at):
        if ask.is_mature and ask.tier > ask.held_tier:
            firsts.setdefault((ask.visitor_id, ask.tier), ask)
    return Counter((value_of[visitor], tier, ask.held_tier) for (visitor, tier), ask in firsts.items())


def surprised_rows(asks: Sequence[Asked], value_of: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """By segment value, visitors asked for more than the lowest tier, and those for more than one above theirs."""
    asked: dict[str, set[str]] = {}
    surprised: dict[str, set[str]] = {}
    for ask in asks:
        if ask.is_mature and ask.tier > 1:
            value = value_of[ask.visitor_id]
            asked.setdefault(value, set()).add(ask.visitor_id)
            if ask.tier - ask.held_tier > 1:
                surprised.setdefault(value, set()).add(ask.visitor_id)
    return {value: (len(who), len(surprised.get(value, ()))) for value, who in asked.items()}
