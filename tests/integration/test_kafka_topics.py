from __future__ import annotations

import socket
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from kafka import KafkaProducer

from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from producers.kafka_publisher import KafkaPublisher
from producers.records import Record
from producers.topics import end_offsets, ensure_topic
from tests.suites.brokers import Broker


def test_a_missing_topic_is_created_as_asked(broker: Broker) -> None:
    topic = uuid4().hex
    found = ensure_topic(broker.connection, topic, 5, 1, {"retention.ms": "60000"})
    assert (found.partitions, found.was_created) == (5, True)
    assert str(found) == f"created the topic {topic} with 5 partitions"


def test_an_existing_topic_stays_as_it_is_and_that_is_said(broker: Broker) -> None:
    topic = uuid4().hex
    ensure_topic(broker.connection, topic, 3, 1)
    same = ensure_topic(broker.connection, topic, 3, 1)
    assert str(same) == f"the topic {topic} is there, with 3 partitions"
    other = ensure_topic(broker.connection, topic, 8, 1)
    assert (other.partitions, other.was_created) == (3, False)
    assert str(other) == f"the topic {topic} is there with 3 partitions, which stay (8 were asked for)"


def test_a_topic_ends_after_the_last_record_of_its_last_batch(broker: Broker) -> None:
    topic = uuid4().hex
    ensure_topic(broker.connection, topic, 2, 1)
    assert end_offsets(broker.connection, topic) == {0: 0, 1: 0}
    publisher = KafkaPublisher(broker.connection, topic)
    for records, end in ((3, 3), (1, 4), (500, 504)):
        publisher.publish([Record(None, b"x", 1, ())] * records).result(timeout=10)
        assert end_offsets(broker.connection, topic) == {0: 0, 1: end}
    publisher.close(1)


@pytest.mark.parametrize("broker", [pytest.param("apache", marks=pytest.mark.kafka)], indirect=True, scope="session")
def test_marks_of_transactions_and_what_is_not_committed_are_no_end(broker: Broker) -> None:
    topic = uuid4().hex
    ensure_topic(broker.connection, topic, 2, 1)
    producer = KafkaProducer(bootstrap_servers=broker.brokers, transactional_id=topic)
    producer.init_transactions()

    def transaction(records: int) -> None:
        producer.begin_transaction()
        for _ in range(records):
            producer.send(topic, b"x", partition=0)
        producer.flush()

    transaction(5)
    assert end_offsets(broker.connection, topic) == {0: 0, 1: 0}
    producer.commit_transaction()
    assert end_offsets(broker.connection, topic) == {0: 5, 1: 0}
    for _ in range(3):
        transaction(30)
        producer.abort_transaction()
    assert end_offsets(broker.connection, topic) == {0: 5, 1: 0}
    transaction(2)
    assert end_offsets(broker.connection, topic) == {0: 5, 1: 0}
    producer.commit_transaction()
    assert end_offsets(broker.connection, topic) == {0: 5 + 1 + 3 * 31 + 2, 1: 0}
    producer.close()


def test_a_missing_topic_ends_nowhere(broker: Broker) -> None:
    assert end_offsets(broker.connection, uuid4().hex) == {}


CLIENTS: dict[str, Callable[[KafkaConnection], object]] = {
    "publisher": lambda connection: KafkaPublisher(connection, "events", connect_timeout_s=0.5),
    "topic": lambda connection: ensure_topic(connection, "events", 1, 1, timeout_s=0.5),
}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Callable[[KafkaConnection], object]:
    return CLIENTS[request.param]


def complaint(client: Callable[[KafkaConnection], object], connection: KafkaConnection) -> str:
    begin = time.monotonic()
    with pytest.raises(YesladderError) as caught:
        client(connection)
    assert time.monotonic() - begin < 4
    return str(caught.value)


def test_where_nothing_listens_the_error_says_so_within_seconds(client: Callable[[KafkaConnection], object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_at_once:
        port = closed_at_once.getsockname()[1]
    said = complaint(client, KafkaConnection(f"127.0.0.1:{port}"))
    assert said == (f"no Kafka broker (PLAINTEXT) in 0.5 s: 127.0.0.1:{port}: [Errno 111] Connection refused")


def test_where_something_listens_but_never_answers_the_error_says_so(
    client: Callable[[KafkaConnection], object],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        said = complaint(client, KafkaConnection(f"127.0.0.1:{port}"))
    assert said == f"no Kafka broker (PLAINTEXT) in 0.5 s: 127.0.0.1:{port}: no answer"


def test_tls_to_a_broker_without_it_is_an_error_and_no_endless_handshake(
    broker: Broker, client: Callable[[KafkaConnection], object]
) -> None:
    said = complaint(client, KafkaConnection(broker.brokers, "SSL"))
    # The embedded broker waits for the rest of what it takes for a long request; Apache Kafka hangs up.
    why = ["no answer", "closed the connection in the TLS handshake; does it speak TLS on this port?"]
    assert said in [f"no Kafka broker (SSL) in 0.5 s: {broker.brokers}: {each}" for each in why]


def test_a_broker_that_does_not_take_our_name_is_an_error_that_says_what_to_check(
    broker: Broker, client: Callable[[KafkaConnection], object]
) -> None:
    said = complaint(client, KafkaConnection(broker.brokers, "SASL_PLAINTEXT", "PLAIN", "me", "secret"))
    assert said == (
        f"Kafka at {broker.brokers} is there, but did not let us in within 0.5 s;"
        " check mechanism, user name and password"
    )
