"""L1: where people stand."""

from __future__ import annotations

from answers.numbers import count, interval, percent
from answers.sections.section import Section
from ladder.tiers import Ladder
from warehouse.query import Unit
from warehouse.stands import Stands


def standing_section(
    found: Stands | None, ladder: Ladder, unit: Unit = "visitor", whom: str | None = None
) -> Section | None:
    """``unit``: of whom they are; ``whom``: how these are called if not all.  None where nobody is known."""
    if found is None or found.units == 0:
        return None
    return Section(
        "standing",
        "Where do people stand?",
        (_ends(found, ladder, whom or f"{unit}s"), *_stages(found)),
        {"tiers": found.tiers, "stages": found.stages, "unit": unit},
        (
            ("Stands", f"At the highest tier that the {unit} ever said yes to, asked or not; taken back or not."),
            (
                "Stage",
                "Curious: no yes. Aware: in the lower half of the tiers. Evaluating: above. Committed: the top.",
            ),
        ),
    )


def _ends(found: Stands, ladder: Ladder, whom: str) -> str:
    none, top = found.tiers[0], found.tiers[-1]
    return (
        f"Of {count(found.units)} {whom} {count(none.units)} said yes to nothing: {percent(none.share)} "
        f"({interval(none.share_low, none.share_high)}). {count(top.units)} stand at {ladder.tiers[-1]}, the top: "
        f"{percent(top.share)} ({interval(top.share_low, top.share_high)})."
    )


def _stages(found: Stands) -> tuple[str, ...]:
    """Only visitors have one."""
    if not found.stages:
        return ()
    return (f"{', '.join(f'{percent(one.share)} are {one.stage}' for one in found.stages)}.",)
