"""The data sets that come with Yesladder: real events, their ladder, and whose they are."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import islice

from ladder.errors import UsageError
from ladder.tiers import Ladder, parse_ladder

ATTRIBUTION = "ATTRIBUTION.md"
"""Whose the data is, beside the data itself and in the warehouse of a demo with it."""


@dataclass(frozen=True)
class Dataset:
    """One data set: messages in the Segment spec, in the order of their time."""

    name: str
    ladder: Ladder
    attribution: str
    _folder: Traversable

    def messages(self, most: int | None = None) -> Iterator[bytes]:
        """Its messages, one JSON object each."""
        with (self._folder / "segment.ndjson.gz").open("rb") as packed, gzip.open(packed) as lines:
            for line in islice(lines, most):
                yield line.rstrip(b"\n")


def names() -> list[str]:
    """What ``load`` knows."""
    return sorted(entry.name for entry in _root().iterdir() if entry.is_dir())


def load(name: str) -> Dataset:
    """A data set by its name; ``UsageError`` lists the known ones."""
    folder = _root() / name
    if not (folder / "segment.ndjson.gz").is_file():
        raise UsageError(f"there is no data set {name!r}; known are {', '.join(names())} and simulated")
    ladder = example_ladder(name)
    return Dataset(name, ladder, (folder / ATTRIBUTION).read_text(encoding="utf-8").strip(), folder)


def example_ladder(name: str) -> Ladder:
    """One of the ladders that come with Yesladder (``ladders/``)."""
    return parse_ladder(ladder_text(name), f"ladders/{name}.toml")


def ladder_text(name: str) -> str:
    """Such a ladder as its file."""
    return (_packaged("ladders") / f"{name}.toml").read_text(encoding="utf-8")


def _root() -> Traversable:
    return _packaged("datasets")


def _packaged(folder: str) -> Traversable:
    """A folder of the source tree that the wheel carries inside this package."""
    package = files("yesladder")
    inside = package / folder
    return inside if inside.is_dir() else package / ".." / folder
