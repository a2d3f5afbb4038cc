"""Simulated input: an imaginary shop's visitors for the demo, and what `yesladder simulate` was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from ladder.durations import parse_duration
from ladder.errors import UsageError
from producers.simulate import Item, segment_message, simulate
from producers.simulation import Simulation, Spike
from yesladder.datasets import example_ladder

T = TypeVar("T")

LADDER = "shop"
_EVENTS_PER_VISITOR = 6
"""Fewer than there are on average, so that the stream is long enough for any number asked for."""


def simulated_messages(events: int, seed: int = 1) -> Iterator[bytes]:
    """So many messages of the Segment spec, some of them late, doubled or no events, in the order of their arrival."""
    simulated = simulate(
        Simulation(visitors=max(100, events // _EVENTS_PER_VISITOR), seed=seed), example_ladder(LADDER)
    )
    return islice((_message(item) for item in simulated.items() if _is_json(item)), events)


def simulation(
    visitors: int, seed: int, start: datetime, duration: str, yes_rates: str | None, spikes: Sequence[str]
) -> Simulation:
    """A simulation from the words of the command line.  Raises ``UsageError`` naming the option that is wrong."""
    return Simulation(
        visitors=visitors,
        seed=seed,
        start=start,
        duration=_read("--duration", duration, parse_duration),
        yes_rates=None if yes_rates is None else _read("--yes-rates", yes_rates, _rates),
        spikes=tuple(_read("--spike", text, _spike) for text in spikes),
    )


def _rates(text: str) -> list[float]:
    return [float(rate) for rate in text.split(",")]


def _spike(text: str) -> Spike:
    given = dict(part.split("=", 1) for part in text.split(","))
    unknown = given.keys() - {"at", "for", "factor", "step", "segment"}
    if unknown or not {"at", "for"} <= given.keys():
        raise ValueError("write at=2026-01-10T12:00,for=1h,factor=0.2,step=STEP,segment=SEGMENT; the last three may go")
    at = datetime.fromisoformat(given["at"])
    return Spike(
        start=at if at.tzinfo is not None else at.replace(tzinfo=UTC),
        duration=parse_duration(given["for"]),
        factor=float(given.get("factor", "0.2")),
        step=given.get("step"),
        segment=given.get("segment"),
    )


def _read(option: str, text: str, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}") from None


def _message(item: Item) -> bytes:
    return item if isinstance(item, bytes) else segment_message(item)


def _is_json(item: Item) -> bool:
    """Whether the item can stand in a batch: a client's library would not send anything else."""
    if not isinstance(item, bytes):
        return True
    try:
        json.loads(item)
    except ValueError:
        return False
    return True
