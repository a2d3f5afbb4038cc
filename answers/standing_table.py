"""Where people stand, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from answers.numbers import count, interval, percent
from answers.plain_text import plain
from warehouse.stands import Standing, Stands

VALUES_SHOWN = 20

_MEANINGS = {
    "curious": "has said no yes so far",
    "aware": "highest yes in the lower half of the ladder",
    "evaluating": "highest yes in the upper half, below the top",
    "committed": "a yes of the top tier",
}


class StandingTable:
    """How many stand at each tier and, of visitors, at each identity stage; then the same for each segment value."""

    def __init__(self, found: Standing) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found, of = self._found, self._found.of
        yield Text(f"Where {of.unit}s stand: the highest tier they said yes to", style="bold")
        if found.all.units == 0:
            yield Text(f"No {of.unit} is known.")
            return
        yield from self._stands(found.all)
        for value, stands in list(found.by.items())[:VALUES_SHOWN]:
            yield ""
            yield plain(f"{of.segment}: {value or '(none)'}")
            yield from self._stands(stands)
        if len(found.by) > VALUES_SHOWN:
            yield Text(f"the {VALUES_SHOWN} largest values of {count(len(found.by))}; --json has all", style="dim")
        yield ""
        yield Text("or higher: stand at this tier or above it", style="dim")
        if of.unit == "visitor":
            for stage, meaning in _MEANINGS.items():
                yield Text(f"{stage}: {meaning}", style="dim")

    def _stands(self, stands: Stands) -> Iterator[RenderableType]:
        unit = f"{self._found.of.unit}s"
        table = _table("tier", unit)
        table.add_column("or higher", justify="right", no_wrap=True)
        table.add_column("share", justify="right", no_wrap=True)
        for row in stands.tiers:
            table.add_row(
                plain(row.name),
                count(row.units),
                percent(row.share),
                interval(row.share_low, row.share_high),
                count(row.at_least),
                percent(row.at_least_share),
            )
        yield table
        if stands.stages:
            stages = _table("stage", unit)
            for stage in stands.stages:
                ends = interval(stage.share_low, stage.share_high)
                stages.add_row(stage.stage, count(stage.units), percent(stage.share), ends)
            yield ""
            yield stages


def _table(first: str, unit: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, overflow="fold")
    table.add_column(unit, justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("95% interval", no_wrap=True)
    return table
