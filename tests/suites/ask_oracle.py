"""What the marts must say of asks, told by plain loops.  Shares only the ladder's rules with the product."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from ladder.events import Event
from ladder.tiers import Ladder, Mark

Life = Sequence[tuple[Event, tuple[Mark, ...]]]


class Asked(NamedTuple):
    visitor_id: str
    event_id: str
    tier: int
    step: str
    asked_at: datetime
    held_tier: int
    earlier_yeses: int
    seconds_since_yes: float | None
    earlier_rewards: int
    is_first: bool
    is_last: bool
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


def yeses_of(events: Sequence[Event], ladder: Ladder) -> list[Said]:
    """Every yes, by visitor and time."""
    answers: dict[str, list[Asked]] = {}
    for ask in asks_of(events, ladder):
        answers.setdefault(ask.event_id, []).append(ask)
    found: list[Said] = []
    for life in _lives(events, ladder):
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


def asks_of(events: Iterable[Event], ladder: Ladder) -> list[Asked]:
    """Every ask, by visitor and time."""
    return [ask for life in _lives(events, ladder) for ask in _asks(life, ladder)]


def _lives(events: Iterable[Event], ladder: Ladder) -> list[Life]:
    """The events of each visitor with their marks, in order."""
    lives: dict[str, list[tuple[Event, tuple[Mark, ...]]]] = {}
    for event in sorted(events, key=lambda event: (event.occurred_at, event.received_at, event.event_id)):
        marks = ladder.marks_of(event.name, json.loads(event.properties))
        lives.setdefault(event.visitor_id, []).append((event, marks))
    return [lives[visitor] for visitor in sorted(lives)]


def _asks(life: Life, ladder: Ladder) -> list[Asked]:
    found: list[Asked] = []
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
            found.append(
                Asked(
                    event.visitor_id,
                    event.event_id,
                    ask.tier,
                    ask.step,
                    event.occurred_at,
                    max((tier for tier, _ in yeses), default=0),
                    len(yeses),
                    (event.occurred_at - yeses[-1][1]).total_seconds() if yeses else None,
                    rewards,
                    not has_asked,
                    ask is highest and "ask" not in later and "yes" not in later,
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


def leap_rows(events: Sequence[Event], ladder: Ladder) -> dict[tuple[int, int], Counter[str]]:
    """The counts of ``fct_leaps`` for all visitors and dates, by tier held and tier asked."""
    known_until = max(event.occurred_at for event in events)
    top = max(mark.tier for rule in ladder.rules for mark in rule.marks if mark.role == "yes")
    rows: dict[tuple[int, int], Counter[str]] = {}
    for ask in asks_of(events, ladder):
        counts = rows.setdefault((ask.held_tier, ask.tier), Counter())
        if ask.asked_at + ladder.conversion_window > known_until:
            counts["in_flight"] += 1
            continue
        counts["asks"] += 1
        counts[ask.answer or "silent"] += 1
        counts["lost"] += ask.is_last and ask.answer != "yes" and ask.held_tier < top
    return rows
