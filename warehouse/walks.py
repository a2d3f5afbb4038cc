"""One visitor's way up and down the ladder, read from the marts: what a page or the terminal replays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from ladder.errors import UsageError
from ladder.tiers import Ladder, Mark
from warehouse.query import open_marts
from warehouse.tallies import late_events_of

RECENT_VISITORS = 1000
"""Of so many who were seen last one is shown where nobody is named."""


@dataclass(frozen=True)
class WalkMark:
    """What an event meant.

    Of an ask: what its visitor ``held`` then (0: no tier), and the ``answer`` to it, None where there is none, with
    ``is_open`` while there still may be.  ``seconds``: from an ask to its answer, told at both.
    """

    tier: int
    role: str
    step: str
    held: int | None = None
    answer: str | None = None
    is_open: bool = False
    seconds: float | None = None


@dataclass(frozen=True)
class WalkEvent:
    """One event.  ``since_last_seconds``: since the one before it in its session; None for the first.

    ``is_late``: it came too late for the stream, and was put into its session later.
    ``held``: the highest tier the person has said yes to once this has happened; 0: none.  ``climbs``: less before it.
    """

    event_id: str
    name: str
    at: datetime
    since_last_seconds: float | None
    is_late: bool
    held: int
    climbs: bool
    marks: tuple[WalkMark, ...]


@dataclass(frozen=True)
class WalkSession:
    """One sitting.  ``away_seconds``: since anything before it; None for the first, and where sessions overlap."""

    session_id: str
    visitor_id: str
    started_at: datetime
    ended_at: datetime
    away_seconds: float | None
    is_capped: bool
    page_url: str | None
    referrer: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    device_class: str | None
    events: tuple[WalkEvent, ...] = ()


@dataclass(frozen=True)
class Walk:
    """The way of one person.  ``visitor_ids``: more than one only where a user was asked for who has several.

    ``outside``: late events that are in no session yet, which count in nothing.
    """

    person: str
    visitor_ids: tuple[str, ...]
    user_ids: tuple[str, ...]
    held: int
    sessions: tuple[WalkSession, ...]
    outside: tuple[WalkEvent, ...]

    def events(self) -> Iterator[WalkEvent]:
        """All that is in sessions, session by session."""
        for session in self.sessions:
            yield from session.events

    def asks(self) -> list[WalkMark]:
        """Everything the person was asked for, in order."""
        return [mark for event in self.events() for mark in event.marks if mark.role == "ask"]

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


class _Ask(NamedTuple):
    """What the marts say of an ask."""

    held: int
    answer: str | None
    answered_at: datetime | None
    seconds: float | None
    is_open: bool


_AskKey = tuple[str, str, int, str]
"""Session, event, tier and step."""
_AnswerKey = tuple[str, int, str, str, datetime]
"""Visitor, tier, step, yes or no, and when."""


def walk(warehouse: Path, ladder: Ladder, person: str) -> Walk:
    """The walk of a visitor, of all visitors of a user, or of the visitor of a session.

    Raises ``UsageError`` where the marts know neither, and where no marts were built with this ladder.
    """
    with open_marts(warehouse, ladder) as marts:
        people = (
            _named(marts, "visitor_id = $1", person)
            or _named(marts, "list_contains(user_ids, $1)", person)
            or _named(marts, "visitor_id in (select visitor_id from main.fct_sessions where session_id = $1)", person)
        )
        if not people:
            raise UsageError(
                f"nobody is called {person!r} in these marts, as a visitor, as a user or by a session;"
                " `yesladder walk` alone shows somebody, `yesladder sql 'select visitor_id from dim_visitors'` all"
            )
        visitors = [visitor for visitor, _ in people]
        users = dict.fromkeys(user for _, user_ids in people for user in user_ids or ())
        asks, answers = _asks(marts, visitors)
        late = _late(marts, visitors, ladder)
        apart = _sessions(marts, visitors, asks, answers, frozenset(late))
    sessions = _held(_away(apart))
    placed = {event.event_id for session in sessions for event in session.events}
    return Walk(
        person=person,
        visitor_ids=tuple(visitors),
        user_ids=tuple(users),
        held=max((event.held for session in sessions for event in session.events), default=0),
        sessions=sessions,
        outside=tuple(event for event_id, event in late.items() if event_id not in placed),
    )


def somebody(warehouse: Path, ladder: Ladder, among: int = RECENT_VISITORS) -> str | None:
    """The visitor who has come furthest of so many seen last; None: there is nobody.

    Of several the one with the most yeses, then the one seen last.  Raises as ``walk`` does.
    """
    with open_marts(warehouse, ladder) as marts:
        found = marts.execute(
            "with recent as (select * from main.dim_visitors order by last_seen_at desc, visitor_id limit $1)"
            " select visitor_id from recent"
            " order by highest_tier desc nulls last, yeses desc, last_seen_at desc, visitor_id limit 1",
            [among],
        ).fetchall()
    return found[0][0] if found else None


def _named(marts: duckdb.DuckDBPyConnection, condition: str, person: str) -> list[tuple[str, list[str] | None]]:
    """Visitors with the ids of their users, first seen first."""
    query = f"select visitor_id, user_ids from main.dim_visitors where {condition} order by first_seen_at, visitor_id"
    return marts.execute(query, [person]).fetchall()


def _asks(
    marts: duckdb.DuckDBPyConnection, visitors: Sequence[str]
) -> tuple[dict[_AskKey, _Ask], dict[_AnswerKey, float]]:
    """Every ask, and for every answer how long it took."""
    asks: dict[_AskKey, _Ask] = {}
    answers: dict[_AnswerKey, float] = {}
    for visitor, session, event, tier, step, *rest in marts.execute(
        "select visitor_id, session_id, event_id, tier, step, held_tier, answer, answered_at, answer_seconds,"
        " not is_mature as is_open from main.fct_asks where unit = 'visitor' and visitor_id in (select unnest($1))",
        [visitors],
    ).fetchall():
        ask = asks[session, event, tier, step] = _Ask(*rest)
        if ask.answer is not None and ask.answered_at is not None and ask.seconds is not None:
            answers[visitor, tier, step, ask.answer, ask.answered_at] = ask.seconds
    return asks, answers


def _late(marts: duckdb.DuckDBPyConnection, visitors: Sequence[str], ladder: Ladder) -> dict[str, WalkEvent]:
    """Events that came late, in order; what they would have meant the ladder says."""
    return {
        event_id: WalkEvent(event_id, name, at, None, True, 0, False, _plain(ladder.marks_of(name, json.loads(said))))
        for event_id, name, at, said in late_events_of(marts, visitors)
    }


def _plain(marks: Sequence[Mark]) -> tuple[WalkMark, ...]:
    return tuple(WalkMark(mark.tier, mark.role, mark.step) for mark in marks)


def _sessions(
    marts: duckdb.DuckDBPyConnection,
    visitors: Sequence[str],
    asks: Mapping[_AskKey, _Ask],
    answers: Mapping[_AnswerKey, float],
    late: frozenset[str],
) -> list[WalkSession]:
    """All sessions by their start, without what is counted elsewhere, and not yet with what came before."""
    rows = marts.execute(
        "select session_id, visitor_id, started_at, ended_at, null, is_capped, page_url, referrer, utm_source,"
        " utm_medium, utm_campaign, device_class, landed_date from main.fct_sessions"
        " where visitor_id in (select unnest($1)) order by started_at, session_id",
        [visitors],
    ).fetchall()
    sessions = [session_id for session_id, *_ in rows]
    repeated = set(
        marts.execute(
            "select session_id, event_id from intermediate.int_repeated_events where session_id in (select unnest($1))",
            [sessions],
        ).fetchall()
    )
    entries: dict[str, list[tuple[Any, ...]]] = {}
    for session_id, *entry in marts.execute(_ENTRIES.format(days=_days(rows)), [visitors, sessions]).fetchall():
        entries.setdefault(session_id, []).append(tuple(entry))
    found: list[WalkSession] = []
    for *row, _ in rows:
        session = WalkSession(*row)
        events: list[WalkEvent] = []
        for event_id, name, at, tier, role, step in entries[session.session_id]:
            if (session.session_id, event_id) in repeated:
                continue
            if not events or events[-1].event_id != event_id:
                since = (at - events[-1].at).total_seconds() if events else None
                events.append(WalkEvent(event_id, name, at, since, event_id in late, 0, False, ()))
            if role is None:
                continue
            mark = WalkMark(tier, role, step, seconds=answers.get((session.visitor_id, tier, step, role, at)))
            if role == "ask":
                ask = asks[session.session_id, event_id, tier, step]
                mark = WalkMark(tier, role, step, ask.held, ask.answer, ask.answer is None and ask.is_open, ask.seconds)
            events[-1] = replace(events[-1], marks=(*events[-1].marks, mark))
        found.append(replace(session, events=tuple(events)))
    return found


_ENTRIES = """
with

