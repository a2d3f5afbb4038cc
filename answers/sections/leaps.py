"""L3: what people held when they were asked for more, and where they were lost."""

from __future__ import annotations

from answers.numbers import count, counted, interval, percent
from answers.sections.section import Section
from ladder.tiers import Ladder
from warehouse.asks import Leap, Leaps


def leaps_section(found: Leaps | None, ladder: Ladder) -> Section | None:
    """None where nobody was asked for anything."""
    if found is None or not found.leaps:
        return None
    names = ("nothing", *ladder.tiers)
    asked = sorted({leap.tier for leap in found.leaps})
    by_place = {(leap.held_tier, leap.tier): leap for leap in found.leaps}
    rows = [
        {"held": held, "name": names[held], "cells": [by_place.get((held, tier)) for tier in asked]}
        for held in sorted({leap.held_tier for leap in found.leaps})
    ]
    return Section(
        "leaps",
        "Is the gradient smooth?",
        (*_gradient(found), _lost(found), *_where_most(found, names)),
        {"asked": [(tier, names[tier]) for tier in asked], "rows": rows},
        (
            (
                "Leap",
                "From the highest tier that a visitor held to the tier they were asked for, in all their sessions.",
            ),
            (
                "Gradient score",
                "How evenly the log-odds of a yes fall along the ways that people take, each weighing as many asks as "
                "took it: 1 where every step costs alike, 0 where one cliff carries the whole fall.",
            ),
            ("Lost", "People below the top whose last ask it was, and who never said yes again; each counts once."),
            (
                "In flight",
                "Asks whose conversion window is still open; they are in no rate, since a yes is known at once and a "
                "silence only in the end.",
            ),
        ),
    )


def _gradient(found: Leaps) -> tuple[str, ...]:
    if not found.gradients:
        return (
            "There is no gradient score: people were asked for no two ways up beyond the lowest tier, of which "
            "one may be steeper.",
        )
    return tuple(
        f"The gradient score is {one.score:.2f} ({one.low:.2f} to {one.high:.2f}): 1 is an even climb, 0 one cliff."
        for one in found.gradients
    )


def _lost(found: Leaps) -> str:
    if found.lost == 0:
        return "Nobody is known to be lost."
    ends = interval(found.long_leap_share_low, found.long_leap_share_high)
    return (
        f"Of {counted(found.lost, 'person', 'people')} lost, {count(found.lost_on_long_leaps)} "
        f"{'was' if found.lost_on_long_leaps == 1 else 'were'} lost on a leap of more than one "
        f"tier: {percent(found.long_leap_share)} ({ends})."
    )


def _where_most(found: Leaps, names: tuple[str, ...]) -> tuple[str, ...]:
    worst = max(found.leaps, key=lambda leap: leap.lost, default=None)
    if worst is None or worst.lost == 0:
        return ()
    return (f"Most people were lost {_way(worst, names)}: {count(worst.lost)}.",)


def _way(leap: Leap, names: tuple[str, ...]) -> str:
    return f"when asked for {names[leap.tier]} while they held {names[leap.held_tier]}"
