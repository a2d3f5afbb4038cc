"""Where the ladder leaks most, and how surely: one judgement for the page, the terminal and the advice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from answers.numbers import count, counted, interval, listing, percent
from warehouse.query import TierRow, Unit


@dataclass(frozen=True)
class Leak:
    """The tier that loses the largest share for sure, and the tiers that its interval cannot rule out.

    ``rivals``: the tiers whose interval reaches as high as the lower end of this one's; from the largest drop-off.
    """

    tier: TierRow
    rivals: tuple[TierRow, ...]


def find_leak(tiers: Sequence[TierRow]) -> Leak | None:
    """The tier whose drop-off has the highest lower end; None where nobody was asked anything.

    The lower end ranks, not the measured share: one visitor of one lost is 100% measured and says little.
    Of two equal ones the lower tier is named.
    """
    asked = [row for row in tiers if row.asked > 0]
    if not asked:
        return None
    worst = max(asked, key=lambda row: (row.drop_off_low, row.drop_off, -row.tier))
    rivals = [row for row in asked if row is not worst and row.drop_off_high >= worst.drop_off_low]
    return Leak(worst, tuple(sorted(rivals, key=lambda row: -row.drop_off)))


def asked_when(unit: Unit, *, of_days: bool) -> str:
    """How sentences say whom they are of: in a report on days a visitor counts where they were asked first."""
    return "first asked in these days" if of_days and unit == "visitor" else "asked"


def headline(unit: Unit, tiers: Sequence[TierRow], *, of_days: bool = False) -> str:
    """The one sentence to remember, which claims no more than the intervals carry.

    ``of_days``: the rows are of some days, not of all there were.
    """
    asked = asked_when(unit, of_days=of_days)
    leak = find_leak(tiers)
    if leak is None:
        return _without_asks(unit, tiers, of_days=of_days)
    worst, rivals = leak.tier, leak.rivals
    if worst.drop_off == 0:
        least = max(tiers, key=lambda row: (row.asked > 0, row.drop_off_high))
        return (
            f"Nobody was lost: at every tier all the {unit}s {asked} went on to a yes. Least is known of tier "
            f"{least.tier}, {least.name}: with {count(least.asked)} asked, up to {percent(least.drop_off_high)} might "
            f"drop off all the same (95% interval)."
        )
    measured = f"{percent(worst.drop_off)} (95% interval {interval(worst.drop_off_low, worst.drop_off_high)})"
    loss = f"of {counted(worst.asked, unit)} {asked}, {measured} did not go on to a yes"
    if len([row for row in tiers if row.asked > 0]) == 1:
        return f"Only tier {worst.tier}, {worst.name}, has asks on record{' of these days' if of_days else ''}: {loss}."
    if not rivals:
        return (
            f"The largest drop-off is at tier {worst.tier}, {worst.name}: {loss}, clearly more than at any other tier."
        )
    larger = [
        f"{row.name} ({percent(row.drop_off)} of {count(row.asked)})" for row in rivals if row.drop_off > worst.drop_off
    ]
    close = [row.name for row in rivals if row.drop_off <= worst.drop_off]
    said = f"The largest drop-off seems to be at tier {worst.tier}, {worst.name}: {loss}."
    if larger:
        said += f" More was measured at {listing(larger)}, of too few to be sure."
    if close:
        said += f" It may be as large at {listing(close, 'or')}."
    return said


def _without_asks(unit: Unit, tiers: Sequence[TierRow], *, of_days: bool) -> str:
    reached = [row for row in tiers if row.reached > 0]
    if not reached:
        if of_days:
            if unit == "visitor":
                return "No visitor was first asked for any tier in these days, or first said a yes of one."
            return "No session of these days holds an ask or a yes of any tier."
        return f"Nobody has been asked anything yet: no {unit} holds an ask or a yes of any tier."
    top = reached[-1]
    return (
        f"No ask is on record{' of these days' if of_days else ''}, so no drop-off can be measured; "
        f"{count(top.reached)} of the {unit}s said a yes of tier {top.tier}, {top.name}, the highest that anyone "
        "reached."
    )
