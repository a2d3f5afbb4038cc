"""L6: asks more than one tier above what people held, against those in order."""

from __future__ import annotations

from answers.numbers import count, counted, percent
from answers.sections.section import OF_ASKS, Section, more_or_less
from ladder.rates import Rate
from ladder.tiers import Ladder
from warehouse.too_soon import TooSoon

SHOWN = 8


def too_soon_section(found: TooSoon | None, ladder: Ladder) -> Section | None:
    """None where nobody was asked for anything."""
    if found is None:
        return None
    return Section(
        "too_soon",
        "Too much too soon?",
        _said(found),
        {
            "groups": [("too soon", found.too_soon), ("in order", found.in_order)],
            "worst": [(ladder.tiers[step.tier - 1], step) for step in found.worst if step.asks][:SHOWN],
            "first": [(ladder.tiers[ask.asked.tier - 1], ask) for ask in found.first][:SHOWN],
        },
        (
            (
                "Too soon",
                "Asked for a tier more than one above the highest that the visitor held; the others are in order.",
            ),
            ("First ask", "The first thing that a visitor was ever asked for, and how long after the session began."),
            OF_ASKS,
        ),
    )


def _said(found: TooSoon) -> tuple[str, ...]:
    soon, in_order = found.too_soon, found.in_order
    if soon.asks == 0 and in_order.asks == 0:
        return ("No ask's conversion window has passed yet.",)
    if soon.asks == 0:
        return (f"None of {counted(in_order.asks, 'ask')} came too soon.",)
    if in_order.asks == 0:
        return (f"All of {counted(soon.asks, 'ask')} came too soon.",)
    yes = Rate(found.yes_rate_difference, found.yes_rate_difference_low, found.yes_rate_difference_high)
    lost = Rate(found.lost_share_difference, found.lost_share_difference_low, found.lost_share_difference_high)
    return (
        f"{count(soon.asks)} of {count(soon.asks + in_order.asks)} asks came too soon. Of these "
        f"{percent(soon.yes_rate)} got a yes, of those in order {percent(in_order.yes_rate)}: {more_or_less(yes)}.",
        f"Share of asks on which somebody was lost: {percent(soon.lost_share)} against {percent(in_order.lost_share)}: "
        f"{more_or_less(lost)}.",
    )
