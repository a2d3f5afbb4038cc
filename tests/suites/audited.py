"""Facts of an audit, made of few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from answers.audit_facts import AuditFacts
from ladder.rates import wilson
from ladder.tiers import Ladder, Mark, Role, Rule
from warehouse.asks import AfterYes
from warehouse.stands import Stands
from warehouse.value_first import Kind, Start, Value
from warehouse.ways import Came, Surprised, Way

STEPS = ("read", "vote", "sign up", "try", "buy")
ANSWERED: tuple[Role, ...] = ("ask", "yes")
TIERS = ("spark", "micro", "mini", "midi", "macro")


def ladder(steps: tuple[str, ...] = STEPS, *, tiers: tuple[str, ...] = TIERS, roles: tuple[Role, ...] = ()) -> Ladder:
    """A tier for each step; an empty step is a tier without any."""
    rules = (
        Rule(f"{step} {role}", {}, (Mark(tier, role, step),))
        for tier, step in enumerate(steps, start=1)
        if step
        for role in (roles or ("ask", "yes", "cheer"))
    )
    return Ladder("audited", tiers[: len(steps)], tuple(rules))


def way(held: int, tier: int, asked: int, yes: int, step: str | None = None, **more: Any) -> Way:
    """Of the tier's own step, unless it is named."""
    fields: dict[str, Any] = {"lost": asked - yes, "bridged": 0, "sessions": (f"s{held}{tier}@1",)} | more
    return Way("", held, tier, step or STEPS[tier - 1], asked, yes, **fields)


def in_order(*rates: float, asked: int = 100_000) -> tuple[Way, ...]:
    """From tier to tier, each asked of so many people."""
    return tuple(way(tier - 1, tier, asked, round(asked * rate)) for tier, rate in enumerate(rates, start=1))


def starts(gives: int = 0, takes: int = 0, both: int = 0, neither: int = 0) -> Value:
    units: dict[Kind, int] = {"gives": gives, "takes": takes, "both": both, "neither": neither}
    all_units = sum(units.values())
    nobody: tuple[Any, ...] = (0, 0, 0, *wilson(0, 0), *wilson(0, 0))
    found = tuple(Start(kind, some, *wilson(some, all_units), *nobody) for kind, some in units.items())
    return Value(all_units, found, (), ())


def cheers(tier: int, yeses: int, cheered: int, *, has_cheer: bool = True) -> AfterYes:
    shares = (0, *wilson(0, yeses), None, cheered, *wilson(cheered, yeses), 0, 0, *wilson(0, 0), 0, 0, *wilson(0, 0))
    return AfterYes("", tier, STEPS[tier - 1], False, has_cheer, yeses, *shares)


def facts(ways: tuple[Way, ...] = (), surprised: tuple[int, int] | None = None, **more: Any) -> AuditFacts:
    """``surprised``: asked, and of them too soon.  Those who came are the asked of the ways."""
    came = tuple(Came("", one.tier, one.held_tier, one.asked) for one in ways)
    shocked = None if surprised is None else Surprised("", *surprised)
    defaults: Mapping[str, Any] = {"visitors": 1000, "came": came, "stands": Stands(1000, (), ())}
    return AuditFacts(ways=ways, surprised=shocked, **{**defaults, **more})
