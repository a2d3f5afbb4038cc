"""What the marts must say of asks, told by plain loops.  Shares only the ladder's rules with the product."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from ladder.events import Event
from ladder.tiers import Ladder, Mark
from tests.suites.tier_oracle import sessions_of

Life = Sequence[tuple[Event, tuple[Mark, ...]]]


class Asked(NamedTuple):
    visitor_id: str
    event_id: str
    tier: int
    step: str
    asked_at: datetime
    landing_seconds: float
    held_tier: int
    earlier_yeses: int
    seconds_since_yes: float | None
    earlier_rewards: int
    is_first: bool
    is_last: bool
    is_mature: bool
    is_loss: bool
    answer: str | None
    answered_at: datetime | None


class Said(NamedTuple):
    """A yes and what followed on it."""

    visitor_id: str
    event_id: str
    tier: int
    step: str
    said_at: datetime
    rewarded_at: datetime | None
    cheered_at: datetime | None
    next_asked_at: datetime | None
    next_has_yes: bool | None
    next_is_mature: bool | None


def yeses_of(events: Sequence[Event], ladder: Ladder, unit: str = "visitor") -> list[Said]:
    """Every yes, by unit and time."""
    answers: dict[str, list[Asked]] = {}
    for ask in asks_of(events, ladder, unit):
        answers.setdefault(ask.event_id, []).append(ask)
    found: list[Said] = []
    for life in _lives(events, ladder, unit):
        for n, (event, marks) in enumerate(life):
            asking = next((later for later, _ in life[n + 1 :] if later.event_id in answers), None)
            next_asks = [] if asking is None else answers[asking.event_id]
            for mark in marks:
                if mark.role == "yes":
                    follows = _follows(life[n:], mark)
                    found.append(
                        Said(
                            event.visitor_id,
                            event.event_id,
                            mark.tier,
                            mark.step,
                            event.occurred_at,
                            follows.get("reward"),
                            follows.get("cheer"),
                            None if asking is None else asking.occurred_at,
                            None if asking is None else any(ask.answer == "yes" for ask in next_asks),
                            None if asking is None else all(ask.is_mature for ask in next_asks),
                        )
                    )
    return found


def _follows(life: Life, yes: Mark) -> dict[str, datetime]:
    """When each other role of the yes's step came first, before the step's next yes."""
    first: dict[str, datetime] = {}
    for n, (event, marks) in enumerate(life):
        of_step = {mark.role for mark in marks if (mark.tier, mark.step) == (yes.tier, yes.step)}
        if n > 0 and "yes" in of_step:
            break
        for role in of_step - {"yes"}:
            first.setdefault(role, event.occurred_at)
    return first


def asks_of(events: Iterable[Event], ladder: Ladder, unit: str = "visitor") -> list[Asked]:
    """Every ask, by unit and time."""
    known = list(events)
    known_until = max(event.occurred_at for event in known)
    landings = {event.event_id: session[0].occurred_at for session in sessions_of(known, ladder) for event in session}
    found = []
    for life in _lives(known, ladder, unit):
        for ask in _asks(life, ladder):
            is_mature = unit == "session" or ask.asked_at + ladder.conversion_window <= known_until
            landing = (ask.asked_at - landings[ask.event_id]).total_seconds()
            found.append(ask._replace(is_mature=is_mature, landing_seconds=landing))
    return found


def _lives(events: Iterable[Event], ladder: Ladder, unit: str) -> list[Life]:
    """The events of each unit with their marks, in order."""
    lives: dict[str, list[tuple[Event, tuple[Mark, ...]]]] = {}
    numbers = {event.event_id: n for n, session in enumerate(sessions_of(events, ladder)) for event in session}
    for event in sorted(events, key=lambda event: (event.occurred_at, event.received_at, event.event_id)):
        marks = ladder.marks_of(event.name, json.loads(event.properties))
        one = event.visitor_id if unit == "visitor" else f"session {numbers[event.event_id]}"
        lives.setdefault(one, []).append((event, marks))
    return [lives[one] for one in sorted(lives)]


def _asks(life: Life, ladder: Ladder) -> list[Asked]:
    found: list[Asked] = []
    top = max((mark.tier for rule in ladder.rules for mark in rule.marks if mark.role == "yes"), default=99)
    yeses: list[tuple[int, datetime]] = []
    rewards, has_asked = 0, False
    for n, (event, marks) in enumerate(life):
        yeses += [(mark.tier, event.occurred_at) for mark in marks if mark.role == "yes"]
        rewards += sum(mark.role == "reward" for mark in marks)
        asks = [mark for mark in marks if mark.role == "ask"]
        later = [mark.role for _, marks in life[n + 1 :] for mark in marks]
        highest = min(asks, key=lambda mark: (-mark.tier, mark.step), default=None)
        for ask in asks:
            answer, answered_at = _answer(life[n:], ask, ladder)
            is_last = ask is highest and "ask" not in later and "yes" not in later
            held = max((tier for tier, _ in yeses), default=0)
            found.append(
                Asked(
                    event.visitor_id,
                    event.event_id,
                    ask.tier,
                    ask.step,
                    event.occurred_at,
                    0.0,
                    held,
                    len(yeses),
                    (event.occurred_at - yeses[-1][1]).total_seconds() if yeses else None,
                    rewards,
                    not has_asked,
                    is_last,
                    False,
                    is_last and answer != "yes" and held < top,
                    answer,
                    answered_at,
                )
            )
        has_asked = has_asked or bool(asks)
    return found


def _answer(life: Life, ask: Mark, ladder: Ladder) -> tuple[str | None, datetime | None]:
    asked_at = life[0][0].occurred_at
    first: dict[str, datetime] = {}
    for n, (event, marks) in enumerate(life):
        of_step = {mark.role for mark in marks if (mark.tier, mark.step) == (ask.tier, ask.step)}
        if (n > 0 and "ask" in of_step) or event.occurred_at - asked_at > ladder.conversion_window:
            break
        for role in of_step & {"yes", "no"}:
            first.setdefault(role, event.occurred_at)
    answer = next((role for role in ("yes", "no") if role in first), None)
    return answer, None if answer is None else first[answer]


Key = tuple[str, date, tuple[Any, ...]]
"""A segment value, a date, and what else a mart's rows are of."""

