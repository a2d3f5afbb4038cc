"""Findings of a watch, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stream.alerts_kinds import Kind
from stream.alerts_open import Notice, What
from stream.alerts_series import SeriesMinute
from stream.alerts_watch import Carrier, Finding

MINUTE = 29_458_800
"""2026-01-04 12:00 UTC."""
MOBILE, DESKTOP = ("device_class", "mobile"), ("device_class", "desktop")
TIERS = ("spark", "micro", "mini", "midi", "macro")


def finding(
    what: What = "alarm",
    *segment: tuple[str, str],
    minute: int = MINUTE,
    raised: int = MINUTE,
    kind: Kind = "drop",
    step: str = "add to cart",
    tier: int = 3,
    carriers: tuple[Carrier, ...] = (),
    lost: float = 120.0,
    sure: bool = True,
    volume: float = 6000.0,
) -> Finding:
    """An alarm five minutes after its change-point, unless told otherwise."""
    notice = Notice(what, 0, minute, kind, MINUTE - 5, 0.41, lost, lost - 30, lost + 30, sure)
    series = tuple(SeriesMinute(one, 30.25, 18.0) for one in range(minute - 60, minute + 1))
    return Finding(notice, tier, step, segment, raised, volume, carriers, series)


NOON = datetime(2026, 1, 4, 12, tzinfo=UTC)


def alert_row(number: int, **other: Any) -> dict[str, Any]:
    """A row of the table ``alerts``."""
    return {
        "notice_id": f"n{number}", "alert_id": "a1", "what": "raised", "ladder": "shop", "tier": 3,
        "tier_name": "mini", "step": "add to cart", "segment": "device_class=mobile", "kind": "drop", "minute": NOON,
        "raised": NOON, "since": NOON, "fall": 0.4, "lost": 1.0, "lost_low": 0.5, "lost_high": 1.5,
        "asks_an_hour": 60.0, "sure": True, "told": True, "quiet": None, "carried_by": "[]", "mark": None,
        "marked_at": None, "headline": "h", **other,
    }  # fmt: skip
