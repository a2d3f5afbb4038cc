"""What a simulated visitor can be asked and can do on a ladder: events derived from its own rules.

Each event is made from one rule, and carries all marks that the whole ladder gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ladder.errors import UsageError
from ladder.tiers import Ladder, Mark, Role, Rule


@dataclass(frozen=True)
class Template:
    """One kind of event."""

    name: str
    properties: str
    marks: tuple[Mark, ...]

    def has(self, role: Role) -> bool:
        return any(mark.role == role for mark in self.marks)


@dataclass(frozen=True)
class Ask:
    """One step of a tier; numbers are places in ``Script.templates``.

    ``shown``: the event that asks and does nothing else.  None: either it comes along with another event
    (``is_carried``), or the ladder knows no ask of this tier and the yes comes unasked.
    ``yes``, ``no``, ``reward``, ``cheer``, ``regret``: the events that may follow; all but ``yes`` may be none.
    """

    tier: int
    step: str
    shown: int | None
    is_carried: bool
    yes: tuple[int, ...]
    no: tuple[int, ...]
    reward: tuple[int, ...]
    cheer: tuple[int, ...]
    regret: tuple[int, ...]

    @property
    def can_start(self) -> bool:
        return not self.is_carried


@dataclass(frozen=True)
class Script:
    """``rungs``: the tiers that have a yes, from the lowest, each with its asks."""

    templates: tuple[Template, ...]
    rungs: tuple[tuple[Ask, ...], ...]

    def carried_ask(self, template: int, above: int) -> tuple[int, int] | None:
        """The lowest ask above a tier that an event brings along, as rung and place in it."""
        asked = sorted(
            (mark.tier, mark.step)
            for mark in self.templates[template].marks
            if mark.role == "ask" and mark.tier > above
        )
        for tier, step in asked:
            for rung, asks in enumerate(self.rungs):
                for place, ask in enumerate(asks):
                    if (ask.tier, ask.step) == (tier, step):
                        return rung, place
        return None


def script_of(ladder: Ladder) -> Script:
    """Raises ``UsageError`` for a ladder on which nobody can say yes, or nobody can be asked first."""
    templates = tuple(dict.fromkeys(_template(ladder, rule) for rule in ladder.rules))
    rungs = tuple(asks for tier in range(1, len(ladder.tiers) + 1) if (asks := _asks(templates, tier)))
    if not any(ask.can_start for asks in rungs for ask in asks):
        raise UsageError(
            f"the ladder {ladder.name} has no event to begin with: an ask alone, or a yes of a tier without"
        )
    return Script(templates, rungs)


def _template(ladder: Ladder, rule: Rule) -> Template:
    name = rule.event if rule.event is not None else f"{rule.marks[0].step} {rule.marks[0].role}"
    properties: Mapping[str, object] = dict(rule.where)
    return Template(name, msgspec.json.encode(properties).decode(), ladder.marks_of(name, properties))


def _asks(templates: tuple[Template, ...], tier: int) -> tuple[Ask, ...]:
    def places(role: Role, step: str, alone: bool) -> tuple[int, ...]:
        """Events with this role, of the step where there are such, else of the tier."""
        found = {
            place: mark.step
            for place, template in enumerate(templates)
            for mark in template.marks
            if (mark.tier, mark.role) == (tier, role) and not (alone and (template.has("yes") or template.has("ask")))
        }
        of_step = tuple(place for place, own in found.items() if own == step)
        return of_step or tuple(found)

    def ask(step: str, shown: int | None, is_carried: bool) -> Ask:
        return Ask(
            tier,
            step,
            shown,
            is_carried,
            yes=places("yes", step, alone=False),
            no=places("no", step, alone=True),
            reward=tuple(place for place in places("reward", step, alone=False) if not templates[place].has("yes")),
            cheer=places("cheer", step, alone=True),
            regret=places("regret", step, alone=True),
        )

    own = [(place, mark) for place, template in enumerate(templates) for mark in template.marks if mark.tier == tier]
    yes_steps = [mark.step for _, mark in own if mark.role == "yes"]
    if not yes_steps:
        return ()
    steps = dict.fromkeys(mark.step for _, mark in own if mark.role == "ask")
    if not steps:
        return (ask(yes_steps[0], None, is_carried=False),)
    asks = []
    for step in steps:
        shown = next(
            (
                place
                for place, mark in own
                if (mark.role, mark.step) == ("ask", step)
                and all(each.role == "ask" for each in templates[place].marks)
            ),
            None,
        )
        asks.append(ask(step, shown, is_carried=shown is None))
    return tuple(asks)
