"""Names from clients and files, made fit for a line of text anywhere: mail, chat, Markdown, PDF."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

LONGEST = 80
"""Letters of a name that are shown; of a longer one the first, and a mark that tells it from others."""

_JOINER, _ISOLATE, _POP = "\u200d", "\u2068", "\u2069"
_RIGHT_TO_LEFT = frozenset(("R", "AL", "AN"))

Value = TypeVar("Value")


def harmless_name(name: str) -> str:
    """The name on one line: spaces for breaks, U+FFFD for what cannot be printed or turns the direction of a line.

    What is written from right to left is set apart, so that it turns nothing around it.
    """
    if len(name) > LONGEST:
        digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:6]
        name = f"{name[:LONGEST]}… ({len(name):,} letters, {digest})"
    return one_line(name)


def one_line(text: str) -> str:
    """As ``harmless_name``, however long it is.  Of what came out of it, it makes the same again."""
    inside = text[1:-1] if text.startswith(_ISOLATE) and text.endswith(_POP) else text
    shown = "".join(map(_letter, inside))
    if any(unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in shown):
        return f"{_ISOLATE}{shown}{_POP}"
    return shown


def harmless(value: Value) -> Value:
    """The same value with all texts in it, at any depth of data classes, tuples and mappings, by ``harmless_name``."""
    found: Any = value
    if isinstance(value, str):
        found = harmless_name(value)
    elif is_dataclass(value) and not isinstance(value, type):
        changed = {one.name: harmless(getattr(value, one.name)) for one in fields(value) if one.init}
        found = replace(value, **{name: new for name, new in changed.items() if new is not getattr(value, name)})
    elif isinstance(value, Mapping):
        found = {harmless(key): harmless(one) for key, one in value.items()}
    elif isinstance(value, tuple):
        parts = [harmless(one) for one in value]
        found = type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return cast(Value, found)


def _letter(letter: str) -> str:
    if letter.isspace():
        return " "
    return letter if letter.isprintable() or letter == _JOINER else "\N{REPLACEMENT CHARACTER}"
