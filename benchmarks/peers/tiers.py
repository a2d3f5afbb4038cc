"""The tier table that the batch contenders must give, by plain loops over sessions, and what its tiers are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ASKS = ("page_view", "click", "add_to_cart")
"""By tier, what asks; as ``workload.LADDER_TEXT`` has it."""
YESES = ("click", "add_to_cart", "purchase")
COUNTED = ("asked", "yes", "silent", "implicit", "reached", "reached_next")

TierTable = list[list[int]]
"""A row a tier, in the columns ``COUNTED``; the unit is a session."""


def tier_table(events: Iterable[tuple[str, int, str]], gap_ms: int) -> TierTable:
    """Of visitors, times and names."""
    counts = [Counter[str]() for _ in ASKS]
    session: list[tuple[int, str]] = []
    before = ("", 0)
    for visitor, at, name in sorted(events):
        if session and (visitor != before[0] or at - before[1] > gap_ms):
            _count(session, counts)
            session = []
        session.append((at, name))
        before = visitor, at
    if session:
        _count(session, counts)
    return [[count[name] for name in COUNTED] for count in counts]


def _count(session: list[tuple[int, str]], counts: list[Counter[str]]) -> None:
    names = {name for _, name in session}
    for tier, count in enumerate(counts):
        asks = [at for at, name in session if name == ASKS[tier]]
        yeses = [at for at, name in session if name == YESES[tier]]
        count["reached"] += bool(yeses)
        count["reached_next"] += bool(yeses) and tier + 1 < len(YESES) and YESES[tier + 1] in names
        count["implicit"] += bool(yeses) and not asks
        if asks:
            said = bool(yeses) and max(yeses) >= min(asks)
            count["asked"] += 1
            count["yes"] += said
            count["silent"] += not said


def write_table(path: Path, table: TierTable) -> None:
    path.write_text(json.dumps(table), encoding="utf-8")


def read_table(path: Path) -> TierTable:
    table: TierTable = json.loads(path.read_bytes())
    return table
