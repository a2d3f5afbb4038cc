"""Funnels over a built warehouse, against the oracle over the events that went into it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from answers.funnel import SCHEMA, answer_question, funnel
from answers.funnel_answer import Answer, answer
from answers.funnel_events import read_parts
from answers.funnel_question import ask
from answers.funnel_sql import as_sql
from answers.funnel_steps import meaning_of
from ladder.errors import UsageError
from ladder.events import Event
from ladder.tiers import Ladder, builtin_ladder
from tests.suites.funnel_oracle import Asked, Happened, counts
from tests.suites.seeded_lake import LADDER, NOW, START, event_rows, land, seeded_events, session_rows
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import run_sql

EVENTS = seeded_events(17, visitors=40)
STEPS = ("Page Shown", "Voted", "Signed Up")
WINDOW = timedelta(days=2)


@pytest.fixture(scope="module")
def lake(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(tmp_path_factory.mktemp("funnels") / "lake")
    land(made, EVENTS)
    # Copies of some events, a little later and under another name: they are not to count.
    made.append("events", event_rows([_copied(event) for event in EVENTS[:60]], source="file:again"), now=NOW)
    build(made, LADDER, gate=gate, now=NOW)
    return made


@pytest.fixture
def warehouse(lake: Lake) -> Path:
    return lake.root.parent


def _copied(event: Event) -> Event:
    changed = {name: getattr(event, name) for name in event.__struct_fields__}
    changed |= {"received_at": event.received_at + timedelta(days=1), "name": "Signed Up", "kind": "track"}
    return Event(**changed)


def of_oracle(asked: Asked, unit_of: dict[str, str] | None = None, events: Sequence[Event] = EVENTS) -> Any:
    """``unit_of``: by event id; events that it lacks are in no unit."""
    happened = [
        Happened(
            event.visitor_id if unit_of is None else unit_of[event.event_id],
            (event.occurred_at - START) // timedelta(microseconds=1),
            event.name,
            json.loads(event.properties) | ({"utm_source": event.utm_source} if event.utm_source else {}),
        )
        for event in sorted(events, key=lambda one: (one.received_at, EVENTS.index(one)))
        if unit_of is None or event.event_id in unit_of
    ]
    return counts(happened, asked)


def said(found: Answer) -> tuple[list[int], dict[str, list[int]]]:
    return [step.count for step in found.steps], {
        value: [step.count for step in steps] for value, steps in found.by.items()
    }


ASKED = Asked(STEPS, window=WINDOW // timedelta(microseconds=1))


def test_visitors_are_counted_as_the_oracle_counts_them(warehouse: Path) -> None:
    total, _, durations = of_oracle(ASKED)
    found = answer_question(warehouse, LADDER, ask(STEPS, window=WINDOW))
    assert [step.count for step in found.steps] == total
    assert total[2] > 0
    assert [step.mean_seconds for step in found.steps[1:]] == [
        pytest.approx(sum(one) / len(one) / 1e6) for one in durations[1:]
    ]


def test_a_strict_funnel_sees_the_events_that_no_step_names(warehouse: Path) -> None:
    asked = Asked(("Page Shown", "Voted"), order="strict", window=ASKED.window)
    found = answer_question(warehouse, LADDER, ask(asked.steps, order="strict", window=WINDOW))
    assert [step.count for step in found.steps] == of_oracle(asked)[0]
    ordered = answer_question(warehouse, LADDER, ask(asked.steps, window=WINDOW))
    assert found.steps[1].count < ordered.steps[1].count


@pytest.mark.parametrize("attribution", ["first", "last", "step:2", "all"])
def test_a_column_of_the_contract_breaks_down(warehouse: Path, attribution: str) -> None:
    asked = Asked(STEPS, window=ASKED.window, by="utm_source", attribution=attribution)
    question = ask(STEPS, window=WINDOW, by="utm_source", attribution=attribution)
    assert said(answer_question(warehouse, LADDER, question)) == of_oracle(asked)[:2]


def test_conditions_reach_the_properties_of_events(warehouse: Path) -> None:
    asked = Asked(STEPS, window=ASKED.window, where=lambda one: one.get("paid") is True)
    found = answer_question(warehouse, LADDER, ask(STEPS, window=WINDOW, where="paid = true"))
    assert [step.count for step in found.steps] == of_oracle(asked)[0]
    nobody = answer_question(warehouse, LADDER, ask(STEPS, where="paid = 'true' or \"'); drop table x; --\" = 1"))
    assert [step.count for step in nobody.steps] == [0, 0, 0]


def test_tiers_and_steps_of_the_ladder_are_events_with_their_conditions(warehouse: Path) -> None:
    by_name = answer_question(warehouse, LADDER, ask(["Page Shown", "Ordered"], step_where=["2:paid = true"]))
    by_tier = answer_question(warehouse, LADDER, ask(["tier:click:ask", "tier:buy"]))
    by_step = answer_question(warehouse, LADDER, ask(["step:vote:ask", "step:order"]))
    assert said(by_tier) == said(by_step) == said(by_name)
    assert by_name.steps[1].count > 0


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("tier:moon", "'tier:moon': the ladder has no such tier; it has look, click, nothing here, join, buy, and the"),
        ("tier:buy:maybe", "'tier:buy:maybe': the ladder has no such tier"),
        ("step:moon", "'step:moon': the ladder has no such step; it has read on, vote, "),
        ("tier:nothing here", "'tier:nothing here': no event of the ladder 'small' is the yes of 'nothing here'"),
    ],
)
def test_what_the_ladder_does_not_have_is_refused(warehouse: Path, step: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        funnel(warehouse, LADDER, [step])
    assert str(caught.value).startswith(message)


def test_sessions_are_the_marts_own_and_are_never_crossed(warehouse: Path) -> None:
    sessions = session_rows(EVENTS).to_pylist()
    unit_of = {entry["event_id"]: row["session_id"] for row in sessions for entry in row["sequence"]}
    found = answer_question(warehouse, LADDER, ask(STEPS, window=WINDOW, unit="session"), listed=1)
    assert [step.count for step in found.steps] == of_oracle(ASKED, unit_of)[0]
    assert set(found.steps[0].units or ()) <= {row["session_id"] for row in sessions}


def person_of() -> dict[str, str]:
    """By visitor the user whom it was linked to first, else itself."""
    links = sorted(
        (event.occurred_at, event.user_id, event.visitor_id)
        for event in EVENTS
        if event.kind == "identify" and event.user_id is not None
    )
    return {event.visitor_id: event.visitor_id for event in EVENTS} | {
        visitor: user for _, user, visitor in reversed(links)
    }


def test_users_are_visitors_joined_by_their_links_and_nothing_else(warehouse: Path) -> None:
    person = person_of()
    unit_of = {event.event_id: person[event.visitor_id] for event in EVENTS}
    users = answer_question(warehouse, LADDER, ask(STEPS, window=WINDOW, unit="user"), listed=1)
    assert [step.count for step in users.steps] == of_oracle(ASKED, unit_of)[0]
    visitors = answer_question(warehouse, LADDER, ask(STEPS, window=WINDOW), listed=1)
    there = visitors.steps[0].units or ()
    merged = len(there) - len({person[visitor] for visitor in there})
    assert merged > 0
    assert visitors.steps[0].count - users.steps[0].count == merged
    assert {person[visitor] for visitor in there} == set(users.steps[0].units or ())


def test_a_property_can_be_the_unit(warehouse: Path) -> None:
    unit_of = {event.event_id: event.utm_source for event in EVENTS if event.utm_source is not None}
    found = answer_question(warehouse, LADDER, ask(STEPS[:2], window=WINDOW, unit="utm_source"), listed=1)
    assert [step.count for step in found.steps] == of_oracle(Asked(STEPS[:2], window=ASKED.window), unit_of)[0]
    assert found.steps[0].units == ("mail",)
    paid = answer_question(warehouse, LADDER, ask(STEPS, unit="paid"), listed=1)
    assert paid.steps[0].units == ("true",)


@pytest.mark.parametrize("first_ever", [[], [1]])
def test_attempts_begin_within_the_dates_and_may_end_after(warehouse: Path, first_ever: list[int]) -> None:
    since, until = START + timedelta(days=3), START + timedelta(days=9)
    asked = Asked(
        STEPS,
        window=ASKED.window,
        since=(since - START) // timedelta(microseconds=1),
        until=(until - START) // timedelta(microseconds=1),
        first_ever=frozenset(first_ever),
    )
    found = answer_question(
        warehouse, LADDER, ask(STEPS, window=WINDOW, since=since, until=until, first_ever=first_ever)
    )
    assert [step.count for step in found.steps] == of_oracle(asked)[0]


@pytest.mark.parametrize("unit", ["visitor", "user", "session", "paid"])
def test_the_answer_does_not_depend_on_the_parts(warehouse: Path, unit: str) -> None:
    question = ask(
        STEPS, unit=unit, by="utm_source", where="paid in (true, false) or kind != 'x' or utm_source = 'mail'"
    )
    meaning = meaning_of(question, LADDER)
    whole = list(read_parts(warehouse, LADDER, question, meaning))
    parts = list(read_parts(warehouse, LADDER, question, meaning, part_rows=50, most_bytes=10_000))
    assert len(whole) <= 2, "those whose order takes a second look are by themselves"
    assert len(parts) > (0 if unit == "paid" else 3)  # there is one value of it
    ids = [unit for part in parts for unit in part.ids]
    assert sorted(unit for part in whole for unit in part.ids) == sorted(ids)
    assert len(ids) == len(set(ids))
    assert sum(len(part.time) for part in whole) == sum(len(part.time) for part in parts)
    assert answer(parts, question, meaning) == answer(whole, question, meaning)


def test_the_python_door_gives_a_table(warehouse: Path) -> None:
    table = funnel(warehouse, LADDER, list(STEPS), by="utm_source")
    assert table.schema == SCHEMA
    rows = table.to_pylist()
    assert [(row["value"], row["step"]) for row in rows[:3]] == [(None, 1), (None, 2), (None, 3)]
    assert {row["value"] for row in rows[3:]} == {"(none)", "mail"}
    for step in (1, 2, 3):
        mine = [row["count"] for row in rows if row["step"] == step]
        assert mine[0] == sum(mine[1:])


def test_sessions_of_another_ladder_are_refused_and_visitors_are_not(warehouse: Path) -> None:
    other: Ladder = builtin_ladder()
    assert answer_question(warehouse, other, ask(STEPS)).steps[0].count > 0
    with pytest.raises(UsageError, match="was built with the ladder 'small'"):
        answer_question(warehouse, other, ask(STEPS, unit="session"))


def test_what_is_held_back_does_not_count(gate: Gate, lake: Lake, warehouse: Path) -> None:
    before = said(answer_question(warehouse, LADDER, ask(["Page Shown"])))
    rows = event_rows(seeded_events(5, visitors=60, prefix="w"), source="file:wrong")
    kinds = pa.array(["telepathy"] * rows.num_rows)
    lake.append("events", rows.set_column(rows.schema.get_field_index("kind"), "kind", kinds), now=NOW)
    assert build(lake, LADDER, gate=gate, now=NOW + timedelta(hours=1)).held_back
    assert said(answer_question(warehouse, LADDER, ask(["Page Shown"]))) == before


SAYABLE: dict[str, dict[str, Any]] = {
    "events": {"steps": STEPS, "window": "2d"},
    "one event three times, in an hour": {"steps": ("Page Shown",) * 3, "window": "1h"},
    "places of the ladder": {"steps": ("tier:look", "step:vote", "tier:join", "tier:buy")},
    "sessions": {"steps": ("tier:look:ask", "tier:look", "tier:click"), "unit": "session"},
    "users": {"steps": STEPS, "unit": "user"},
    "days": {"steps": STEPS, "since": START + timedelta(days=3), "until": START + timedelta(days=9)},
    "conditions": {"steps": STEPS, "where": "paid = true or utm_source in ('ads', 'search')"},
    "a condition of one step": {"steps": ("Page Shown", "Ordered"), "step_where": ["2:paid = true"]},
    "names that are SQL": {"steps": ("Page Shown", "'); drop table fct_asks; --")},
}


@pytest.mark.parametrize("case", SAYABLE)
def test_a_funnel_as_sql_counts_what_the_funnel_counts(warehouse: Path, case: str) -> None:
    question = ask(**SAYABLE[case])
    sql = as_sql(question, meaning_of(question, LADDER))
    assert sql is not None
    found = [(row["step"], row["name"], row["units"]) for row in run_sql(warehouse, sql).to_pylist()]
    wanted = answer_question(warehouse, LADDER, question)
    assert found == [(step.step, step.name, step.count) for step in wanted.steps]
    assert found[0][2] > 0


@pytest.mark.parametrize(
    "unusual",
    [
        {"order": "strict"},
        {"order": "unordered"},
        {"step_window": ["2:1h"]},
        {"exclude": ["Vote Closed"]},
        {"optional": [2]},
        {"first_ever": [1]},
        {"hold": "plan"},
        {"unit": "plan"},
        {"where": "seats >= 5"},
    ],
)
def test_what_sql_cannot_say_is_not_said_wrongly(unusual: dict[str, Any]) -> None:
    question = ask(STEPS, **unusual)
    assert as_sql(question, meaning_of(question, LADDER)) is None
