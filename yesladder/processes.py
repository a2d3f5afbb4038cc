"""Running the parts of Yesladder as processes of their own, and keeping them running."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Restarts:
    """When to start again what died.

    A death is soon when it lived for less than ``soon_s``.  After the first of several such in a row it is started
    again in ``pause_s``, then in twice that, up to ``longest_pause_s``; ``most`` in a row are the end.
    """

    soon_s: float = 60.0
    pause_s: float = 1.0
    longest_pause_s: float = 30.0
    most: int = 10

    def pause(self, soon: int) -> float | None:
        """Seconds until the next start, after this many soon deaths in a row; None for never."""
        if soon >= self.most:
            return None
        return min(self.pause_s * 2.0 ** (soon - 1), self.longest_pause_s) if soon else 0.0


_RESTARTS = Restarts()


class Part:
    """One part, ``yesladder ARGUMENTS``, with its output in a log file.  It ends with this process, however that ends.

    ``check`` starts it anew after it died; a part that keeps dying soon after its start, asks to be left or was started
    wrongly is given up.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        restarts: Restarts = _RESTARTS,
    ) -> None:
        """``environment``: None for ours."""
        self.name = name
        self._environment = environment
        self._arguments = list(arguments)
        self._log = log
        self._restarts = restarts
        self._soon_deaths = 0
        self._again_at: float | None = None
        self._process = self._start()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> bool:
        """Start the part again if it has died and its pause is over; True if it was started.

        Raises ``YesladderError`` when that is no use.
        """
        code = self._process.poll()
        if code is None:
            return False
        now = time.monotonic()
        if self._again_at is None:
            self._soon_deaths = self._soon_deaths + 1 if now - self._started < self._restarts.soon_s else 0
            pause = self._restarts.pause(self._soon_deaths)
            self._again_at = math.inf if pause is None else now + pause
        if code in _NO_USE or self._again_at == math.inf:
            raise YesladderError(f"the {self.name} stopped (code {code}) and is not started again: {self.last_words()}")
        if now < self._again_at:
            return False
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
        self._started, self._again_at = time.monotonic(), None
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
