"""Running the parts of Yesladder as processes of their own, and keeping them running."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ladder.errors import YesladderError

HALT = 4
"""A part that ends with this code asks not to be started again (see ``stream.app.EXIT_HALT``)."""


class Part:
    """One part, ``yesladder ARGUMENTS``, with its output in a log file.

    ``check`` starts it anew after it died; a part that dies ten times within a minute, or asks to be left, is given up.
    """

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self._arguments = list(arguments)
        self._log = log
        self._starts: list[float] = []
        self._process = self._start()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> bool:
        """Start the part again if it has died; True if it had to be.  Raises ``YesladderError`` when that is no use."""
        code = self._process.poll()
        if code is None:
            return False
        recent = [at for at in self._starts if time.monotonic() - at < 60]
        if code == HALT or len(recent) >= 10:
            raise YesladderError(f"the {self.name} stopped (code {code}) and is not started again: {self.last_words()}")
        self._process = self._start()
        return True

    def stop(self, timeout_s: float = 20.0) -> int:
        """Ask it to end (SIGTERM) and wait; it is killed if it has not by then.  Its exit code."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1]} (all of it in {self._log})" if lines else f"no word in {self._log}"

    def _start(self) -> subprocess.Popen[bytes]:
        self._starts.append(time.monotonic())
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-u", "-m", "yesladder", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal reaches the supervisor only, which then ends the parts in their order.
                start_new_session=True,
            )
