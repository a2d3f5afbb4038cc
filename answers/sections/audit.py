"""L14: the four questions of the checklist, and the friction points."""

from __future__ import annotations

from answers.audit_facts import Audit
from answers.numbers import count
from answers.sections.section import Section


def audit_section(audit: Audit | None) -> Section | None:
    """None where there is no visitor."""
    if audit is None or audit.visitors == 0:
        return None
    return Section(
        "audit",
        "The checklist",
        (_points(audit),),
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


def _points(audit: Audit) -> str:
    if audit.compared == 0:
        return "No leap has been asked of enough people to compare it with its neighbours."
    if not audit.frictions:
        return f"None of {count(audit.compared)} leaps compared loses more people than its neighbours let expect."
    number = len(audit.frictions)
    return (
        f"{count(number)} of {count(audit.compared)} leaps compared {'loses' if number == 1 else 'lose'} more people "
        "than the neighbours let expect."
    )
