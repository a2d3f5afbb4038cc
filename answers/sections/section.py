"""What every section of the report has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ladder.rates import Rate


@dataclass(frozen=True)
class Section:
    """``name``: of its template, and its address in the page.  ``said``: sentences that follow from the numbers.

    ``facts``: what the template shows.  ``terms``: words and their meaning.
    """

    name: str
    title: str
    said: tuple[str, ...]
    facts: Mapping[str, object] = field(default_factory=dict)
    terms: tuple[tuple[str, str], ...] = ()


def points(share: float) -> str:
    """A difference of shares without its sign: ``3.1 points``."""
    return f"{abs(100 * share):.1f} points"


def more_or_less(difference: Rate) -> str:
    """What may be said of a difference: ``3.1 points more (1.0 to 5.2)``; or, where 0 is in it, that nothing may."""
    low, high = sorted((abs(100 * difference.low), abs(100 * difference.high)))
    if difference.low > 0 or difference.high < 0:
        return f"{points(difference.value)} {'more' if difference.value > 0 else 'less'} ({low:.1f} to {high:.1f})"
    return (
        "a difference cannot be told from so few: anything from "
        f"{points(difference.low)} less to {points(difference.high)} more"
    )


OF_ASKS = (
    "95% interval",
    "Takes asks as independent. Several asks of one visitor are more alike than those of several visitors; where many "
    "rows hold several of the same visitor, the intervals are somewhat too narrow.",
)
"""A term for rates whose trials are asks, of which a visitor may have several."""
