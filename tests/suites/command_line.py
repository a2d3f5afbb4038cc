"""Running `yesladder` as its users do: a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx

YESLADDER = [sys.executable, "-P", "-m", "yesladder"]
"""``-P``: what is tested is what is installed (or on PYTHONPATH), wherever the tests are started."""


def environment(**settings: str) -> dict[str, str]:
    """Ours, for any folder, without the machine's settings and with these: ``port="0"`` is YESLADDER_PORT=0."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("YESLADDER_")}
    if "PYTHONPATH" in inherited:
        paths = [str(Path(path).absolute()) for path in inherited["PYTHONPATH"].split(os.pathsep)]
        inherited["PYTHONPATH"] = os.pathsep.join(paths)
    return inherited | {f"YESLADDER_{name.upper()}": value for name, value in settings.items()}


def run(*arguments: object, cwd: Path, settings: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*YESLADDER, *map(str, arguments)],
        cwd=cwd,
        env=environment(**(settings or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def run_json(*arguments: object, cwd: Path, settings: Mapping[str, str] | None = None) -> Any:
    """The result of a command with ``--json``; it must succeed and print nothing else."""
    done = run(*arguments, "--json", cwd=cwd, settings=settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Service:
    """A command that stays up; its output goes to ``log``.  ``with Service(...) as it:`` ends it by SIGTERM."""

    def __init__(self, *arguments: object, cwd: Path, log: Path, settings: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*YESLADDER, *map(str, arguments)],
                cwd=cwd,
                env=environment(**(settings or {})),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, at: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 60) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(timeout_s)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code; killed if it does not end within a minute, which its code then shows."""
        if self.is_running:
            self._process.send_signal(number)
        try:
            return self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def words(self) -> str:
        """All it has said."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def until(self, done: Callable[[], bool], patience_s: float = 60) -> None:
        """Wait for something that this service brings about; it must not end meanwhile."""
        end = time.monotonic() + patience_s
        while not done():
            assert self.is_running, self.words()
            assert time.monotonic() < end, f"nothing came of {patience_s} s of waiting; it said: {self.words()}"
            time.sleep(0.05)


def is_answering(url: str) -> bool:
    """Whether a GET of this address is answered with 200."""
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in found]
