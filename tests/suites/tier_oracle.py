"""What the marts must say of some events, told by plain loops.  Shares only the ladder's rules with the product."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby

from ladder.events import Event
from ladder.tiers import Ladder

Counts = dict[str, int]
"""By the names in ``COUNTED``."""

COUNTED = (
    "asked", "yes", "no", "silent", "implicit", "reached", "reached_next", "in_flight", "matured", "matured_yes",
)  # fmt: skip


@dataclass
class Answers:
    """When a unit was asked, said yes and said no, of one tier or step."""

    asks: list[datetime] = field(default_factory=list)
    yeses: list[datetime] = field(default_factory=list)
    noes: list[datetime] = field(default_factory=list)


def sessions_of(events: Iterable[Event], ladder: Ladder) -> list[list[Event]]:
    """The events cut where a visitor was silent for longer than the gap; each session in order of time."""
    sessions: list[list[Event]] = []
    ordered = sorted(events, key=lambda event: (event.visitor_id, event.occurred_at, event.received_at, event.event_id))
    for event in ordered:
        last = sessions[-1][-1] if sessions else None
        if (
            last is None
            or last.visitor_id != event.visitor_id
            or event.occurred_at - last.occurred_at > ladder.session_gap
        ):
            sessions.append([])
        sessions[-1].append(event)
    return sessions


def visitors_of(events: Iterable[Event]) -> list[list[Event]]:
    """The events of each visitor, in order of time."""
    ordered = sorted(events, key=lambda event: (event.visitor_id, event.occurred_at))
    return [list(group) for _, group in groupby(ordered, key=lambda event: event.visitor_id)]


def first_touch(events: Iterable[Event], ladder: Ladder, column: str) -> dict[str, str]:
    """Of each visitor, the first value of the column in their first session; empty without one."""
    found: dict[str, str] = {}
    for session in sessions_of(events, ladder):
        values = [value for event in session if (value := getattr(event, column)) is not None]
        found.setdefault(session[0].visitor_id, values[0] if values else "")
    return found


def drop_off_rows(
    events: Sequence[Event],
    ladder: Ladder,
    unit: str,
    *,
    by_step: bool = False,
    only: Callable[[str], bool] = lambda visitor: True,
) -> dict[tuple[date, int, str], Counts]:
    """The counts of ``fct_tier_dropoff`` (or, ``by_step``, of ``fct_step_dropoff``) by date, tier and step.

    ``only``: the visitors who are counted; the others still tell how far events are known.
    """
    known_until = max((event.occurred_at for event in events), default=None)
    units = sessions_of(events, ladder) if unit == "session" else visitors_of(events)
    rows: dict[tuple[date, int, str], Counter[str]] = {}
    for mine in units:
        if not only(mine[0].visitor_id):
            continue
        answers = _answers(mine, ladder, by_step)
        reached = {tier for (tier, _), found in answers.items() if found.yeses}
        for (tier, step), found in answers.items():
            if not found.asks and not found.yeses:
                continue
            first = mine[0].occurred_at if unit == "session" else min(found.asks + found.yeses)
            counts = rows.setdefault((first.date(), tier, step), Counter())
            _count(counts, found, ladder.next_tier(tier) in reached)
            if unit == "session" and found.asks:
                counts["matured"] += 1
                counts["matured_yes"] += any(at >= min(found.asks) for at in found.yeses)
            elif found.asks:
                window_ends = min(found.asks) + ladder.conversion_window
                if known_until is not None and window_ends <= known_until:
                    counts["matured"] += 1
                    counts["matured_yes"] += any(min(found.asks) <= at <= window_ends for at in found.yeses)
                elif not any(at >= min(found.asks) for at in found.yeses):
                    counts["in_flight"] += 1
    return {key: {name: counts[name] for name in COUNTED} for key, counts in rows.items()}


def standing_rows(
    events: Sequence[Event], ladder: Ladder, unit: str, *, only: Callable[[str], bool] = lambda visitor: True
) -> Counter[tuple[date, int]]:
    """How many units there are of these visitors, by the day of their first event and their highest yes."""
    found: Counter[tuple[date, int]] = Counter()
    for mine in sessions_of(events, ladder) if unit == "session" else visitors_of(events):
        if only(mine[0].visitor_id):
            found[mine[0].occurred_at.date(), max((tier for tier, _ in yeses_of(mine, ladder)), default=0)] += 1
    return found


def yeses_of(mine: Iterable[Event], ladder: Ladder) -> list[tuple[int, datetime]]:
    """Tier and time of each yes."""
    return [
        (mark.tier, event.occurred_at)
        for event in mine
        for mark in ladder.marks_of(event.name, json.loads(event.properties))
        if mark.role == "yes"
    ]


def _answers(mine: Iterable[Event], ladder: Ladder, by_step: bool) -> dict[tuple[int, str], Answers]:
    answers: dict[tuple[int, str], Answers] = {}
    for event in mine:
        for mark in ladder.marks_of(event.name, json.loads(event.properties)):
            found = answers.setdefault((mark.tier, mark.step if by_step else ""), Answers())
            kept = {"ask": found.asks, "yes": found.yeses, "no": found.noes}.get(mark.role)
            if kept is not None:
                kept.append(event.occurred_at)
    return answers


def _count(counts: Counter[str], found: Answers, next_too: bool) -> None:
    if found.yeses:
        counts["reached"] += 1
        counts["reached_next"] += next_too
    if not found.asks:
        counts["implicit"] += 1
        return
    counts["asked"] += 1
    first_ask = min(found.asks)
    if any(at >= first_ask for at in found.yeses):
        counts["yes"] += 1
    elif any(at >= first_ask for at in found.noes):
        counts["no"] += 1
    else:
        counts["silent"] += 1
