"""Friction points: leaps that lose more people than their neighbours, with a name and what the ladder lacks there."""

from __future__ import annotations

from collections.abc import Iterable

from answers.audit_facts import Friction
from answers.audit_kinds import Kind, bridges_on, kind_of
from answers.audit_leaps import Comparison
from answers.audit_words import quoted, tier_called
from answers.numbers import count, interval, listing, percent
from ladder.rates import wilson
from ladder.tiers import Ladder
from warehouse.ways import Way

HAD_IT = 0.5
"""Where surely more than this share had done the step in between, it is not what is missing."""


def frictions(compared: Iterable[Comparison], family: int, ladder: Ladder) -> tuple[Friction, ...]:
    """Of the ways compared those that lose more, the surest first; ``family``: comparisons made in all."""
    found = [one for one in compared if one.is_friction(family)]
    return tuple(_friction(one, family, ladder) for one in sorted(found, key=lambda one: -one.times(family)[1]))


def in_short(number: int, compared: int) -> str:
    """How many of the leaps compared are friction points."""
    if compared == 0:
        return "No leap has been asked of enough people to compare it with its neighbours."
    if number == 0:
        return f"None of {count(compared)} leaps compared loses more people than its neighbours let expect."
    lose = "loses" if number == 1 else "lose"
    return f"{count(number)} of {count(compared)} leaps compared {lose} more people than the neighbours let expect."


def _friction(one: Comparison, family: int, ladder: Ladder) -> Friction:
    way = one.way
    kind = kind_of((way.tier, way.step), way.held_tier, ladder)
    if kind is not None and wilson(way.bridged, way.asked).low > HAD_IT:
        kind = None
    there = () if kind is None else tuple(step for _, step in bridges_on(ladder).get((way.tier, way.step), ()))
    held, name = tier_called(way.held_tier, ladder), tier_called(way.tier, ladder)
    return Friction(
        kind="leap" if kind is None else kind.name,
        title=f"A steep leap from {held} to {name}" if kind is None else kind.title,
        held_tier=way.held_tier,
        held=("nothing", *ladder.tiers)[way.held_tier],
        tier=way.tier,
        name=ladder.tiers[way.tier - 1],
        step=way.step,
        asked=way.asked,
        yes=way.yes,
        **_rate(way),
        lost=way.lost,
        compared_with=one.against,
        expected_rate=one.expected_rate,
        **_times(one, family),
        lacks=_lacks(way, kind, there, ladder),
        there=there,
        bridged=way.bridged,
        said=_said(one, family),
        sessions=way.sessions,
    )


def _rate(way: Way) -> dict[str, float]:
    return dict(zip(("yes_rate", "yes_rate_low", "yes_rate_high"), wilson(way.yes, way.asked), strict=True))


def _times(one: Comparison, family: int) -> dict[str, float]:
    names = ("odds_times_lower", "odds_times_lower_low", "odds_times_lower_high")
    return dict(zip(names, one.times(family), strict=True))


def _said(one: Comparison, family: int) -> str:
    rate = wilson(one.way.yes, one.way.asked)
    times, low, high = one.times(family)
    compared = "comparison" if family == 1 else "comparisons"
    return (
        f"Of {count(one.way.asked)} people asked, {percent(rate.value)} said yes ({interval(rate.low, rate.high)}). "
        f"Measured by {one.against}, it would be {percent(one.expected_rate)}: the odds of a yes are {times:.1f} times "
        f"lower ({low:.1f} to {high:.1f}, adjusted for {count(family)} {compared})."
    )


def _lacks(way: Way, kind: Kind | None, there: tuple[str, ...], ladder: Ladder) -> str:
    if kind is None:
        return _lacks_between(way, ladder)
    if not there:
        return f"{kind.lacks} The ladder has no such step."
    steps = listing([quoted(step) for step in there])
    return (
        f"{kind.lacks} The ladder has {steps}, but only {count(way.bridged)} of the {count(way.asked)} people asked "
        "had done it before."
    )


def _lacks_between(way: Way, ladder: Ladder) -> str:
    """For a leap over tiers what the ladder has in between, else that there is nothing."""
    held, name = tier_called(way.held_tier, ladder), tier_called(way.tier, ladder)
    steps = dict.fromkeys(
        (mark.tier, mark.step)
        for rule in ladder.rules
        for mark in rule.marks
        if mark.role == "yes" and way.held_tier < mark.tier < way.tier
    )
    between = [f"{quoted(step)} ({tier_called(tier, ladder)})" for tier, step in sorted(steps)]
    if between:
        return f"A smaller yes first: the ladder has {listing(between, 'or')} between {held} and {name}."
    return f"A smaller yes in between: the ladder has none between {held} and {name}."
