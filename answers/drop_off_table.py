"""The drop-off per step, by a first touch and over time, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from answers.numbers import count, interval, percent
from answers.plain_text import plain
from ladder.tiers import Ladder
from warehouse.drop_off import DropOff
from warehouse.query import StepRow, TierRow

VALUES_SHOWN = 20

Row = TierRow | StepRow
Found = DropOff[TierRow] | DropOff[StepRow]


class DropOffTable:
    """All of a slice, then each value of the segment, then each tier or step over time.

    Rates are of those whose window has passed; who may still say yes stands beside them, in flight.  A period in which
    nobody with the value is counted has an empty line.
    """

    def __init__(self, found: Found, ladder: Ladder) -> None:
        self._found, self._ladder = found, ladder

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found, of = self._found, self._found.of
        by: Mapping[str, Sequence[Row]] = found.by
        yield Text(f"Drop-off per {found.of.unit}{_days(found)}", style="bold")
        yield _rows(found, self._ladder, found.rows)
        for value, rows in list(by.items())[:VALUES_SHOWN]:
            yield ""
            yield plain(f"{of.segment}: {value or '(none)'}")
            yield _rows(found, self._ladder, rows)
        if len(found.by) > VALUES_SHOWN:
            yield Text(f"the {VALUES_SHOWN} values most asked of {count(len(found.by))}; --json has all", style="dim")
        if found.every is not None:
            for told in [None] if of.segment is None else list(by)[:VALUES_SHOWN]:
                yield from self._trend(told)
        if found.of.unit == "visitor":
            yield ""
            yield Text("matured: asked, and their conversion window has passed; drop-off is of these", style="dim")
            yield Text("in flight: without a yes so far, and the window is still open", style="dim")

    def _trend(self, value: str | None) -> Iterator[RenderableType]:
        """A table for each tier or step, over all the periods."""
        found, of = self._found, self._found.of
        parts: list[tuple[str, Sequence[Row]]] = [
            (period.begins.isoformat(), period.rows if value is None else period.by.get(value, ()))
            for period in found.trend
        ]
        for key in dict.fromkeys(_key(row) for _, rows in parts for row in rows if row.asked or row.reached):
            yield ""
            whose = "" if value is None else f", {of.segment} {value or '(none)'}"
            yield plain(f"{_name(self._ladder, *key)}{whose}, by the {found.every}")
            table = _table(found.of.unit, [str(found.every)])
            for begins, rows in parts:
                row = next((row for row in rows if _key(row) == key), None)
                table.add_row(begins, *([] if row is None else _cells(found.of.unit, row)))
            yield table


def _rows(found: Found, ladder: Ladder, rows: Sequence[Row]) -> Table:
    """A line for each tier, or each step."""
    table = _table(found.of.unit, ["tier", "step"] if any(isinstance(row, StepRow) for row in rows) else ["tier"])
    for row in rows:
        names = [plain(ladder.tiers[row.tier - 1])] + ([plain(row.step)] if isinstance(row, StepRow) else [])
        table.add_row(*names, *_cells(found.of.unit, row))
    return table


def _table(unit: str, left: Sequence[str]) -> Table:
    """Sessions are over: the asked and the matured are the same, and none is in flight."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in left:
        table.add_column(name, overflow="fold", min_width=14 if name == "step" else 5)
    for name in ("asked", "yes") if unit == "session" else ("asked", "matured", "yes in time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("drop-off", justify="right", no_wrap=True)
    table.add_column("95% interval", no_wrap=True)
    if unit == "visitor":
        table.add_column("in flight", justify="right", no_wrap=True)
    return table


def _cells(unit: str, row: Row) -> list[str]:
    known = row.matured > 0
    return [
        count(row.asked),
        *([count(row.matured)] if unit == "visitor" else []),
        count(row.matured_yes),
        percent(row.matured_drop_off) if known else "-",
        interval(row.matured_drop_off_low, row.matured_drop_off_high) if known else _unknown(row),
        *([count(row.in_flight)] if unit == "visitor" else []),
    ]


def _unknown(row: Row) -> str:
    return "nobody asked" if row.asked == 0 else "none matured"


def _key(row: Row) -> tuple[int, str]:
    return (row.tier, row.step) if isinstance(row, StepRow) else (row.tier, "")


def _name(ladder: Ladder, tier: int, step: str) -> str:
    return f"{ladder.tiers[tier - 1]}, {step}" if step else f"tier {tier}, {ladder.tiers[tier - 1]}"


def _days(found: Found) -> str:
    since, until = found.of.since, found.of.until
    return (f", since {since}" if since is not None else "") + (f", before {until}" if until is not None else "")
