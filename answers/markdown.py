"""A document as Markdown that also reads well as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from answers.document import Block, Bullets, Chart, Document, Heading, Paragraph, Table

_ANYWHERE = re.compile(r"([\\`*\[\]|~]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<!\w)_|_(?!\w))")
_LINKS = re.compile(r"(?i)(?<=\w)(:)(?=//)|(?<=www)(\.)|(?<=\w)(@)(?=\w)")
_AT_THE_START = re.compile(r"^(\s*)(\d*)([#>=]|[+.)-](?=\s|$)|-(?=-))")


def markdown(document: Document) -> str:
    """The document without its charts, whose numbers are in its tables."""
    parts = [f"# {escaped(document.title)}", "  \n".join(map(escaped, document.about))]
    parts += [part for block in document.blocks if (part := _block(block))]
    parts += ["---", *map(escaped, document.notes)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """A line of text of which nothing is taken for markup, a link, an address or an entity."""
    found = _LINKS.sub(lambda match: f"\\{match[0]}", _ANYWHERE.sub(r"\\\1", text))
    return _AT_THE_START.sub(r"\1\2\\\3", found)


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {escaped(text)}"
        case Paragraph(text, is_lead):
            return f"**{escaped(text)}**" if is_lead else escaped(text)
        case Bullets(texts):
            return "\n".join(f"- {escaped(text)}" for text in texts)
        case Table():
            return "\n".join(_table(block))
        case Chart():
            return ""


def _table(table: Table) -> Iterator[str]:
    if table.caption:
        yield f"{escaped(table.caption)}:\n"
    cells = [[escaped(name) for name, _ in table.head], *([escaped(cell) for cell in row] for row in table.rows)]
    aligns = [align for _, align in table.head]
    widths = [max(3, *(cell_len(row[place]) for row in cells)) for place in range(len(aligns))]
    yield _line(cells[0], widths, aligns)
    rules = [
        f"{'-' * (width - 1)}{':' if align == 'right' else '-'}" for width, align in zip(widths, aligns, strict=True)
    ]
    yield f"| {' | '.join(rules)} |"
    for row in cells[1:]:
        yield _line(row, widths, aligns)


def _line(row: Sequence[str], widths: Sequence[int], aligns: Sequence[str]) -> str:
    padded = []
    for cell, width, align in zip(row, widths, aligns, strict=True):
        gap = " " * (width - cell_len(cell))
        padded.append(f"{gap}{cell}" if align == "right" else f"{cell}{gap}")
    return f"| {' | '.join(padded)} |"
