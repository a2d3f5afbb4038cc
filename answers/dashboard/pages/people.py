"""The people and sessions behind a count of the ladder."""

from __future__ import annotations

from answers.dashboard.page import Asked, Page
from ladder.errors import UsageError
from warehouse.people import MOST, people

SAID: dict[str, str] = {
    "asked": "were asked",
    "yes": "said yes",
    "no": "said no",
    "silent": "were asked and stayed silent",
    "implicit": "said yes without an ask on record",
    "reached": "hold a yes",
    "in_flight": "may still say yes",
    "matured": "were asked, and their conversion window has passed",
    "dropped": "dropped off: asked, and no yes within the conversion window",
}


def page(asked: Asked) -> Page:
    """Raises ``UsageError`` for a tier, an outcome or a page that there is none of."""
    tier = _number("tier", asked.one("tier"), 1)
    number = _number("page", asked.one("page"), 1)
    step = asked.one("step")
    found = people(
        asked.warehouse,
        asked.ladder,
        asked.view.slice(),
        tier,
        asked.one("outcome") or "asked",
        step=step,
        skip=MOST * (number - 1),
    )
    keep = {"tier": str(tier), "outcome": found.outcome} | ({} if step is None else {"step": step})
    return Page(
        "people.html",
        "People and sessions",
        {
            "found": found,
            "tier_name": asked.ladder.tiers[tier - 1],
            "tier_names": ("nothing", *asked.ladder.tiers),
            "said": SAID,
            "number": number,
            "pages": max(1, -(-found.count // MOST)),
            "first": MOST * (number - 1) + 1,
        },
        keep=keep,
    )


def _number(name: str, text: str | None, least: int) -> int:
    if text is None:
        return least
    if not text.isdecimal() or len(text) > 6 or int(text) < least:
        raise UsageError(f"{name}: {text[:40]!r} is no number from {least} on")
    return int(text)
