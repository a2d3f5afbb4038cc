"""A reader of step minutes that counts no stretch twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from kafka import KafkaConsumer, TopicPartition

from ladder.connection import KafkaConnection
from producers.kafka_client import client_settings
from producers.topics import end_offsets
from stream.step_minutes_record import StepMinutesRecord, decode
from tests.suites.step_minutes_oracle import Key, StepMinuteCounts


def step_minutes_on(connection: KafkaConnection, topic: str) -> list[StepMinutesRecord]:
    """All records of a topic of step minutes, which has one partition."""
    ends = end_offsets(connection, topic)
    assert list(ends) == [0]
    consumer = KafkaConsumer(**client_settings(connection, 10), group_id=None, enable_auto_commit=False)
    found: list[StepMinutesRecord] = []
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        while consumer.position(place) < ends[0]:
            for records in consumer.poll(timeout_ms=1000).values():
                found += [decode(record.value) for record in records]
    finally:
        consumer.close()
    return found


@dataclass
class StepMinutesReader:
    """``again``: records passed over; ``holes``: those that began beyond where the reader had come."""

    counts: StepMinuteCounts = field(default_factory=lambda: StepMinuteCounts(Counter(), Counter()))
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    again: int = 0
    heartbeats: int = 0
    holes: list[StepMinutesRecord] = field(default_factory=list)

    def read(self, records: Iterable[StepMinutesRecord]) -> StepMinuteCounts:
        """The sums of all records so far, without what came to nothing."""
        for record in records:
            self._take(record)
        return StepMinuteCounts(*(Counter({key: n for key, n in counts.items() if n}) for counts in self.counts))

    def _take(self, record: StepMinutesRecord) -> None:
        place = (record.source, record.partition)
        position = self.positions.get(place, 0)
        if record.first == record.next:
            self.heartbeats += 1
            return
        if record.next <= position:
            self.again += 1
            return
        if record.first != position:
            self.holes.append(record)
        self.positions[place] = record.next
        for asks in record.asks:
            self._add(self.counts.asks, (asks.tier, asks.step, asks.values, asks.minute), asks.count)
        for yes in record.yeses:
            key = (yes.tier, yes.step, yes.values, yes.ask_minute, yes.delay_minutes)
            self._add(self.counts.yeses, key, yes.count)

    def _add(self, counts: Counter[Key], key: Key, count: int) -> None:
        counts[key] += count
