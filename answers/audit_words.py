"""Words in the names of steps and events, however they are written: ``EmailGiven``, ``email_given``, ``E-Mail given``.

And names as sentences quote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from answers.harmless import harmless_name
from ladder.tiers import Ladder

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN = re.compile(r"[\W_]+")
_LONGEST = 500
"""Letters of a name that are looked at."""


def words(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case; ``e-mail`` is one."""
    apart = _BETWEEN.split(_HUMP.sub(" ", name[:_LONGEST]))
    found = [word.casefold() for word in apart if word]
    joined: list[str] = []
    for word in found:
        if word in ("mail", "mails") and joined and joined[-1] == "e":
            joined[-1] = f"e{word}"
        else:
            joined.append(word)
    return tuple(joined)


def names_any(names: Iterable[str], phrases: Iterable[str]) -> bool:
    """Whether one of the phrases stands in one of the names, word by word; never inside of a word."""
    found = [f" {' '.join(words(name))} " for name in names]
    return any(f" {' '.join(words(phrase))} " in name for phrase in phrases for name in found)


def quoted(name: str) -> str:
    """A name in quotation marks, for a sentence."""
    return f"“{harmless_name(name)}”"


def tier_called(tier: int, ladder: Ladder) -> str:
    """A tier's name for a sentence; 0 is nothing."""
    return harmless_name(ladder.tiers[tier - 1]) if tier > 0 else "nothing"
