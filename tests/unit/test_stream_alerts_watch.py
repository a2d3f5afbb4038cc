from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import msgspec
import numpy as np
import pytest

from ladder.errors import UsageError
from stream.alerts_keys import OTHER, Name
from stream.alerts_past import Past
from stream.alerts_watch import Finding, Watch
from stream.step_minutes_record import Asks, StepMinutesRecord, Yeses
from tests.suites.alert_records import NAMES, RULES, START, WATCHED, Shop, replace_record, shop


@pytest.fixture(scope="module")
def world() -> Shop:
    return shop(1, live=150, falls=30, lasts=120)


def findings(watch: Watch, records: tuple[StepMinutesRecord, ...]) -> list[Finding]:
    return [finding for record in records for finding in watch.take(record)]


def test_a_fall_in_one_segment_is_found_there_first_and_then_in_its_step(world: Shop) -> None:
    watch = Watch.learn(WATCHED, RULES, world.past)
    found = [one for one in findings(watch, world.records) if one.notice.what == "alarm"]
    assert [(one.tier, one.step, one.segment) for one in found] == [
        (3, "add to cart", (("device_class", "mobile"),)),
        (3, "add to cart", ()),
    ]
    first = found[0]
    assert 0 <= first.notice.minute - world.falls <= 20
    assert first.raised == first.notice.minute
    assert first.volume == pytest.approx(60 * 60, rel=0.1)
    assert [(carrier.column, carrier.value) for carrier in found[1].carriers] == [("device_class", "mobile")]
    carrier = found[1].carriers[0]
    assert carrier.share > 0.8
    assert carrier.lost_low < carrier.lost < carrier.lost_high


def test_it_goes_on_where_the_lake_ends(world: Shop) -> None:
    watch = Watch.learn(WATCHED, RULES, world.past)
    assert watch.minute == world.falls - 30
    seen_already = msgspec.structs.replace(world.records[0], first=900, next=1000)
    assert watch.take(seen_already) == []
    assert watch.passed_over.doubles == 1


def test_what_the_lake_holds_of_minutes_to_come_counts_in_them(world: Shop) -> None:
    """Partitions may be ahead of each other when the agent starts."""
    late = 10 * 60_000_000
    past = replace(world.past, reached_us={0: world.past.reached_us[0], 1: world.past.reached_us[1] - late})
    watch = Watch.learn(WATCHED, RULES, past)
    assert watch.minute == world.falls - 30 - 10
    last = world.past.asks[world.past.asks[:, 1] >= watch.minute]
    waiting = sum(sum(counts.values()) for counts in watch.intake.asks.values())
    assert waiting == last[:, 2].sum() > 0


@pytest.mark.parametrize(("partitions", "begin", "minutes"), [((0, 1), 8, 20), ((1,), 8, 6), ((0, 1), 80, 20)], ids=str)
def test_a_hole_is_no_silence_and_hides_no_alarm(
    world: Shop, partitions: tuple[int, ...], begin: int, minutes: int
) -> None:
    watch = Watch.learn(WATCHED, RULES, world.past)
    first = watch.minute
    gone = [
        record.partition in partitions and begin <= n // 2 * 2 < begin + minutes
        for n, record in enumerate(world.records)
    ]
    found: list[Finding] = []
    for number, (is_gone, record) in enumerate(zip(gone, world.records, strict=True)):
        found += watch.take(replace_record(record, segments=(), asks=(), yeses=()) if is_gone else record)
        if number % 8 == 1:
            again = Watch.restore(WATCHED, RULES, watch.save())
            assert again is not None
            watch = again
    assert watch.passed_over.lost_offsets == 100 * sum(gone)
    alarms = [one for one in found if one.notice.what == "alarm"]
    assert [(one.step, one.segment) for one in alarms] == [
        ("add to cart", (("device_class", "mobile"),)),
        ("add to cart", ()),
    ]
    assert world.falls <= alarms[0].raised <= world.falls + 20
    assert not any(begin <= one.notice.minute - first < begin + minutes for one in found)


def test_a_hole_of_which_the_end_comes_later_is_judged_no_sooner(world: Shop) -> None:
    """A heartbeat behind it need not tell how far event time has come."""
    watch = Watch.learn(WATCHED, RULES, world.past)
    for record in world.records[:4]:
        watch.take(record)
    last = world.records[20]
    watch.take(replace_record(last, next=last.first, reached_us=None, asks=(), yeses=()))
    again = Watch.restore(WATCHED, RULES, watch.save())
    assert again is not None
    for one in (watch, again):
        one.take(last)
        assert [(hole.begin, hole.until) for hole in one.intake.holes] == [
            (world.falls - 30 + 4, world.falls - 30 + 23)
        ]
    assert again.save() == watch.save()


