from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from ladder.connection import KafkaConnection
from producers.embedded import EmbeddedBroker
from tests.suites.apache_kafka import ApacheKafka
from tests.suites.brokers import Breakable, Broker, breakable_apache, breakable_embedded
from tests.suites.mail_server import Mailbox, mail_server
from tests.suites.object_store import S3, Azure, Google, azure_server, google_server, s3_server
from tests.suites.web_server import Web, web_server
from warehouse.quality import Gate

KAFKA_LOGS = pytest.StashKey[Path]()
KINDS = ["embedded", pytest.param("apache", marks=pytest.mark.kafka)]


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """A broker for everybody: use a topic of your own, and do not pause or stop it."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def apache_kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """One Apache Kafka broker for the whole session: whoever harms it makes it well again."""
    folder = request.config.stash[KAFKA_LOGS] = tmp_path_factory.mktemp("apache-kafka")
    with ApacheKafka(folder) as kafka:
        yield kafka


@pytest.fixture(scope="session", params=KINDS)
def broker(request: pytest.FixtureRequest) -> Broker:
    """The embedded broker, then Apache Kafka, which may be one that runs already (YESLADDER_TEST_BROKERS)."""
    if request.param == "embedded":
        embedded: EmbeddedBroker = request.getfixturevalue("embedded_broker")
        return Broker(embedded.connection)
    running = os.environ.get("YESLADDER_TEST_BROKERS")
    if running:
        return Broker(KafkaConnection(running))
    kafka: ApacheKafka = request.getfixturevalue("apache_kafka")
    return Broker(KafkaConnection(kafka.bootstrap))


@pytest.fixture(params=KINDS)
def breakable(request: pytest.FixtureRequest) -> Iterator[Breakable]:
    """A broker to harm; never one that YESLADDER_TEST_BROKERS names."""
    if request.param == "embedded":
        with EmbeddedBroker() as embedded:
            yield (broker := breakable_embedded(embedded))
            broker.kill()
    else:
        kafka: ApacheKafka = request.getfixturevalue("apache_kafka")
        yield breakable_apache(kafka)
        kafka.resume(0)
        kafka.start(0)
        kafka.wait_ready()


@pytest.fixture(scope="session")
def gate() -> Iterator[Gate]:
    """One quality gate for all builds: it takes seconds to load."""
    with Gate() as loaded:
        yield loaded


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server for everybody: take a folder of your own, and have things go well again."""
    with s3_server() as running:
        yield running


@pytest.fixture(scope="session")
def gs() -> Iterator[Google]:
    """A server of Google's protocol for everybody, as ``s3`` is one of Amazon's."""
    with google_server() as running:
        yield running


@pytest.fixture(scope="session")
def abfss(pytestconfig: pytest.Config) -> Iterator[Azure]:
    """A server of Azure's protocol, for tests that are ``long``: it needs Node, and much to be installed."""
    with azure_server(Path(pytestconfig.rootpath) / ".pytest_cache") as running:
        yield running


DEAR = ("test_workers_that_share_a_topic", "test_kill_nine.py")
"""Tests that run on both brokers at some length: `make test-kafka` has them on Apache Kafka."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "[embedded" in item.nodeid and any(name in item.nodeid for name in DEAR):
            item.add_marker(pytest.mark.long)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where a test failed on Apache Kafka, say where its logs are."""
    report = yield
    logs = item.config.stash.get(KAFKA_LOGS, None)
    if report.failed and logs is not None and item.get_closest_marker("kafka") is not None:
        report.sections.append(("Apache Kafka", f"its logs are in {logs}"))
    return report


@pytest.fixture
def box() -> Iterator[Mailbox]:
    """What a mail server got."""
    with mail_server() as box:
        yield box


@pytest.fixture
def web() -> Iterator[Web]:
    """What a web server was asked."""
    with web_server() as web:
        yield web
