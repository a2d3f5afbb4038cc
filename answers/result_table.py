"""The rows of a query in the terminal."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from answers.numbers import count
from answers.plain_text import plain

ROWS_SHOWN = 1000


def result_table(rows: pa.Table) -> RenderableType:
    """The first ``ROWS_SHOWN`` rows under their column names, and how many there are; nulls are empty."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for field in rows.schema:
        number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
        table.add_column(plain(field.name), justify="right" if number else "left", overflow="fold")
    shown = rows.slice(0, ROWS_SHOWN)
    for row in zip(*(column.to_pylist() for column in shown.columns), strict=True):
        table.add_row(*(_cell(value) for value in row))
    said = f"{count(rows.num_rows)} row{'' if rows.num_rows == 1 else 's'}"
    if rows.num_rows > ROWS_SHOWN:
        said += f"; the first {count(ROWS_SHOWN)} are shown (add a LIMIT, or --json for all)"
    return Group(table, Text(said, style="dim"))


def _cell(value: object) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, datetime):
        return Text(value.isoformat(sep=" "))
    return plain(str(value))
