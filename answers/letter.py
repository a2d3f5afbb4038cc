"""A report as it is sent: its words, its file, and the key that is the same whenever the same is sent again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from answers.charts import picture
from answers.document import Document
from answers.facts import ReportFacts
from answers.report_document import in_short, report_document
from answers.report_formats import MEDIA_TYPES, Format, rendered
from answers.targets import Target


@dataclass(frozen=True)
class Letter:
    """``name``: of the schedule, or of the command.  ``period``: which, as ``2026-03-09/2026-03-16``."""

    name: str
    period: str
    written_at: datetime
    document: Document
    short: tuple[str, ...]
    file: bytes
    how: Format

    @property
    def file_name(self) -> str:
        """``weekly-2026-03-09.pdf``, of letters, digits and hyphens."""
        name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in self.name).strip("-")
        return f"{name or 'report'}-{self.period.partition('/')[0]}.{self.how}"

    @cached_property
    def pictures(self) -> dict[str, bytes]:
        """Its charts as PNG, by their names."""
        return {chart.name: picture(chart.drawn, "png") for chart in self.document.charts()}

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.how]

    def key(self, target: Target) -> str:
        """Of this report on this period to this target, by which whoever gets it twice can tell."""
        return hashlib.sha256(f"{self.name}\0{self.period}\0{target.digest}".encode()).hexdigest()[:32]


def letter(name: str, facts: ReportFacts, how: Format) -> Letter:
    """The report of these facts.  One on all days has the moment of its making for a period."""
    days = None if facts.period is None else facts.period.days
    period = f"{facts.written_at:%Y-%m-%dT%H%M%SZ}" if days is None else f"{days.since}/{days.until}"
    return Letter(name, period, facts.written_at, report_document(facts), in_short(facts), rendered(facts, how), how)
