"""A walk in words: the same for the terminal and the page."""

from __future__ import annotations

from answers.numbers import count, seconds, utc
from ladder.tiers import Ladder
from warehouse.walks import Walk, WalkMark, WalkSession

WHAT = {
    "ask": "asked",
    "yes": "said yes",
    "no": "said no",
    "reward": "got the reward",
    "cheer": "was cheered",
    "regret": "took it back",
}
"""What happened to the visitor, by role."""


def headline(walk: Walk, ladder: Ladder) -> str:
    """How far it went, and over what."""
    asks = walk.asks()
    answers = [ask.answer for ask in asks]
    silent = sum(ask.answer is None and not ask.is_open for ask in asks)
    waiting = sum(ask.is_open for ask in asks)
    way = f"Climbed to {ladder.tiers[walk.held - 1]}, tier {walk.held}" if walk.held else "Said yes to nothing"
    sittings = _number(len(walk.sessions), "session")
    begun, ended = walk.sessions[0].started_at, max(session.ended_at for session in walk.sessions)
    asked = f"{_number(len(asks), 'ask')}: {answers.count('yes')} yes, {answers.count('no')} no, {silent} silent"
    return (
        f"{way}, in {sittings} over {seconds((ended - begun).total_seconds())}. "
        + (asked if asks else "Never asked for anything")
        + (f", {waiting} still open." if waiting else ".")
    )


def ending(walk: Walk, ladder: Ladder) -> str:
    """Where it ended, and what the last ask came to."""
    ended = max(session.ended_at for session in walk.sessions)
    asks = walk.asks()
    if not asks:
        return f"Last seen {utc(ended)}."
    last = asks[-1]
    came = "may still be answered" if last.is_open else {"yes": "got a yes", "no": "got a no"}.get(last.answer or "")
    tier = ladder.tiers[last.tier - 1]
    return f"Last seen {utc(ended)}. The last ask, “{last.step}” of tier {tier}, {came or 'got no answer'}."


def came_of(mark: WalkMark, ladder: Ladder) -> str:
    """What is to be said of a mark beyond its name; empty for nothing."""
    if mark.role == "ask":
        leap = mark.tier - (mark.held or 0)
        words = [f"{mark.answer} after {seconds(mark.seconds)}"] if mark.answer and mark.seconds is not None else []
        if not words:
            words.append("may still be answered" if mark.is_open else "no answer")
        if leap > 1:
            holding = ladder.tiers[mark.held - 1] if mark.held else "nothing"
            words.append(f"a leap of {leap} tiers, holding {holding}")
        return "; ".join(words)
    if mark.role in ("yes", "no"):
        return "not the answer to an ask" if mark.seconds is None else f"after {seconds(mark.seconds)}"
    return ""


def came_from(session: WalkSession) -> str:
    """How the session was reached, as far as its events say."""
    campaign = " / ".join(part for part in (session.utm_source, session.utm_medium, session.utm_campaign) if part)
    parts = [campaign or session.referrer or "", session.device_class or ""]
    return ", ".join(part for part in parts if part)


def away(session: WalkSession) -> str:
    """How long the person was away before it; empty for the first."""
    return "" if session.away_seconds is None else f"{seconds(session.away_seconds)} later"


def _number(number: int, of: str) -> str:
    return f"{count(number)} {of}{'' if number == 1 else 's'}"
