"""The friction points that are known by name, as data (``audit_kinds.toml``), and which steps they are about."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec

from answers.audit_words import names_any, words
from ladder.tiers import Ladder

Step = tuple[int, str]
"""A tier and a step of it."""


@dataclass(frozen=True)
class Kind:
    """What the table's head says of each field."""

    name: str
    title: str
    asks: tuple[str, ...]
    bridges: tuple[str, ...]
    lacks: str
    whole: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    held_at_most: int | None = None

    def is_about(self, step: Step, ladder: Ladder) -> bool:
        """Whether the names on the ladder say so."""
        if self.needs and not any(names_any(_names(ladder, other), self.needs) for other in _steps(ladder)):
            return False
        names = _names(ladder, step)
        return names_any(names, self.asks) or any(words(name) == words(word) for name in names for word in self.whole)

    def bridges_to(self, asked: Step, ladder: Ladder) -> tuple[Step, ...]:
        """The ladder's own steps that lead up to this one, of no higher tier and with a yes or a reward."""
        return tuple(
            step
            for step in _steps(ladder, "yes", "reward")
            if step[0] <= asked[0] and step != asked and names_any(_names(ladder, step), self.bridges)
        )


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    kind: tuple[Kind, ...]


@cache
def kinds() -> tuple[Kind, ...]:
    """All of them, in the order in which they are tried."""
    text = (files("answers") / "audit_kinds.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _Table).kind


def kind_of(step: Step, held_tier: int, ladder: Ladder) -> Kind | None:
    """The first that is about this step, asked of people who hold ``held_tier``."""
    for kind in kinds():
        if (kind.held_at_most is None or held_tier <= kind.held_at_most) and kind.is_about(step, ladder):
            return kind
    return None


def bridges_on(ladder: Ladder) -> dict[Step, tuple[Step, ...]]:
    """Of the steps asked that any kind is about, the steps that lead up to them; those without any left out."""
    found: dict[Step, tuple[Step, ...]] = {}
    for asked in _steps(ladder, "ask"):
        kind = next((kind for kind in kinds() if kind.is_about(asked, ladder)), None)
        if kind is not None and (steps := kind.bridges_to(asked, ladder)):
            found[asked] = steps
    return found


def _steps(ladder: Ladder, *roles: str) -> tuple[Step, ...]:
    """Steps that have a mark of one of these roles, of any where none is named."""
    return tuple(
        dict.fromkeys(
            (mark.tier, mark.step)
            for rule in ladder.rules
            for mark in rule.marks
            if not roles or mark.role in roles
        )
    )  # fmt: skip


def _names(ladder: Ladder, step: Step) -> tuple[str, ...]:
    """The step itself and the events that ask it or are its yes."""
    events = (
        rule.event
        for rule in ladder.rules
        if rule.event is not None
        and any((mark.tier, mark.step) == step and mark.role in ("ask", "yes") for mark in rule.marks)
    )
    return (step[1], *events)
