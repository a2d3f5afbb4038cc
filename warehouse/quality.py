"""The quality gate: what landed is looked at before it may enter the marts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

import msgspec

from ladder.errors import YesladderError
from ladder.tiers import Ladder
from warehouse.batches import Batch, Batches, Failure

_CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from warehouse.gate import main; main()"


class GateError(YesladderError):
    """The gate's process died; nothing was judged, and the marts stay as they are."""


class Gate:
    """The process that looks at batches (``warehouse.gate``).

    It starts at once and loads while its owner does other things; one process may look at any number of batches.
    Close it, or use it as a context.
    """

    def __init__(self) -> None:
        self._errors = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # close() closes it
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise GateError("the quality gate's process has no pipes")
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def __enter__(self) -> Gate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(
        self,
        root: Path,
        ladder: Ladder,
        files: Mapping[str, Collection[str]],
        known: Mapping[str, Collection[str]],
        batches: Batches,
        now: datetime,
    ) -> str:
        """Hand in a batch, files by table relative to the lake's folder ``root``; returns its name.

        ``known``: the files the marts are built from.  ``answer`` gives the verdict.
        """
        every_file = sorted(file for names in files.values() for file in names)
        name = f"{now:%Y%m%dT%H%M%S}-{sha256(json.dumps(every_file).encode()).hexdigest()[:6]}"
        job = {
            "batch": name,
            "root": str(root),
            "ladder": ladder.name,
            "tiers": len(ladder.tiers),
            "files": {table: sorted(names) for table, names in files.items() if names},
            "known": {table: sorted(names) for table, names in known.items() if names},
            "pages": str(batches.pages(name)),
        }
        try:
            self._stdin.write(json.dumps(job) + "\n")
            self._stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        return name

    def answer(self, name: str, files: Mapping[str, Collection[str]], now: datetime) -> Batch:
        """Wait for the verdict on the batch that ``ask`` handed in.  Raises ``GateError``."""
        line = self._stdout.readline()
        if not line:
            raise self._death()
        verdict: dict[str, Any] = json.loads(line)
        failures = msgspec.convert(verdict["failures"], tuple[Failure, ...])
        return Batch(
            name=name,
            looked_at=now,
            state="held" if failures else "passed",
            files={table: tuple(sorted(names)) for table, names in files.items() if names},
            rows=verdict["rows"],
            failures=failures,
        )

    def close(self) -> None:
        """End the process."""
        with suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        self._errors.close()

    def _death(self) -> GateError:
        code = self._process.wait()
        self._errors.seek(0)
        said = [line for line in self._errors.read().splitlines() if line.strip() and "nanobind" not in line]
        return GateError(f"the quality gate's process ended with code {code}: {said[-1] if said else 'no message'}")
