"""The audit in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from answers.audit_facts import Answer, Audit, Friction
from answers.audit_frictions import in_short
from answers.audit_words import quoted
from answers.numbers import counted
from answers.plain_text import plain


class AuditText:
    """``name``: of the segment's value it is about; None for everybody."""

    def __init__(self, audit: Audit, ladder: str, name: str | None = None) -> None:
        self._audit, self._ladder, self._name = audit, ladder, name

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        audit = self._audit
        of = "" if self._name is None else f", {self._name}"
        title = plain(f"Audit of the ladder {self._ladder}{of}: {counted(audit.visitors, 'visitor')}")
        title.stylize("bold")
        yield title
        for answer in audit.answers:
            yield from self._answer(answer)
        yield ""
        yield Text("Friction points", style="bold")
        yield Text(in_short(len(audit.frictions), audit.compared))
        for friction in audit.frictions:
            yield from self._friction(friction)
        if audit.not_compared:
            yield Text(
                f"Of {counted(audit.not_compared, 'further leap')} nothing can be said: too few people, or nothing to "
                "compare with.",
                style="dim",
            )
        yield Text(
            "Leaps are compared as they are, not by an experiment: who was asked otherwise may be otherwise.",
            style="dim",
        )

    def _answer(self, answer: Answer) -> RenderResult:
        yield ""
        yield Text.assemble((f"{answer.title} ", "bold"), (answer.verdict, _style(answer)))
        for sentence in answer.said:
            yield Padding(plain(sentence), (0, 0, 0, 2))
        yield from _see(answer.sessions)

    def _friction(self, friction: Friction) -> RenderResult:
        where = f"{quoted(friction.step)} ({friction.name}), asked of people who hold {friction.held}"
        head = plain(f"{friction.title}: {where}")
        head.stylize("red", 0, len(friction.title))
        yield head
        for sentence in (friction.said, f"Lacking: {friction.lacks}"):
            yield Padding(plain(sentence), (0, 0, 0, 2))
        yield from _see(friction.sessions)


def _style(answer: Answer) -> str:
    if answer.verdict == "not enough data":
        return "dim"
    return "yellow" if answer.verdict == "partly" else "green" if answer.verdict == answer.wanted else "red"


def _see(sessions: Sequence[str]) -> RenderResult:
    if sessions:
        words = plain(f"to see, yesladder walk: {', '.join(sessions)}")
        words.stylize("dim")
        yield Padding(words, (0, 0, 0, 2))
