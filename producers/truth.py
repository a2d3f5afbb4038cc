"""What is true of a simulated stream: counted over whole columns, from the marks of its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ladder.tiers import Ladder, Role
from producers.script import Script, Template
from producers.simulation import Simulation
from producers.walks import Bools, Decisions, Events, Ints, microseconds

_NEVER = np.iinfo(np.int64).max


def counted(simulation: Simulation, ladder: Ladder, script: Script, events: Events) -> dict[str, Any]:
    """Marks by tier and step, and the table of ``yesladder tiers`` per session and per visitor.

    ``events``: those that count, each once.  ``marks``: events of each role, by tier, by step, by segment and tier.
    """
    names = [segment.name for segment in simulation.segments]
    by_segment = {
        name: np.bincount(events.template[events.segment == place], minlength=len(script.templates))
        for place, name in enumerate(names)
    }
    everybody = np.bincount(events.template, minlength=len(script.templates))
    order = np.lexsort((events.at, events.visitor))
    visitor, at, template = events.visitor[order], events.at[order], events.template[order]
    is_new_visitor = np.r_[True, visitor[1:] != visitor[:-1]][: len(visitor)]
    is_new_session = is_new_visitor.copy()
    is_new_session[1:] |= np.diff(at) > microseconds(ladder.session_gap)
    return {
        "events": len(events.at),
        "visitors": int(is_new_visitor.sum()),
        "sessions": int(is_new_session.sum()),
        "marks": {
            "by_tier": _by_tier(ladder, script.templates, everybody),
            "by_step": _by_step(script.templates, everybody),
            "by_segment": {name: _by_tier(ladder, script.templates, counts) for name, counts in by_segment.items()},
        },
        "tiers": {
            "session": _tier_table(ladder, script.templates, np.cumsum(is_new_session) - 1, template),
            "visitor": _tier_table(ladder, script.templates, np.cumsum(is_new_visitor) - 1, template),
        },
    }


def decided(simulation: Simulation, ladder: Ladder, script: Script, decisions: Decisions) -> dict[str, Any]:
    """Asks that were decided on as they were drawn, with ``expected_yes``, the sum of their probabilities.

    An ask that came along with another event and was then passed by is none of them.
    """
    tier = np.array([asks[0].tier for asks in script.rungs], dtype=np.int64)[decisions.rung]
    segments = [segment.name for segment in simulation.segments]
    steps = [(rung, place, ask) for rung, asks in enumerate(script.rungs) for place, ask in enumerate(asks)]
    return {
        "by_tier": [_answers(decisions, tier == t, tier=t, name=name) for t, name in enumerate(ladder.tiers, start=1)],
        "by_step": [
            _answers(decisions, (decisions.rung == rung) & (decisions.ask == place), tier=ask.tier, step=ask.step)
            for rung, place, ask in steps
        ],
        "by_segment": [
            _answers(decisions, (decisions.segment == place) & (tier == t), segment=name, tier=t)
            for place, name in enumerate(segments)
            for t in range(1, len(ladder.tiers) + 1)
        ],
        "by_earlier_yeses": [
            _answers(decisions, np.minimum(decisions.earlier_yeses, 3) == n, earlier_yeses=n) for n in range(4)
        ],
        "by_leap": [_answers(decisions, decisions.leap == leap, leap=leap) for leap in range(1, len(script.rungs) + 1)],
    }


def _answers(decisions: Decisions, of: Bools, **what: Any) -> dict[str, Any]:
    return what | {
        "asked": int(of.sum()),
        "yes": int(decisions.yes[of].sum()),
        "expected_yes": round(float(decisions.probability[of].sum()), 3),
    }


def _by_tier(ladder: Ladder, templates: Sequence[Template], counts: Ints) -> list[dict[str, Any]]:
    return [
        {"tier": tier, "name": name} | _roles(templates, counts, tier, None)
        for tier, name in enumerate(ladder.tiers, start=1)
    ]


def _by_step(templates: Sequence[Template], counts: Ints) -> list[dict[str, Any]]:
    steps = dict.fromkeys((mark.tier, mark.step) for template in templates for mark in template.marks)
    return [{"tier": tier, "step": step} | _roles(templates, counts, tier, step) for tier, step in sorted(steps)]


def _roles(templates: Sequence[Template], counts: Ints, tier: int, step: str | None) -> dict[str, int]:
    """Events that carry a role of the tier (and step); each counts once for a role."""
    found: dict[str, int] = {}
    for role in ("ask", "yes", "no", "reward", "cheer", "regret"):
        found[role] = sum(
            int(count)
            for template, count in zip(templates, counts, strict=True)
            if any(
                (mark.tier, mark.role) == (tier, role) and (step is None or mark.step == step)
                for mark in template.marks
            )
        )
    return found


def _tier_table(ladder: Ladder, templates: Sequence[Template], unit: Ints, template: Ints) -> list[dict[str, Any]]:
    """``unit``: session or visitor of each event, from 0, in the order of their events."""
    units = int(unit[-1]) + 1 if len(unit) else 0

    def places(tier: int, role: Role) -> Ints:
        """Where, in that order, an event with this mark stands."""
        has = np.array([any((m.tier, m.role) == (tier, role) for m in each.marks) for each in templates], dtype=bool)
        return np.flatnonzero(has[template])

    def last(tier: int, role: Role) -> Ints:
        found = places(tier, role)
        latest = np.full(units, -1)
        np.maximum.at(latest, unit[found], found)
        return latest

    reached = {tier: last(tier, "yes") >= 0 for tier in range(1, len(ladder.tiers) + 1)}
    table = []
    for tier, name in enumerate(ladder.tiers, start=1):
        asks = places(tier, "ask")
        first_ask = np.full(units, _NEVER)
        np.minimum.at(first_ask, unit[asks], asks)
        asked = first_ask < _NEVER
        yes = asked & (last(tier, "yes") >= first_ask)
        no = asked & ~yes & (last(tier, "no") >= first_ask)
        above = ladder.next_tier(tier)
        both = reached[tier] & reached[above] if above is not None else np.zeros(units, dtype=bool)
        row = {
            "asked": asked,
            "yes": yes,
            "no": no,
            "silent": asked & ~yes & ~no,
            "implicit": reached[tier] & ~asked,
            "reached": reached[tier],
            "reached_next": both,
        }
        table.append({"tier": tier, "name": name} | {key: int(mask.sum()) for key, mask in row.items()})
    return table
