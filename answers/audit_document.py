"""The audit as a document, for Markdown and mail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from answers.audit_facts import Answer, Audit, Friction, Transition
from answers.audit_frictions import in_short
from answers.document import Block, Bullets, Document, Heading, Paragraph, Table
from answers.harmless import harmless_name, one_line
from answers.numbers import count, counted, interval, percent, utc


def audit_document(
    whole: Audit, by: Mapping[str, Audit], ladder: str, segment: str | None, written_at: datetime
) -> Document:
    """All of it; ``by``: of each value of the segment.  Names may be anything."""
    blocks: list[Block] = [*_audit(whole, "")]
    for value, audit in by.items():
        blocks += _audit(audit, f"{segment} {harmless_name(value) or '(none)'}: ")
    return Document(
        title=f"Audit of the ladder {harmless_name(ladder)}",
        about=(counted(whole.visitors, "visitor"), f"Written {utc(written_at)}"),
        blocks=tuple(blocks),
        notes=("Leaps are compared as they are, not by an experiment: who was asked otherwise may be otherwise.",),
    )


def verdict_blocks(audit: Audit) -> Iterator[Block]:
    """The four verdicts and the friction points in short, without the sessions."""
    yield Table(
        (("Question", "left"), ("Answer", "left"), ("Best", "left")),
        tuple((answer.title, answer.verdict, answer.wanted) for answer in audit.answers),
    )
    if audit.frictions:
        yield Bullets(tuple(f"{_where(one)} {one.said} {one.lacks}" for one in audit.frictions))


def _audit(audit: Audit, of: str) -> Iterator[Block]:
    yield Heading(f"{of}the checklist" if of else "The checklist")
    yield Table(
        (("Question", "left"), ("Answer", "left"), ("Best", "left")),
        tuple((answer.title, answer.verdict, answer.wanted) for answer in audit.answers),
    )
    for answer in audit.answers:
        yield Heading(f"{of}{answer.title} {answer.verdict.capitalize()}.")
        yield Bullets((*answer.said, *_sessions(answer)))
    yield Heading(f"{of}friction points" if of else "Friction points")
    yield Paragraph(in_short(len(audit.frictions), audit.compared))
    for friction in audit.frictions:
        yield Paragraph(_where(friction))
        yield Bullets((friction.said, f"Lacking: {friction.lacks}", *_sessions(friction)))
    if audit.transitions:
        yield Heading(f"{of}step by step" if of else "Step by step")
        yield _steps(audit.transitions)


def _where(friction: Friction) -> str:
    """What it is called and where: the title of a plain leap has the tiers already."""
    held, name, step = (harmless_name(text) for text in (friction.held, friction.name, friction.step))
    return f"{friction.title}: {step} ({name}), asked of people who hold {held}."


def _sessions(of: Answer | Friction) -> Iterator[str]:
    if of.sessions:
        yield f"To see with your own eyes, yesladder walk: {', '.join(map(one_line, of.sessions))}"


def _steps(steps: Sequence[Transition]) -> Table:
    return Table(
        (
            ("To", "left"), ("From", "left"), ("Stage", "left"), ("Visitors asked", "right"), ("In order", "right"),
            ("Yes-rate in order", "right"), ("95% interval", "right"), ("Follows", "left"),
        ),
        tuple(
            (
                harmless_name(step.name),
                harmless_name(step.held),
                step.stage if step.stage == step.held_stage else f"{step.held_stage} to {step.stage}",
                count(step.came),
                percent(step.in_order_share),
                percent(step.yes_rate) if step.asked else "–",
                interval(step.yes_rate_low, step.yes_rate_high) if step.asked else "–",
                step.verdict,
            )
            for step in steps
        ),
    )  # fmt: skip
