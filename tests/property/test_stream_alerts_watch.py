"""Whatever happens on the way, the same records give the same alerts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import msgspec
from hypothesis import given, settings, strategies as st

from stream.alerts_incidents import Incidents
from stream.alerts_notice import Alert
from stream.alerts_watch import Watch
from stream.step_minutes_record import StepMinutesRecord, decode, encode
from tests.suites.alert_records import RULES, WATCHED, Shop, heartbeat, shop

TIERS = ("spark", "micro", "mini", "midi", "macro")


@dataclass
class Reader:
    """An agent without its edges; ``restart`` is what a crash leaves of it."""

    watch: Watch
    incidents: Incidents

    @classmethod
    def learn(cls, world: Shop) -> Reader:
        return cls(Watch.learn(WATCHED, RULES, world.past), Incidents("shop", TIERS, None))

    def take(self, record: StepMinutesRecord) -> list[Alert]:
        found = self.watch.take(decode(encode(record)))
        return [self.incidents.take(finding, (), lambda alert: None) for finding in found]

    def saved(self) -> tuple[bytes, bytes]:
        return self.watch.save(), self.incidents.save()

    @classmethod
    def restart(cls, saved: tuple[bytes, bytes]) -> Reader:
        watch = Watch.restore(WATCHED, RULES, saved[0])
        if watch is None:
            raise AssertionError("it is about something else")
        return cls(watch, Incidents.restore("shop", TIERS, None, saved[1]))


@lru_cache
def world() -> Shop:
    return shop(5, live=180, falls=30, lasts=60, each=3)


@lru_cache
def undisturbed() -> tuple[Alert, ...]:
    reader = Reader.learn(world())
    return tuple(alert for record in world().records for alert in reader.take(record))


def test_the_world_has_an_alert_that_is_told_once_and_resolved() -> None:
    told = [alert for alert in undisturbed() if alert.told]
    assert [alert.what for alert in told] == ["raised", "resolved"]
    assert {(alert.step, alert.segment) for alert in told} == {("add to cart", (("device_class", "mobile"),))}
    assert len(undisturbed()) > len(told)


@settings(max_examples=6, deadline=None)
@given(st.data())
def test_a_replay_from_any_snapshot_gives_the_same_alerts(data: st.DataObject) -> None:
    records = world().records
    reader = Reader.learn(world())
    seen: list[Alert] = []
    snapshot = (0, 0, reader.saved())
    place = 0
    crashes = sorted(data.draw(st.lists(st.integers(1, len(records)), min_size=1, max_size=4)))
    for crash in crashes:
        until = max(place, crash)
        keep_at = data.draw(st.integers(place, until))
        for number in range(place, until):
            if number == keep_at:
                snapshot = (number, len(seen), reader.saved())
            seen += reader.take(records[number])
        place, known, saved = snapshot
        reader = Reader.restart(saved)
        again = seen[known:]
        del seen[known:]
        for number in range(place, until):
            seen += reader.take(records[number])
        assert seen[known:] == again
        place = until
    for record in records[place:]:
        seen += reader.take(record)
    assert tuple(seen) == undisturbed()


@settings(max_examples=6, deadline=None)
@given(st.data())
def test_records_told_again_and_heartbeats_change_nothing(data: st.DataObject) -> None:
    records = world().records
    reader = Reader.learn(world())
    seen: list[Alert] = []
    often = data.draw(st.integers(2, 12))
    for number, record in enumerate(records):
        seen += reader.take(record)
        if number % often == 0:
            again = data.draw(st.integers(max(0, number - 5), number))
            older = records[again].reached_us or 0
            told_again = msgspec.structs.replace(records[again], reached_us=older - data.draw(st.integers(0, 10**7)))
            seen += reader.take(data.draw(st.sampled_from([told_again, _part_of(records[again]), heartbeat(record)])))
    assert tuple(seen) == undisturbed()


def _part_of(record: StepMinutesRecord) -> StepMinutesRecord:
    """A record of a stretch that was told of in part, which no worker sends."""
    return msgspec.structs.replace(record, first=record.first + 1)


@settings(max_examples=4, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 8)), max_size=40))
def test_it_does_not_matter_which_partition_is_ahead(turns: list[tuple[int, int]]) -> None:
    by_partition = [[r for r in world().records if r.partition == p] for p in (0, 1)]
    reader = Reader.learn(world())
    seen: list[Alert] = []
    for side, number in [*turns, (0, len(world().records)), (1, len(world().records))]:
        for _ in range(min(number, len(by_partition[side]))):
            seen += reader.take(by_partition[side].pop(0))
    assert tuple(seen) == undisturbed()
