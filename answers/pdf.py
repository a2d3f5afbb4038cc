"""A document as PDF, set by Typst, which is in its package, with fonts that are in ours: no network, no program."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from answers.charts import picture
from answers.document import Block, Bullets, Chart, Document, Heading, Paragraph, Table


def pdf(document: Document) -> bytes:
    """The PDF.  Words are handed over as data, so that none of them is Typst's markup.

    Letters that neither DejaVu Sans nor Libertinus has, such as Chinese, come from the machine's fonts where it has
    them; else they show as boxes.
    """
    import matplotlib as mpl
    import typst

    data = {
        "title": document.title,
        "about": document.about,
        "blocks": [_block(block) for block in document.blocks],
        "notes": document.notes,
    }
    made = typst.compile(
        (files("answers") / "templates/report.typ").read_bytes(),
        format="pdf",
        font_paths=typst.Fonts(True, True, [Path(mpl.get_data_path()) / "fonts" / "ttf"]),
        sys_inputs={"report": json.dumps(data)},
        timestamp=0,
    )
    return bytes(made)


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Heading(text):
            return {"kind": "heading", "text": text}
        case Paragraph(text, is_lead):
            return {"kind": "paragraph", "text": text, "is_lead": is_lead}
        case Bullets(texts):
            return {"kind": "bullets", "texts": texts}
        case Table(head, rows, caption):
            left = [place for place, (_, align) in enumerate(head) if align == "left"]
            widest = max(left, key=lambda place: max([0, *(len(row[place]) for row in rows)]), default=None)
            return {
                "kind": "table",
                "head": [(name, align, place == widest) for place, (name, align) in enumerate(head)],
                "rows": rows,
                "caption": caption,
            }
        case Chart(_, alt, drawn):
            return {"kind": "chart", "alt": alt, "svg": picture(drawn, "svg").decode()}
