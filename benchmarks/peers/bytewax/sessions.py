"""Bytewax as its guide writes session windows: event time, fold_window, Kafka read to its end.

Arguments: BROKERS TOPIC SESSIONS RECORDS FOUND FOLDER.  Bytewax has a watermark per visitor: a visitor's last session
is given out when the input ends.  No recovery store, which makes it faster and forgetful.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]  # has an environment of its own
import bytewax.operators.windowing as win  # type: ignore[import-not-found]  # the same
import orjson  # type: ignore[import-not-found]  # the same
from bytewax.connectors.kafka import KafkaSource  # type: ignore[import-not-found]  # the same
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]  # the same
from bytewax.outputs import DynamicSink, StatelessSinkPartition  # type: ignore[import-not-found]  # the same
from bytewax.run import cli_main  # type: ignore[import-not-found]  # the same

GAP = timedelta(minutes=30)
LATENESS = timedelta(minutes=10)

State = tuple[datetime, datetime, int]


def parse(message: Any) -> tuple[str, datetime]:
    return message.key.decode(), datetime.fromisoformat(orjson.loads(message.value)["occurred_at"])


def none() -> State | None:
    return None


def fold(state: State | None, at: datetime) -> State:
    if state is None:
        return at, at, 1
    return min(state[0], at), max(state[1], at), state[2] + 1


def merge(one: State, other: State) -> State:
    return min(one[0], other[0]), max(one[1], other[1]), one[2] + other[2]


class Lines(StatelessSinkPartition):  # type: ignore[misc]  # its base is not known here
    def __init__(self, path: str) -> None:
        self._out = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - closed by `close`

    def write_batch(self, items: list[Any]) -> None:
        for visitor, (_, (first, last, count)) in items:
            self._out.write(f"{visitor},{first.timestamp() * 1000:.0f},{last.timestamp() * 1000:.0f},{count}\n")

    def close(self) -> None:
        self._out.close()


class LinesSink(DynamicSink):  # type: ignore[misc]  # its base is not known here
    def __init__(self, path: str) -> None:
        self._path = path

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Lines:
        return Lines(self._path)


def main(brokers: str, topic: str, _: str, __: str, found: str, ___: str) -> None:
    flow = Dataflow("sessions")
    source = KafkaSource(brokers=[brokers], topics=[topic], tail=False, batch_size=10_000)
    keyed = op.map("parse", op.input("kafka", flow, source), parse)
    clock = win.EventClock(ts_getter=lambda at: at, wait_for_system_duration=LATENESS, to_system_utc=lambda _: None)
    sessions = win.fold_window("sessions", keyed, clock, win.SessionWindower(gap=GAP), none, fold, merge)
    op.output("lines", sessions.down, LinesSink(found))
    print("begun", flush=True)
    cli_main(flow)
    print("ended\nwritten", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
