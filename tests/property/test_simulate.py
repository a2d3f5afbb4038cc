from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from ladder.errors import EventError
from ladder.events import Event, decode
from ladder.tiers import ROLES, Ladder, Mark, Rule
from producers.dialects import from_segment
from producers.simulate import Simulated, segment_message, simulate
from producers.simulation import Segment, Simulation, Spike

START = datetime(2026, 1, 5, tzinfo=UTC)


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    """Ladders on which events share names, tell themselves apart by properties and mean several things at once."""
    tiers = draw(st.integers(2, 4))
    marks = st.builds(
        Mark, st.integers(1, tiers), st.sampled_from(("ask", "yes", *ROLES)), st.sampled_from(("a", "b", "c"))
    )
    rules = draw(
        st.lists(
            st.builds(
                Rule,
                st.sampled_from(["E1", "E2", "E3", "E4", None]),
                st.dictionaries(st.sampled_from(["p", "q"]), st.sampled_from(["x", True, 1]), max_size=2),
                st.lists(marks, min_size=1, max_size=2).map(tuple),
            ).filter(lambda rule: rule.event is not None or bool(rule.where)),
            max_size=8,
        )
    )
    # whatever else it has, one tier can be asked and answered
    rules += [
        Rule("Asked", {}, (Mark(1, "ask", "first"),)),
        Rule("Agreed", {}, (Mark(1, "yes", "first"), Mark(2, "ask", "a"))),
    ]
    return Ladder(
        "drawn",
        tuple(f"tier {n}" for n in range(1, tiers + 1)),
        tuple(rules),
        session_gap=draw(st.sampled_from([timedelta(seconds=8), timedelta(minutes=30)])),
        lateness=draw(st.sampled_from([timedelta(0), timedelta(minutes=1), timedelta(hours=2)])),
    )


simulations = st.builds(
    Simulation,
    visitors=st.integers(0, 30),
    seed=st.integers(0, 1000),
    start=st.just(START),
    duration=st.sampled_from([timedelta(hours=1), timedelta(days=2)]),
    visits_per_visitor=st.sampled_from([1.0, 2.5]),
    return_after=st.just(timedelta(hours=5)),
    regret_share=st.just(0.3),
    regret_after=st.just(timedelta(hours=3)),
    skip_share=st.sampled_from([0.0, 0.3]),
    push_share=st.sampled_from([0.2, 1.0]),
    no_share=st.just(0.5),
    segments=st.just((Segment("one", 2.0, 1.0, "mobile", "ads"), Segment("two", 1.0, 3.0))),
    spikes=st.sampled_from([(), (Spike(START, timedelta(hours=12), 0.1, "first", "one"),)]),
    out_of_order=st.sampled_from([0.0, 0.3]),
    late=st.sampled_from([0.0, 0.2]),
    duplicates=st.sampled_from([0.0, 0.3]),
    malformed=st.sampled_from([0.0, 0.1]),
)


def marks_of(ladder: Ladder, event: Event) -> tuple[Mark, ...]:
    return ladder.marks_of(event.name, json.loads(event.properties))


def recount(items: Iterable[Event | bytes], ladder: Ladder, lateness: int) -> dict[str, Any]:
    """The truth once more: by a plain loop over the items, event by event."""
    seen: dict[str, Event] = {}
    doubles = 0
    broken = []
    for item in items:
        if isinstance(item, bytes):
            broken.append(item)
        elif item.event_id in seen:
            doubles += 1
            assert item.occurred_at == seen[item.event_id].occurred_at
        else:
            seen[item.event_id] = item
    delays = {key: (event.received_at - event.occurred_at) for key, event in seen.items()}
    slack = timedelta(milliseconds=151)
    late = {key for key, delay in delays.items() if delay > timedelta(microseconds=lateness) + slack}
    held_up = {key for key, delay in delays.items() if delay > slack} - late
    kept = sorted(
        (event for key, event in seen.items() if key not in late),
        key=lambda event: (event.visitor_id, event.occurred_at),
    )
    sessions: list[list[Event]] = []
    visitors: list[list[Event]] = []
    before: Event | None = None
    for event in kept:
        if before is None or before.visitor_id != event.visitor_id:
            visitors.append([])
            sessions.append([])
        elif event.occurred_at - before.occurred_at > ladder.session_gap:
            sessions.append([])
        visitors[-1].append(event)
        sessions[-1].append(event)
        before = event
    return {
        "events": len(kept),
        "sessions": len(sessions),
        "visitors": len(visitors),
        "late": len(late),
        "held_up": len(held_up),
        "duplicates": doubles,
        "broken": broken,
        "by_tier": roles(ladder, kept),
        "by_source": {
            source: roles(ladder, [event for event in kept if event.utm_source == source]) for source in ("ads", None)
        },
        "tiers": {"session": tier_table(ladder, sessions), "visitor": tier_table(ladder, visitors)},
    }


