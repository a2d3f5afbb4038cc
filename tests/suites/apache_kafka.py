"""Apache Kafka for tests, without Docker: one broker or three on loopback, each a controller as well.

``tests/kafka/pom.xml`` says which version.  Its jars are copied once, by Maven, into the user's cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from xml.etree import ElementTree

HOST = "127.0.0.1"
POM = Path(__file__).parents[1] / "kafka" / "pom.xml"

# Brokers live for minutes: quick to start counts more than quick code, and three of them share two cores.
_JAVA = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
_CLUSTER_ID = "eWVzbGFkZGVyLXRlc3RzLg"
_STARTED = b"Kafka Server started"
_KEEPER = """
exec 3<&0
"$@" </dev/null 3<&- &
broker=$!
echo "$broker" >"$PID_FILE"
{ cat <&3 >/dev/null; kill -KILL "$broker"; } 2>/dev/null &
wait "$broker"
code=$?
kill -KILL $! 2>/dev/null
exit "$code"
"""
"""Runs the broker until our end of its stdin closes, which the kernel does also when we are killed."""


@dataclass(frozen=True)
class SaslSsl:
    """How the clients' listener asks who they are.  Brokers and controllers go on in plain text among each other.

    ``key_and_certificates``: one PEM file with the brokers' key (PKCS 8) and its chain.  ``users``: name to password,
    for PLAIN and for SCRAM-SHA-512 alike.
    """

    key_and_certificates: Path
    users: Mapping[str, str]


class ApacheKafka:
    """The cluster; ``with ApacheKafka(folder, 3) as kafka: connect(kafka.bootstrap)``.  It is ready then.

    ``folder``: takes data and logs (``broker-0.log`` ...), and is left to the test to look at.  Broker ``i`` is
    ``node.id`` i and listens to clients on ``ports[i]``, from start to end.  All ends with the ``with``, or with this
    process, even by SIGKILL.

    ``advertise``: for a proxy before a broker: ``{i: port}`` is what clients are told to connect to in the place of
    ``ports[i]``; taken over whenever a broker starts.  Brokers and controllers reach each other past it.
    """

    def __init__(self, folder: Path, brokers: int = 1, *, sasl_ssl: SaslSsl | None = None) -> None:
        self.folder = folder
        self.advertise: dict[int, int] = {}
        self._sasl_ssl = sasl_ssl
        found = _free_ports(3 * brokers)
        self.ports, self._inner_ports, self._controller_ports = (
            found[:brokers],
            found[brokers : 2 * brokers],
            found[2 * brokers :],
        )
        self._keepers: dict[int, subprocess.Popen[bytes]] = {}
        self._pids: dict[int, int] = {}
        self._log_begins: dict[int, int] = {}
        self._jars = jars()

    @property
    def bootstrap(self) -> str:
        """``host:port,...`` for clients, through the proxies where there are any."""
        return ",".join(f"{HOST}:{self.advertise.get(i, port)}" for i, port in enumerate(self.ports))

    @property
    def inner_bootstrap(self) -> str:
        """The same past any proxy, in plain text, without a password."""
        return ",".join(f"{HOST}:{port}" for port in self._inner_ports)

    def __enter__(self) -> Self:
        try:
            for i in range(len(self.ports)):
                self._format(i)
            for i in range(len(self.ports)):
                self.start(i)
            self.wait_ready(60)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def is_running(self, i: int) -> bool:
        """Also while it is paused."""
        return i in self._keepers and self._keepers[i].poll() is None

    def pid(self, i: int) -> int:
        """Of a broker that is running."""
        return self._pids[i]

    def start(self, i: int) -> None:
        """Start broker ``i`` without waiting for it (``wait_ready``).  Harmless when it runs."""
        if self.is_running(i):
            return
        self._write_properties(i)
        pid_file = self._home(i) / "pid"
        pid_file.unlink(missing_ok=True)
        log = self.log_file(i)
        self._log_begins[i] = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._keepers[i] = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "sh", *self._java("kafka.Kafka", self._properties(i), log_level="INFO")],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=os.environ | {"PID_FILE": str(pid_file)},
                start_new_session=True,
            )
        deadline = time.monotonic() + 10
        while not (pid_file.exists() and (pid := pid_file.read_text(encoding="ascii")).endswith("\n")):
            if time.monotonic() > deadline:
                raise RuntimeError(f"broker {i} was not started; see {log}")
            time.sleep(0.005)
        self._pids[i] = int(pid)

    def kill(self, i: int) -> None:
        """SIGKILL, and wait for its end."""
        self._signal(i, signal.SIGKILL)
        self._wait(i, 30)

    def terminate(self, i: int, timeout_s: float = 20) -> None:
        """SIGTERM: it hands its partitions over and closes its logs; killed if that takes longer."""
        self._signal(i, signal.SIGTERM)
        self._signal(i, signal.SIGCONT)
        try:
            self._wait(i, timeout_s)
        except subprocess.TimeoutExpired:
            self.kill(i)

    def pause(self, i: int) -> None:
        """SIGSTOP: silent, with its connections open."""
        self._signal(i, signal.SIGSTOP)

    def resume(self, i: int) -> None:
        self._signal(i, signal.SIGCONT)

    def wipe(self, i: int) -> None:
        """Lose every record on the disk of a stopped broker; who it is and what the cluster knows stay."""
        if self.is_running(i):
            raise RuntimeError(f"broker {i} is running: its disk cannot be wiped")
        for entry in (self._home(i) / "data").iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "meta.properties":
                entry.unlink()

    def wait_ready(self, timeout_s: float = 30) -> None:
        """Until every broker that was started serves clients.  Raises ``RuntimeError`` that names the log."""
        deadline = time.monotonic() + timeout_s
        for i in list(self._keepers):
            while not self._has_started(i):
                if not self.is_running(i):
                    raise RuntimeError(
                        f"broker {i} ended; see {self.log_file(i)}:\n{self._log_of_this_start(i)[-2000:]!r}"
                    )
                if time.monotonic() > deadline:
                    raise RuntimeError(f"broker {i} was not ready in {timeout_s:g} s; see {self.log_file(i)}")
                time.sleep(0.02)

    def log_file(self, i: int) -> Path:
        return self.folder / f"broker-{i}.log"

    def _has_started(self, i: int) -> bool:
        return _STARTED in self._log_of_this_start(i)

    def _log_of_this_start(self, i: int) -> bytes:
        return self.log_file(i).read_bytes()[self._log_begins[i] :]

    def _end(self) -> None:
        for i in list(self._keepers):
            self.kill(i)

    def _signal(self, i: int, number: signal.Signals) -> None:
        if self.is_running(i):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pids[i], number)

    def _wait(self, i: int, timeout_s: float) -> None:
        keeper = self._keepers[i]
        keeper.wait(timeout_s)
        if keeper.stdin is not None:
            keeper.stdin.close()
        del self._keepers[i]

    def _home(self, i: int) -> Path:
        return self.folder / f"broker-{i}"

    def _properties(self, i: int) -> Path:
        return self._home(i) / "server.properties"

    def _java(self, program: str, *arguments: object, log_level: str = "ERROR") -> list[str]:
        return [_java(), *_JAVA, f"-Dlog4j2.level={log_level}", "-cp", f"{self._jars}/*", program, *map(str, arguments)]

    def _format(self, i: int) -> None:
        self._home(i).mkdir(parents=True, exist_ok=True)
        self._write_properties(i)
        tool = self._java("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", self._properties(i))
        if self._sasl_ssl is not None:
            for name, password in self._sasl_ssl.users.items():
                tool += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        done = subprocess.run(tool, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the storage of broker {i} could not be formatted: {done.stdout}{done.stderr}")

    def _write_properties(self, i: int) -> None:
        voters = enumerate(self._controller_ports)
        copies = len(self.ports)
        security = "PLAINTEXT" if self._sasl_ssl is None else "SASL_SSL"
        listeners = {"CLIENTS": self.ports[i], "BROKERS": self._inner_ports[i]}
        advertised = listeners | {"CLIENTS": self.advertise.get(i, self.ports[i])}
        properties = {
            "process.roles": "broker,controller",
            "node.id": i,
            "controller.quorum.voters": ",".join(f"{n}@{HOST}:{port}" for n, port in voters),
            "listeners": _addresses(listeners | {"CONTROLLERS": self._controller_ports[i]}),
            "advertised.listeners": _addresses(advertised),
            "listener.security.protocol.map": f"CLIENTS:{security},BROKERS:PLAINTEXT,CONTROLLERS:PLAINTEXT",
            "inter.broker.listener.name": "BROKERS",
            "controller.listener.names": "CONTROLLERS",
            "log.dirs": self._home(i) / "data",
            "metadata.log.dir": self._home(i) / "metadata",
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": min(2, copies),
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": min(2, copies),
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            # Tests shorten the workers' signs of life (Kafka's own least is 6 s), and lose brokers on purpose.
            "group.min.session.timeout.ms": 1000,
            # A killed broker is let in again when its old session has ended.
            "broker.session.timeout.ms": 2000 if copies == 1 else 4000,
            "broker.heartbeat.interval.ms": 500,
            "log.cleaner.dedupe.buffer.size": 2 * 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 3,
        }
        if self._sasl_ssl is not None:
            properties |= _sasl_ssl_properties(self._sasl_ssl)
        text = "".join(f"{name}={value}\n" for name, value in properties.items())
        self._properties(i).write_text(text, encoding="utf-8")


def jars() -> Path:
    """The folder with the broker's jars.  Raises ``RuntimeError`` where they are missing and Maven cannot get them."""
    version = ElementTree.parse(POM).findtext(".//{*}kafka.version")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "yesladder"
    target = cache / f"kafka-{version}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Maven's own store does not bear two at once either
        if target.exists():
            return target
        if shutil.which("mvn") is None:
            raise RuntimeError(
                f"Apache Kafka for tests needs Maven once, to copy {POM} into {target} (or set YESLADDER_TEST_BROKERS)"
            )
        unfinished = cache / f"kafka-{version}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        copy = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run(
            [*copy, f"-DoutputDirectory={unfinished}"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"Maven did not copy Apache Kafka: {done.stdout}{done.stderr}")
        unfinished.rename(target)
    return target


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return f"{home}/bin/java" if home else "java"


def _addresses(listeners: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items())


def _sasl_ssl_properties(sasl_ssl: SaslSsl) -> dict[str, object]:
    modules = "org.apache.kafka.common.security"
    users = " ".join(f'user_{name}="{password}"' for name, password in sasl_ssl.users.items())
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": sasl_ssl.key_and_certificates,
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.clients.plain.sasl.jaas.config": f"{modules}.plain.PlainLoginModule required {users};",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
    }


def _free_ports(count: int) -> list[int]:
    """Below those that the kernel gives to outgoing connections: a broker that restarts must get its own again."""
    found: list[int] = []
    for port in random.sample(range(15_000, 32_000), 200):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("there are no free ports between 15000 and 32000")
