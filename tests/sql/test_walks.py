from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from ladder.errors import UsageError
from ladder.events import Event
from tests.suites.ask_oracle import asks_of
from tests.suites.seeded_lake import LADDER, NOW, event_rows, seeded_events, session_rows
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.walks import Walk, WalkEvent, somebody, walk

START = datetime(2026, 2, 10, 9, tzinfo=UTC)


def at_once(visitor: str, minutes: list[int]) -> list[Event]:
    """Somebody who is known, and looks at pages."""
    return [
        Event(
            event_id=f"{visitor}-{minute}",
            visitor_id=visitor,
            occurred_at=(at := START + timedelta(minutes=minute)),
            received_at=at,
            kind="track" if minute else "identify",
            name="Page Read" if minute else "identify",
            user_id="maya",
        )
        for minute in minutes
    ]


EVENTS = [*seeded_events(17, visitors=21), *at_once("laptop", [0, 20, 40]), *at_once("phone", [0, 10])]
LATE = [
    event
    for event in seeded_events(18, visitors=3, most=4, prefix="late")
    if event.name in ("Page Shown", "Page Read", "Scrolled")
]
"""In no session."""
PUT_LATER = {event.event_id for event in EVENTS[::50]}
"""Late, and in a session all the same, as after `yesladder resessionise`."""
VISITORS = sorted({event.visitor_id for event in EVENTS})


