"""L16: how long people take to answer, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, log10, sqrt

from answers.numbers import count, interval, percent, seconds
from answers.sections.section import Section
from ladder.rates import Z_95
from ladder.tiers import Ladder
from warehouse.asks import Hesitation

SHOWN = 15
ENOUGH = 30
"""Answers to a step before anything is said of it."""
_FASTEST_S, _SLOWEST_S = 0.1, 100_000.0


def hesitation_section(found: Sequence[Hesitation], ladder: Ladder) -> Section | None:
    """None where there is no answer to an ask whose conversion window has passed."""
    if not found:
        return None
    ranked = sorted(found, key=lambda row: -row.answers)[:SHOWN]
    ranked.sort(key=lambda row: (row.tier, row.step))
    return Section(
        "hesitation",
        "Where do people hesitate?",
        (*_longest(found, ladder), *_unthinking(found, ladder)),
        {
            "rows": [
                (
                    ladder.tiers[row.tier - 1],
                    row,
                    [_place(t) for t in (row.p10_seconds, row.median_seconds, row.p90_seconds)],
                )
                for row in ranked
            ],
            "more": len(found) - len(ranked),
            "ticks": [(_place(t), seconds(t)) for t in (1, 60, 3600)],
        },
        (("Unthinking", "Answered in under a second."), ("Pondered", "Answered after a minute or more.")),
    )


def _longest(found: Sequence[Hesitation], ladder: Ladder) -> tuple[str, ...]:
    """The slowest step is named where its median is surely the longest."""
    ranked = sorted((row for row in found if row.answers >= ENOUGH), key=lambda row: -row.median_seconds)
    if not ranked:
        return (f"No step has {ENOUGH} answers yet.",)
    slowest, *others = ranked
    of_some = len(ranked) < len(found)
    if not others and of_some:
        return (
            f"Only “{slowest.step}” of tier {ladder.tiers[slowest.tier - 1]} has {ENOUGH} answers or more: the "
            f"median time of {count(slowest.answers)} is {seconds(slowest.median_seconds)}.",
        )
    which = f"Of the {count(len(ranked))} steps with {ENOUGH} answers or more " if of_some else ""
    if others and max(_median_between(row)[1] for row in others) >= _median_between(slowest)[0]:
        fastest = seconds(others[-1].median_seconds)
        none = f"{which}none" if of_some else "No step"
        return (f"{none} stands out: their median times lie between {fastest} and {seconds(slowest.median_seconds)}.",)
    return (
        f"{which}{'the' if of_some else 'The'} longest thought about is “{slowest.step}” of tier "
        f"{ladder.tiers[slowest.tier - 1]}: half of {count(slowest.answers)} answers took more than "
        f"{seconds(slowest.median_seconds)}, a tenth more than {seconds(slowest.p90_seconds)}.",
    )


def _median_between(row: Hesitation) -> tuple[float, float]:
    """About where the true median lies: as of a log-normal with this median and these tenths.

    The standard error of a normal median is 1.2533 deviations / sqrt(n); from one tenth to the other are 2.5631.
    """
    if row.p10_seconds <= 0:
        return 0.0, row.p90_seconds
    deviation = log(row.p90_seconds / row.p10_seconds) / 2.5631
    factor = exp(Z_95 * 1.2533 * deviation / sqrt(row.answers))
    return row.median_seconds / factor, row.median_seconds * factor


def _unthinking(found: Sequence[Hesitation], ladder: Ladder) -> tuple[str, ...]:
    """The step that surely has most of them, if it is a tenth or more of its answers."""
    quick = max(found, key=lambda row: row.unthinking_share_low)
    if quick.unthinking_share_low < 0.1:
        return ()
    return (
        f"“{quick.step}” of tier {ladder.tiers[quick.tier - 1]} is answered without thinking, in under a second, "
        f"{percent(quick.unthinking_share)} of the time "
        f"({interval(quick.unthinking_share_low, quick.unthinking_share_high)}).",
    )


def _places(row: Hesitation) -> list[float]:
    return [_place(time_s) for time_s in (row.p10_seconds, row.median_seconds, row.p90_seconds)]


def _place(time_s: float) -> float:
    """Where a time stands between the ends of the axis, in per cent; each decade is as wide as the next."""
    within = min(max(time_s, _FASTEST_S), _SLOWEST_S)
    return round(100 * log10(within / _FASTEST_S) / log10(_SLOWEST_S / _FASTEST_S), 2)
