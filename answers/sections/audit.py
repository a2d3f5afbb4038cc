"""L14: the four questions of the checklist, and the friction points."""

from __future__ import annotations

from answers.audit_facts import Audit
from answers.audit_frictions import in_short
from answers.sections.section import Section


def audit_section(audit: Audit | None) -> Section | None:
    """None where there is no visitor."""
    if audit is None or audit.visitors == 0:
        return None
    return Section(
        "audit",
        "The checklist",
        (in_short(len(audit.frictions), audit.compared),),
        {"audit": audit},
        (
            ("Yes, partly, no", "What all of the 95% interval carries; an interval over a border is not enough data."),
            (
                "Friction point",
                "A leap where the odds of a yes are lower than its neighbours let expect, by half at the least: all of "
                "an interval that allows for the number of leaps compared.",
            ),
            (
                "Compared",
                "As they are, not by an experiment: who was asked otherwise may be otherwise. Each visitor counts once "
                "in a leap.",
            ),
        ),
    )
