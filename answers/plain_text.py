"""Untrusted text for a terminal."""

from __future__ import annotations

from rich.text import Text


def plain(text: str) -> Text:
    """Names come from files and clients: no markup, and nothing that a terminal would obey."""
    return Text("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text))
