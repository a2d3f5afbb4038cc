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


@dataclass(frozen=True)
class Hole:
    """Minutes [``begin``, ``until``) of which a partition told nothing, or not all."""

    begin: int
    until: int


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
    ``unknown``: asks by name of what is no key yet.  ``holes``: that are not judged yet, and ``holes_begun`` by
    partition those of which the end is not known.  ``heard_from``: the minute after the last hole that is over.
    ``late_asks``: those of minutes that had been judged, by key and minute, as long as people may say yes to them.
    Nothing here depends on a clock, or on how records are batched.
    """

    ladder: str
    source: str
    positions: dict[int, int] = field(default_factory=dict)
    reached_us: dict[int, int] = field(default_factory=dict)
    asks: dict[int, dict[int, int]] = field(default_factory=dict)
    yeses: dict[int, dict[tuple[int, int], int]] = field(default_factory=dict)
    unknown: dict[Name, int] = field(default_factory=dict)
    passed_over: PassedOver = field(default_factory=PassedOver)
    holes: list[Hole] = field(default_factory=list)
    holes_begun: dict[int, int] = field(default_factory=dict)
    heard_from: int = 0
    late_asks: dict[tuple[int, int], int] = field(default_factory=dict)

    def take(self, record: StepMinutesRecord, keys: Keys, next_minute: int) -> None:
        """Count a record.  ``next_minute``: the one to be judged next; asks of minutes before it are passed over."""
        if (record.ladder, record.source, record.segments) != (self.ladder, self.source, keys.segments):
            self.passed_over.strange += 1
            return
        partition, position = record.partition, self.positions.get(record.partition)
        if position is not None and record.first > position:
            self.passed_over.lost_offsets += record.first - position
            # What is lost may be a little older than the newest that was read.
            begin = self.reached_us.get(partition, (next_minute + 1) * MINUTE_US) // MINUTE_US - 1
            self.holes_begun.setdefault(partition, max(next_minute, begin))
        if record.reached_us is not None:
            self.reached_us[partition] = max(record.reached_us, self.reached_us.get(partition, record.reached_us))
            if partition in self.holes_begun:
                until = self.reached_us[partition] // MINUTE_US + 1
                self.holes.append(Hole(self.holes_begun.pop(partition), until))
        if position is not None and (record.first < position or record.next <= position):
            self.passed_over.doubles += record.first < record.next
            return
        self.positions[partition] = record.next
        for ask in record.asks:
            key = keys.find((ask.tier, ask.step, ask.values))
            if key is None:
                self._not_known((ask.tier, ask.step, ask.values), ask.count)
            elif ask.minute < next_minute:
                self.passed_over.late_asks += ask.count
                if ask.minute >= next_minute - WINDOW:
                    self.late_asks[key, ask.minute] = self.late_asks.get((key, ask.minute), 0) + ask.count
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

    def passes_hole(self, minute: int) -> bool:
        """Whether the minute to judge lies in a hole: what came of it is not all."""
        found = any(hole.begin <= minute < hole.until for hole in self.holes)
        self.holes = [hole for hole in self.holes if hole.until > minute + 1]
        if found:
            self.heard_from = minute + 1
        return found

    def leave_out(self, minute: int, yeses: NDArray[np.float32], asks: NDArray[np.float32]) -> None:
        """Take out of the ``yeses`` (ages, keys) of a minute those to asks that were not counted.

        ``asks`` (ages, keys): those in flight before this minute, from the oldest to the newest.  Of a cohort that was
        counted in part, yeses count in the same part.
        """
        yeses[max(0, minute - self.heard_from + 1) :] = 0
        for key, ask_minute in [at for at in self.late_asks if at[1] < minute - WINDOW]:
            del self.late_asks[key, ask_minute]
        for (key, ask_minute), late in self.late_asks.items():
            age = minute - ask_minute
            if yeses[age, key] > 0:
                yeses[age, key] *= asks[-age, key] / (asks[-age, key] + late)

    def _not_known(self, name: Name, count: int) -> None:
        self.passed_over.unknown += count
        if name in self.unknown or len(self.unknown) < _MOST_UNKNOWN:
            self.unknown[name] = self.unknown.get(name, 0) + count
