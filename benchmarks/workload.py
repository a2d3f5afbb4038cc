"""One workload for every benchmark of the stream: seeded, with the same events in the same order each time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from ladder.events import Event
from ladder.tiers import Ladder, parse_ladder

LADDER_TEXT = """
name = "benchmark"
session_gap = "30m"
lateness = "10m"
tiers = ["spark", "micro", "macro"]

[[on]]
event = "page_view"
is = [{ tier = "spark", role = "ask" }]

[[on]]
event = "click"
is = [{ tier = "spark", role = "yes" }, { tier = "micro", role = "ask" }]

[[on]]
event = "add_to_cart"
is = [{ tier = "micro", role = "yes" }, { tier = "macro", role = "ask" }]

[[on]]
event = "purchase"
is = [{ tier = "macro", role = "yes" }]
"""
LADDER: Ladder = parse_ladder(LADDER_TEXT, "the benchmark's ladder")

_NAMES = np.array(["page_view", "click", "scroll", "add_to_cart", "purchase", "search"])
_SHARES = [0.55, 0.20, 0.12, 0.06, 0.02, 0.05]
_START = datetime(2026, 1, 5, tzinfo=UTC)


def events(count: int, visitors: int, seed: int = 1) -> Iterator[Event]:
    """About 250 bytes each; visitors come in visits of some minutes, over six hours; 2 % up to five minutes late."""
    random = np.random.default_rng(seed)
    visits = max(1, count // 8)
    visit = random.integers(0, visits, count)
    visitor = random.integers(0, visitors, visits)[visit]
    began = random.integers(0, 6 * 3600 * 1000, visits)[visit]
    arrived = began + (random.exponential(180_000, count)).astype(np.int64)
    order = np.argsort(arrived, kind="stable")
    late = np.where(random.random(count) < 0.02, random.integers(0, 300_000, count), random.integers(0, 2_000, count))
    names = _NAMES[random.choice(len(_NAMES), count, p=_SHARES)]
    pages = random.integers(0, 3000, count)
    for n, i in enumerate(order.tolist()):
        received_at = _START + timedelta(milliseconds=int(arrived[i]) + 300_000, microseconds=n % 1000)
        yield Event(
            event_id=f"{seed:04x}-{n:027x}",
            visitor_id=f"visitor-{visitor[i]:07d}",
            occurred_at=received_at - timedelta(milliseconds=int(late[i])),
            received_at=received_at,
            name=str(names[i]),
            properties=f'{{"scroll":{pages[i] % 100},"ab":"{"b" if pages[i] & 1 else "a"}"}}',
            page_url=f"/p/{pages[i]}",
        )
