"""CSV that a spreadsheet opens as what it is: text stays text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a formula begins, in wide characters, too."""


def as_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Text that a spreadsheet would take for a formula has an apostrophe before it; None is empty."""
    lines = [
        _line([harmless(one) for one in head]),
        *(_line([harmless(one) if isinstance(one, str) else one for one in row]) for row in rows),
    ]
    return "".join(f"{line}\n" for line in lines)


def _line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    # Only what is in the line's end is quoted as one: a bare carriage return would begin a line, for a spreadsheet.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n")


def harmless(text: str) -> str:
    """The text, with an apostrophe before what would be a formula, spaces before it or not."""
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text
