"""The people and sessions behind a count of the ladder."""

from __future__ import annotations

from dataclasses import astuple, fields
from datetime import datetime

from answers.csv_text import as_csv as csv_of
from answers.dashboard.page import Asked, Page
from ladder.errors import UsageError
from warehouse.people import MOST, People, Somebody, people

MOST_IN_CSV = 1_000_000

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
    tier, step = _number("tier", asked.one("tier"), 1), asked.one("step")
    number = _number("page", asked.one("page"), 1)
    found = _found(asked, MOST, MOST * (number - 1))
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


def as_csv(asked: Asked) -> str:
    """All of them.  Raises ``UsageError`` where they are more than ``MOST_IN_CSV``: a part could be taken for all."""
    found = _found(asked, MOST_IN_CSV, 0)
    if found.count > MOST_IN_CSV:
        raise UsageError(f"these are {found.count:,} people or sessions, more than {MOST_IN_CSV:,}; ask for fewer days")
    head = [field.name for field in fields(Somebody)]
    rows = (
        [value.isoformat() if isinstance(value, datetime) else value for value in astuple(row)] for row in found.rows
    )
    return csv_of(head, rows)


def _found(asked: Asked, most: int, skip: int) -> People:
    return people(
        asked.warehouse,
        asked.ladder,
        asked.view.slice(),
        _number("tier", asked.one("tier"), 1),
        asked.one("outcome") or "asked",
        step=asked.one("step"),
        most=most,
        skip=skip,
    )


def _number(name: str, text: str | None, least: int) -> int:
    if text is None:
        return least
    if not text.isdecimal() or len(text) > 6 or int(text) < least:
        raise UsageError(f"{name}: {text[:40]!r} is no number from {least} on")
    return int(text)
