"""Findings of a watch, made by hand."""

from __future__ import annotations

from stream.alerts_kinds import Kind
from stream.alerts_open import Notice, What
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
    return Finding(notice, tier, step, segment, raised, volume, carriers)
