"""A few publishes under way, in order: what reading files and simulating have in common."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait

from ladder.errors import YesladderError
from producers.publisher import Publisher, PublishError
from producers.records import Record

_UNDER_WAY = 4
"""Enough that whoever makes the records and Kafka do not wait for each other."""


class PublishWindow:
    """When a publish fails, it and all after it are published again, so that the last of each is in order.

    Raises ``YesladderError`` when Kafka takes nothing for ``patience_s``.
    """

    def __init__(
        self,
        publisher: Publisher,
        patience_s: float = 60.0,
        elapsed_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._publisher = publisher
        self._patience_s = patience_s
        self._elapsed_s = elapsed_s
        self._sleep = sleep
        self._under_way: deque[tuple[list[Record], Future[None]]] = deque()

    def publish(self, records: list[Record]) -> None:
        """Hand over the records; waits while too much is under way."""
        if not records:
            return
        while len(self._under_way) >= _UNDER_WAY:
            self._settle()
        self._under_way.append((records, self._publisher.publish(records)))

    def drain(self) -> None:
        """Return once everything is acknowledged."""
        while self._under_way:
            self._settle()

    def _settle(self) -> None:
        """Return once the oldest publish is acknowledged."""
        begun_s = self._elapsed_s()
        while True:
            try:
                self._under_way[0][1].result()
            except PublishError as error:
                wait([future for _, future in self._under_way])
                if self._elapsed_s() - begun_s > self._patience_s:
                    self._under_way.clear()
                    raise YesladderError(f"Kafka took nothing for {self._patience_s:g} s: {error}") from None
                self._sleep(error.retry_after_s)
                again = [records for records, _ in self._under_way]
                self._under_way.clear()
                self._under_way.extend((records, self._publisher.publish(records)) for records in again)
            else:
                self._under_way.popleft()
                return
