"""The commands that count asks and yeses: each of a slice of them, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console, RenderableType

from ladder.tiers import Ladder
from yesladder.options import Command, json_option, print_json, settings_options
from yesladder.settings import read_settings
from yesladder.slices import days_options, segment_option, slice_of

if TYPE_CHECKING:
    from warehouse.counted import Slice


def _slice_options(command: Command) -> Command:
    options: tuple[Callable[[Command], Command], ...] = (
        segment_option,
        click.option(
            "--unit",
            type=click.Choice(["visitor", "session"]),
            default="visitor",
            show_default=True,
            help="Of whose life: what came before and after in all of it, or in the session alone.",
        ),
        days_options,
        settings_options("warehouse", "ladder"),
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _said(of: Slice) -> dict[str, Any]:
    return {"segment": of.segment, "unit": of.unit, "since": of.since, "until": of.until}


@click.command()
@_slice_options
def leaps(
    segment: str | None, unit: str, since: datetime | None, until: datetime | None, as_json: bool, **options: Any
) -> None:
    """What people held when they were asked for more, and where they were lost.

    Example: yesladder leaps --segment device_class
    """
    from answers.asks_tables import LeapsTable
    from warehouse.asks import leaps as found_leaps

    settings = read_settings(**options)
    ladder, of = settings.load_ladder(), slice_of(segment, unit, since, until)
    found = found_leaps(settings.warehouse, ladder, of)
    if as_json:
        print_json({**_said(of), **found.to_dict()})
    else:
        Console().print(LeapsTable(found, ladder, segment))


@click.command()
@_slice_options
def momentum(
    segment: str | None, unit: str, since: datetime | None, until: datetime | None, as_json: bool, **options: Any
) -> None:
    """Whether one yes makes the next more likely, with and without adjusting for the tier asked.

    Example: yesladder momentum --json
    """
    from answers.asks_tables import MomentumTable
    from warehouse.asks import momentum as found_momentum

    _rows("momentum", found_momentum, MomentumTable, slice_of(segment, unit, since, until), as_json, options)


@click.command()
@_slice_options
def hesitation(
    segment: str | None, unit: str, since: datetime | None, until: datetime | None, as_json: bool, **options: Any
) -> None:
    """How long people take to answer, step by step.  Times are within 1 % of the exact ones.

    Example: yesladder hesitation --segment utm_source
    """
    from answers.asks_tables import HesitationTable
    from warehouse.asks import hesitation as found_hesitation

    _rows("hesitation", found_hesitation, HesitationTable, slice_of(segment, unit, since, until), as_json, options)


@click.command("after-yes")
@_slice_options
def after_yes(
    segment: str | None, unit: str, since: datetime | None, until: datetime | None, as_json: bool, **options: Any
) -> None:
    """What follows on a yes: whether its reward arrived, whether it was cheered, and the next yes.

    Example: yesladder after-yes --json
    """
    from answers.asks_tables import AfterYesTable
    from warehouse.asks import after_yes as found_after_yes

    _rows("after_yes", found_after_yes, AfterYesTable, slice_of(segment, unit, since, until), as_json, options)


@click.command("too-soon")
@_slice_options
def too_soon(
    segment: str | None, unit: str, since: datetime | None, until: datetime | None, as_json: bool, **options: Any
) -> None:
    """Asks more than one tier above what people held against asks in order, and what is asked first after landing.

    Example: yesladder too-soon --unit session
    """
    from answers.too_soon_table import TooSoonTable
    from warehouse.too_soon import too_soon as found_too_soon

    _rows("too_soon", found_too_soon, TooSoonTable, slice_of(segment, unit, since, until), as_json, options)


def _rows(
    name: str,
    find: Callable[[Path, Ladder, Slice], Sequence[Any]],
    table: Callable[[Any, Ladder, str | None], RenderableType],
    of: Slice,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    settings = read_settings(**options)
    ladder = settings.load_ladder()
    found = find(settings.warehouse, ladder, of)
    if as_json:
        print_json({**_said(of), name: [asdict(row) for row in found]})
    else:
        Console().print(table(found, ladder, of.segment))
