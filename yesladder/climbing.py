"""The commands about tiers: who was asked and answered, and who stands where."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from yesladder.options import json_option, print_json, settings_options
from yesladder.settings import read_settings
from yesladder.slices import days_options, segment_option, slice_of

if TYPE_CHECKING:
    from warehouse.periods import Every


@click.command()
@settings_options("warehouse", "ladder")
@click.option(
    "--unit",
    type=click.Choice(["session", "visitor"]),
    default="session",
    show_default=True,
    help="What is counted: each sitting, or each person over all time.",
)
@segment_option
@click.option("--trend", type=click.Choice(["day", "week", "month"]), help="Also over time, by when they were counted.")
@days_options
@click.option("--steps", is_flag=True, help="Step by step instead of tier by tier.")
@json_option
def tiers(
    unit: str,
    segment: str | None,
    trend: Every | None,
    since: datetime | None,
    until: datetime | None,
    steps: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Where people drop off, tier by tier.

    Sessions are counted on the day they began, visitors on that of their first ask (or yes) of the tier or step.

    Example: yesladder tiers --unit visitor --segment utm_source --trend week
    """
    from answers.drop_off_table import DropOffTable
    from answers.tiers_table import TiersTable
    from warehouse.counted import Slice
    from warehouse.drop_off import step_drop_off, tier_drop_off
    from warehouse.query import steps as step_rows, tiers as tier_rows

    settings = read_settings(**options)
    ladder = settings.load_ladder()
    of = slice_of(segment, unit, since, until)
    if steps or trend is not None or of != Slice(unit=unit):
        found = (step_drop_off if steps else tier_drop_off)(settings.warehouse, ladder, of, trend)
        if as_json:
            print_json(found.to_dict("steps" if steps else "tiers"))
        else:
            Console().print(DropOffTable(found, ladder))
        return
    table = tier_rows(settings.warehouse, ladder, unit)
    if as_json:
        print_json(table.to_dict())
    else:
        Console().print(TiersTable(table.unit, table.tiers, step_rows(settings.warehouse, ladder, unit), ladder))