@pytest.fixture(scope="module")
def warehouse(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(tmp_path_factory.mktemp("walked") / "lake")
    on_time = [event for event in EVENTS if event.event_id not in PUT_LATER]
    lake.append("events", event_rows(on_time), now=NOW)
    late = [*LATE, *(event for event in EVENTS if event.event_id in PUT_LATER)]
    lake.append("events", event_rows(late, late=True, first=len(on_time)), now=NOW)
    lake.append("sessions", session_rows(EVENTS), now=NOW)
    assert build(lake, LADDER, gate=gate, now=NOW).built
    return lake.root.parent


def life(visitors: Sequence[str]) -> list[Event]:
    """All that these did, in order."""
    own = [event for event in EVENTS if event.visitor_id in visitors]
    return sorted(own, key=lambda event: (event.occurred_at, event.received_at, event.event_id))


def walked(found: Walk) -> list[WalkEvent]:
    return sorted(found.events(), key=lambda event: event.at)


@pytest.fixture(scope="module")
def walks(warehouse: Path) -> dict[str, Walk]:
    return {visitor: walk(warehouse, LADDER, visitor) for visitor in VISITORS}


@pytest.mark.parametrize("visitor", VISITORS)
def test_a_walk_is_what_plain_loops_find(walks: dict[str, Walk], visitor: str) -> None:
    found = walks[visitor]
    events = life([visitor])
    assert found.visitor_ids == (visitor,)
    assert [event.event_id for event in found.events()] == [event.event_id for event in events]
    held = 0
    for event, seen in zip(events, found.events(), strict=True):
        marks = LADDER.marks_of(event.name, json.loads(event.properties))
        assert sorted((mark.tier, mark.role, mark.step) for mark in seen.marks) == sorted(
            (mark.tier, mark.role, mark.step) for mark in marks
        )
        before, held = held, max([held, *(mark.tier for mark in marks if mark.role == "yes")])
        assert (seen.name, seen.at, seen.held, seen.climbs) == (event.name, event.occurred_at, held, held > before)
        assert seen.is_late == (event.event_id in PUT_LATER)
    assert found.held == held


@pytest.mark.parametrize("visitor", VISITORS)
def test_sessions_are_apart_by_more_than_the_gap(walks: dict[str, Walk], visitor: str) -> None:
    sessions = walks[visitor].sessions
    assert sessions[0].away_seconds is None
    for before, session in pairwise(sessions):
        assert session.away_seconds == (session.events[0].at - before.events[-1].at).total_seconds()
        assert session.away_seconds > LADDER.session_gap.total_seconds()
    for session in sessions:
        assert [event.since_last_seconds for event in session.events] == [
            None,
            *((event.at - before.at).total_seconds() for before, event in pairwise(session.events)),
        ]


def test_asks_say_what_was_held_and_answered_and_answers_how_long_it_took(walks: dict[str, Walk]) -> None:
    known_until = max(event.occurred_at for event in EVENTS)
    wanted = {(ask.event_id, ask.tier, ask.step): ask for ask in asks_of(EVENTS, LADDER)}
    answers = {
        (ask.visitor_id, ask.tier, ask.step, ask.answer, ask.answered_at): ask.answered_at - ask.asked_at
        for ask in wanted.values()
        if ask.answered_at is not None
    }
    asks = opened = answered = 0
    for visitor in VISITORS:
        for event in walks[visitor].events():
            for mark in event.marks:
                if mark.role == "ask":
                    ask = wanted[event.event_id, mark.tier, mark.step]
                    took = None if ask.answered_at is None else (ask.answered_at - ask.asked_at).total_seconds()
                    is_open = ask.answer is None and ask.asked_at + LADDER.conversion_window > known_until
                    assert (mark.held, mark.answer, mark.seconds) == (ask.held_tier, ask.answer, took)
                    assert mark.is_open == is_open
                    asks, opened = asks + 1, opened + is_open
                else:
                    took_so_long = answers.get((visitor, mark.tier, mark.step, mark.role, event.at))
                    assert mark.seconds == (None if took_so_long is None else took_so_long.total_seconds())
                    answered += mark.seconds is not None
    assert asks == len(wanted)
    assert opened > 0
    assert answered > 0


def test_late_events_outside_sessions_are_told_apart(warehouse: Path) -> None:
    assert len(LATE) > 0
    for visitor in {event.visitor_id for event in LATE}:
        late = sorted((event.occurred_at, event.event_id) for event in LATE if event.visitor_id == visitor)
        outside = walk(warehouse, LADDER, visitor).outside
        assert [(event.at, event.event_id) for event in outside] == late
        assert all(event.is_late for event in outside)


def test_a_user_is_walked_with_all_their_visitors(warehouse: Path) -> None:
    links = {(event.user_id, event.visitor_id) for event in seeded_events(17, visitors=21) if event.kind == "identify"}
    ((user, _),) = Counter(user for user, _ in links).most_common(1)
    assert user is not None
    linked = {visitor for one, visitor in links if one == user}
    assert len(linked) > 1
    found = walk(warehouse, LADDER, user)
    assert set(found.visitor_ids) == linked
    assert user in found.user_ids
    assert {event.event_id for event in found.events()} == {event.event_id for event in life(sorted(linked))}
    held = [event.held for event in walked(found)]
    assert held == sorted(held)
    starts = [session.started_at for session in found.sessions]
    assert starts == sorted(starts)


def test_sessions_of_two_visitors_that_overlap_have_no_time_away(warehouse: Path) -> None:
    found = walk(warehouse, LADDER, "maya")
    assert found.visitor_ids == ("laptop", "phone")
    assert [(session.visitor_id, session.away_seconds) for session in found.sessions] == [
        ("laptop", None),
        ("phone", None),
    ]
    assert [event.climbs for event in walked(found)] == [False, False, True, False, False]
    assert [event.climbs for event in found.events()] == [False, False, False, False, True]


def test_nobody_of_that_name_is_said_with_a_way_to_find_somebody(warehouse: Path) -> None:
    with pytest.raises(
        UsageError, match="nobody is called 'moon' in these marts, as a visitor, as a user or by a session; "
    ):
        walk(warehouse, LADDER, "moon")


def test_who_has_come_furthest_lately_is_walked_where_nobody_is_named(warehouse: Path) -> None:
    def rank(visitor: str) -> tuple[int, int]:
        marks = [m for e in life([visitor]) for m in LADDER.marks_of(e.name, json.loads(e.properties))]
        yeses = [mark.tier for mark in marks if mark.role == "yes"]
        return max(yeses, default=0), len(yeses)

    last_first = sorted(VISITORS, key=lambda visitor: life([visitor])[-1].occurred_at, reverse=True)
    for among in range(1, len(VISITORS) + 1):
        chosen = somebody(warehouse, LADDER, among)
        assert chosen in last_first[:among]
        assert rank(chosen) == max(map(rank, last_first[:among]))
