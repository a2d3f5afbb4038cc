"""A report as the body of a webhook: what Slack understands, and plain JSON."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from answers.document import Bullets, Document, Heading
from answers.letter import Letter
from answers.targets import Target

LONGEST_BLOCK = 2900
"""Slack takes 3000 letters in a section."""

_NO_MARKUP = re.compile(r"[^\w ,.:;()%-]|(?<=\w)[.:](?=\w)")
"""Signs of markup and mentions, and the points in what would be taken for an address."""


def slack_body(letter: Letter) -> bytes:
    """A short summary in blocks of plain text, in which no name is a mention, a link or an emoji of Slack's.

    https://docs.slack.dev/reference/block-kit; ``text`` is what notifications show, and what others that take Slack's
    webhooks set as Markdown: the title and numbers, without what could be markup, and without names from the events.
    """
    worst = _worst(letter.document)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(letter.document.title, 150)},
        *({"type": "section", "text": _plain(sentence, LONGEST_BLOCK)} for sentence in letter.short),
    ]
    if worst:
        drops = "\n".join(f"• {text}" for text in worst)
        blocks.append({"type": "section", "text": _plain(f"The surest drops:\n{drops}", LONGEST_BLOCK)})
    blocks.append({"type": "context", "elements": [_plain(" · ".join(letter.document.about), 1900)]})
    text = _NO_MARKUP.sub(" ", f"{letter.document.title}: {letter.numbers}")
    return _json({"text": text, "mrkdwn": False, "unfurl_links": False, "blocks": blocks})


def webhook_body(letter: Letter, target: Target) -> bytes:
    """``key`` is that of the Idempotency-Key header; ``file`` is the report as it would be in a file."""
    is_text = letter.how != "pdf"
    return _json(
        {
            "key": letter.key(target),
            "report": letter.name,
            "period": letter.period,
            "written_at": letter.written_at.isoformat(),
            "title": letter.document.title,
            "summary": letter.short,
            "file": {
                "name": letter.file_name,
                "media_type": letter.media_type,
                "encoding": "text" if is_text else "base64",
                "content": letter.file.decode() if is_text else base64.b64encode(letter.file).decode(),
            },
        }
    )


def _worst(document: Document) -> tuple[str, ...]:
    """The bullets under the heading of the surest drops."""
    blocks = iter(document.blocks)
    for block in blocks:
        if isinstance(block, Heading) and block.text.endswith("surest drops"):
            after = next(blocks, None)
            return after.texts if isinstance(after, Bullets) else ()
    return ()


def _plain(text: str, longest: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": text if len(text) <= longest else f"{text[: longest - 1]}…", "emoji": False}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
