"""A reader of step minutes that counts no stretch twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stream.step_minutes_record import StepMinutesRecord
from tests.suites.step_minutes_oracle import Key, StepMinuteCounts


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
