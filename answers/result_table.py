"""The rows of a query in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from answers.numbers import count
from answers.plain_text import plain

ROWS_SHOWN = 1000

_AS_WIDE_AS_IT_WANTS = 1_000_000


class ResultTable:
    """The first ``ROWS_SHOWN`` rows, and how many there are; nulls are empty.

    One line a row under the columns' names where that fits; else one line a column, row after row.
    """

    def __init__(self, rows: pa.Table) -> None:
        shown = rows.slice(0, ROWS_SHOWN)
        self._names = [plain(field.name) for field in rows.schema]
        self._are_numbers = [_is_number(field.type) for field in rows.schema]
        self._cells = [
            [_cell(value) for value in row]
            for row in zip(*(column.to_pylist() for column in shown.columns), strict=True)
        ]
        self._said = f"{count(rows.num_rows)} row{'' if rows.num_rows == 1 else 's'}"
        if rows.num_rows > ROWS_SHOWN:
            self._said += f"; the first {count(ROWS_SHOWN)} are shown (add a LIMIT, or --json for all)"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self._table()
        wanted = Measurement.get(console, options.update(width=_AS_WIDE_AS_IT_WANTS), table).maximum
        if wanted <= options.max_width:
            yield table
        else:
            for number, cells in enumerate(self._cells, start=1):
                yield from self._record(number, cells)
        yield Text(self._said, style="dim")

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name, is_number in zip(self._names, self._are_numbers, strict=True):
            table.add_column(name, justify="right" if is_number else "left", no_wrap=True)
        for cells in self._cells:
            table.add_row(*cells)
        return table

    def _record(self, number: int, cells: Sequence[Text]) -> list[RenderableType]:
        record = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        record.add_column(style="bold", no_wrap=True)
        record.add_column(overflow="fold")
        for name, cell in zip(self._names, cells, strict=True):
            record.add_row(name, cell)
        return [Rule(f"row {count(number)}", align="left", style="dim"), record]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _cell(value: object) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, datetime):
        return Text(value.isoformat(sep=" "))
    return plain(str(value))
