"""Records of step minutes into whole minutes: each range once, and a minute when all partitions have passed it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream.alerts_config import WINDOW
from stream.alerts_keys import Keys, Name
from stream.step_minutes_record import StepMinutesRecord

MINUTE_US = 60_000_000
_MOST_UNKNOWN = 10_000


@dataclass
class PassedOver:
    """What was not counted, and why.

    ``doubles``: records whose range had been read.  ``strange``: records about other segments, another ladder or
    another source.  ``lost_offsets``: offsets that no record told of.  ``late_asks``: their minute had been judged.
    ``late_yeses``: their asks were out of flight.  ``unknown``: asks of what is not watched yet.
    """

    doubles: int = 0
    strange: int = 0
    lost_offsets: int = 0
    late_asks: int = 0
    late_yeses: int = 0
    unknown: int = 0


@dataclass
class Intake:
    """What has been read and not been judged yet.

    ``positions``: per partition the first offset that was not counted yet.  ``reached_us``: how far its event time has
    come.  ``asks``: by minute and key.  ``yeses``: by the minute they count in, and by key and minute of the ask.
    ``unknown``: asks by name of what is no key yet.  Nothing here depends on a clock, or on how records are batched.
    """

    ladder: str
    source: str
    positions: dict[int, int] = field(default_factory=dict)
    reached_us: dict[int, int] = field(default_factory=dict)
    asks: dict[int, dict[int, int]] = field(default_factory=dict)
    yeses: dict[int, dict[tuple[int, int], int]] = field(default_factory=dict)
    unknown: dict[Name, int] = field(default_factory=dict)
    passed_over: PassedOver = field(default_factory=PassedOver)

    def take(self, record: StepMinutesRecord, keys: Keys, next_minute: int) -> None:
        """Count a record.  ``next_minute``: the one to be judged next; asks of minutes before it are passed over."""
        if (record.ladder, record.source, record.segments) != (self.ladder, self.source, keys.segments):
            self.passed_over.strange += 1
            return
        partition = record.partition
        if record.reached_us is not None:
            self.reached_us[partition] = max(record.reached_us, self.reached_us.get(partition, record.reached_us))
        position = self.positions.get(partition)
        if position is not None and (record.first < position or record.next <= position):
            self.passed_over.doubles += record.first < record.next
            return
        if position is not None:
            self.passed_over.lost_offsets += record.first - position
        self.positions[partition] = record.next
        for ask in record.asks:
            key = keys.find((ask.tier, ask.step, ask.values))
            if key is None:
                self._not_known((ask.tier, ask.step, ask.values), ask.count)
            elif ask.minute < next_minute:
                self.passed_over.late_asks += ask.count
            else:
                self.add_asks(key, ask.minute, ask.count)
        for yes in record.yeses:
            key = keys.find((yes.tier, yes.step, yes.values))
            if key is not None:
                self.add_yeses(key, yes.ask_minute, max(next_minute, yes.ask_minute + yes.delay_minutes), yes.count)

    def add_asks(self, key: int, minute: int, count: int) -> None:
        """Asks of a minute that has not been judged."""
        of_minute = self.asks.setdefault(minute, {})
        of_minute[key] = of_minute.get(key, 0) + count

    def add_yeses(self, key: int, ask_minute: int, minute: int, count: int) -> None:
        """Yeses that count in a minute that has not been judged."""
        if minute - ask_minute > WINDOW:
            self.passed_over.late_yeses += abs(count)
            return
        of_minute = self.yeses.setdefault(minute, {})
        of_minute[key, ask_minute] = of_minute.get((key, ask_minute), 0) + count

    def complete_until(self, grace_us: int) -> int | None:
        """The first minute that some partition may still tell of; None before anything has come."""
        if not self.reached_us:
            return None
        return (min(self.reached_us.values()) - grace_us) // MINUTE_US

    def pop(self, minute: int, keys: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The asks (keys) and yeses (ages, keys) to judge a minute by."""
        asks = np.zeros(keys, np.float32)
        yeses = np.zeros((WINDOW + 1, keys), np.float32)
        for key, count in self.asks.pop(minute, {}).items():
            asks[key] += count
        for (key, ask_minute), count in self.yeses.pop(minute, {}).items():
            if count > 0:
                yeses[minute - ask_minute, key] += count
            elif count < 0:  # taken back what was judged already: of those that are still to come, then
                self.add_yeses(key, ask_minute, minute + 1, count)
        return asks, yeses

    def _not_known(self, name: Name, count: int) -> None:
        self.passed_over.unknown += count
        if name in self.unknown or len(self.unknown) < _MOST_UNKNOWN:
            self.unknown[name] = self.unknown.get(name, 0) + count
