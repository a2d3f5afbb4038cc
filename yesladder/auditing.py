"""The command `yesladder audit`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ladder.errors import UsageError
from yesladder.options import json_option, print_json, settings_options
from yesladder.settings import read_settings
from yesladder.slices import days_options, segment_option, slice_of

_FILE = click.Path(dir_okay=False, path_type=Path)
_MOST_VALUES = 10


@click.command()
@settings_options("warehouse", "ladder")
@segment_option
@days_options
@click.option("--markdown", type=_FILE, help="Write it as Markdown into this file.")
@click.option("--html", type=_FILE, help="Write it as a page of its own into this file.")
@json_option
def audit(
    segment: str | None,
    since: datetime | None,
    until: datetime | None,
    markdown: Path | None,
    html: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """The checklist: a big ask out of the blue? value first? does each step follow? are wins celebrated?

    Each question is answered yes, partly, no or not enough data, with the numbers and some sessions behind it, and
    friction points are named with the small yes that is missing there.  The exit code is 0 whatever is found.

    Example: yesladder audit --since 2026-10-01 --html audit.html
    """
    from answers.audit_findings import audits
    from answers.gather_audit import gather_audit

    settings = read_settings(**options)
    ladder, now = settings.load_ladder(), datetime.now(UTC)
    of = slice_of(segment, "visitor", since, until)
    whole_facts, by_facts = gather_audit(settings.warehouse, ladder, of)
    whole, *rest = audits([whole_facts, *by_facts.values()], ladder)
    by = dict(zip(by_facts, rest, strict=True))
    if html is not None:
        from answers.audit_page import write_audit

        write_audit(whole, by, ladder.name, segment, now, html)
    if markdown is not None:
        from answers.audit_document import audit_document
        from answers.markdown import markdown as as_markdown

        _write(markdown, as_markdown(audit_document(whole, by, ladder.name, segment, now)))
    if as_json:
        from answers.audit_json import VERSION, AuditSaid

        files = (None if html is None else str(html), None if markdown is None else str(markdown))
        print_json(asdict(AuditSaid(VERSION, ladder.name, of.since, of.until, segment, *files, whole, by)))
        return
    from answers.audit_text import AuditText

    console = Console()
    console.print(AuditText(whole, ladder.name))
    for value, one in list(by.items())[:_MOST_VALUES]:
        console.print()
        console.print(AuditText(one, ladder.name, f"{segment} {value or '(none)'}"))
    if len(by) > _MOST_VALUES:
        click.echo(f"\n{len(by) - _MOST_VALUES} further values of {segment} are in --json.")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: the audit cannot be written there: {error.strerror}") from None
