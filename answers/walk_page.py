"""A walk as a page: one HTML file without a script that shows the way up and down the ladder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from answers.page import asset, render, write_page
from answers.walk_drawing import drawing, more_events
from answers.walk_words import WHAT, away, came_from, came_of, ending, headline
from ladder.tiers import Ladder
from warehouse.walks import Walk, WalkSession

MOST_ROWS = 2000
"""Events in the tables; of a longer walk the last so many are there."""


def render_walk(walk: Walk, ladder: Ladder, written_at: datetime) -> str:
    """The whole page as HTML.  It loads nothing and runs nothing; all names in the walk are untrusted text."""
    return render(
        "walk.html",
        styles=[asset("report.css"), asset("walk.css")],
        written_at=written_at,
        **walk_facts(walk, ladder),
    )


def walk_facts(walk: Walk, ladder: Ladder) -> dict[str, Any]:
    """What the template ``walked.html`` says of it."""
    drawn = drawing(walk, ladder)
    sessions = _last(walk.sessions)
    return {
        "walk": walk,
        "ladder": ladder,
        "tier_names": ("nothing", *ladder.tiers),
        "drawn": drawn,
        "not_drawn": more_events(drawn),
        "sessions": sessions,
        "first_number": len(walk.sessions) - len(sessions) + 1,
        "headline": headline(walk, ladder),
        "ending": ending(walk, ladder),
        "what": WHAT,
        "away": away,
        "came_from": came_from,
        "came_of": lambda mark: came_of(mark, ladder),
    }


def write_walk(walk: Walk, ladder: Ladder, written_at: datetime, path: Path) -> Path:
    """Put the page into a file, whole or not at all.  Raises ``UsageError`` where it cannot."""
    return write_page(render_walk(walk, ladder, written_at), path)


def _last(sessions: tuple[WalkSession, ...]) -> tuple[WalkSession, ...]:
    """The last sessions with ``MOST_ROWS`` events together, at least one."""
    rows = 0
    for place in range(len(sessions) - 1, -1, -1):
        rows += len(sessions[place].events)
        if rows > MOST_ROWS:
            return sessions[min(place + 1, len(sessions) - 1) :]
    return sessions
