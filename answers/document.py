"""A report as plain parts, which Markdown, PDF and mail each set in their own way.

All texts are plain text on one line: whoever writes them out escapes what means something there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Align = Literal["left", "right"]


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Paragraph:
    """``is_lead``: what must be read if nothing else is."""

    text: str
    is_lead: bool = False


@dataclass(frozen=True)
class Bullets:
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """``head`` with the alignment of its columns; every row has a cell for each."""

    head: tuple[tuple[str, Align], ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Answers:
    """Of each row how many said yes, said no and were silent, with the interval of the yeses' share."""

    rows: tuple[tuple[str, int, int, int, float, float], ...]


@dataclass(frozen=True)
class Whiskers:
    """A value with the ends of its interval per row: name, value, low, high; None where nothing is known.

    ``scale``: shares from 0 to 1; differences of shares around 0; or seconds, on a logarithmic axis.
    """

    rows: tuple[tuple[str, float | None, float, float], ...]
    scale: Literal["share", "difference", "seconds"]


@dataclass(frozen=True)
class Heat:
    """Shares by row and column, each with the words that stand in its cell; None where there is nothing."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[tuple[float, str] | None, ...], ...]
    across: str
    down: str


Drawn = Answers | Whiskers | Heat


@dataclass(frozen=True)
class Chart:
    """``name``: its own within the document, of letters and hyphens.  ``alt``: what it shows, in words."""

    name: str
    alt: str
    drawn: Drawn


Block = Heading | Paragraph | Bullets | Table | Chart


@dataclass(frozen=True)
class Document:
    """``about``: lines under the title.  ``notes``: small print at the end."""

    title: str
    about: tuple[str, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()

    def charts(self) -> Iterator[Chart]:
        """In their order."""
        return (block for block in self.blocks if isinstance(block, Chart))
