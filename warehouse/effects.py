"""Whether those who did something before an ask answer it otherwise than those who did not: counted, not explained."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from ladder.comparisons import Compared, compared
from ladder.tiers import Ladder
from warehouse.asks import after_yes
from warehouse.counted import Slice, sums

_ALL = Slice()


def of_an_earlier_yes(warehouse: Path, ladder: Ladder, of: Slice = _ALL) -> dict[str, Compared]:
    """By segment value: the yes-rate of asks after any yes against those after none, tier by tier.

    A value without a tier that was asked both ways has no entry.  Raises as ``warehouse.asks.momentum`` does.
    """
    after: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    before: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    rows = sums(
        warehouse, ladder, "fct_momentum", ("bucket", "tier"), ("asks", "yes"), of, "grouped_by = 'earlier yeses'"
    )
    for value, bucket, tier, asks, yes in rows:
        group = before if bucket == "0" else after
        yes_so_far, asks_so_far = group[value].get(tier, (0, 0))
        group[value][tier] = (yes_so_far + yes, asks_so_far + asks)
    found = {value: compared(after[value], before[value]) for value in sorted({*after, *before})}
    return {value: result for value, result in found.items() if result is not None}


def of_a_cheer(warehouse: Path, ladder: Ladder, of: Slice = _ALL) -> dict[str, Compared]:
    """By segment value: the yes-rate of the next ask after a yes that was cheered against one that was not.

    Step by step of that yes.  Otherwise as ``of_an_earlier_yes``.
    """
    cheered: dict[str, dict[tuple[int, str], tuple[int, int]]] = defaultdict(dict)
    uncheered: dict[str, dict[tuple[int, str], tuple[int, int]]] = defaultdict(dict)
    for row in after_yes(warehouse, ladder, of):
        step = row.tier, row.step
        cheered[row.segment_value][step] = row.next_yes_cheered, row.next_asks_cheered
        uncheered[row.segment_value][step] = row.next_yes_uncheered, row.next_asks_uncheered
    found = {value: compared(own, uncheered[value]) for value, own in cheered.items()}
    return {value: result for value, result in found.items() if result is not None}


def of_a_gift(warehouse: Path, ladder: Ladder, of: Slice = _ALL) -> dict[str, Compared]:
    """By segment value: the yes-rate of the first ask above the lowest tier after a start that gives, against takes.

    Tier by tier.  Otherwise as ``of_an_earlier_yes``.
    """
    gives: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    takes: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    sides = {"gives": gives, "takes": takes}
    for value, start, tier, asks, yes in sums(warehouse, ladder, "fct_starts", ("start", "tier"), ("asks", "yes"), of):
        if start in sides:
            sides[start][value][tier] = yes, asks
    found = {value: compared(gives[value], takes[value]) for value in sorted({*gives, *takes})}
    return {value: result for value, result in found.items() if result is not None}
