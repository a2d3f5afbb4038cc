"""One run of one contender: a process of its own, that says when it begins and when it has found every session."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

from peers.workload import cache

BEGUN = "begun"
"""Said on a line of its own when everything is started and the first record is asked for."""
ENDED = "ended"
"""Said when the last session is found, and written where its own output is."""
WRITTEN = "written"
"""Said when the answer is written for the comparison, too, which is no part of the work."""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Run:
    """``start_cpu_s``: CPU seconds before it began, of all its processes; ``cpu_s``: those between begin and end."""

    start_cpu_s: float
    cpu_s: float
    wall_s: float


class ContenderFailed(Exception):
    """It ended before it was done, or took too long; with the last that it said."""


def run(
    command: Sequence[str],
    *,
    log: Path,
    timeout_s: float = 600,
) -> Run:
    """Run a contender to its end.  ``log`` takes what it writes to standard error."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=surroundings(), start_new_session=True,
        )  # fmt: skip
        try:
            said = _Said(process)
            begun = said.wait_for(BEGUN, timeout_s)
            ended = said.wait_for(ENDED, timeout_s)
            said.wait_for(WRITTEN, timeout_s)
        except ContenderFailed as error:
            told = log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise ContenderFailed(f"{' '.join(command)[:200]}: {error}\n{told}") from None
        finally:
            # A contender that has done its work has nothing to tidy up here.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    return Run(begun[1], ended[1] - begun[1], ended[0] - begun[0])


def surroundings() -> dict[str, str]:
    """The environment of a contender: our folders to import from, and bytecode kept, as an installation has it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    root = Path(__file__).parents[2]
    return kept | {
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "benchmarks")]),
        "PYTHONPYCACHEPREFIX": str(cache() / "compiled"),
    }


def tree_cpu_s(root: int) -> float:
    """CPU seconds of a process, of all under it that live, and of those that have ended."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(entry.name)] = int(fields[1])
        used[int(entry.name)] = sum(map(int, fields[11:15])) / _TICKS
    return sum(used.get(pid, 0.0) for pid in _under(root, parents))


def _under(root: int, parents: Mapping[int, int]) -> Iterable[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


class _Said:
    """The lines of a process, each with when it came and the CPU seconds that were used until then."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: Queue[tuple[str, float, float]] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, word: str, timeout_s: float) -> tuple[float, float]:
        """When a line said it, and the CPU seconds until then.  Raises ``ContenderFailed``."""
        deadline = time.monotonic() + timeout_s
        others: deque[str] = deque(maxlen=20)
        while True:
            try:
                line, at, cpu_s = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                raise ContenderFailed(f"did not say {word!r} within {timeout_s:g} s") from None
            if line.endswith(word):  # Faust hides the cursor before it
                return at, cpu_s
            if not line:
                raise ContenderFailed(f"ended without saying {word!r}: {' '.join(others)}")
            others.append(line)

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._lines.put((line.strip() or " ", time.perf_counter(), tree_cpu_s(self._process.pid)))
        self._lines.put(("", 0.0, 0.0))
