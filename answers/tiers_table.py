"""The drop-off table in the terminal: readable in 80 columns, without colour, and with ASCII alone."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from answers.leaks import find_leak, headline
from answers.next_steps import next_steps
from answers.numbers import count, interval, listing, percent
from answers.plain_text import plain
from ladder.tiers import Ladder
from warehouse.query import StepRow, TierRow, Unit

BAR = 20


class TiersTable:
    """Prints as the headline, one line per tier with its bar, a legend, and what to look at next.

    ``console.print(TiersTable("session", rows, steps, ladder))``.  ``steps`` may hold rows of the other unit too.
    """

    def __init__(self, unit: Unit, tiers: Sequence[TierRow], steps: Sequence[StepRow], ladder: Ladder) -> None:
        self._unit, self._tiers, self._steps, self._ladder = unit, tiers, steps, ladder

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        letters = ("#", "x", ".") if options.ascii_only else ("█", "▒", "·")
        yield Text(f"Drop-off per {self._unit}", style="bold")
        yield plain(headline(self._unit, self._tiers))
        yield ""
        yield _table(self._tiers, letters)
        yes, no, silent = letters
        yield Text(f"bar: {yes} yes  {no} no  {silent} silent, of those asked", style="dim")
        if any(row.implicit > 0 for row in self._tiers):
            yield Text("unasked: a yes with no ask of that tier on record; in no drop-off", style="dim")
        yield from _in_flight(self._unit, self._tiers)
        yield from _climbing(self._unit, self._tiers)
        yield ""
        yield Text("What to look at next", style="bold")
        for sentence in next_steps(self._unit, self._tiers, self._steps, self._ladder):
            grid = Table.grid(padding=(0, 1))
            grid.add_row("-", plain(sentence))
            yield grid


def _in_flight(unit: Unit, tiers: Sequence[TierRow]) -> RenderResult:
    """Who may still say yes, and what is known without them; nothing where nobody is left."""
    waiting = [row for row in tiers if row.in_flight > 0]
    if not waiting:
        return
    yield ""
    yield plain(
        f"In flight, not dropped off: {unit}s whose conversion window is still open, "
        f"{listing([f'{count(row.in_flight)} at {row.name}' for row in waiting])}. Of those whose window has passed:"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("tier", overflow="fold")
    for name in ("window passed", "yes in it", "drop-off"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("95% interval", no_wrap=True)
    for row in waiting:
        ends = interval(row.matured_drop_off_low, row.matured_drop_off_high)
        table.add_row(
            plain(row.name),
            count(row.matured),
            count(row.matured_yes),
            percent(row.matured_drop_off) if row.matured else "-",
            ends if row.matured else "nobody yet",
        )
    yield table


def _climbing(unit: Unit, tiers: Sequence[TierRow]) -> RenderResult:
    """From reached to reached next."""
    climbing = [row for row in tiers if row.reached > 0 and row.reached_next_share is not None]
    if not climbing:
        return
    yield ""
    yield Text(f"Of the {unit}s that reached a tier, asked or not, how many reached the next one too", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("tier", overflow="fold")
    for name in ("reached", "next too", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("95% interval", no_wrap=True)
    for row in climbing:
        share, low, high = row.reached_next_share, row.reached_next_share_low, row.reached_next_share_high
        if share is not None and low is not None and high is not None:
            ends = interval(low, high)
            table.add_row(plain(row.name), count(row.reached), count(row.reached_next), percent(share), ends)
    yield table


def _table(tiers: Sequence[TierRow], letters: tuple[str, str, str]) -> Table:
    leak = find_leak(tiers)
    with_implicit = any(row.implicit > 0 for row in tiers)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", justify="right")
    table.add_column("tier", overflow="fold")
    table.add_column("asked", justify="right", no_wrap=True)
    table.add_column("yes", justify="right", no_wrap=True)
    if with_implicit:
        table.add_column("unasked", justify="right", no_wrap=True)
    table.add_column("drop-off", justify="right", no_wrap=True)
    table.add_column("95% interval", no_wrap=True)
    table.add_column("")
    for row in tiers:
        worst = leak is not None and leak.tier is row and row.drop_off > 0
        asked = row.asked > 0
        table.add_row(
            str(row.tier),
            plain(row.name),
            count(row.asked),
            count(row.yes),
            *([count(row.implicit)] if with_implicit else []),
            Text(percent(row.drop_off), style="bold" if worst else "") if asked else "-",
            interval(row.drop_off_low, row.drop_off_high) if asked else "nobody asked",
            _Bar(row, letters),
        )
    return table


class _Bar:
    """The answers of those asked as one bar, as wide as the table lets it be; empty where nobody was asked.

    An answer that somebody gave is at least one letter wide.
    """

    def __init__(self, row: TierRow, letters: tuple[str, str, str]) -> None:
        self._row, self._letters = row, letters

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(BAR // 2, BAR)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        row, width = self._row, min(BAR, options.max_width)
        answers = (row.yes, row.no, row.silent)
        widths = [max(1, round(width * number / row.asked)) if number > 0 else 0 for number in answers]
        if row.asked > 0:
            widths[widths.index(max(widths))] += width - sum(widths)
        parts = zip(self._letters, widths, ("blue", "red", "dim"), strict=True)
        yield Text.assemble(*((letter * number, style) for letter, number, style in parts))
