"""The report in the form that is asked for."""

from __future__ import annotations

from typing import Literal, get_args

from answers.facts import ReportFacts
from answers.markdown import markdown
from answers.pdf import pdf
from answers.report import render_report
from answers.report_document import report_document

Format = Literal["html", "md", "pdf"]
FORMATS: tuple[Format, ...] = get_args(Format)

MEDIA_TYPES: dict[Format, str] = {
    "html": "text/html; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "pdf": "application/pdf",
}


def rendered(facts: ReportFacts, how: Format) -> bytes:
    """One self-contained file."""
    if how == "html":
        return render_report(facts).encode()
    document = report_document(facts)
    return pdf(document) if how == "pdf" else markdown(document).encode()
