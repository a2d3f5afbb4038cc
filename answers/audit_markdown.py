"""The audit as Markdown.  All names in it are untrusted: none can become a heading, a link, an image or HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from answers.audit_facts import Answer, Audit, Friction
from answers.numbers import count, interval, percent, utc

_SPECIAL = re.compile(r"([\\`*_\[\]|~#!$])|(?<=www)(\.)|(:)(?=//)|(@)", re.IGNORECASE)
_TICKS = re.compile(r"`+")


def audit_markdown(
    whole: Audit, by: Mapping[str, Audit], ladder: str, segment: str | None, written_at: datetime
) -> str:
    """A page of it; ``by``: of each value of the segment, told apart by headings of their own."""
    lines = [f"# Audit of the ladder {text(ladder)}", "", f"Written {utc(written_at)}.", ""]
    lines += _audit(whole, "##")
    for value, audit in by.items():
        lines += [f"## {text(segment or '')}: {text(value or '(none)')}", "", *_audit(audit, "###")]
    return "\n".join(lines)


def text(said: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    plain = "".join(letter if letter.isprintable() else " " for letter in said)
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", plain)


def code(said: str) -> str:
    """The same as code, between as many backticks as it takes."""
    plain = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in said)
    longest = max((len(ticks) for ticks in _TICKS.findall(plain)), default=0)
    fence = "`" * (longest + 1)
    space = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{space}{plain}{space}{fence}"


def _audit(audit: Audit, level: str) -> Iterator[str]:
    yield from ["| question | answer | best |", "| --- | --- | --- |"]
    for answer in audit.answers:
        yield f"| {answer.title} | **{answer.verdict}** | {answer.wanted} |"
    yield ""
    for answer in audit.answers:
        yield from _answer(answer, level)
    yield from [f"{level} Friction points", ""]
    if not audit.frictions:
        yield from [f"None found in {count(audit.compared)} leaps that could be compared.", ""]
    for friction in audit.frictions:
        yield from _friction(friction, level)
    if audit.transitions:
        yield from [f"{level} Step by step", ""]
        yield "| to | from | stage | asked in order | yes-rate in order | follows |"
        yield "| --- | --- | --- | ---: | ---: | --- |"
        for step in audit.transitions:
            stages = step.stage if step.stage == step.held_stage else f"{step.held_stage} → {step.stage}"
            share = f"{percent(step.in_order_share)} of {count(step.came)}"
            ends = interval(step.yes_rate_low, step.yes_rate_high)
            rate = f"{percent(step.yes_rate)} ({ends})" if step.asked else "-"
            yield f"| {text(step.name)} | {text(step.held)} | {stages} | {share} | {rate} | {step.verdict} |"
        yield ""


def _answer(answer: Answer, level: str) -> Iterator[str]:
    yield from [f"{level} {answer.title} {answer.verdict.capitalize()}.", ""]
    yield from (f"- {text(sentence)}" for sentence in answer.said)
    yield from [*_sessions(answer.sessions), ""]


def _friction(friction: Friction, level: str) -> Iterator[str]:
    where = f"{text(friction.step)} ({text(friction.name)}), asked of people who hold {text(friction.held)}"
    yield from [f"{level}# {text(friction.title)}", "", f"{where}.", "", f"- {text(friction.said)}"]
    yield from [f"- Lacking: {text(friction.lacks)}", *_sessions(friction.sessions), ""]


def _sessions(sessions: Sequence[str]) -> Iterator[str]:
    if sessions:
        yield f"- See for yourself: {', '.join(f'`yesladder walk` {code(one)}' for one in sessions)}"
