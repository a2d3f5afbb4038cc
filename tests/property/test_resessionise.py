"""Passes of `resessionise` at any moment, themselves cut off at any point, beside a worker that dies and comes back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings, strategies as st

from ladder.clock import Clock
from ladder.tables import REMOVED_COPIES, TABLES
from tests.suites.crashing_worker import NOW, SOURCE, PowerCut, Topic, Worker, now_and_then, topics
from tests.suites.event_strategies import LADDER, PARTITIONS, START
from tests.suites.examples_tried import tried
from tests.suites.session_oracle import Arrival, by_id, fates, sessions_of
from warehouse.lake import Lake
from warehouse.lake_files import Part
from yesladder.resessionise import Resessionised, resessionise

Key = tuple[str, datetime, int, int, str, datetime]
"""An event's id, and what its copies are put in order by."""

moments = st.sampled_from([None, None, "before sessions", "before events", "after sessions", "after events"])


class WatchedLake(Lake):
    """``before`` and ``after`` are told of each table that is being replaced."""

    before: Callable[[str], None]
    after: Callable[[str], None]

    def replace(
        self,
        table: str,
        gone: Collection[str],
        parts: Iterable[Part],
        *,
        rearranges: bool,
        now: datetime,
        clock: Clock | None = None,
        counted: Mapping[str, int] | None = None,
    ) -> list[str]:
        self.before(table)
        added = super().replace(table, gone, parts, rearranges=rearranges, now=now, clock=clock, counted=counted)
        self.after(table)
        return added


@dataclass
class Scene:
    """A worker on its topic, and passes in between.  ``landed``: all that ever was in `events`."""

    worker: Worker
    topic: Topic
    data: st.DataObject
    landed: set[Key] = field(default_factory=set)

    def draw_pass(self) -> None:
        if self.data.draw(st.booleans()):
            self.run_pass(self.data.draw(moments))

    def run_pass(self, cut: str | None) -> None:
        """One pass; the power goes at ``cut``, and before each of its commits the worker may go on."""
        lake = WatchedLake(self.worker.root)

        def before(table: str) -> None:
            self.look()
            if cut == f"before {table}":
                raise PowerCut
            if self.data.draw(now_and_then):
                self.worker.go_on(self.topic)

        def after(table: str) -> None:
            if cut == f"after {table}":
                raise PowerCut

        lake.before, lake.after = before, after
        try:
            resessionise(lake, LADDER, now=NOW, bucket_events=self.data.draw(st.sampled_from([1, 10, 10**6])))
        except PowerCut:
            if self.data.draw(st.booleans()):
                self.worker.start()

    def look(self) -> None:
        self.landed |= set(keys(self.worker.lake))

    def arrivals(self) -> dict[Key, Arrival]:
        """All that was sent; copies that are alike in everything are one."""
        return {
            (e.event_id, e.received_at, arrival.partition, offset, e.visitor_id, e.occurred_at): arrival
            for arrival, offset in zip(self.topic.arrivals, self.topic.offsets, strict=True)
            for e in [arrival.event]
        }


def keys(lake: Lake) -> list[Key]:
    columns = ("event_id", "received_at", "partition", "record_offset", "visitor_id", "occurred_at")
    return lake.scan("events").select(columns).collect().rows()


def sessions(lake: Lake) -> list[dict[str, Any]]:
    return sorted(lake.scan("sessions").collect().to_arrow().to_pylist(), key=by_id)


@settings(deadline=None, max_examples=tried(7))
@given(st.data(), st.booleans())
def test_after_the_last_pass_the_lake_holds_each_event_once_and_the_sessions_of_all(
    data: st.DataObject, interrupted: bool
) -> None:
    topic = data.draw(topics(alter=True))
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Worker(Path(folder) / "lake", data), topic, data)
        scene.worker.run(topic, interrupted=interrupted, meanwhile=scene.draw_pass)
        long_after = dict.fromkeys(range(PARTITIONS), START + timedelta(days=1))
        while not scene.worker.checkpoint([[]], idle_until=long_after):
            pass
        lake = Lake(scene.worker.root)
        scene.look()
        scene.run_pass(data.draw(moments))
        resessionise(lake, LADDER, now=NOW)

        first: dict[str, Key] = {}
        for key in sorted(scene.landed, key=lambda key: key[1:]):
            first.setdefault(key[0], key)
        arrivals = scene.arrivals()
        assert sorted(keys(lake)) == sorted(first.values())
        assert sessions(lake) == sessions_of([arrivals[key] for key in first.values()], LADDER, SOURCE)
        assert set(first) == {arrival.event.event_id for arrival in topic.arrivals}
        if not interrupted:
            verdicts = zip(topic.arrivals, fates(topic.arrivals, LADDER), strict=True)
            kept = {arrival.event.event_id: arrival for arrival, fate in verdicts if fate != "duplicate"}
            assert {key[0] for key in first.values()} == set(kept)
        counted = lake.scan("checkpoints").select("landed").sum().collect().item()
        assert counted - lake.tally("events", REMOVED_COPIES) == len(first)

        versions = lake.versions()
        assert resessionise(lake, LADDER, now=NOW) == Resessionised()
        assert lake.versions() == versions
        scene.worker.start()
        assert scene.worker.hold.sessioniser.open_events() == 0
        assert {name: lake.table(name).version() for name in TABLES} == versions
