"""Who stands where on the ladder: the highest tier that visitors or sessions said yes to, and the identity stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ladder.rates import wilson
from ladder.tiers import STAGES, Ladder, Stage
from warehouse.counted import Slice, sums


@dataclass(frozen=True)
class TierStand:
    """``units`` stand at this tier, 0 for no yes at all; a share of all, and of those who stand here or higher.

    Shares with the ends of their 95 % intervals (0, 0 to 1 of nobody).
    """

    tier: int
    name: str
    stage: Stage
    units: int
    share: float
    share_low: float
    share_high: float
    at_least: int
    at_least_share: float
    at_least_share_low: float
    at_least_share_high: float


@dataclass(frozen=True)
class StageStand:
    """How many visitors are at an identity stage; shares as in ``TierStand``."""

    stage: Stage
    units: int
    share: float
    share_low: float
    share_high: float


@dataclass(frozen=True)
class Stands:
    """Of some units: none first, then every tier of the ladder.  ``stages`` of visitors, from the first to the last."""

    units: int
    tiers: tuple[TierStand, ...]
    stages: tuple[StageStand, ...]


@dataclass(frozen=True)
class Standing:
    """``by``: by the value of the slice's segment, the value of most units first; empty without one."""

    of: Slice
    all: Stands
    by: Mapping[str, Stands]

    def to_dict(self) -> dict[str, Any]:
        """For ``yesladder standing --json``."""
        found = {"unit": self.of.unit, **asdict(self.all)}
        if self.of.segment is not None:
            found |= {"segment": self.of.segment, "by": {value: asdict(stands) for value, stands in self.by.items()}}
        return found


def standing(warehouse: Path, ladder: Ladder, of: Slice) -> Standing:
    """Where they stand by now who had their first event on the days of the slice.

    Raises ``UsageError`` where no marts were built with this ladder.
    """
    whole = _by_value(warehouse, ladder, of.of_all).get("", Counter())
    by = {} if of.segment is None else _by_value(warehouse, ladder, of)
    ordered = sorted(by.items(), key=lambda item: (-item[1].total(), item[0]))
    stands = {value: _stands(ladder, of, units) for value, units in ordered}
    return Standing(of, _stands(ladder, of, whole), stands)


def _by_value(warehouse: Path, ladder: Ladder, of: Slice) -> dict[str, Counter[int]]:
    """Units by segment value and highest tier."""
    found: dict[str, Counter[int]] = {}
    for value, tier, units in sums(warehouse, ladder, "fct_standing", ("tier",), ("units",), of):
        found.setdefault(value, Counter())[tier] = units
    return found


def _stands(ladder: Ladder, of: Slice, units: Counter[int]) -> Stands:
    all_units = units.total()
    tiers, stages = [], Counter[Stage]()
    for tier, name in enumerate(("none", *ladder.tiers)):
        here, at_least = units[tier], sum(n for other, n in units.items() if other >= tier)
        stages[ladder.stage_of(tier)] += here
        shares = (*wilson(here, all_units), at_least, *wilson(at_least, all_units))
        tiers.append(TierStand(tier, name, ladder.stage_of(tier), here, *shares))
    return Stands(
        all_units,
        tuple(tiers),
        tuple(
            StageStand(stage, stages[stage], *wilson(stages[stage], all_units))
            for stage in STAGES
            if of.unit == "visitor"
        ),
    )
