"""The ladder: which event is an ask, a yes, a no, a reward, a cheer or a regret, of which tier.

A ladder is data (``ladder.toml``).  One event may carry several marks: the yes of one tier and the ask of the next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from ladder.durations import format_duration, parse_duration
from ladder.errors import UsageError
from ladder.toml_file import TomlFile

Role = Literal["ask", "yes", "no", "reward", "cheer", "regret"]
ROLES: tuple[Role, ...] = get_args(Role)

Stage = Literal["curious", "aware", "evaluating", "committed"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""Who a visitor has become by what they said yes to, from the first to the last."""

Scalar = str | bool | int | float

MIN_TIERS, MAX_TIERS = 2, 32
_STRANGE_IN_A_KEY = re.compile(r'["\\\x00-\x1f]')
MAX_DURATION = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class Mark:
    """What an event means on the ladder.  ``tier`` counts from 1."""

    tier: int
    role: Role
    step: str


@dataclass(frozen=True)
class Rule:
    """Events named ``event`` (any name where None) whose properties equal ``where`` carry ``marks``."""

    event: str | None
    where: Mapping[str, Scalar]
    marks: tuple[Mark, ...]

    def matches(self, name: str, properties: Mapping[str, object]) -> bool:
        """Equality is JSON's: ``1`` equals ``1.0``, but ``true`` is no ``1`` and ``"1"`` is no ``1``."""
        if self.event is not None and self.event != name:
            return False
        return all(key in properties and _equal(properties[key], wanted) for key, wanted in self.where.items())


@dataclass(frozen=True)
class Ladder:
    """A named list of tiers with the rules that place events on them, and how sessions are cut.

    ``session_gap``: a silence of exactly this still belongs to the session, a longer one closes it.
    ``lateness``: how far behind the newest event of its Kafka partition an event may be and still count in the stream.
    ``conversion_window``: a yes counts as the answer to an ask up to exactly so long after it.
    ``max_session_length`` and ``max_session_events`` cut (and flag) what no person does in one sitting.
    """

    name: str
    tiers: tuple[str, ...]
    rules: tuple[Rule, ...]
    session_gap: timedelta = timedelta(minutes=30)
    lateness: timedelta = timedelta(hours=2)
    max_session_length: timedelta = timedelta(hours=24)
    max_session_events: int = 10_000
    conversion_window: timedelta = timedelta(days=1)

    def marks_of(self, name: str, properties: Mapping[str, object]) -> tuple[Mark, ...]:
        """All marks of one event, in the order of the file, each once."""
        return tuple(
            dict.fromkeys(
                mark for rule in self.rules_for(name) if rule.matches(name, properties) for mark in rule.marks
            )
        )

    def rules_for(self, name: str) -> tuple[Rule, ...]:
        """The rules that an event of this name could match, in the order of the file."""
        return self._by_event.get(name, self._any_event)

    def next_tier(self, tier: int) -> int | None:
        """The next tier up that any event can be a yes of (a tier may be empty); None at the top."""
        return min((t for t in self._tiers_with_yes if t > tier), default=None)

    def stage_of(self, tier: int) -> Stage:
        """The identity stage of those whose highest yes is of this tier; 0 where they have none.

        Curious: no yes.  Committed: the highest tier that any event is a yes of.  Of the tiers with a yes below that,
        those in the lower half of all of them are aware, the others evaluating; so of two tiers none is evaluating.
        """
        if tier == 0:
            return "curious"
        place = sum(other <= tier for other in self._tiers_with_yes)
        if place == len(self._tiers_with_yes):
            return "committed"
        return "aware" if 2 * place <= len(self._tiers_with_yes) else "evaluating"

    @cached_property
    def _any_event(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.event is None)

    @cached_property
    def _by_event(self) -> dict[str, tuple[Rule, ...]]:
        named = {rule.event for rule in self.rules if rule.event is not None}
        return {name: tuple(rule for rule in self.rules if rule.event in (None, name)) for name in named}

    @cached_property
    def _tiers_with_yes(self) -> frozenset[int]:
        return frozenset(mark.tier for rule in self.rules for mark in rule.marks if mark.role == "yes")