def roles(ladder: Ladder, events: list[Event]) -> list[dict[str, Any]]:
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for event in events:
        for tier, role in {(mark.tier, mark.role) for mark in marks_of(ladder, event)}:
            counts[tier][role] += 1
    return [
        {"tier": tier, "name": name, **{role: counts[tier][role] for role in ROLES}}
        for tier, name in enumerate(ladder.tiers, start=1)
    ]


def tier_table(ladder: Ladder, units: list[list[Event]]) -> list[dict[str, Any]]:
    rows = []
    for tier, name in enumerate(ladder.tiers, start=1):
        row: dict[str, Any] = {"tier": tier, "name": name, **dict.fromkeys(
            ("asked", "yes", "no", "silent", "implicit", "reached", "reached_next"), 0
        )}  # fmt: skip
        for events in units:
            said = [{(mark.tier, mark.role) for mark in marks_of(ladder, event)} for event in events]
            first_ask = next((n for n, marks in enumerate(said) if (tier, "ask") in marks), None)
            reached = any((tier, "yes") in marks for marks in said)
            row["reached"] += reached
            row["reached_next"] += reached and any((ladder.next_tier(tier), "yes") in marks for marks in said)
            if first_ask is None:
                row["implicit"] += reached
                continue
            row["asked"] += 1
            after = said[first_ask:]
            if any((tier, "yes") in marks for marks in after):
                row["yes"] += 1
            elif any((tier, "no") in marks for marks in after):
                row["no"] += 1
            else:
                row["silent"] += 1
        rows.append(row)
    return rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(simulations, ladders())
def test_the_truth_is_what_a_plain_count_of_the_items_finds(simulation: Simulation, ladder: Ladder) -> None:
    simulated = simulate(simulation, ladder)
    truth = simulated.truth
    found = recount(simulated.items(), ladder, int(ladder.lateness / timedelta(microseconds=1)))
    assert {key: truth[key] for key in ("events", "sessions", "visitors", "late", "duplicates", "tiers")} == {
        key: found[key] for key in ("events", "sessions", "visitors", "late", "duplicates", "tiers")
    }
    assert truth["marks"]["by_tier"] == found["by_tier"]
    assert truth["marks"]["by_segment"] == {"one": found["by_source"]["ads"], "two": found["by_source"][None]}
    assert found["held_up"] <= truth["out_of_order"]
    assert sum(truth["malformed"].values()) == len(found["broken"])
    assert (
        truth["items"] == len(simulated) == truth["events"] + found["late"] + found["duplicates"] + len(found["broken"])
    )


def refusal(read: Callable[..., Event], *arguments: Any) -> str:
    try:
        read(*arguments)
    except EventError as error:
        return error.reason
    return "taken"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(simulations, ladders())
def test_every_broken_item_is_refused_for_the_reason_told_whichever_way_it_is_read(
    simulation: Simulation, ladder: Ladder
) -> None:
    simulated = simulate(simulation, ladder)
    now = START + timedelta(days=30)
    by_contract: Counter[str] = Counter()
    by_spec: Counter[str] = Counter()
    for item in simulated.items():
        if isinstance(item, bytes):
            by_contract[refusal(decode, item, now)] += 1
            by_spec[refusal(partial(from_segment, received_at=now, sent_at=None), item)] += 1
    told = {reason: count for reason, count in simulated.truth["malformed"].items() if count}
    assert by_contract == told
    assert by_spec == told


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(simulations, ladders())
def test_items_arrive_one_after_the_other_and_read_back_from_the_segment_spec_as_they_are(
    simulation: Simulation, ladder: Ladder
) -> None:
    simulated: Simulated = simulate(simulation, ladder)
    before = datetime(2000, 1, 1, tzinfo=UTC)
    for item in simulated.items():
        if isinstance(item, Event):
            assert before < item.received_at
            assert item.occurred_at <= item.received_at
            before = item.received_at
            assert from_segment(segment_message(item), received_at=item.received_at, sent_at=None) == item


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(simulations, ladders())
def test_what_is_not_late_stays_within_the_lateness_and_what_is_late_beyond_it_in_one_partition(
    simulation: Simulation, ladder: Ladder
) -> None:
    newest = datetime(2000, 1, 1, tzinfo=UTC)
    for item in simulate(simulation, ladder).items():
        if isinstance(item, Event):
            behind = newest - item.occurred_at
            if item.received_at - item.occurred_at <= ladder.lateness + timedelta(milliseconds=151):
                assert behind <= ladder.lateness
            newest = max(newest, item.occurred_at)
