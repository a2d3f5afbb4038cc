"""A small shop in records of step minutes: two steps, mobile and desktop people, two partitions, one fall."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from stream.alerts import Rules
from stream.alerts_keys import Name
from stream.alerts_past import Past
from stream.alerts_watch import Watched
from stream.step_minutes_record import Asks, StepMinutesRecord, Yeses
from tests.suites.alert_world import Counts, simulate

START = 20_454 * 1440
"""A midnight, in minutes since 1970."""
NAMES: tuple[Name, ...] = (
    (3, "add to cart", ("desktop",)),
    (3, "add to cart", ("mobile",)),
    (5, "place the order", ("desktop",)),
    (5, "place the order", ("mobile",)),
)
RATES = [40.0, 60.0, 8.0, 12.0]
CHANCES = [0.3, 0.25, 0.5, 0.45]
MOBILE_CART = 1
RULES = Rules(patience=21_600, together=True, one_road=True)
WATCHED = Watched("shop", "h", "kafka:events", "step_minutes", ("device_class",), timedelta(seconds=10))


@dataclass(frozen=True)
class Shop:
    """``past`` ends where ``records`` begin; the fall is in the minutes [``falls``, ``ends``) since 1970."""

    past: Past
    records: tuple[StepMinutesRecord, ...]
    falls: int
    ends: int


def shop(
    seed: int, *, days: int = 3, live: int = 240, falls: int = 60, lasts: int = 90, by: float = 0.4, each: int = 2
) -> Shop:
    """``days`` of history, then ``live`` minutes in records of ``each`` minutes of one partition or the other.

    ``falls``: how many minutes into that mobile people begin to put less into the cart, for ``lasts`` minutes.
    """
    history = days * 1440
    begin = history + falls
    counts = simulate(history + live, RATES, CHANCES, seed, falls=[0.0, by, 0.0, 0.0], since=begin, until=begin + lasts)
    return Shop(past(counts, history), records(counts, history, live, each), START + begin, START + begin + lasts)


def past(counts: Counts, until: int) -> Past:
    """What had happened before a minute; both partitions had come just as far."""
    minute, key = np.nonzero(counts.asks[:until])
    asks = np.column_stack([key, START + minute, counts.asks[minute, key]]).astype(np.int64)
    arrived, delay, key = np.nonzero(counts.yeses[:until])
    yeses = np.column_stack([key, START + arrived - delay, delay, counts.yeses[arrived, delay, key]]).astype(np.int64)
    reached = (START + until) * 60_000_000 + 10_000_000
    return Past(NAMES, asks, yeses, {0: 1000, 1: 500}, {0: reached, 1: reached})


def records(counts: Counts, begin: int, live: int, each: int) -> tuple[StepMinutesRecord, ...]:
    """Desktop people are on partition 0, mobile ones on 1."""
    made = []
    offsets = {0: 1000, 1: 500}
    for first in range(begin, begin + live, each):
        for partition in (0, 1):
            rows = range(first, first + each)
            keys = [key for key in range(len(NAMES)) if key % 2 == partition]
            asks = tuple(Asks(*NAMES[k], START + m, int(counts.asks[m, k])) for m in rows for k in keys)
            yeses = tuple(
                Yeses(*NAMES[k], START + m - int(age), int(age), int(counts.yeses[m, age, k]))
                for m in rows
                for k in keys
                for age in np.flatnonzero(counts.yeses[m, :, k])
            )
            offset = offsets[partition]
            offsets[partition] += 100
            made.append(
                StepMinutesRecord(
                    ladder="shop",
                    source="kafka:events",
                    partition=partition,
                    first=offset,
                    next=offset + 100,
                    reached_us=(START + first + each) * 60_000_000 + 10_000_000,
                    segments=("device_class",),
                    asks=asks,
                    yeses=yeses,
                )
            )
    return tuple(made)


def heartbeat(record: StepMinutesRecord) -> StepMinutesRecord:
    """The partition's next record, in which only time goes on, by a second."""
    reached = None if record.reached_us is None else record.reached_us + 1_000_000
    return replace_record(record, first=record.next, asks=(), yeses=(), reached_us=reached)


def replace_record(record: StepMinutesRecord, **changes: object) -> StepMinutesRecord:
    """The record with other fields."""
    import msgspec

    return msgspec.structs.replace(record, **changes)