class _MarkFile(msgspec.Struct, forbid_unknown_fields=True):
    tier: str
    role: Role
    step: Annotated[str, msgspec.Meta(min_length=1)] | None = None


class _RuleFile(msgspec.Struct, forbid_unknown_fields=True):
    is_: Annotated[list[_MarkFile], msgspec.Meta(min_length=1)] = msgspec.field(name="is")
    event: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    where: dict[str, Any] = {}


class _LadderFile(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    tiers: list[Annotated[str, msgspec.Meta(min_length=1)]]
    session_gap: str = "30m"
    lateness: str = "2h"
    conversion_window: str = "1d"
    max_session_length: str = "24h"
    max_session_events: Annotated[int, msgspec.Meta(ge=2)] = 10_000
    on: list[_RuleFile] = []


def load_ladder(path: Path) -> Ladder:
    """Read a ladder file.  ``UsageError`` names the file, the line, the key and the reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such ladder file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a ladder file: {error}") from None
    return parse_ladder(text, str(path))


def builtin_ladder() -> Ladder:
    """The five default tiers, for events that name their own ``tier`` and ``role`` (and ``step``) as properties."""
    resource = files("ladder") / "builtin.toml"
    return parse_ladder(resource.read_text(encoding="utf-8"), "the built-in ladder")


def parse_ladder(text: str, origin: str) -> Ladder:
    """A ladder from TOML text; ``origin`` names it in errors.  Raises ``UsageError``."""
    toml = TomlFile(text, origin)
    file, refuse = toml.read(_LadderFile), toml.refuse

    if not MIN_TIERS <= len(file.tiers) <= MAX_TIERS:
        raise refuse("tiers", f"a ladder has {MIN_TIERS} to {MAX_TIERS} tiers, this one has {len(file.tiers)}")
    twice = next((tier for i, tier in enumerate(file.tiers) if tier in file.tiers[:i]), None)
    if twice is not None:
        raise refuse("tiers", f"{twice!r} stands there twice")

    durations: dict[str, timedelta] = {}
    for key in ("session_gap", "lateness", "conversion_window", "max_session_length"):
        try:
            durations[key] = parse_duration(getattr(file, key))
        except ValueError as error:
            raise refuse(key, str(error)) from None
        if key != "lateness" and not durations[key]:
            raise refuse(key, "must be longer than 0")
        if durations[key] > MAX_DURATION:
            raise refuse(key, f"must be at most {format_duration(MAX_DURATION)}")
    if durations["max_session_length"] < durations["session_gap"]:
        raise refuse("max_session_length", "must be at least session_gap")

    rules: list[Rule] = []
    for i, rule in enumerate(file.on):
        if rule.event is None and not rule.where:
            raise refuse(f"on[{i}]", "needs `event`, `where` or both; as it stands it would mean every event")
        for key, value in rule.where.items():
            if _STRANGE_IN_A_KEY.search(key):
                reason = "a property's name with quotes, backslashes or control characters cannot be asked for"
                raise refuse(f"on[{i}].where", reason)
            if not isinstance(value, Scalar) or (isinstance(value, float) and not isfinite(value)):
                raise refuse(f"on[{i}].where.{key}", "must be text, a number that JSON has, or true or false")
        marks: list[Mark] = []
        for j, mark in enumerate(rule.is_):
            if mark.tier not in file.tiers:
                raise refuse(f"on[{i}].is[{j}].tier", f"{mark.tier!r} is none of the tiers {', '.join(file.tiers)}")
            step = mark.step or rule.event or mark.tier
            marks.append(Mark(file.tiers.index(mark.tier) + 1, mark.role, step))
        rules.append(Rule(rule.event, rule.where, tuple(marks)))
    return Ladder(
        name=file.name,
        tiers=tuple(file.tiers),
        rules=tuple(rules),
        max_session_events=file.max_session_events,
        **durations,
    )


def _equal(value: object, wanted: Scalar) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value == wanted
