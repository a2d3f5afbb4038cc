"""A simulated stream of events, in the order they arrive, with the truth about it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ladder.durations import format_duration
from ladder.errors import Reason
from ladder.events import Event
from ladder.tiers import Ladder
from producers.publisher import Publisher
from producers.records import Record, pack
from producers.script import Script, Template, script_of
from producers.simulation import Segment, Simulation
from producers.truth import counted, decided
from producers.walks import Events, Ints, microseconds, walk
from producers.window import PublishWindow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ON_THE_WAY_US = 150_000
"""How long an event travels that nothing holds up: always the same, so that such events arrive in order."""

Item = Event | bytes
"""An event, or the bytes of a message that is none."""


@dataclass(frozen=True)
class Simulated:
    """``truth`` can be written as JSON; its numbers are of the events that count: on time, each once."""

    truth: dict[str, Any]
    _simulation: Simulation
    _script: Script
    _events: Events
    _event: Ints
    _received: Ints

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._event)

    def items(self) -> Iterator[Item]:
        """Everything in the order it arrives, ``received_at`` rising from item to item; the same at every call."""
        return _items(self._simulation, self._script, self._events, self._event, self._received)


def simulate(simulation: Simulation, ladder: Ladder) -> Simulated:
    """Draw the stream.  Raises ``UsageError`` for a ladder that nobody can climb, or rates that are not one per tier.

    Out of order, late and doubled are different events.  An event is late in any split into partitions once its
    partition has seen later ones: true of a stream as dense as real ones are.  None is late among the last, where
    visits thin out: within four times the lateness of the end.
    """
    rng = np.random.default_rng(simulation.seed)
    script = script_of(ladder)
    events, decisions = walk(simulation, ladder, script, rng)
    count = len(events.at)
    lateness = microseconds(ladder.lateness)
    start, end = microseconds(simulation.start), microseconds(simulation.start + simulation.duration)

    fate = rng.random(count)
    too_late = lateness + 60_000_000
    has_time_to_be_late = events.at < end - 4 * too_late
    is_late = (fate < simulation.late) & has_time_to_be_late
    is_out_of_order = ~is_late & (fate >= 1 - simulation.out_of_order) & (lateness > 0)
    is_double = ~is_late & ~is_out_of_order & (rng.random(count) < simulation.duplicates)
    delay = np.full(count, _ON_THE_WAY_US)
    delay[is_late] = lateness + (1 + rng.random(int(is_late.sum()))) * too_late
    delay[is_out_of_order] += (rng.random(int(is_out_of_order.sum())) * lateness / 2).astype(np.int64)
    doubles = np.flatnonzero(is_double)
    again = events.at[doubles] + _ON_THE_WAY_US + (rng.random(len(doubles)) * (lateness / 2 + 1e6)).astype(np.int64)

    broken = round(count * simulation.malformed)
    broken_at = start + (rng.random(broken) * (end - start)).astype(np.int64)

    event = np.concatenate([np.arange(count), doubles, -1 - np.arange(broken)])
    received = np.concatenate([events.at + delay, again, broken_at])
    order = np.argsort(received, kind="stable")
    event, received = event[order], received[order]
    place = np.arange(len(received))
    received = np.maximum.accumulate(received - place) + place  # no two arrive in the same microsecond

    on_time = Events(*(column[~is_late] for column in events))
    truth = {
        "simulation": _plain(simulation),
        "ladder": ladder.name,
        "yes_rates": [round(rate, 9) for rate in simulation.rates(len(ladder.tiers))],
        "items": len(event),
        "late": int(is_late.sum()),
        "out_of_order": int(is_out_of_order.sum()),
        "duplicates": len(doubles),
        "malformed": {reason: len(range(i, broken, len(_BROKEN))) for i, (reason, _) in enumerate(_BROKEN)},
        **counted(simulation, ladder, script, on_time),
        "decisions": decided(simulation, ladder, script, decisions),
    }
    return Simulated(truth, simulation, script, events, event, received)


def segment_message(event: Event) -> bytes:
    """The event as a client would send it, in the Segment spec."""
    return _encoder.encode(
        {
            "type": event.kind,
            "messageId": event.event_id,
            "anonymousId": event.visitor_id,
            "event": event.name,
            "timestamp": event.occurred_at,
            "properties": msgspec.Raw(event.properties.encode()),
            "context": msgspec.Raw(event.context.encode()),
        }
    )


def write_simulated(
    simulated: Simulated, path: Path, *, as_contract: bool = False, progress: Callable[[int], None] = lambda _: None
) -> Path:
    """Write one item a line (gzip where the name ends so), and the truth beside it; returns the truth's path.

    ``as_contract``: lines of our own contract, which keep when they arrived, instead of the Segment spec.
    ``progress`` hears of items written since the last call.
    """
    encode = _encoder.encode if as_contract else segment_message
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) if path.suffix == ".gz" else raw as file,
    ):
        for items in _batched(simulated.items(), 10_000):
            file.write(b"".join((item if isinstance(item, bytes) else encode(item)) + b"\n" for item in items))
            progress(len(items))
    return write_truth(simulated, path.with_name(path.name + ".truth.json"))


def write_truth(simulated: Simulated, path: Path) -> Path:
    """Write what is true of the stream as JSON; gives the path back."""
    path.write_text(json.dumps(simulated.truth, indent=1) + "\n", encoding="utf-8")
    return path


def publish_simulated(
    simulated: Simulated, publisher: Publisher, *, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Put every item onto Kafka, malformed ones as another producer would; returns once all are acknowledged."""
    window = PublishWindow(publisher)
    for items in _batched(simulated.items(), 10_000):
        records = pack([item for item in items if isinstance(item, Event)], publisher.partitions)
        window.publish(records + [Record(None, item, None, ()) for item in items if isinstance(item, bytes)])
        progress(len(items))
    window.drain()


