"""The examples of docs/funnel.md: commands and what they print."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "funnel.md"


def examples(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Each command's arguments and the lines that stand below it."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ yesladder ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield shlex.split(command), [line.rstrip() for line in printed.rstrip().splitlines()]


def saved_funnels(text: str) -> str:
    """The page's file of saved funnels."""
    (found,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return str(found)
