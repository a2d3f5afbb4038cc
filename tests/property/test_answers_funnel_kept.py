"""Kept funnels after each portion of events are what looking at all events gives, for any question."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import msgspec
from hypothesis import given, settings, strategies as st

from answers.funnel_answer import answer
from answers.funnel_events import events_query, in_parts
from answers.funnel_kept import SavedFunnels, read_kept
from answers.funnel_question import Question, ask
from answers.funnel_steps import meaning_of
from ladder.errors import UsageError
from ladder.tiers import builtin_ladder
from tests.suites.funnel_asked import BEGIN, UNIT, question_of
from tests.suites.funnel_cases import cases
from tests.suites.funnel_oracle import Asked, Happened

LADDER = builtin_ladder()


class Marts:
    """The tables of the marts that funnels read, over events that land in portions."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute(
            """
            set TimeZone = 'UTC';
            create schema lake; create schema staging; create schema intermediate;
            create table lake.events (
                event_id varchar, visitor_id varchar, user_id varchar, kind varchar, name varchar, properties varchar,
                occurred_at timestamptz, received_at timestamptz, source varchar, partition integer,
                record_offset bigint, is_new boolean
            );
            create table lake.sessions (is_new boolean);
            create table main.meta_builds (build integer);
            create view staging.stg_event_copies as
                select event_id from lake.events group by event_id having count(*) > 1;
            create view staging.stg_events as
                select *, partition as source_partition from lake.events
                qualify row_number() over (partition by event_id order by received_at, record_offset) = 1;
            create view staging.stg_new_event_ids as select event_id from lake.events where is_new;
            create table staging.stg_sessions (
                session_id varchar, visitor_id varchar, started_at timestamptz, ended_at timestamptz,
                sequence struct(event_id varchar)[], is_new boolean
            );
            create view intermediate.int_touched_sessions as from staging.stg_sessions where is_new;
            create table intermediate.int_repeated_events (session_id varchar, event_id varchar);
            create view intermediate.int_identity_links as
                select visitor_id, user_id, min(occurred_at) as first_linked_at from lake.events
                where kind = 'identify' and user_id is not null group by visitor_id, user_id;
            """
        )
        self._offset = 0

    def land(self, events: list[Happened]) -> None:
        """One build's events, each visitor's a session of its own.  An ``event_id`` among properties is the event's."""
        run = self.connection.execute
        run("update lake.events set is_new = false")
        run("update staging.stg_sessions set is_new = false")
        run("insert into main.meta_builds select coalesce(max(build), 0) + 1 from main.meta_builds")
        of_visitor: dict[str, list[tuple[str, datetime]]] = {}
        for event in events:
            self._offset += 1
            event_id, at = event.properties.get("event_id", f"e{self._offset}"), BEGIN + event.at * UNIT
            user = event.properties.get("q")
            kind = "identify" if user else "track"
            properties = msgspec.json.encode(event.properties).decode()
            run(
                "insert into lake.events values (?, ?, ?, ?, ?, ?, ?, ?, 's', 0, ?, true)",
                [event_id, event.unit, user, kind, event.name, properties, at, at, self._offset],
            )
            of_visitor.setdefault(event.unit, []).append((event_id, at))
        for visitor, theirs in of_visitor.items():
            times = [at for _, at in theirs]
            sequence = [{"event_id": event_id} for event_id, _ in theirs]
            run(
                "insert into staging.stg_sessions values (?, ?, ?, ?, ?, true)",
                [f"{visitor}@{self._offset}", visitor, min(times), max(times), sequence],
            )


@settings(max_examples=15, deadline=None)
@given(st.data(), cases(), st.sampled_from(["visitor", "user", "session", "p"]), st.sampled_from([None, "day"]))
def test_after_each_portion_the_kept_answer_is_that_of_all_events(
    data: Any, case: tuple[list[Happened], Asked], unit: str, trend: str | None
) -> None:
    events, asked = case
    try:
        question = replace(question_of(asked, trend=trend), unit=unit)
    except UsageError:
        return
    events = [*events, *(replace(event, unit=f"{event.unit} too") for event in events[::2])]
    portion_of = [data.draw(st.integers(0, 3)) for _ in events]
    saved, marts = SavedFunnels({"one": question}, LADDER), Marts()
    made = None
    for portion in range(4):
        marts.land([event for event, at in zip(events, portion_of, strict=True) if at == portion])
        saved.renew(marts.connection)
        check(marts, question)
        ((number,),) = marts.connection.execute("select number from funnels.saved").fetchall()
        assert number == (made or number), "added to, not made anew"
        made = number


