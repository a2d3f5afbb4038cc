"""A report as it is sent: its words, its file, and the key that is the same whenever the same is sent again."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from answers.charts import picture
from answers.document import Document
from answers.facts import ReportFacts
from answers.numbers import counted
from answers.report_document import in_short, report_document
from answers.report_formats import MEDIA_TYPES, Format, rendered
from answers.targets import Target


@dataclass(frozen=True)
class Letter:
    """``name``: of the schedule, or of the command.  ``period``: which, as ``2026-03-09/2026-03-16``.

    ``kind``: of the period: ``day``, ``week`` or ``month``; ``days`` for any other.  ``identity``: of what and by whom
    it is, the same whenever the same is sent again.  ``numbers``: a line without a name in it.
    """

    name: str
    period: str
    written_at: datetime
    document: Document
    short: tuple[str, ...]
    file: bytes
    how: Format
    kind: str
    identity: str
    numbers: str

    @property
    def file_name(self) -> str:
        """``weekly-week-2026-03-09.pdf``, of letters, digits, hyphens and underscores.

        A name that has other letters is told from those like it by six hexadecimal digits.  ``days`` have their end.
        """
        name = re.sub(r"[^A-Za-z0-9_]+", "-", self.name).strip("-") or "report"
        if name != self.name:
            name += f"-{hashlib.sha256(self.name.encode()).hexdigest()[:6]}"
        since, _, until = self.period.partition("/")
        days = f"{since}-{until}" if self.kind == "days" and until else since
        return f"{name}-{self.kind}-{days}.{self.how}"

    @cached_property
    def pictures(self) -> dict[str, bytes]:
        """Its charts as PNG, by their names."""
        return {chart.name: picture(chart.drawn, "png") for chart in self.document.charts()}

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.how]

    def key(self, target: Target) -> str:
        """Of this report to this target, by which whoever gets it twice can tell."""
        return hashlib.sha256(f"{self.identity}\0{target.digest}".encode()).hexdigest()[:32]


def letter(name: str, facts: ReportFacts, how: Format, *, sender: str = "") -> Letter:
    """The report of these facts.  One on all days has the moment of its making for a period.

    ``sender``: whose it is, for those of two may be called the same: ``ScheduleState.installation``, or an id of its
    own where each is another letter, as with those sent by hand.
    """
    of = facts.period
    period = f"{facts.written_at:%Y-%m-%dT%H%M%SZ}" if of is None else f"{of.days.since}/{of.days.until}"
    compared = ("", "") if of is None else (of.unit, of.segment or "")
    return Letter(
        name=name,
        period=period,
        written_at=facts.written_at,
        document=report_document(facts),
        short=in_short(facts),
        file=rendered(facts, how),
        how=how,
        kind="all" if of is None else of.every or "days",
        identity="\0".join((sender, facts.ladder.name, name, period, *compared, how)),
        numbers=", ".join(
            (
                counted(facts.events, "event"),
                counted(facts.sessions, "session"),
                counted(facts.visitors, "visitor"),
            )
        ),
    )
