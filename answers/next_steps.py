"""What to look at next: plain sentences that follow from the numbers, the most useful first."""

from __future__ import annotations

from collections.abc import Sequence

from answers.leaks import asked_when, find_leak
from answers.numbers import count, counted, interval, listing, percent
from ladder.tiers import Ladder, Role
from warehouse.query import StepRow, TierRow, Unit

WIDE = 0.2
"""An interval wider than this share says too little to act on (at a drop-off of one half: fewer than 93 asked)."""


def next_steps(
    unit: Unit, tiers: Sequence[TierRow], steps: Sequence[StepRow], ladder: Ladder, *, of_days: bool = False
) -> tuple[str, ...]:
    """Advice for one unit, each a sentence or two; ``steps`` may hold rows of the other unit too.

    ``of_days``: the rows are of some days, not of all there were.  Never empty: where nothing stands out it says so.
    """
    asked = asked_when(unit, of_days=of_days)
    # A visitor of earlier days counts there, whoever comes to a tier in these.
    comes_back = of_days and unit == "visitor"
    found = [
        *_worst_leak(unit, asked, tiers, steps, ladder),
        *_most_lost(unit, tiers),
        *_refusals(unit, tiers),
        *_too_few(unit, tiers),
        *_never_asked(unit, tiers, ladder),
        *_nothing_there(unit, tiers, ladder, is_told=not comes_back),
        *_unanswerable(unit, steps, ladder),
    ]
    return tuple(found) or (f"Nothing stands out: no {unit} {asked} was lost at any tier.",)


def worst_steps(unit: Unit, steps: Sequence[StepRow], ladder: Ladder) -> list[StepRow]:
    """The steps that were asked, from the surest loss to the least; none that the ladder has no yes for."""
    answerable = _steps_with("yes", ladder)
    asked = [row for row in steps if row.unit == unit and row.asked > 0 and (row.tier, row.step) in answerable]
    return sorted(asked, key=lambda row: (-row.drop_off_low, -row.drop_off, row.tier, row.step))


def _worst_leak(
    unit: Unit, asked: str, tiers: Sequence[TierRow], steps: Sequence[StepRow], ladder: Ladder
) -> list[str]:
    leak = find_leak(tiers)
    if leak is None or leak.tier.drop_off == 0 or _wide(leak.tier):
        return []
    tier = leak.tier
    said = (
        f"Start at {tier.name}: {count(tier.asked - tier.yes)} of {counted(tier.asked, unit)} {asked} did not go on "
        f"to a yes, {_measured(tier)}."
    )
    there = [row for row in worst_steps(unit, steps, ladder) if row.tier == tier.tier]
    if len(there) > 1:
        worst = there[0]
        said += f" Its worst step is “{worst.step}”: {_measured(worst)} of {count(worst.asked)} asked."
    return [said]


def _most_lost(unit: Unit, tiers: Sequence[TierRow]) -> list[str]:
    """Where the largest share and the largest number are lost at two different tiers, both of enough to judge."""
    leak = find_leak(tiers)
    if leak is None:
        return []
    most = max(tiers, key=lambda row: row.asked - row.yes)
    if _wide(most) or _wide(leak.tier):
        return []
    if most.asked - most.yes <= leak.tier.asked - leak.tier.yes:
        return []
    return [
        f"In numbers, most {unit}s are lost at {most.name}: {count(most.asked - most.yes)} of {count(most.asked)} "
        f"asked. Each point of drop-off won there keeps {_hundredth(most)} {unit}s, at {leak.tier.name} "
        f"{_hundredth(leak.tier)}."
    ]


def _refusals(unit: Unit, tiers: Sequence[TierRow]) -> list[str]:
    refused = [row for row in tiers if row.no >= 10 and row.no > row.silent]
    if not refused:
        return []
    parts = [
        f"{row.name} ({count(row.no)} of the {counted(row.no + row.silent, unit)} without a yes)" for row in refused
    ]
    return [
        f"People refuse rather than overlook what is asked at {listing(parts)}. Change the ask itself, not its place."
    ]


def _too_few(unit: Unit, tiers: Sequence[TierRow]) -> list[str]:
    few = [row for row in tiers if row.asked > 0 and _wide(row)]
    if not few:
        return []
    parts = [
        f"{row.name} ({count(row.asked)} asked, a drop-off of {interval(row.drop_off_low, row.drop_off_high)})"
        for row in few
    ]
    return [f"Too few {unit}s to judge: {listing(parts)}. Wait for more before you change anything there."]


def _never_asked(unit: Unit, tiers: Sequence[TierRow], ladder: Ladder) -> list[str]:
    said = []
    with_ask = {tier for tier, _ in _steps_with("ask", ladder)}
    unasked = [row for row in tiers if row.asked == 0 and row.implicit > 0]
    for named, why in (
        (False, 'The ladder names no ask there; give the event that shows it role = "ask" to see the drop-off.'),
        (True, "The ladder names an ask there, but none arrived: check that the page sends it."),
    ):
        parts = [f"{row.name} ({counted(row.implicit, unit)})" for row in unasked if (row.tier in with_ask) == named]
        if parts:
            said.append(f"Yeses without any ask on record: {listing(parts)}. {why}")
    return said


def _nothing_there(unit: Unit, tiers: Sequence[TierRow], ladder: Ladder, *, is_told: bool) -> list[str]:
    """``is_told``: whether nobody's being counted at a tier means that nobody came there."""
    said = []
    marked = {tier for tier, _ in _steps_with("ask", ladder) | _steps_with("yes", ladder)}
    empty = [row for row in tiers if row.asked == 0 and row.reached == 0]
    unmarked = [row.name for row in empty if row.tier not in marked]
    unmet = [row.name for row in empty if row.tier in marked]
    if unmarked:
        said.append(f"The ladder has no event for {listing(unmarked)}, so nothing is measured there.")
    if unmet and is_told:
        said.append(
            f"No {unit} holds an ask or a yes of {listing(unmet, 'or')}: nobody came there, or nothing is sent."
        )
    return said


def _unanswerable(unit: Unit, steps: Sequence[StepRow], ladder: Ladder) -> list[str]:
    answerable = _steps_with("yes", ladder)
    names = [
        f"“{row.step}” ({ladder.tiers[row.tier - 1]})"
        for row in steps
        if row.unit == unit and row.asked > 0 and (row.tier, row.step) not in answerable
    ]
    if not names:
        return []
    return [f"The ladder names no yes for {listing(names)}: give an ask and its yes the same step to see its drop-off."]


def _steps_with(role: Role, ladder: Ladder) -> set[tuple[int, str]]:
    return {(mark.tier, mark.step) for rule in ladder.rules for mark in rule.marks if mark.role == role}


def _wide(row: TierRow) -> bool:
    return row.drop_off_high - row.drop_off_low > WIDE


def _measured(row: TierRow | StepRow) -> str:
    return f"{percent(row.drop_off)} ({interval(row.drop_off_low, row.drop_off_high)})"


def _hundredth(row: TierRow) -> str:
    return count(row.asked // 100) if row.asked >= 1000 else f"{row.asked / 100:.1f}"
