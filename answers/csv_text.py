"""CSV that a spreadsheet opens as what it is: text stays text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a formula begins, in wide characters, too."""


def as_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Text that a spreadsheet would take for a formula has an apostrophe before it; None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([harmless(value) if isinstance(value, str) else value for value in row])
    return text.getvalue()


def harmless(text: str) -> str:
    """The text, with an apostrophe before what would be a formula, spaces before it or not."""
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text
