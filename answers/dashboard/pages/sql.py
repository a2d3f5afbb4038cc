"""Read-only SQL over the marts, where the settings allow it."""

from __future__ import annotations

from decimal import Decimal

from answers.csv_text import as_csv as csv_of
from answers.dashboard.page import Asked, Page
from ladder.errors import UsageError
from warehouse.query import run_sql

ROWS_SHOWN = 500
MOST_IN_CSV = 1_000_000


def page(asked: Asked) -> Page:
    """What cannot be run is told beside the statement."""
    statement = asked.one("q")
    facts: dict[str, object] = {
        "statement": statement,
        "head": None,
        "rows": [],
        "has_more": False,
        "most_in_csv": MOST_IN_CSV,
        "trouble": None,
    }
    if statement is not None:
        try:
            found = run_sql(asked.warehouse, statement, most=ROWS_SHOWN + 1)
        except UsageError as error:
            facts["trouble"] = str(error)
        else:
            shown = found.slice(0, ROWS_SHOWN)
            columns = [[_words(value) for value in column.to_pylist()] for column in shown.columns]
            facts |= {"head": found.column_names, "rows": list(zip(*columns, strict=True))}
            facts["has_more"] = found.num_rows > ROWS_SHOWN
    return Page("sql.html", "SQL", facts)


def as_csv(asked: Asked) -> str:
    """All rows.  Raises ``UsageError`` where they are more than ``MOST_IN_CSV``: a part could be taken for all."""
    found = run_sql(asked.warehouse, asked.one("q") or "", most=MOST_IN_CSV + 1)
    if found.num_rows > MOST_IN_CSV:
        raise UsageError(f"these are more than {MOST_IN_CSV:,} rows; ask for fewer, such as by a WHERE or a LIMIT")
    columns = [[_cell(value) for value in column.to_pylist()] for column in found.columns]
    return csv_of(found.column_names, zip(*columns, strict=True))


def _cell(value: object) -> object:
    return value if isinstance(value, int | float | Decimal) else _words(value)


def _words(value: object) -> str | None:
    return None if value is None else str(value)
