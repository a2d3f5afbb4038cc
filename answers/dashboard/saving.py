"""Putting a funnel that was built on a page into the file of saved funnels."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Lock

from answers.dashboard.page import Asked
from answers.dashboard.pages.funnel import given_of
from answers.funnel_command import as_toml
from answers.funnel_file import parse_funnels
from answers.funnel_steps import meaning_of
from ladder.errors import UsageError
from warehouse.durable import write

_NAME = re.compile(r"[\w .,()+&/-]{1,60}")
_lock = Lock()


def save_funnel(asked: Asked, name: str) -> str:
    """Add it under that name, at the end of the file, whose other lines stay as they are.  Gives the name.

    Raises ``UsageError`` for a name that is taken or none, and for a question that cannot be asked.
    """
    name = " ".join(name.split())
    if not _NAME.fullmatch(name):
        raise UsageError("name: give the funnel one of 1 to 60 letters, digits, spaces or . , ( ) + & / -")
    given = given_of(asked)
    if not given["steps"]:
        raise UsageError("steps: choose at least one before you save")
    text = as_toml(name, given)
    meaning_of(parse_funnels(text, "this funnel")[name], asked.ladder)
    with _lock:
        path = asked.funnels
        before = _read(path)
        if name in parse_funnels(before, str(path)):
            raise UsageError(f"name: {path} has a funnel {name!r} already; take another name")
        after = f"{before.rstrip()}\n\n{text}" if before.strip() else text
        parse_funnels(after, str(path))
        try:
            write(path, after.encode())
        except OSError as error:
            raise UsageError(f"{path}: the funnel cannot be saved there: {error.strerror}") from None
    return name


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
