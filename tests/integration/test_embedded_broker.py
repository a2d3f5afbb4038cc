from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ladder.errors import YesladderError
from producers.embedded import EmbeddedBroker
from producers.kafka_client import unreachable
from producers.kafka_publisher import KafkaPublisher
from producers.records import Record
from producers.topics import ensure_topic

PROGRAM = """
import time
from producers.embedded import EmbeddedBroker
broker = EmbeddedBroker()
broker.start()
print(broker.brokers, flush=True)
time.sleep(60)
"""


def process_ids(marker: str) -> set[int]:
    """Processes whose command line holds ``marker``, without this one."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if marker.encode() in command:
                found.add(int(entry.name))
    return found


def sockets_of(pid: int) -> list[tuple[str, str, str]]:
    """(protocol, local address, remote address) in /proc's hexadecimal of every IP socket a process holds."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    held = []
    for protocol in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        table = Path(f"/proc/{pid}/net/{protocol}")
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = line.split()
            if fields[9] in inodes:
                held.append((protocol, fields[1], fields[2]))
    return held


def wait_until_gone(marker: str) -> bool:
    deadline = time.monotonic() + 10
    while process_ids(marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_it_is_ready_when_it_has_started_and_gone_when_it_has_stopped() -> None:
    with EmbeddedBroker() as broker:
        assert broker.is_running
        assert unreachable(broker.brokers, None, timeout_s=1) is None
        assert broker.log_text() != ""
    assert not broker.is_running
    assert wait_until_gone(f"tcp://{broker.brokers}")
    broker.stop()


def quiet_port() -> int:
    """A free one below those that the kernel gives to whoever connects: nobody takes it between two lives."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20_000, 30_000))) as free:
            port: int = free.getsockname()[1]
            return port


def test_it_can_be_started_again_where_it_was_and_has_forgotten_everything() -> None:
    port = quiet_port()
    with EmbeddedBroker(port=port) as broker:
        assert ensure_topic(broker.connection, "events", 3, 1).was_created
    with EmbeddedBroker(port=port) as broker:
        assert ensure_topic(broker.connection, "events", 3, 1).was_created


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(YesladderError, match=rf"did not start on 127\.0\.0\.1:{port}: the port is taken"):
            EmbeddedBroker(port=port).start()
    assert wait_until_gone(f"tcp://127.0.0.1:{port}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_started_it_however_that_ends(number: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if parent.stdout is None:
        raise RuntimeError("no output to read")
    brokers = parent.stdout.readline().decode().strip()
    marker = f"tcp://{brokers}"
    assert len(process_ids(marker)) >= 1
    parent.send_signal(number)
    parent.wait(timeout=10)
    parent.stdout.close()
    assert wait_until_gone(marker)


def test_all_of_its_connections_stay_on_this_machine() -> None:
    with EmbeddedBroker() as broker:
        ensure_topic(broker.connection, "events", 2, 1)
        publisher = KafkaPublisher(broker.connection, "events")
        publisher.publish([Record(b"k", b"v", 0, ())]).result(timeout=10)
        sockets = [found for pid in process_ids(f"tcp://{broker.brokers}") for found in sockets_of(pid)]
        publisher.close(1)
    loopback, nobody = "0100007F", "00000000"
    assert len(sockets) >= 2
    assert {protocol for protocol, _, _ in sockets} == {"tcp"}
    assert {local.partition(":")[0] for _, local, _ in sockets} == {loopback}
    assert {remote.partition(":")[0] for _, _, remote in sockets} <= {loopback, nobody}