def check(marts: Marts, question: Question) -> tuple[str, ...]:
    """The kept answer is that of all events; returns who began."""
    meaning = meaning_of(question, LADDER)
    ((newest,),) = marts.connection.execute("select max(occurred_at) from lake.events").fetchall()
    read = in_parts(marts.connection, events_query(question, meaning, has_copies=True), question, meaning, parts=2)
    wanted = answer(read, question, meaning, listed=1, as_of=newest or datetime(1970, 1, 1, tzinfo=UTC))
    assert read_kept(marts.connection, "one", question, meaning, listed=1) == wanted
    return wanted.steps[0].units or ()


def test_a_visitor_who_is_linked_by_an_event_that_is_no_step_leaves_one_unit_and_joins_another() -> None:
    question, marts = ask(["A", "B"], unit="user"), Marts()
    saved = SavedFunnels({"one": question}, LADDER)
    marts.land([Happened("one", 0, "A", {}), Happened("two", 0, "A", {}), Happened("one", 1, "B", {})])
    saved.renew(marts.connection)
    assert check(marts, question) == ("one", "two")
    marts.land([Happened("one", 2, "X", {"q": "someone"})])
    saved.renew(marts.connection)
    assert check(marts, question) == ("someone", "two")
    marts.land([Happened("two", 1, "X", {"q": "someone"})])
    saved.renew(marts.connection)
    assert check(marts, question) == ("someone",)


def test_a_session_that_is_looked_at_again_has_its_events_once() -> None:
    question, marts = ask(["A", "A"], unit="session"), Marts()
    saved = SavedFunnels({"one": question}, LADDER)
    marts.land([Happened("one", 0, "A", {})])
    saved.renew(marts.connection)
    marts.land([Happened("two", 0, "A", {})])
    marts.connection.execute("update staging.stg_sessions set is_new = true")
    saved.renew(marts.connection)
    assert len(check(marts, question)) == 2


def number(marts: Marts) -> int:
    """Of the funnel's tables; another one tells that they were made anew."""
    ((found,),) = marts.connection.execute("select number from funnels.saved").fetchall()
    return int(found)


def test_a_copy_that_counts_in_place_of_an_event_that_did_has_the_funnel_made_anew() -> None:
    question, marts = ask(["A", "B"]), Marts()
    saved = SavedFunnels({"one": question}, LADDER)
    marts.land([Happened("one", 2, "A", {"event_id": "e"}), Happened("one", 3, "B", {})])
    saved.renew(marts.connection)
    made = number(marts)
    marts.land([Happened("two", 4, "A", {"event_id": "e"}), Happened("three", 4, "A", {})])
    saved.renew(marts.connection)
    assert check(marts, question) == ("one", "three")
    assert number(marts) == made, "the first to arrive counts, as it did"
    marts.land([Happened("four", 1, "A", {"event_id": "e"})])
    saved.renew(marts.connection)
    assert check(marts, question) == ("four", "three")
    assert number(marts) != made


def test_a_build_that_did_not_keep_the_funnel_or_looks_at_known_events_anew_has_it_made_anew() -> None:
    question, marts = ask(["A", "B"]), Marts()
    saved, meaning = SavedFunnels({"one": question}, LADDER), meaning_of(question, LADDER)
    marts.land([Happened("one", 0, "A", {})])
    saved.renew(marts.connection)
    made = number(marts)
    marts.land([Happened("two", 0, "A", {})])
    assert read_kept(marts.connection, "one", question, meaning) is None
    marts.land([])
    saved.renew(marts.connection)
    assert check(marts, question) == ("one", "two")
    again = number(marts)
    assert again != made
    marts.land([Happened("three", 0, "A", {})])
    marts.connection.execute("update lake.events set is_new = true where visitor_id = 'two'")
    saved.renew(marts.connection)
    assert check(marts, question) == ("one", "three", "two")
    assert number(marts) != again
