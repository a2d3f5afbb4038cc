"""The sessions a stream must give, told by plain loops.  Shares nothing with ``stream``; slow and easy to believe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Literal

from ladder.events import Event
from ladder.tiers import Ladder, Mark

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FIRST_TOUCH = ("page_url", "referrer", "utm_source", "utm_medium", "utm_campaign", "device_class")
COUNTS = {"asks": "ask", "yeses": "yes", "noes": "no", "rewards": "reward", "cheers": "cheer", "regrets": "regret"}

Fate = Literal["kept", "late", "duplicate"]


@dataclass(frozen=True)
class Arrival:
    """An event in a Kafka record.  ``record_time``: the record's own."""

    event: Event
    partition: int
    record_time: datetime


def fates(arrivals: Sequence[Arrival], ladder: Ladder) -> list[Fate]:
    """What becomes of each event, in the order of arrival (only the order within a partition matters)."""
    given: list[Fate] = []
    newest: dict[int, datetime] = {}
    first_of: dict[tuple[int, str], Arrival] = {}
    for arrival in arrivals:
        event, partition = arrival.event, arrival.partition
        fate: Fate = "kept"
        watermark = newest[partition] - ladder.lateness if partition in newest else None
        first = first_of.get((partition, event.event_id))
        if watermark is not None and event.occurred_at < watermark:
            fate = "late"
        elif first is not None and (watermark is None or first.event.occurred_at + ladder.session_gap >= watermark):
            fate = "duplicate"
        else:
            first_of[partition, event.event_id] = arrival
        given.append(fate)
        seen = min(event.occurred_at, arrival.record_time)
        newest[partition] = max(newest.get(partition, seen), seen)
    return given


def sessions_of(arrivals: Iterable[Arrival], ladder: Ladder, source: str) -> list[dict[str, Any]]:
    """The session rows of a finished stream, in the order of their ids, without ``landed_date``."""
    rows: list[dict[str, Any]] = []
    by_visitor: dict[tuple[int, str], list[Event]] = {}
    for arrival in arrivals:
        by_visitor.setdefault((arrival.partition, arrival.event.visitor_id), []).append(arrival.event)
    for (partition, _), events in by_visitor.items():
        for session, capped in _cut(events, ladder):
            rows.append(_row(session, capped, ladder) | {"source": source, "partition": partition})
    return sorted(rows, key=by_id)


def by_id(row: dict[str, Any]) -> tuple[str, int]:
    return row["session_id"], row["partition"]


def _cut(events: Iterable[Event], ladder: Ladder) -> list[tuple[list[Event], bool]]:
    """One visitor's events as sessions, each with whether a cap cut it off."""
    ordered = sorted(events, key=lambda event: (event.occurred_at, event.received_at, event.event_id))
    sessions: list[tuple[list[Event], bool]] = []
    current: list[Event] = []
    for at, same_instant in groupby(ordered, key=lambda event: event.occurred_at):
        group = list(same_instant)
        if current and at - current[-1].occurred_at > ladder.session_gap:
            sessions.append((current, False))
            current = []
        too_long = current and at - current[0].occurred_at > ladder.max_session_length
        if too_long or (current and len(current) + len(group) > ladder.max_session_events):
            sessions.append((current, True))
            current = []
        current = current + group
    return [*sessions, (current, False)] if current else sessions


def _row(session: list[Event], capped: bool, ladder: Ladder) -> dict[str, Any]:
    start = session[0].occurred_at
    marked = [(event, ladder.marks_of(event.name, json.loads(event.properties))) for event in session]
    marks = [mark for _, of_event in marked for mark in of_event]
    yes_tiers = sorted({mark.tier for mark in marks if mark.role == "yes"})
    asks = [_tiers(of_event, "ask") for _, of_event in marked if _tiers(of_event, "ask")]
    return {
        "session_id": f"{session[0].visitor_id}@{(start - EPOCH) // MICROSECOND}",
        "ladder": ladder.name,
        "visitor_id": session[0].visitor_id,
        "user_id": next((event.user_id for event in reversed(session) if event.user_id is not None), None),
        "started_at": start,
        "ended_at": session[-1].occurred_at,
        "events": len(session),
        **{count: sum(mark.role == role for mark in marks) for count, role in COUNTS.items()},
        "highest_tier": max(yes_tiers, default=None),
        "tiers_reached": yes_tiers,
        "first_ask_tier": min(asks[0]) if asks else None,
        "largest_leap": _largest_leap([of_event for _, of_event in marked]),
        "capped": capped,
        **{
            name: next((getattr(event, name) for event in session if getattr(event, name) is not None), None)
            for name in FIRST_TOUCH
        },
        "sequence": [
            {
                "offset_us": (event.occurred_at - start) // MICROSECOND,
                "event_id": event.event_id,
                "name": event.name,
                "tier": mark.tier if mark else None,
                "role": mark.role if mark else None,
                "step": mark.step if mark else None,
            }
            for event, of_event in marked
            for mark in (of_event or (None,))
        ],
    }


def _tiers(marks: tuple[Mark, ...], role: str) -> list[int]:
    return [mark.tier for mark in marks if mark.role == role]


def _largest_leap(marks_in_order: list[tuple[Mark, ...]]) -> int | None:
    held, largest = 0, None
    for marks in marks_in_order:
        held = max([held, *_tiers(marks, "yes")])
        for asked in _tiers(marks, "ask"):
            largest = asked - held if largest is None else max(largest, asked - held)
    return largest
