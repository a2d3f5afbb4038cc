"""Where everything of a walk stands in its drawing: tiers from the bottom up, events from left to right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from answers.numbers import count, seconds, utc
from answers.walk_words import WHAT, away, came_of
from ladder.tiers import Ladder
from warehouse.walks import Walk, WalkEvent, WalkMark

MOST_EVENTS = 300
"""Events that mean something on the ladder; of a longer walk the last so many are drawn."""

_HEAD, _FOOT = 46, 30
_COLUMN, _ASIDE, _GAP, _MARGIN = 52, 20, 84, 26
_NARROWEST = 150
"""Pixels for what stands above a session."""


@dataclass(frozen=True)
class Rung:
    """A tier's line; ``tier`` 0 is the ground."""

    tier: int
    name: str
    y: int


@dataclass(frozen=True)
class Dot:
    """One mark.  ``look``: its role, for an ask with what came of it.  ``label``: how long an answer took."""

    x: int
    y: int
    look: str
    title: str
    label: str
    is_late: bool


@dataclass(frozen=True)
class Band:
    """One session.  ``away``: what stands in the gap before it."""

    x: int
    width: int
    title: str
    when: str
    away: str
    since: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Drawing:
    """All in pixels, from the top left.  ``way``: the path of what is held, ``ground``: the same, closed below.

    ``left_out``: events before the first one drawn.
    """

    width: int
    height: int
    rungs: tuple[Rung, ...]
    bands: tuple[Band, ...]
    dots: tuple[Dot, ...]
    way: str
    ground: str
    left_out: int


def drawing(walk: Walk, ladder: Ladder) -> Drawing:
    """Lay a walk out.  Events without a mark are not drawn."""
    row = 46 if len(ladder.tiers) <= 12 else 30
    lowest = _HEAD + row * len(ladder.tiers)
    names = ("nothing yet", *ladder.tiers)
    rungs = tuple(Rung(tier, name, lowest - row * tier) for tier, name in enumerate(names))
    left_out = max(0, sum(bool(event.marks) for event in walk.events()) - MOST_EVENTS)
    skip, x, held = left_out, _MARGIN, 0
    bands: list[Band] = []
    dots: list[Dot] = []
    corners: list[tuple[int, int]] = []
    for number, session in enumerate(walk.sessions, start=1):
        events = [event for event in session.events if event.marks]
        skipped, events = events[:skip], events[skip:]
        skip -= len(skipped)
        held = max([held, *(event.held for event in skipped)])
        if skipped and not events:
            continue
        if bands:
            x += _GAP
        begin, since = x, []
        corners.append((x, lowest - row * held))
        for event in events:
            place = x + _COLUMN // 2
            held = max(held, event.held)
            corners.append((place, lowest - row * held))
            since.append((place, _since_start(event, session.started_at.timestamp())))
            asides: Counter[int] = Counter()
            for mark in event.marks:
                shown = place + _ASIDE * asides[mark.tier]
                asides[mark.tier] += 1
                dots.append(_dot(event, mark, ladder, shown, lowest - row * mark.tier))
            x += _COLUMN + _ASIDE * (max(asides.values()) - 1)
        x = max(x, begin + _NARROWEST)
        corners.append((x, lowest - row * held))
        bands.append(
            Band(
                begin,
                x - begin,
                f"Session {number}",
                utc(session.started_at),
                away(session) if len(bands) > 0 else "",
                tuple(since),
            )
        )
    way = "".join(f"{'H' if i else 'M'}{px}{'V' if i else ' '}{py}" for i, (px, py) in enumerate(corners))
    ground = f"{way}V{lowest}H{corners[0][0]}Z" if corners else ""
    return Drawing(x + _MARGIN, lowest + _FOOT, rungs, tuple(bands), tuple(dots), way, ground, left_out)


def _dot(event: WalkEvent, mark: WalkMark, ladder: Ladder, x: int, y: int) -> Dot:
    look: str = mark.role
    if mark.role == "ask":
        look = f"ask {mark.answer or ('open' if mark.is_open else 'silent')}"
    note = came_of(mark, ladder)
    tier = ladder.tiers[mark.tier - 1]
    title = f"{utc(event.at)}: {WHAT[mark.role]}, {tier}, {mark.step} ({event.name}){note and f': {note}'}"
    label = seconds(mark.seconds) if mark.role in ("yes", "no") and mark.seconds is not None else ""
    return Dot(x, y, look, title + ("; came late" if event.is_late else ""), label, event.is_late)


def _since_start(event: WalkEvent, started_at: float) -> str:
    passed = event.at.timestamp() - started_at
    return seconds(passed) if passed > 0 else "start"


def more_events(drawn: Drawing) -> str:
    """What is not in the drawing; empty where all is."""
    if drawn.left_out == 0:
        return ""
    return f"The last {count(MOST_EVENTS)} events are drawn; {count(drawn.left_out)} earlier ones are not."
