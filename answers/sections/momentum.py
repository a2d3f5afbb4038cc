"""L4: whether one yes makes the next more likely."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from answers.numbers import percent
from answers.sections.section import OF_ASKS, Section, more_or_less
from ladder.comparisons import Compared
from ladder.tiers import Ladder
from warehouse.asks import Momentum

_HEADINGS = {
    "earlier yeses": "By how many yeses came before",
    "tier held": "By the highest tier held",
    "since the last yes": "By the time since the last yes",
}


def momentum_section(found: Sequence[Momentum], effect: Compared | None, ladder: Ladder) -> Section | None:
    """``effect``: of an earlier yes; None where nothing can be compared.  None where no ask's window has passed."""
    if not found:
        return None
    names = ("nothing", *ladder.tiers)
    groups = [
        (
            _HEADINGS[grouped_by],
            [(names[int(row.bucket)] if grouped_by == "tier held" else row.bucket, row) for row in rows],
        )
        for grouped_by, rows in groupby(found, key=lambda row: row.grouped_by)
    ]
    return Section(
        "momentum",
        "Do yeses build momentum?",
        _said(effect),
        {"groups": groups},
        (
            (
                "Adjusted",
                "As if every row had been asked for the same mix of tiers. A tier that a row was never asked for is "
                "left out of it, so rows that share few tiers compare badly.",
            ),
            OF_ASKS,
        ),
    )


def _said(effect: Compared | None) -> tuple[str, ...]:
    if effect is None:
        return ("No tier was asked both of people who had said yes before and of people who had not.",)
    return (
        f"After at least one yes people said yes to {percent(effect.one.value)} of what they were asked, before any to "
        f"{percent(effect.other.value)}, as if both had been asked for the same tiers: "
        f"{more_or_less(effect.difference)}.",
        "Whether the yes made the difference, or the shorter leap, or willing people say yes more often anyway, these "
        "numbers cannot tell.",
    )
