"""The brokers of a run, each behind a proxy: one embedded, or one to three of Apache Kafka's own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from ladder.connection import KafkaConnection
from producers.embedded import broker_binary
from producers.kafka_client import unreachable
from producers.topics import ensure_topic
from tests.chaos.proxy import Proxy
from tests.suites.apache_kafka import ApacheKafka
from tests.suites.command_line import free_ports


class Cluster(ABC):
    """Brokers by number, and the network before each.  A context: its brokers end with it."""

    def __init__(self, brokers: int) -> None:
        self.proxies = [Proxy() for _ in range(brokers)]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for proxy in self.proxies:
            self._stack.enter_context(proxy)
        try:
            self._begin(self._stack)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @property
    def connection(self) -> KafkaConnection:
        """By way of the proxies, as everybody goes."""
        return KafkaConnection(",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies))

    def make_topic(self, topic: str, partitions: int) -> None:
        """With as many copies as there are brokers, and acknowledged by all but one of three."""
        copies = len(self.proxies)
        ensure_topic(self.connection, topic, partitions, copies, {"min.insync.replicas": "2"} if copies > 2 else None)

    def heal_network(self) -> None:
        for proxy in self.proxies:
            proxy.heal()

    @property
    @abstractmethod
    def inner(self) -> KafkaConnection:
        """For those who look on: past the proxies, where the brokers know such a way."""

    @abstractmethod
    def _begin(self, stack: ExitStack) -> None: ...

    @abstractmethod
    def stop(self, number: int, how: signal.Signals) -> None:
        """SIGKILL, SIGTERM, or SIGSTOP for a while."""

    @abstractmethod
    def start(self, number: int) -> None:
        """Again after any ``stop``."""

    @abstractmethod
    def lose_disk(self, number: int) -> None:
        """What a stopped broker had is gone."""

    @abstractmethod
    def is_down(self, number: int) -> bool:
        """Ended, or standing still."""

    @abstractmethod
    def move_leaders(self, topic: str) -> bool:
        """Another broker becomes the leader of each partition.  Whether any has another one now."""

    def has_settled(self, group: str, members: int) -> bool:
        """Whether the group has so many members, and each knows what is its; the embedded broker does not tell."""
        return False

    @abstractmethod
    def wait_whole(self) -> None:
        """Until every broker answers and every copy is complete."""


class Embedded(Cluster):
    """One broker that keeps everything in memory, so it can only stand still."""

    def __init__(self, log: Path) -> None:
        super().__init__(1)
        self._log = log

    def _begin(self, stack: ExitStack) -> None:
        (port,) = free_ports(1)
        (proxy,) = self.proxies
        proxy.leads_to(port)
        command = [broker_binary(), "broker", "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", f"tcp://127.0.0.1:{port}"]
        command += ["--advertised-listener-url", f"tcp://127.0.0.1:{proxy.port}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": os.defpath, "NO_COLOR": "1"}
            )
        stack.callback(self._end)
        until = time.monotonic() + 10
        while unreachable(f"127.0.0.1:{port}", None, timeout_s=0.5) is not None:
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError(f"the embedded broker did not start: {self._log.read_text(errors='replace')}")
            time.sleep(0.05)

    @property
    def inner(self) -> KafkaConnection:
        return self.connection

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self, number: int, how: signal.Signals) -> None:
        if how is not signal.SIGSTOP:
            raise ValueError(f"the embedded broker would not survive {how.name}")
        self._process.send_signal(how)

    def start(self, number: int) -> None:
        self._process.send_signal(signal.SIGCONT)

    def lose_disk(self, number: int) -> None:
        raise ValueError("the embedded broker has no disk")

    def is_down(self, number: int) -> bool:
        return is_stopped(self._process.pid)

    def move_leaders(self, topic: str) -> bool:
        raise ValueError("the embedded broker is alone")

    def wait_whole(self) -> None:
        self._process.send_signal(signal.SIGCONT)


class Apache(Cluster):
    """Apache Kafka's own brokers, each a controller as well."""

    def __init__(self, folder: Path, brokers: int) -> None:
        super().__init__(brokers)
        self._kafka = ApacheKafka(folder, brokers)

    @property
    def inner(self) -> KafkaConnection:
        return KafkaConnection(self._kafka.inner_bootstrap)

    def _begin(self, stack: ExitStack) -> None:
        for number, (proxy, port) in enumerate(zip(self.proxies, self._kafka.ports, strict=True)):
            proxy.leads_to(port)
            self._kafka.advertise[number] = proxy.port
        stack.enter_context(self._kafka)

    def stop(self, number: int, how: signal.Signals) -> None:
        if how is signal.SIGKILL:
            self._kafka.kill(number)
        elif how is signal.SIGTERM:
            self._kafka.terminate(number)
        else:
            self._kafka.pause(number)

    def start(self, number: int) -> None:
        self._kafka.resume(number)
        self._kafka.start(number)

    def lose_disk(self, number: int) -> None:
        self._kafka.wipe(number)

    def is_down(self, number: int) -> bool:
        return not self._kafka.is_running(number) or is_stopped(self._kafka.pid(number))

    def move_leaders(self, topic: str) -> bool:
        with closing(self._admin()) as admin:
            found = admin.describe_topics([topic])[0]["partitions"]
            replicas = {
                TopicPartition(topic, one["partition_index"]): [*one["replica_nodes"][1:], one["replica_nodes"][0]]
                for one in found
            }
            admin.alter_partition_reassignments(replicas)
            admin.elect_leaders(0, {topic: [place.partition for place in replicas]}, raise_errors=False)
            before = _leaders(found)
            until = time.monotonic() + 2
            while (now := _leaders(admin.describe_topics([topic])[0]["partitions"])) == before:
                if time.monotonic() > until:
                    return False
                time.sleep(0.1)
            return any(leader not in (-1, before[partition]) for partition, leader in now.items())

    def has_settled(self, group: str, members: int) -> bool:
        with closing(self._admin()) as admin:
            told = admin.describe_groups([group])[group]
            return bool(told["group_state"] == "Stable" and len(told["members"]) == members)

    def wait_whole(self) -> None:
        for number in range(len(self.proxies)):
            self.start(number)
        self._kafka.wait_ready(60)
        until = time.monotonic() + 60
        with suppress(KafkaError), closing(self._admin()) as admin:
            while not all(
                len(one["isr_nodes"]) == len(self.proxies)
                for topic in admin.describe_topics()
                for one in topic["partitions"]
            ):
                if time.monotonic() > until:
                    raise RuntimeError("the copies on the brokers do not become complete")
                time.sleep(0.2)

    def _admin(self) -> KafkaAdminClient:
        return KafkaAdminClient(bootstrap_servers=self.inner.addresses, request_timeout_ms=5000)


def is_stopped(pid: int) -> bool:
    """Whether the process stands still because of SIGSTOP."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"


def _leaders(partitions: list[dict[str, Any]]) -> dict[int, int]:
    return {one["partition_index"]: one["leader_id"] for one in partitions}
