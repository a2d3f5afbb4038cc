"""Running the parts of Yesladder as processes of their own, and keeping them running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ladder.errors import UsageError, YesladderError

HALT = 4
"""A part that ends with this code asks not to be started again (see ``stream.app.EXIT_HALT``)."""

COLLECTING_AT = "collecting at "
"""What a collector says before its address, once it takes requests."""

_NO_USE = (HALT, UsageError.exit_code)

_STOP_WITHIN_S = 20.0

_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

_CHILD = "import sys; sys.path.append(sys.argv.pop(1)); from yesladder.processes import run_part; run_part()"
_ROOT = str(Path(__file__).resolve().parents[1])


class Part:
    """One part, ``yesladder ARGUMENTS``, with its output in a log file.  It ends with this process, however that ends.

    ``check`` starts it anew after it died; a part that dies ten times within a minute, asks to be left or was started
    wrongly is given up.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        """``environment``: None for ours."""
        self.name = name
        self._environment = environment
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
        if code in _NO_USE or len(recent) >= 10:
            raise YesladderError(f"the {self.name} stopped (code {code}) and is not started again: {self.last_words()}")
        self._let_go()
        self._process = self._start()
        return True

    def stop(self, timeout_s: float = _STOP_WITHIN_S) -> int:
        """Ask it to end (SIGTERM) and wait; it is killed if it has not by then.  Its exit code."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._let_go()

    def words(self) -> str:
        """What it has said since it was started last."""
        return self._log.read_bytes()[self._log_begins :].decode(errors="replace")

    def last_words(self) -> str:
        """The last line of its log, without what is only for a terminal's eyes."""
        lines = _TERMINAL_CODE.sub("", self._log.read_text(errors="replace")).strip().splitlines()
        return f"{lines[-1]} (all of it in {self._log})" if lines else f"no word in {self._log}"

    def _start(self) -> subprocess.Popen[bytes]:
        self._starts.append(time.monotonic())
        with self._log.open("ab") as log:
            self._log_begins = log.tell()
            return subprocess.Popen(
                # -P: a file json.py in the folder we were started in is none of ours.
                [sys.executable, "-P", "-u", "-c", _CHILD, _ROOT, *self._arguments],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal reaches the supervisor only, which then ends the parts in their order.
                start_new_session=True,
            )

    def _let_go(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


def run_part() -> None:
    """What a part's process does: the command line's work, until its owner is gone, which closes its stdin."""
    from yesladder.cli import main

    threading.Thread(target=_end_with_the_owner, name="owner", daemon=True).start()
    main()


def _end_with_the_owner() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_WITHIN_S)
    os._exit(1)
