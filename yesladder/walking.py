"""The command `yesladder walk`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ladder.errors import UsageError
from yesladder.options import json_option, print_json, settings_options
from yesladder.settings import read_settings


@click.command()
@click.argument("person", metavar="[VISITOR]", required=False)
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Draw it as a page of its own, into this file."
)
@settings_options("warehouse", "ladder")
@json_option
def walk(person: str | None, html: Path | None, as_json: bool, **options: Any) -> None:
    """One visitor's way up and down the ladder, step by step.

    VISITOR is the id of a visitor, of a user, whose visitors are then followed together, or of a session, whose visitor
    is shown.  Without one it is the visitor who has come furthest of the 1000 seen last.

    Example: yesladder walk ann@shop.example --html ann.html
    """
    from warehouse.walks import RECENT_VISITORS, somebody, walk as found_walk

    settings = read_settings(**options)
    ladder = settings.load_ladder()
    chosen = person if person is not None else somebody(settings.warehouse, ladder)
    if chosen is None:
        raise UsageError(f"{settings.warehouse} has no visitors yet")
    found = found_walk(settings.warehouse, ladder, chosen)
    if html is not None:
        from answers.walk_page import write_walk

        write_walk(found, ladder, datetime.now(UTC), html)
    if as_json:
        print_json({"html": html and str(html), **found.to_dict()})
        return
    if person is None:
        click.echo(f"Nobody was named: of the {RECENT_VISITORS:,} visitors seen last, this one has come furthest.\n")
    if html is not None:
        click.echo(str(html))
        return
    from answers.walk_text import WalkText

    Console().print(WalkText(found, ladder))
