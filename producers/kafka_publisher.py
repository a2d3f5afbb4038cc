"""The publisher for Kafka, with kafka-python."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import Literal

from ladder.connection import KafkaConnection
from ladder.errors import YesladderError
from producers.kafka_session import KafkaSession, SessionSettings
from producers.publisher import MAX_IN_FLIGHT_BYTES, InFlight, PublishError, check_records, failed, new_future
from producers.records import Record

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.25


class KafkaPublisher:
    """Publishes with acks=all and the idempotent producer: its own retries neither double nor reorder anything.

    A publish that Kafka has not acknowledged within ``delivery_timeout_s`` fails; one that would bring more than
    ``max_in_flight_bytes`` under way fails at once, and so does every one while Kafka is known to be away.
    Raises ``YesladderError`` within about ``connect_timeout_s`` when no broker answers or the topic is missing.

    After a failure a thread connects anew: kafka-python 3.0.12 forgets its producer id when records that it has sent
    expire, asks for no other, and from then on sends nothing, without an error.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        *,
        delivery_timeout_s: float = 10.0,
        connect_timeout_s: float = 5.0,
        max_in_flight_bytes: int = MAX_IN_FLIGHT_BYTES,
        linger_ms: int = 2,
        compression: Literal["gzip"] | None = None,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._settings = SessionSettings(delivery_timeout_s, connect_timeout_s, linger_ms, compression)
        self._budget = InFlight(max_in_flight_bytes)
        self._futures: set[Future[None]] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._session = KafkaSession(connection, topic, self._settings)
        self._keeper = threading.Thread(target=self._keep, name=f"publisher-{topic}", daemon=True)
        self._keeper.start()

    @property
    def partitions(self) -> int:
        """As of the last connection: another number when the topic was changed while Kafka was away."""
        return self._session.partitions

    def publish(self, records: Sequence[Record]) -> Future[None]:
        session = self._session
        check_records(records, session.partitions)
        size = sum(record.size for record in records)
        future = new_future()
        with self._lock:
            if self._closed.is_set():
                return failed(future, PublishError("closed", "the publisher was closed"))
            if session.trouble is not None:
                return failed(future, PublishError("unavailable", session.trouble))
            if not self._budget.take(size):
                return failed(future, self._budget.error())
            self._futures.add(future)

        def ended(error: PublishError | None) -> None:
            with self._lock:
                self._budget.give_back(size)
                self._futures.discard(future)
            if error is None:
                future.set_result(None)
            elif self._closed.is_set():
                future.set_exception(PublishError("closed", str(error), acknowledged=error.acknowledged))
            else:
                future.set_exception(error)

        session.send(records, ended)
        return future

    def close(self, timeout_s: float) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            under_way = set(self._futures)
        wait(under_way, timeout=timeout_s)
        self._session.shut()
        self._keeper.join(timeout=1)

    def _keep(self) -> None:
        """Look after the session, and put a new one in the place of one in trouble, for as long as it takes."""
        while not self._closed.wait(_LOOK_EVERY_S):
            try:
                self._session.check()
                if self._session.trouble is None:
                    continue
                _log.warning("connecting anew after %s", self._session.trouble)
                self._session.shut()
            except Exception:  # whatever kafka-python thinks of: without this thread nothing would ever be published
                _log.exception("the session with Kafka is in a state that nobody expected")
            while not self._closed.is_set():
                try:
                    self._session = KafkaSession(self._connection, self._topic, self._settings)
                    break
                except YesladderError:
                    continue
                except Exception:
                    _log.exception("connecting to Kafka failed as nobody expected")
                    self._closed.wait(1)
            if self._closed.is_set():
                self._session.shut()