def test_yeses_count_in_the_part_in_which_their_asks_did(world: Shop) -> None:
    """Of a cohort one half of which came too late to be counted, half of the yeses are left out, also later on."""
    watch = Watch.learn(WATCHED, RULES, world.past)
    for record in world.records[:4]:
        watch.take(record)
    minute = watch.minute - 1
    key = watch.keys.names.index(NAMES[0])
    counted = int(watch._detector.state.asks[-1, key])
    record = world.records[4]
    watch.take(replace_record(record, asks=(*record.asks, Asks(*NAMES[0], minute, counted)), yeses=()))
    assert watch.passed_over.late_asks == counted
    again = Watch.restore(WATCHED, RULES, watch.save())
    assert again is not None
    for one in (watch, again):
        before = one._detector.state.yeses[-1, key]
        one.take(replace_record(world.records[5], yeses=()))
        judged = one.minute
        said = Yeses(*NAMES[0], minute, judged - minute, 8)
        one.take(replace_record(world.records[6], yeses=(said,)))
        one.take(replace_record(world.records[7], yeses=()))
        row = minute - one.minute
        assert one._detector.state.yeses[row, key] == before + 4
    assert again.save() == watch.save()


def test_another_ladder_or_other_segments_are_learnt_anew(world: Shop) -> None:
    saved = Watch.learn(WATCHED, RULES, world.past).save()
    assert Watch.restore(WATCHED, RULES, saved) is not None
    assert Watch.restore(replace(WATCHED, segments=()), RULES, saved) is None
    assert Watch.restore(replace(WATCHED, ladder_hash="other"), RULES, saved) is None
    assert Watch.restore(replace(WATCHED, topic="other"), RULES, saved) is None


def test_a_state_of_another_release_is_refused(world: Shop) -> None:
    with np.load(BytesIO(Watch.learn(WATCHED, RULES, world.past).save())) as archive:
        parts = dict(archive)
    meta = msgspec.json.decode(parts["meta"].tobytes()) | {"version": 9}
    file = BytesIO()
    np.savez(file, meta=np.frombuffer(msgspec.json.encode(meta), np.uint8), detector=parts["detector"])
    with pytest.raises(UsageError, match="version 9, this release reads 1"):
        Watch.restore(WATCHED, RULES, file.getvalue())


def record(minute: int, asks: dict[Name, int], offset: int) -> StepMinutesRecord:
    return StepMinutesRecord(
        ladder="shop",
        source="kafka:events",
        partition=0,
        first=offset,
        next=offset + 1,
        reached_us=(minute + 1) * 60_000_000 + 10_000_000,
        segments=("device_class",),
        asks=tuple(Asks(*name, minute, count) for name, count in asks.items()),
    )


def test_a_new_lake_begins_with_the_first_event_and_watches_what_comes_up_within_the_hour() -> None:
    watch = Watch.learn(WATCHED, RULES, Past.nothing(), began_us=START * 60_000_000)
    assert watch.minute == START - 1
    for minute in range(START, START + 61):
        assert watch.take(record(minute, {NAMES[0]: 1, NAMES[1]: 2}, minute)) == []
    assert watch.keys.names == [NAMES[1], NAMES[0]]
    assert watch.known == 0
    restored = Watch.restore(WATCHED, RULES, watch.save())
    assert restored is not None
    assert restored.save() == watch.save()


def test_after_a_day_of_its_own_a_new_key_is_known_and_part_of_its_step(world: Shop) -> None:
    with_tablets = {**dict.fromkeys(NAMES[:2], 20), (3, "add to cart", ("tablet",)): 20}
    watch = Watch.learn(WATCHED, RULES, world.past)
    begin = watch.minute
    for minute in range(begin, begin + 2 * 1440 + 70):
        asks = with_tablets if minute > begin + 30 else dict.fromkeys(NAMES[:2], 20)
        made = record(minute, asks, minute)
        yeses = tuple(Yeses(*name, minute, 0, count // 2) for name, count in asks.items())
        watch.take(msgspec.structs.replace(made, yeses=yeses))
        watch.take(msgspec.structs.replace(made, partition=1, asks=()))
    tablets = watch.keys.names.index((3, "add to cart", ("tablet",)))
    assert watch.known == len(NAMES) + 1
    [group] = [group for group in watch.groups if group.step == "add to cart"]
    assert tablets in group.members
    assert watch.keys.find((3, "add to cart", ("fridge",))) is None


def test_rare_values_are_one(world: Shop) -> None:
    rare = [(3, "add to cart", (f"model {n}",)) for n in range(30)]
    names = (*NAMES, *rare)
    few = np.array([[len(NAMES) + n, START + 60, 5] for n in range(30)])
    past = replace(world.past, names=names, asks=np.concatenate([world.past.asks, few]))
    watch = Watch.learn(WATCHED, RULES, past)
    assert watch.keys.names[-1] == (3, "add to cart", (OTHER,))
    assert len(watch.keys) == len(NAMES) + 1
