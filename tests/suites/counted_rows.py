"""Rows of the drop-off tables as tests of the pages want them: from a few counts, the rest following from these."""

from __future__ import annotations

from typing import Any

from ladder.rates import drop_off, wilson
from warehouse.query import StepRow, TierRow, Unit


def counted_tier(
    tier: int, name: str, asked: int, yes: int, *, no: int = 0, implicit: int = 0, reached_next: int = 0, **more: int
) -> TierRow:
    """Everybody who said yes or was never asked has reached it.  ``more``: ``in_flight``, ``matured``..."""
    return TierRow(tier=tier, name=name, **_counted(asked, yes, no, implicit, reached_next, **more))


def counted_step(
    tier: int, step: str, asked: int, yes: int, *, no: int = 0, unit: Unit = "session", **more: int
) -> StepRow:
    """As ``counted_tier``, of one step."""
    return StepRow(tier=tier, step=step, unit=unit, **_counted(asked, yes, no, 0, 0, **more))


def _counted(
    asked: int,
    yes: int,
    no: int,
    implicit: int,
    reached_next: int,
    *,
    in_flight: int = 0,
    matured: int | None = None,
    matured_yes: int | None = None,
) -> dict[str, Any]:
    matured = asked - in_flight if matured is None else matured
    matured_yes = yes if matured_yes is None else matured_yes
    found: dict[str, Any] = {
        "asked": asked,
        "yes": yes,
        "no": no,
        "silent": asked - yes - no,
        "implicit": implicit,
        "reached": yes + implicit,
        "reached_next": reached_next,
        "in_flight": in_flight,
        "matured": matured,
        "matured_yes": matured_yes,
    }
    for share, (value, low, high) in {
        "drop_off": drop_off(yes, asked),
        "matured_drop_off": drop_off(matured_yes, matured),
        "reached_next_share": wilson(reached_next, yes + implicit),
    }.items():
        found |= {share: value, f"{share}_low": low, f"{share}_high": high}
    return found
