"""Hypothesis strategies for what reaches the stream: few visitors, many ties, gaps and caps within reach."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from hypothesis import strategies as st

from ladder.events import Event
from ladder.tiers import Ladder, Mark, Rule
from tests.suites.session_oracle import EPOCH, MICROSECOND, Arrival

GAP, LATENESS, LONGEST, MOST = 80, 200, 400, 6
LADDER = Ladder(
    name="tiny",
    tiers=("spark", "micro", "mini"),
    rules=(
        Rule("view", {}, (Mark(1, "ask", "view"),)),
        Rule("click", {}, (Mark(1, "yes", "click"), Mark(2, "ask", "form"))),
        Rule("buy", {"plan": "pro"}, (Mark(3, "yes", "pro"),)),
        Rule("buy", {}, (Mark(2, "yes", "buy"), Mark(3, "ask", "upgrade"))),
        Rule("leave", {}, (Mark(2, "no", "leave"), Mark(1, "regret", "leave"))),
    ),
    session_gap=GAP * MICROSECOND,
    lateness=LATENESS * MICROSECOND,
    max_session_length=LONGEST * MICROSECOND,
    max_session_events=MOST,
)
"""Times in microseconds, so that small numbers reach every edge."""

START = EPOCH + timedelta(days=20_000)
VISITORS = ("ann", "bob", "c", "ann@9")
PARTITIONS = 3

instants = st.one_of(
    st.integers(0, 1500),
    st.sampled_from([begin + step for begin in (0, 7) for step in (0, GAP - 1, GAP, GAP + 1, LONGEST, LONGEST + 1)]),
)
partitions = st.fixed_dictionaries({visitor: st.integers(0, PARTITIONS - 1) for visitor in VISITORS})
_texts = st.sampled_from([None, "a", "b"])


@st.composite
def events(draw: st.DrawFn, min_size: int = 0, max_size: int = 30) -> list[Event]:
    """Events of distinct ids in any order."""
    return [
        Event(
            event_id=f"e{number}",
            visitor_id=draw(st.sampled_from(VISITORS)),
            occurred_at=START + draw(instants) * MICROSECOND,
            received_at=START + timedelta(seconds=1) + draw(st.integers(0, 3)) * MICROSECOND,
            name=draw(st.sampled_from(["view", "click", "buy", "leave", "other"])),
            user_id=draw(_texts),
            properties=draw(st.sampled_from(["{}", '{"plan":"pro"}', '{"plan":"free"}'])),
            page_url=draw(_texts),
            referrer=draw(_texts),
            utm_source=draw(_texts),
            utm_medium=draw(_texts),
            utm_campaign=draw(_texts),
            device_class=draw(_texts),
        )
        for number in range(draw(st.integers(min_size, max_size)))
    ]


def arriving(events: Sequence[Event], partition_of: dict[str, int]) -> list[Arrival]:
    """Events in records whose own time is that of their collection."""
    return [Arrival(event, partition_of[event.visitor_id], event.received_at) for event in events]
