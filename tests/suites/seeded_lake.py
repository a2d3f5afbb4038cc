"""Seeded visitors on a small ladder, and ways to land their events and sessions in a lake."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa

from ladder.events import Event
from ladder.tables import EVENTS, LANDED
from ladder.tiers import Ladder, Mark, Rule
from stream.decoding import frame_of
from stream.history import sessionise_history
from warehouse.lake import Lake

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
START = datetime(2026, 1, 30, 22, tzinfo=UTC)

LADDER = Ladder(
    name="small",
    tiers=("look", "click", "nothing here", "join", "buy"),
    rules=(
        Rule("Page Shown", {}, (Mark(1, "ask", "read on"), Mark(2, "ask", "vote"))),
        Rule("Page Read", {}, (Mark(1, "yes", "read on"),)),
        Rule("Voted", {}, (Mark(2, "yes", "vote"), Mark(2, "cheer", "vote"), Mark(4, "ask", "sign up"))),
        Rule("Vote Closed", {}, (Mark(2, "no", "vote"),)),
        Rule("Form Shown", {}, (Mark(4, "ask", "newsletter"),)),
        Rule("Form Closed", {}, (Mark(4, "no", "newsletter"), Mark(4, "no", "sign up"))),
        Rule("Signed Up", {}, (Mark(4, "yes", "sign up"), Mark(5, "ask", "order"))),
        Rule("Ordered", {"paid": True}, (Mark(5, "yes", "order"),)),
        Rule("Sent Back", {}, (Mark(5, "regret", "order"),)),
    ),
)
"""Holes on purpose: tier 3 has no event, the newsletter no yes, and an order counts only when it is paid."""

LADDER_FILE = """
name = "small"
tiers = ["look", "click", "nothing here", "join", "buy"]
on = [
    {event = "Page Shown", is = [
        {tier = "look", role = "ask", step = "read on"}, {tier = "click", role = "ask", step = "vote"}]},
    {event = "Page Read", is = [{tier = "look", role = "yes", step = "read on"}]},
    {event = "Voted", is = [
        {tier = "click", role = "yes", step = "vote"}, {tier = "click", role = "cheer", step = "vote"},
        {tier = "join", role = "ask", step = "sign up"}]},
    {event = "Vote Closed", is = [{tier = "click", role = "no", step = "vote"}]},
    {event = "Form Shown", is = [{tier = "join", role = "ask", step = "newsletter"}]},
    {event = "Form Closed", is = [
        {tier = "join", role = "no", step = "newsletter"}, {tier = "join", role = "no", step = "sign up"}]},
    {event = "Signed Up", is = [
        {tier = "join", role = "yes", step = "sign up"}, {tier = "buy", role = "ask", step = "order"}]},
    {event = "Ordered", where = {paid = true}, is = [{tier = "buy", role = "yes", step = "order"}]},
    {event = "Sent Back", is = [{tier = "buy", role = "regret", step = "order"}]},
]
"""
"""The same as a file."""

_NAMES = [rule.event for rule in LADDER.rules if rule.event is not None] + ["Scrolled", "Mouse Moved"]
_PAUSES_S = [0, 0, 1, 20, 300, 1799, 1800, 1801, 5400, 40_000, 200_000]


def seeded_events(seed: int, visitors: int, most: int = 40, prefix: str = "e") -> list[Event]:
    """Each visitor a walk of up to ``most`` events with pauses from none to days; some late, some with a user."""
    chance = random.Random(seed)
    events: list[Event] = []
    for visitor in range(visitors):
        at = START + timedelta(seconds=chance.randrange(20 * 86_400))
        user_id = f"user-{visitor % 7}" if chance.random() < 0.3 else None
        for _ in range(chance.randint(1, most)):
            at += timedelta(seconds=chance.choice(_PAUSES_S), microseconds=chance.choice([0, 0, 1, 999_999]))
            kind = "identify" if user_id is not None and chance.random() < 0.1 else "track"
            events.append(
                Event(
                    event_id=f"{prefix}{len(events)}",
                    visitor_id=f"visitor-{visitor}",
                    occurred_at=at,
                    received_at=at + timedelta(seconds=chance.choice([0, 2])),
                    kind="identify" if kind == "identify" else "track",
                    name="identify" if kind == "identify" else chance.choice(_NAMES),
                    user_id=user_id,
                    properties='{"paid": true}' if chance.random() < 0.5 else "{}",
                    page_url=chance.choice([None, "https://shop.example/a"]),
                    utm_source=chance.choice([None, None, "mail"]),
                )
            )
    return events


def event_rows(
    events: Sequence[Event], *, source: str = "kafka:events", late: bool = False, first: int = 0
) -> pa.Table:
    """The events as rows for ``Lake.append``, offsets counting from ``first``."""
    frame = frame_of(events, 0, range(first, first + len(events)))
    frame = frame.with_columns(source=pl.lit(source), late=pl.lit(late))
    schema = EVENTS.remove(EVENTS.get_field_index(LANDED.name))
    return frame.select(schema.names).to_arrow().cast(schema)


def session_rows(events: Sequence[Event], *, ladder: Ladder = LADDER, source: str = "kafka:events") -> pa.Table:
    """All sessions of the events, as the stream cuts them."""
    return sessionise_history(frame_of(events, 0, range(len(events))), ladder, source)


def land(
    lake: Lake,
    events: Sequence[Event],
    *,
    ladder: Ladder = LADDER,
    source: str = "kafka:events",
    first: int = 0,
    now: datetime = NOW,
) -> None:
    """One commit of the events and one of all their sessions."""
    lake.append("events", event_rows(events, source=source, first=first), now=now)
    lake.append("sessions", session_rows(events, ladder=ladder, source=source), now=now)
