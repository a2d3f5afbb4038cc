"""The styles and scripts that pages load: from this host, and for as long as they stay the same."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from answers.page import asset

_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_NAMES = ("report.css", "sections.css", "walk.css", "dashboard.css", "echarts.js", "times.js", "dashboard.js")


@dataclass(frozen=True)
class Asset:
    """``tag``: changes whenever it does."""

    kind: str
    plain: bytes
    packed: bytes
    tag: str


@cache
def assets() -> Mapping[str, Asset]:
    """By name."""
    found = {}
    for name in _NAMES:
        plain = asset(name).encode()
        found[name] = Asset(
            _KINDS[name.rpartition(".")[2]], plain, gzip.compress(plain, mtime=0), sha256(plain).hexdigest()[:12]
        )
    return found


def address(name: str) -> str:
    """Where a page finds it."""
    return f"/assets/{name}?v={assets()[name].tag}"
