"""The publisher that keeps accepting while Kafka is away: it has a spool, and threads that look after it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime

from ladder.errors import YesladderError
from producers.publisher import Publisher
from producers.records import Record
from producers.spool import Spool
from producers.spooling import Spooling, SpoolState

_log = logging.getLogger(__name__)

_TURN_EVERY_S = 0.1
_RECONNECT_EVERY_S = 1.0


class SpoolingPublisher:
    """A publish is done once Kafka has acknowledged it, or once it is fsynced into the spool, which is sent in order.

    Kafka is given ``patience_s`` for a publish before the spool takes it.  A publish fails only when ``max_bytes`` are
    spooled already or the disk takes no more.  ``connect`` makes the publisher for Kafka.  Its ``YesladderError`` is
    raised where the spool does not know the number of partitions yet; otherwise it is called until it works.  The
    spool is closed with the publisher.
    """

    def __init__(
        self, connect: Callable[[], Publisher], spool: Spool, *, max_bytes: int, patience_s: float = 2.0
    ) -> None:
        self._connect = connect
        self._spool = spool
        self._kafka: Publisher | None = None
        self._stopping = threading.Event()
        self._is_ended = False
        self._due = threading.Event()
        self._lock = threading.Lock()
        self._spooling = Spooling(spool, max_bytes, patience_s, self._due.set)
        if spool.partitions is None:
            self._connected(connect())
            self._turn()  # from the first publish on it goes direct
        else:
            threading.Thread(target=self._keep_connecting, name="spool-connect", daemon=True).start()
        self._turning = threading.Thread(target=self._keep_turning, name="spool", daemon=True)
        self._turning.start()

    @property
    def partitions(self) -> int:
        """As of the last time that Kafka was reached."""
        return self._spooling.partitions

    @property
    def state(self) -> SpoolState:
        return self._spooling.state()

    def publish(self, records: Sequence[Record]) -> Future[None]:
        return self._spooling.publish(records, time.monotonic())

    def close(self, timeout_s: float) -> None:
        """Wait this long for Kafka's word on what is under way; the rest is fsynced, for the next time."""
        with self._lock:
            if self._is_ended:
                return
            self._is_ended = True
        self._spooling.refuse_new()
        deadline = time.monotonic() + timeout_s
        while not self._spooling.is_idle and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stopping.set()
        self._due.set()
        self._turning.join()
        with self._lock:
            kafka, self._kafka = self._kafka, None
        if kafka is not None:
            kafka.close(0)
        self._turn()
        self._spooling.give_up_kafka()
        self._turn()
        self._spool.close()

    def _connected(self, kafka: Publisher) -> None:
        with self._lock:
            if not self._is_ended:
                self._kafka = kafka
                self._spooling.connected(kafka)
                return
        kafka.close(0)

    def _keep_connecting(self) -> None:
        while not self._stopping.is_set():
            try:
                self._connected(self._connect())
                break
            except YesladderError as error:
                self._spooling.tell(str(error))
            except Exception:
                _log.exception("connecting to Kafka failed as nobody expected")
            self._stopping.wait(_RECONNECT_EVERY_S)

    def _keep_turning(self) -> None:
        while not self._stopping.is_set():
            self._due.wait(_TURN_EVERY_S)
            self._due.clear()
            self._turn()

    def _turn(self) -> None:
        try:
            self._spooling.turn(time.monotonic(), datetime.now(UTC))
        except YesladderError as error:
            _log.warning("%s", error)
            self._stopping.wait(1)
        except Exception:  # without these turns nothing would ever leave the spool, nor anybody be answered
            _log.exception("the spool is in a state that nobody expected")
            self._stopping.wait(1)