Rows = dict[Key, Counter[str]]


def leap_rows(asks: Iterable[Asked], value_of: Mapping[str, str]) -> Rows:
    """The counts of ``fct_leaps`` by tier held and tier asked.  ``value_of``: the segment value of each visitor."""
    return _answered(asks, value_of, lambda ask: [(ask.held_tier, ask.tier)])


def too_soon_rows(asks: Iterable[Asked], value_of: Mapping[str, str]) -> Rows:
    """The counts of ``fct_too_soon`` by how it was asked, tier and step."""

    def keys(ask: Asked) -> list[tuple[Any, ...]]:
        asked = "too soon" if ask.tier - ask.held_tier > 1 else "in order"
        return [(way, ask.tier, ask.step) for way in (asked, "first") if way != "first" or ask.is_first]

    return _answered(asks, value_of, keys)


def _answered(
    asks: Iterable[Asked], value_of: Mapping[str, str], keys: Callable[[Asked], list[tuple[Any, ...]]]
) -> Rows:
    rows: Rows = {}
    for ask in asks:
        for key in keys(ask):
            counts = rows.setdefault((value_of[ask.visitor_id], ask.asked_at.date(), key), Counter())
            if not ask.is_mature:
                counts["in_flight"] += 1
                continue
            counts["asks"] += 1
            counts[ask.answer or "silent"] += 1
            counts["lost"] += ask.is_loss
    return rows


def momentum_rows(asks: Iterable[Asked], value_of: Mapping[str, str]) -> Rows:
    """The counts of ``fct_momentum`` by grouping, bucket and tier asked."""
    rows: Rows = {}
    for ask in asks:
        buckets = {
            "earlier yeses": "3+" if ask.earlier_yeses >= 3 else str(ask.earlier_yeses),
            "tier held": str(ask.held_tier),
        }
        if ask.seconds_since_yes is not None:
            limits = {"under a minute": 60, "under an hour": 3600, "under a day": 86_400}
            fitting = [name for name, limit in limits.items() if ask.seconds_since_yes < limit]
            buckets["since the last yes"] = fitting[0] if fitting else "a day or more"
        for grouped_by, bucket in buckets.items():
            if ask.is_mature:
                key = (value_of[ask.visitor_id], ask.asked_at.date(), (grouped_by, bucket, ask.tier))
                counts = rows.setdefault(key, Counter())
                counts["asks"] += 1
                counts["yes"] += ask.answer == "yes"
    return rows


def hesitation_rows(asks: Iterable[Asked], value_of: Mapping[str, str]) -> Rows:
    """The counts of ``fct_hesitation`` by tier and step."""
    rows: Rows = {}
    for ask in asks:
        if ask.is_mature and ask.answered_at is not None:
            key = (value_of[ask.visitor_id], ask.asked_at.date(), (ask.tier, ask.step))
            counts = rows.setdefault(key, Counter())
            seconds = (ask.answered_at - ask.asked_at).total_seconds()
            counts["answers"] += 1
            counts["unthinking"] += seconds < 1
            counts["pondered"] += seconds >= 60
    return rows


def after_yes_rows(yeses: Iterable[Said], value_of: Mapping[str, str]) -> Rows:
    """The counts of ``fct_after_yes`` by tier and step."""
    rows: Rows = {}
    for yes in yeses:
        key = (value_of[yes.visitor_id], yes.said_at.date(), (yes.tier, yes.step))
        counts = rows.setdefault(key, Counter())
        cheered = yes.cheered_at is not None and (yes.cheered_at - yes.said_at).total_seconds() <= 10
        name = "cheered" if cheered else "uncheered"
        counts["yeses"] += 1
        counts["rewarded"] += yes.rewarded_at is not None
        counts["cheered"] += cheered
        if yes.next_is_mature:
            counts[f"next_asks_{name}"] += 1
            counts[f"next_yes_{name}"] += bool(yes.next_has_yes)
    return rows


def times_taken(asks: Iterable[Asked], yeses: Iterable[Said], value_of: Mapping[str, str]) -> dict[Key, list[float]]:
    """What ``fct_times`` counts, exactly and in order, by segment value, date and (measure, tier, step)."""
    found: dict[Key, list[float]] = {}
    for ask in asks:
        times = {"answer": None if ask.answered_at is None else (ask.answered_at - ask.asked_at).total_seconds()}
        times["first ask"] = ask.landing_seconds if ask.is_first else None
        for measure, seconds in times.items():
            if ask.is_mature and seconds is not None:
                key = (value_of[ask.visitor_id], ask.asked_at.date(), (measure, ask.tier, ask.step))
                found.setdefault(key, []).append(seconds)
    for yes in yeses:
        if yes.rewarded_at is not None:
            key = (value_of[yes.visitor_id], yes.said_at.date(), ("reward", yes.tier, yes.step))
            found.setdefault(key, []).append((yes.rewarded_at - yes.said_at).total_seconds())
    return {key: sorted(times) for key, times in found.items()}