copies as (
    select session_id, started_at, sequence
    from lake.sessions
    where visitor_id in (select unnest($1)) and landed_date in ({days})
    qualify row_number() over (partition by session_id order by landed_date, source) = 1
),

entries as (
    select session_id, started_at, unnest(list_transform(sequence, lambda e, n: {{'n': n, 'e': e}})) as found
    from copies
    where session_id in (select unnest($2))
)

select
    session_id, found.e.event_id, found.e.name, started_at + to_microseconds(found.e.offset_us),
    found.e.tier, found.e.role, found.e.step
from entries
order by session_id, found.n
"""
"""What is in sessions that landed on some days: as ``staging.stg_sessions``, which has to look through all days."""


def _days(rows: Sequence[tuple[Any, ...]]) -> str:
    """The days on which sessions landed: the lake's files of other days are then not opened."""
    return ", ".join(f"date '{day}'" for day in sorted({row[-1] for row in rows})) or "null"


def _away(sessions: Sequence[WalkSession]) -> list[WalkSession]:
    known: datetime | None = None
    found = []
    for session in sessions:
        away = None if known is None or session.started_at < known else (session.started_at - known).total_seconds()
        found.append(replace(session, away_seconds=away))
        known = session.ended_at if known is None else max(known, session.ended_at)
    return found


def _held(sessions: Sequence[WalkSession]) -> tuple[WalkSession, ...]:
    """What the person has said yes to so far, over all their visitors: in the order of time, not of sessions."""
    places = [(event.at, s, e) for s, session in enumerate(sessions) for e, event in enumerate(session.events)]
    events = [list(session.events) for session in sessions]
    held = 0
    for _, s, e in sorted(places):
        before, held = held, max([held, *(mark.tier for mark in events[s][e].marks if mark.role == "yes")])
        events[s][e] = replace(events[s][e], held=held, climbs=held > before)
    return tuple(replace(session, events=tuple(own)) for session, own in zip(sessions, events, strict=True))