class _Look(NamedTuple):
    """What all events of one kind in one segment share."""

    name: str
    properties: str
    context: str
    page_url: str
    segment: Segment


def _items(simulation: Simulation, script: Script, events: Events, event: Ints, received: Ints) -> Iterator[Item]:
    looks = [[_look(template, segment) for template in script.templates] for segment in simulation.segments]
    prefix = f"s{simulation.seed}"
    for begin in range(0, len(event), 100_000):
        chosen = event[begin : begin + 100_000]
        rows = np.maximum(chosen, 0)
        columns = (chosen, events.visitor[rows], events.segment[rows], events.template[rows], events.at[rows])
        arrivals = received[begin : begin + 100_000].tolist()
        for number, visitor, segment, template, at, arrival in zip(
            *(column.tolist() for column in columns), arrivals, strict=True
        ):
            if number < 0:
                _, make = _BROKEN[(-1 - number) % len(_BROKEN)]
                yield make(f"{prefix}-broken-{-1 - number}")
                continue
            look = looks[segment][template]
            yield Event(
                event_id=f"{prefix}-{number}",
                visitor_id=f"{prefix}-v{visitor}",
                occurred_at=_EPOCH + timedelta(microseconds=at),
                received_at=_EPOCH + timedelta(microseconds=arrival),
                name=look.name,
                properties=look.properties,
                context=look.context,
                page_url=look.page_url,
                referrer=look.segment.referrer,
                utm_source=look.segment.utm_source,
                utm_medium=look.segment.utm_medium,
                utm_campaign=look.segment.utm_campaign,
                device_class=look.segment.device_class,
            )


def _look(template: Template, segment: Segment) -> _Look:
    url = "https://shop.example/" + "-".join(template.name.lower().split())
    context: dict[str, dict[str, str | None]] = {
        "page": {"url": url, "referrer": segment.referrer},
        "campaign": {"source": segment.utm_source, "medium": segment.utm_medium, "name": segment.utm_campaign},
        "device": {"type": segment.device_class},
    }
    said = {key: {name: value for name, value in part.items() if value is not None} for key, part in context.items()}
    text = _encoder.encode({key: part for key, part in said.items() if part}).decode()
    return _Look(template.name, template.properties, text, url, segment)


_encoder = msgspec.json.Encoder()


def _bad_time(name: str) -> bytes:
    return _both_ways(name, at="yesterday", visitor=name)


def _no_visitor(name: str) -> bytes:
    return _both_ways(name, at="2026-01-05T00:00:00Z", visitor=None)


def _both_ways(name: str, at: str, visitor: str | None) -> bytes:
    """A message whose fault is the same in the Segment spec and in our own contract."""
    message = {"type": "track", "kind": "track", "messageId": name, "event_id": name, "event": name, "name": name}
    message |= {"timestamp": at, "occurred_at": at}
    return _encoder.encode(message | ({} if visitor is None else {"anonymousId": visitor, "visitor_id": visitor}))


_BROKEN: tuple[tuple[Reason, Callable[[str], bytes]], ...] = (
    ("not_json", lambda name: b'{"type":"track","messageId":"' + name.encode()),
    ("not_an_event", lambda name: _encoder.encode(name)),
    ("missing_field", _no_visitor),
    ("bad_time", _bad_time),
)


def _batched(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while batch := list(islice(items, size)):
        yield batch


def _plain(simulation: Simulation) -> dict[str, Any]:
    """The configuration in what JSON knows."""
    return {key: _plain_value(value) for key, value in asdict(simulation).items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(each) for each in value]
    return value
