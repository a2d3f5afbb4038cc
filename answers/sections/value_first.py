"""L7: whether value comes first."""

from __future__ import annotations

from answers.numbers import counted, interval, percent
from answers.sections.section import Section, more_or_less
from ladder.comparisons import Compared
from ladder.tiers import Ladder
from warehouse.query import Unit
from warehouse.value_first import Value

_MEANS = {
    "gives": "something given",
    "takes": "something wanted",
    "both": "both at once",
    "neither": "neither",
}


def value_first_section(
    found: Value | None, effect: Compared | None, ladder: Ladder, unit: Unit = "visitor", when: str = ""
) -> Section | None:
    """``effect``: of a start that gives against one that takes.  ``unit`` and ``when``: as of ``standing_section``.

    None where nobody is known.
    """
    if found is None or found.units == 0:
        return None
    lowest = ladder.tiers[0]
    return Section(
        "value_first",
        "Does value come first?",
        (_starts(found, f"{counted(found.units, unit)} {when}".rstrip()), *_effect(effect, lowest)),
        {
            "starts": [(_MEANS[start.start], start) for start in found.starts if start.units],
            "unit": unit,
            "gives": [row for row in found.gives if row.given == "gives" and row.asks],
        },
        (
            ("Given", f"A reward, or content of the lowest tier ({lowest}). Wanted: an ask of a higher tier."),
            ("First ask", f"The first ask above {lowest}; a rate takes only those whose conversion window has passed."),
            ("Adjusted", "As if every row had been asked for the same mix of tiers, those that it was asked for."),
        ),
    )


def _starts(found: Value, whom: str) -> str:
    start = {start.start: start for start in found.starts}
    gives, takes = start["gives"], start["takes"]
    return (
        f"Of {whom} {percent(gives.share)} ({interval(gives.share_low, gives.share_high)}) were "
        f"given something first, and of {percent(takes.share)} ({interval(takes.share_low, takes.share_high)}) "
        "something was wanted first."
    )


def _effect(effect: Compared | None, lowest: str) -> tuple[str, ...]:
    if effect is None:
        return ()
    return (
        f"To their first ask above {lowest} people said yes {percent(effect.one.value)} of the time where something "
        f"was given first, {percent(effect.other.value)} where something was wanted first, tier by tier: "
        f"{more_or_less(effect.difference)}. What goes together need not be what causes it.",
    )
