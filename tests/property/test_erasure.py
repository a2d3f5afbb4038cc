"""An erasure at any moment, itself cut off at any point and gone on with, beside a worker that lives on, or dies."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings, strategies as st

from ladder.events import ARROW_SCHEMA, Event
from tests.suites.crashing_worker import NOW, SOURCE, PowerCut, Topic, Worker, now_and_then, topics
from tests.suites.event_strategies import LADDER, PARTITIONS, START, VISITORS, instants
from tests.suites.examples_tried import tried
from tests.suites.session_oracle import MICROSECOND, Arrival, by_id, sessions_of
from warehouse import erasure
from warehouse.erased import ANONYMOUS, Erased, Mode, unfinished
from warehouse.lake import Lake
from yesladder.resessionise import Resessionised, resessionise

Key = tuple[str, datetime, int, int, str, datetime]

moments = st.sampled_from(
    [None, None, "rewriting", "emptying", "deleting"]
    + [f"{when} {table}" for when in ("before", "after") for table in ("events", "sessions")]
)


class WatchedLake(Lake):
    """``reach`` is told before and after each table is replaced."""

    reach: Callable[[str], None]

    def replace(self, table: str, *arguments: Any, **options: Any) -> list[str]:
        self.reach(f"before {table}")
        added = super().replace(table, *arguments, **options)
        self.reach(f"after {table}")
        return added


@dataclass
class Scene:
    """``seen``: all that was ever in `events` (of who was made anonymous under the old id).  ``until``: None before."""

    worker: Worker
    topic: Topic
    data: st.DataObject
    person: str
    mode: Mode
    seen: set[Key] = field(default_factory=set)
    until: datetime | None = None

    @property
    def warehouse(self) -> Path:
        return self.worker.root.parent

    def meanwhile(self) -> None:
        if self.until is None:
            if self.data.draw(now_and_then):
                self.erase()
        elif self.data.draw(now_and_then):
            self.look()
            resessionise(Lake(self.worker.root), LADDER, now=NOW)

    def erase(self) -> None:
        """Cut off as often as drawn; in between the worker may go on, or die."""
        while self.until is None:
            lake = self.lake_until(self.data.draw(moments))
            try:
                if begun := list(unfinished(self.warehouse)):
                    erasure.resume(lake, LADDER, *begun, progress=self.say, clock=self.clock)
                else:
                    erasure.erase(lake, LADDER, [self.person], mode=self.mode, progress=self.say, clock=self.clock)
            except PowerCut:
                while self.data.draw(now_and_then):
                    self.worker.go_on(self.topic)
                if self.data.draw(now_and_then):
                    self.worker.start()
                continue
            erased = Erased.read(self.warehouse)
            assert erased is not None
            self.until = max(erased.people.values())

    def lake_until(self, cut: str | None) -> WatchedLake:
        lake = WatchedLake(self.worker.root)
        self.look()

        def reach(point: str) -> None:
            if cut is not None and point.startswith(cut):
                raise PowerCut
            if self.data.draw(now_and_then):
                self.worker.go_on(self.topic)
                self.look()

        lake.reach = self.say = reach
        return lake

    def clock(self) -> datetime:
        return START + self.data.draw(instants) * MICROSECOND

    def look(self) -> None:
        self.seen |= set(self.keys())

    def keys(self) -> list[Key]:
        columns = ("event_id", "received_at", "partition", "record_offset", "visitor_id", "occurred_at")
        rows = Lake(self.worker.root).scan("events").select(columns).collect().rows()
        return [(*row[:4], self.person if row[4].startswith(ANONYMOUS) else row[4], row[5]) for row in rows]


def arrivals(lake: Lake) -> list[Arrival]:
    rows = lake.scan("events").collect().to_dicts()
    return [Arrival(Event(**{name: row[name] for name in ARROW_SCHEMA.names}), row["partition"], START) for row in rows]


@pytest.mark.parametrize("mode", ["erase", "anonymise"])
@settings(deadline=None, max_examples=tried(4), phases=[Phase.explicit, Phase.generate])
@given(data=st.data(), interrupted=st.booleans())
def test_whenever_it_happens_the_lake_holds_all_but_the_person_and_the_sessions_of_that(
    mode: Mode, data: st.DataObject, interrupted: bool
) -> None:
    topic = data.draw(topics(alter=False))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        # Else nearly everybody is one person.
        patch.setattr(erasure, "_NOBODY", erasure._NOBODY | {"a", "b"})
        worker = Worker(Path(folder) / "lake", data)
        scene = Scene(worker, topic, data, data.draw(st.sampled_from(VISITORS)), mode)
        worker.run(topic, interrupted=interrupted, meanwhile=scene.meanwhile)
        if scene.until is None:
            scene.erase()
        assert scene.until is not None
        long_after = dict.fromkeys(range(PARTITIONS), START + timedelta(days=1))
        while not worker.checkpoint([[]], idle_until=long_after):
            pass
        lake = Lake(worker.root)
        scene.look()
        resessionise(lake, LADDER, now=NOW)

        first: dict[str, Key] = {}
        for key in sorted(scene.seen, key=lambda key: key[1:]):
            if mode == "anonymise" or key[4] != scene.person or key[5] >= scene.until:
                first.setdefault(key[0], key)
        assert sorted(scene.keys()) == sorted(first.values())
        others = {a.event.event_id for a in topic.arrivals if a.event.visitor_id != scene.person}
        assert others <= set(first)
        theirs = [a.event for a in arrivals(lake) if a.event.visitor_id == scene.person]
        assert all(event.occurred_at >= scene.until for event in theirs)
        sessions = sorted(lake.scan("sessions").collect().to_arrow().to_pylist(), key=by_id)
        assert sessions == sessions_of(arrivals(lake), LADDER, SOURCE)
        assert resessionise(lake, LADDER, now=NOW) == Resessionised()
        worker.start()
        assert worker.hold.sessioniser.open_events() == 0
