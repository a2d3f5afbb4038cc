"""The audit: facts in, findings out."""

from __future__ import annotations

from collections.abc import Sequence

from answers.audit_facts import Audit, AuditFacts
from answers.audit_frictions import frictions
from answers.audit_leaps import comparisons
from answers.audit_questions import big_ask, celebrated, each_step, transitions, value_first
from ladder.tiers import Ladder


def audits(facts: Sequence[AuditFacts], ladder: Ladder) -> tuple[Audit, ...]:
    """One for each.  All leaps of all of them are one family of comparisons: the more, the surer each must be."""
    compared = [comparisons(own.ways, ladder) for own in facts]
    family = sum(len(some) for some in compared)
    found = []
    for own, leaps in zip(facts, compared, strict=True):
        points = frictions(leaps, family, ladder)
        steps = transitions(own, points, ladder)
        answers = (
            big_ask(own, ladder),
            value_first(own),
            each_step(steps, points, own, ladder),
            celebrated(own, ladder),
        )
        found.append(Audit(own.visitors, answers, steps, points, len(leaps), family, len(own.ways) - len(leaps)))
    return tuple(found)
