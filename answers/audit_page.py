"""The audit as a page of its own: one HTML file without a script."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from answers.audit_facts import Audit
from answers.page import asset, render, write_page
from answers.sections.audit import audit_section

MOST_VALUES = 20
"""Of so many values of a segment, those of most visitors, the page tells."""


def render_audit(whole: Audit, by: Mapping[str, Audit], ladder: str, segment: str | None, written_at: datetime) -> str:
    """The whole page as HTML.  It loads nothing and runs nothing; all names are untrusted text."""
    shown = [("everybody", whole), *((f"{segment}: {value or '(none)'}", one) for value, one in by.items())]
    parts = [(name, audit_section(audit)) for name, audit in shown[: 1 + MOST_VALUES]]
    return render(
        "audit.html",
        styles=[asset("report.css"), asset("sections.css")],
        ladder=ladder,
        visitors=whole.visitors,
        parts=parts,
        left_out=max(0, len(by) - MOST_VALUES),
        written_at=written_at,
    )


def write_audit(
    whole: Audit, by: Mapping[str, Audit], ladder: str, segment: str | None, written_at: datetime, path: Path
) -> Path:
    """Put the page into a file, whole or not at all.  Raises ``UsageError`` where it cannot."""
    return write_page(render_audit(whole, by, ladder, segment, written_at), path)
