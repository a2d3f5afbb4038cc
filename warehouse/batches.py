"""What the quality gate has said, batch by batch.

A *batch* is all that landed since the gate last looked, in all tables, since the commits of one checkpoint belong
together.  It passes, or it is held back as a whole until its files are replaced or someone accepts it.  Each batch has
a folder ``quality/BATCH`` in the warehouse with ``verdict.json`` and its pages.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from warehouse import data_docs
from warehouse.durable import write

KEPT = 50
"""Folders of batches that passed, or were replaced, that are kept; held and accepted ones stay."""

State = Literal["passed", "held", "accepted", "replaced"]


@dataclass(frozen=True)
class Failure:
    """One expectation that ``rows`` of ``of`` rows broke.  ``error``: why it could not be looked at, else empty."""

    table: str
    expectation: str
    rows: int
    of: int
    sample: tuple[dict[str, str], ...]
    error: str = ""


@dataclass(frozen=True)
class Batch:
    """The gate's verdict on files (by table, relative to the lake's folder).

    ``versions``: the first and last commit that brought them, by table; looked up for held batches only.
    """

    name: str
    looked_at: datetime
    state: State
    files: dict[str, tuple[str, ...]]
    rows: dict[str, int]
    failures: tuple[Failure, ...] = ()
    versions: dict[str, tuple[int, int]] = field(default_factory=dict)

    def describe(self) -> str:
        """What failed, where and in how many rows: a line for the batch and one per failure."""
        lines = [f"batch {self.name} ({'; '.join(self._extent(table) for table in self.files)}) is held back:"]
        for failure in self.failures:
            start = f"  {failure.table}: {failure.expectation}: "
            if failure.error:
                lines.append(f"{start}could not be looked at: {failure.error}")
                continue
            shown = ", ".join(f"{key} {value}" for key, value in failure.sample[0].items()) if failure.sample else ""
            lines.append(
                f"{start}broken by {failure.rows:,} of {failure.of:,} rows{f', such as {shown}' * bool(shown)}"
            )
        return "\n".join(lines)

    def _extent(self, table: str) -> str:
        count = len(self.files[table])
        text = f"{table}: {count} file{'s' * (count != 1)}"
        if table not in self.versions:
            return text
        first, last = self.versions[table]
        return f"{text}, version {first}" if first == last else f"{text}, versions {first} to {last}"


class Batches:
    """The batches of one warehouse, kept in its folder ``quality``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._batches: dict[str, Batch] = {}
        for path in folder.glob("*/verdict.json"):
            with suppress(FileNotFoundError):  # a build beside us has just forgotten it
                batch = msgspec.json.decode(path.read_bytes(), type=Batch)
                self._batches[batch.name] = batch

    def pages(self, name: str) -> Path:
        """The folder of a batch's pages, made if need be."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def of_state(self, state: State) -> list[Batch]:
        """Those in one state, newest first."""
        return [batch for batch in self._newest_first() if batch.state == state]

    def files(self, state: State) -> frozenset[str]:
        """The files of those in one state."""
        return frozenset(file for batch in self.of_state(state) for files in batch.files.values() for file in files)

    def record(self, batch: Batch) -> None:
        """Keep a verdict and renew the index page."""
        write(self.pages(batch.name) / "verdict.json", msgspec.json.format(msgspec.json.encode(batch)))
        self._batches[batch.name] = batch
        for old in (self.of_state("passed") + self.of_state("replaced"))[KEPT:]:
            shutil.rmtree(self._folder / old.name, ignore_errors=True)
            del self._batches[old.name]
        lines = [(one.name, f"{one.looked_at:%Y-%m-%d %H:%M:%S} UTC", one.state) for one in self._newest_first()]
        data_docs.write_index(self._folder, lines)

    def accept_held(self) -> None:
        """Let everything that is held back now into the marts as it is."""
        for batch in self.of_state("held"):
            self.record(replace(batch, state="accepted"))

    def latest(self) -> Batch | None:
        """The last one looked at."""
        return next(iter(self._newest_first()), None)

    def give_up_replaced(self, current: frozenset[str]) -> None:
        """Forget the hold of batches of which some file is gone; what is left of them is looked at anew."""
        for batch in self.of_state("held"):
            if not current.issuperset(file for files in batch.files.values() for file in files):
                self.record(replace(batch, state="replaced"))

    def _newest_first(self) -> list[Batch]:
        return sorted(self._batches.values(), key=lambda batch: (batch.looked_at, batch.name), reverse=True)
