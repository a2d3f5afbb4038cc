"""SASL_SSL, with certificates made on the spot: everybody who talks to Kafka does it over TLS and with a password."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from ladder.connection import KafkaConnection, SaslMechanism
from ladder.errors import YesladderError
from producers.kafka_publisher import KafkaPublisher
from producers.records import Record
from producers.topics import end_offsets, ensure_topic, is_reachable
from tests.suites.apache_kafka import ApacheKafka, SaslSsl
from tests.suites.certificates import Authority
from tests.suites.command_line import Service, free_ports, is_answering
from warehouse.lake import Lake

pytestmark = pytest.mark.kafka

USER, PASSWORD = "collector", "open sesame = open"
MECHANISMS: list[SaslMechanism] = ["PLAIN", "SCRAM-SHA-512"]


@dataclass(frozen=True)
class Secured:
    """A broker that asks for TLS and a password, one authority that vouches for it and one that does not."""

    connection: KafkaConnection
    strangers: Authority


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured-kafka")
    authority = Authority(folder, "authority")
    with ApacheKafka(folder, sasl_ssl=SaslSsl(authority.vouch_for("broker"), {USER: PASSWORD})) as kafka:
        connection = KafkaConnection(
            kafka.bootstrap, "SASL_SSL", "SCRAM-SHA-512", USER, PASSWORD, str(authority.certificate)
        )
        yield Secured(connection, Authority(folder, "strangers"))


def settings_of(connection: KafkaConnection) -> dict[str, str]:
    """As environment variables."""
    return {
        "brokers": connection.brokers,
        "security_protocol": connection.security_protocol,
        "sasl_mechanism": str(connection.sasl_mechanism),
        "username": str(connection.username),
        "password": str(connection.password),
        "ca_file": str(connection.ca_file),
    }


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_events_come_from_http_into_the_lake(secured: Secured, tmp_path: Path, mechanism: SaslMechanism) -> None:
    connection = replace(secured.connection, sasl_mechanism=mechanism)
    topic, (port,) = uuid4().hex, free_ports(1)
    settings = settings_of(connection) | {
        "topic": topic,
        "partitions": "2",
        "warehouse": str(tmp_path),
        "worker_port": "0",
    }
    logs = [tmp_path / "collector.log", tmp_path / "worker.log"]
    lake = Lake(tmp_path / "lake")
    with (
        Service("collect", "--port", port, cwd=tmp_path, log=logs[0], settings=settings) as collector,
        Service("worker", "--session-timeout", "2s", cwd=tmp_path, log=logs[1], settings=settings) as worker,
    ):
        url = f"http://127.0.0.1:{port}"
        collector.until(lambda: is_answering(f"{url}/health"))
        batch = [{"type": "track", "event": "Seen", "anonymousId": f"v{n}", "messageId": f"m{n}"} for n in range(100)]
        answer = httpx.post(f"{url}/v1/batch", json={"batch": batch}, timeout=30)
        assert answer.status_code == 200, answer.text
        worker.until(lambda: len(lake.scan("events").select("event_id").collect()) == 100)
        assert worker.stop() == 0
        assert collector.stop() == 0
    landed = lake.scan("events").select("event_id").collect()["event_id"].to_list()
    assert sorted(landed) == sorted(f"m{n}" for n in range(100))
    assert all(PASSWORD not in log.read_text() for log in logs)


def test_a_topic_is_made_filled_and_measured(secured: Secured) -> None:
    topic = uuid4().hex
    assert is_reachable(secured.connection)
    assert ensure_topic(secured.connection, topic, 3, 1).was_created
    publisher = KafkaPublisher(secured.connection, topic)
    publisher.publish([Record(b"k", b"v", 2, ())] * 5).result(timeout=10)
    publisher.close(timeout_s=5)
    assert end_offsets(secured.connection, topic) == {0: 0, 1: 0, 2: 5}


CLIENTS: dict[str, Callable[[KafkaConnection], object]] = {
    "publisher": lambda connection: KafkaPublisher(connection, "events", connect_timeout_s=2),
    "topic": lambda connection: ensure_topic(connection, "events", 1, 1, timeout_s=2),
    "end offsets": lambda connection: end_offsets(connection, "events", timeout_s=2),
}
MISTAKES = {
    "wrong password": "check mechanism, user name and password",
    "unknown user": "check mechanism, user name and password",
    "wrong authority": "its certificate is not to be trusted (unable to get local issuer certificate); is this",
    "no tls": "it speaks TLS on this port (SSL or SASL_SSL)",
}


def mistaken(secured: Secured, mistake: str) -> KafkaConnection:
    right = secured.connection
    return {
        "wrong password": replace(right, password="open barley"),
        "unknown user": replace(right, username="cassim"),
        "wrong authority": replace(right, ca_file=str(secured.strangers.certificate)),
        "no tls": replace(right, security_protocol="SASL_PLAINTEXT", ca_file=None),
    }[mistake]


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_mistake_is_named_within_seconds(secured: Secured, client: str, mistake: str) -> None:
    begin = time.monotonic()
    with pytest.raises(YesladderError) as caught:
        CLIENTS[client](mistaken(secured, mistake))
    assert time.monotonic() - begin < 6
    assert MISTAKES[mistake] in str(caught.value)
    assert "open barley" not in str(caught.value)


def test_the_worker_names_it_too_in_one_line_and_ends(secured: Secured, tmp_path: Path) -> None:
    mistakes = ["wrong password", "wrong authority"]
    workers = [
        Service(
            "worker",
            cwd=tmp_path,
            log=tmp_path / f"{mistake}.log",
            settings=settings_of(mistaken(secured, mistake)) | {"worker_port": "0", "warehouse": str(tmp_path)},
        )
        for mistake in mistakes
    ]
    for mistake, worker in zip(mistakes, workers, strict=True):
        assert worker.wait() == 1
        (line,) = worker.words().splitlines()
        assert MISTAKES[mistake] in line
