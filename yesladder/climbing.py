"""The commands about tiers: who was asked and answered, and who stands where."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from yesladder.options import json_option, print_json, settings_options
from yesladder.settings import read_settings
from yesladder.slices import days_options, segment_option, slice_of, unit_option

if TYPE_CHECKING:
    from warehouse.periods import Every


@click.command()
@settings_options("warehouse", "ladder")
@unit_option("session")
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


@click.command()
@settings_options("warehouse", "ladder")
@unit_option("visitor")
@segment_option
@days_options
@json_option
def standing(
    unit: str, segment: str | None, since: datetime | None, until: datetime | None, as_json: bool, **options: Any
) -> None:
    """Where people stand: the highest tier they said yes to, and the identity stage of visitors.

    Units are counted on the day of their first event.

    Example: yesladder standing --segment device_class
    """
    from answers.standing_table import StandingTable
    from warehouse.stands import standing as found_standing

    settings = read_settings(**options)
    found = found_standing(settings.warehouse, settings.load_ladder(), slice_of(segment, unit, since, until))
    if as_json:
        print_json(found.to_dict())
    else:
        Console().print(StandingTable(found))


@click.command("value-first")
@settings_options("warehouse", "ladder")
@unit_option("visitor")
@segment_option
@days_options
@json_option
def value_first(
    unit: str, segment: str | None, since: datetime | None, until: datetime | None, as_json: bool, **options: Any
) -> None:
    """Whether people are given something before they are asked, and what that does to the yes-rate.

    Example: yesladder value-first --unit session --segment utm_source
    """
    from answers.value_first_table import ValueFirstTable
    from warehouse.value_first import value_first as found_value_first

    settings = read_settings(**options)
    ladder = settings.load_ladder()
    found = found_value_first(settings.warehouse, ladder, slice_of(segment, unit, since, until))
    if as_json:
        print_json(found.to_dict())
    else:
        Console().print(ValueFirstTable(found, ladder))
