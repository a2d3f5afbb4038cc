"""How many examples the dear properties try: few each time, many where `EXAMPLES=20 make test` asks for them."""

from __future__ import annotations

import os

_TIMES = int(os.environ.get("EXAMPLES", "1"))


def tried(examples: int) -> int:
    """So many, or so many times as many."""
    return examples * _TIMES
