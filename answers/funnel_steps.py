"""What a step of a question means: which events may fill it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from answers.funnel_conditions import Compare, Condition, all_of
from answers.funnel_question import Question
from ladder.errors import UsageError
from ladder.tiers import ROLES, Ladder, Mark, Role

JSON = "properties."
"""Before a property's name: of the event's own properties, whatever columns there are."""


@dataclass(frozen=True)
class Kind:
    """Events of one name (any where None) of which the condition, if any, is true."""

    event: str | None
    condition: Condition | None = None


@dataclass(frozen=True)
class Meaning:
    """A question with its steps and exclusions looked up: an event of any of the kinds is meant."""

    steps: tuple[tuple[Kind, ...], ...]
    exclusions: tuple[tuple[Kind, ...], ...]

    @property
    def any_name(self) -> bool:
        """Whether some events are meant by their properties alone."""
        return any(kind.event is None for kinds in (*self.steps, *self.exclusions) for kind in kinds)

    @property
    def known_names(self) -> frozenset[str]:
        """The names of the events that are meant by name."""
        kinds = [kind for kinds in (*self.steps, *self.exclusions) for kind in kinds]
        return frozenset(kind.event for kind in kinds if kind.event is not None)


def meaning_of(question: Question, ladder: Ladder) -> Meaning:
    """Look all steps and exclusions up.  ``UsageError`` for a tier, role or step that the ladder does not have."""
    return Meaning(
        tuple(kinds_of(step, ladder) for step in question.steps),
        tuple(kinds_of(exclusion.event, ladder) for exclusion in question.exclusions),
    )


def kinds_of(step: str, ladder: Ladder) -> tuple[Kind, ...]:
    """The events that ``NAME``, ``event:NAME``, ``tier:NAME[:ROLE]`` or ``step:NAME[:ROLE]`` means."""
    what, colon, rest = step.partition(":")
    if not colon or what not in ("event", "tier", "step"):
        return (Kind(step),)
    if what == "event":
        return (Kind(rest),)
    if what == "tier":
        name, role = _name_and_role(step, rest, ladder.tiers)
        marked = _kinds(ladder, lambda mark: mark.tier == ladder.tiers.index(name) + 1 and mark.role == role)
    else:
        names = list(dict.fromkeys(mark.step for rule in ladder.rules for mark in rule.marks))
        name, role = _name_and_role(step, rest, names)
        marked = _kinds(ladder, lambda mark: mark.step == name and mark.role == role)
    if not marked:
        raise UsageError(f"{step!r}: no event of the ladder {ladder.name!r} is the {role} of {name!r}")
    return marked


def properties_of(question: Question, meaning: Meaning) -> frozenset[str]:
    """The properties that it takes to answer, as they are written; the unit's own apart."""
    conditions = [question.where, *(condition for _, condition in question.step_where)]
    conditions += [kind.condition for kinds in (*meaning.steps, *meaning.exclusions) for kind in kinds]
    found = frozenset().union(*(one.properties() for one in conditions if one is not None))
    return found | {name for name in (question.by, question.hold) if name is not None}


def _name_and_role(step: str, rest: str, names: Sequence[str]) -> tuple[str, Role]:
    if rest in names:
        return rest, "yes"
    name, _, last = rest.rpartition(":")
    for role in ROLES:
        if last == role and name in names:
            return name, role
    known = ", ".join(names) or "none"
    raise UsageError(
        f"{step!r}: the ladder has no such {step.partition(':')[0]}; it has {known}, and the roles {', '.join(ROLES)} "
        "(an event of this name is written event:NAME)"
    )


def _kinds(ladder: Ladder, meant: Callable[[Mark], bool]) -> tuple[Kind, ...]:
    found = []
    for rule in ladder.rules:
        if any(meant(mark) for mark in rule.marks):
            equal = [Compare(JSON + key, "=", (value,)) for key, value in rule.where.items()]
            found.append(Kind(rule.event, all_of(equal)))
    return tuple(dict.fromkeys(found))
