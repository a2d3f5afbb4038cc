"""Options of the commands that count: by which first touch, and of which days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

import click

from yesladder.options import Command

if TYPE_CHECKING:
    from warehouse.counted import Slice

_A_DAY = click.DateTime(["%Y-%m-%d"])

segment_option = click.option(
    "--segment",
    metavar="COLUMN",
    help="A row for each of its values, as they were at the first touch: page_url, referrer, utm_source, utm_medium,"
    " utm_campaign or device_class.",
)


def unit_option(default: Literal["session", "visitor"]) -> Callable[[Command], Command]:
    """``--unit``."""
    return click.option(
        "--unit",
        type=click.Choice(["session", "visitor"]),
        default=default,
        show_default=True,
        help="What is counted: each sitting, or each person over all time.",
    )


def days_options(command: Command) -> Command:
    """``--since`` and ``--until``."""
    since = click.option("--since", type=_A_DAY, metavar="DATE", help="Of that day (UTC) and later ones only.")
    until = click.option("--until", type=_A_DAY, metavar="DATE", help="Of days before that one (UTC) only.")
    return since(until(command))


def slice_of(segment: str | None, unit: str, since: datetime | None, until: datetime | None) -> Slice:
    """What these options ask for.  Raises ``UsageError`` for what cannot be."""
    from warehouse.counted import Slice

    return Slice(segment, unit, _day(since), _day(until))


def _day(at: datetime | None) -> date | None:
    return None if at is None else at.date()
