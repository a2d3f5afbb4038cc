"""L1: where people stand."""

from __future__ import annotations

from answers.numbers import count, counted, interval, percent
from answers.sections.section import Section
from ladder.tiers import Ladder
from warehouse.query import Unit
from warehouse.stands import Stands


def standing_section(found: Stands | None, ladder: Ladder, unit: Unit = "visitor", when: str = "") -> Section | None:
    """``unit``: of whom they are; ``when``: words that follow, if not all.  None where nobody is known."""
    if found is None or found.units == 0:
        return None
    return Section(
        "standing",
        "Where do people stand?",
        (_ends(found, ladder, f"{counted(found.units, unit)} {when}".rstrip()), *_stages(found)),
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
    none_share = f"{percent(none.share)} ({interval(none.share_low, none.share_high)})"
    return (
        f"Of {whom} {count(none.units)} said yes to nothing: {none_share}. {count(top.units)} "
        f"{'stands' if top.units == 1 else 'stand'} at {ladder.tiers[-1]}, the top: {percent(top.share)} "
        f"({interval(top.share_low, top.share_high)})."
    )


def _stages(found: Stands) -> tuple[str, ...]:
    """Only visitors have one."""
    if not found.stages:
        return ()
    return (f"{', '.join(f'{percent(one.share)} are {one.stage}' for one in found.stages)}.",)
