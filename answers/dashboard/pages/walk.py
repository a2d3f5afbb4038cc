"""The walk of one visitor or user, event by event."""

from __future__ import annotations

from answers.dashboard.page import Asked, Page
from answers.walk_page import walk_facts
from warehouse.walks import RECENT_VISITORS, somebody, walk


def page(asked: Asked) -> Page:
    """Raises ``UsageError`` for somebody that the marts do not know."""
    named = asked.one("person")
    person = named or somebody(asked.warehouse, asked.ladder)
    if person is None:
        return Page("walk.html", "One visitor's walk", {"walk": None, "named": None, "recent": RECENT_VISITORS})
    found = walk(asked.warehouse, asked.ladder, person.strip())
    return Page(
        "walk.html",
        "One visitor's walk",
        {**walk_facts(found, asked.ladder), "named": named, "recent": RECENT_VISITORS},
        keep={"person": person},
    )
