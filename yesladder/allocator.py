"""How Polars's allocator treats the memory that was freed."""

from __future__ import annotations

import os

SETTING = ("_RJEM_MALLOC_CONF", "dirty_decay_ms:10000,muzzy_decay_ms:10000")
"""The variable that the allocator reads, and what it is told."""


def keep_freed_pages() -> None:
    """Have it keep pages for ten seconds before it gives them back, where nobody has told it otherwise.

    By default that is half a second: a worker, which commits about as often, then has the kernel hand out and clear the
    same pages again and again, a twentieth of its CPU time.  Takes effect only before Polars is first imported.
    """
    os.environ.setdefault(*SETTING)
