from __future__ import annotations

from collections import Counter

import pytest

from stream.alerts_series import SeriesMinute, series_of
from stream.alerts_watch import Finding, Watch
from tests.suites.alert_records import CHANCES, MOBILE_CART, NAMES, RATES, RULES, WATCHED, Shop, shop

STEP = [number for number, name in enumerate(NAMES) if name[:2] == NAMES[MOBILE_CART][:2]]


@pytest.fixture(scope="module")
def world() -> Shop:
    return shop(1, live=150, falls=30, lasts=60)


@pytest.fixture(scope="module")
def watched(world: Shop) -> tuple[Watch, list[Finding]]:
    watch = Watch.learn(WATCHED, RULES, world.past)
    return watch, [finding for record in world.records for finding in watch.take(record)]


@pytest.fixture(scope="module")
def found(watched: tuple[Watch, list[Finding]]) -> list[Finding]:
    return watched[1]


def arrived(world: Shop) -> Counter[tuple[int, int]]:
    """Yeses by key and the minute in which they were said, of the lake and of the topic."""
    numbers = {name: number for number, name in enumerate(NAMES)}
    counts: Counter[tuple[int, int]] = Counter()
    for key, asked, delay, count in world.past.yeses.tolist():
        counts[key, asked + delay] += count
    for record in world.records:
        for said in record.yeses:
            key = numbers[said.tier, said.step, said.values]
            counts[key, said.ask_minute + said.delay_minutes] += said.count
    return counts


def test_the_series_of_a_group_is_the_sum_over_its_members(watched: tuple[Watch, list[Finding]]) -> None:
    watch, _ = watched
    state = watch._detector.state
    for unit in range(len(watch._detector.units)):
        members = watch._detector.units.members(unit)
        series = series_of(state, members)
        assert len(series) == 61
        assert [one.minute for one in series] == list(range(watch.minute - 61, watch.minute))
        for row, one in enumerate(series):
            due = sum(float(state.due[row, key]) for key in members)
            came = sum(float(state.came[row, key]) for key in members)
            assert (one.expected, one.came) == (round(due, 2), round(came, 2))
    assert {len(watch._detector.units.members(unit)) for unit in range(len(watch._detector.units))} == {1, 2}


def test_what_came_is_what_the_records_told(world: Shop, found: list[Finding]) -> None:
    """Until an alarm of them is resolved: those who were asked while it was open are judged no more."""
    counts = arrived(world)
    resolved = next(place for place, one in enumerate(found) if one.notice.what == "resolved")
    told = {(one.notice.what, one.segment) for one in found[: resolved + 1]}
    mobile = (("device_class", "mobile"),)
    assert {("alarm", mobile), ("alarm", ())} < told
    for one in found[: resolved + 1]:
        keys = [MOBILE_CART] if one.segment == mobile else STEP
        expected = [sum(counts[key, minute.minute] for key in keys) for minute in one.series]
        assert [minute.came for minute in one.series] == expected
        assert one.series[-1].minute == one.notice.minute


def test_what_was_expected_is_the_usual_and_leaves_what_is_lost(world: Shop, found: list[Finding]) -> None:
    """Before the fall as many were expected as say yes by the rates of the world; since then the difference is lost."""
    alarm = next(one for one in found if one.notice.what == "alarm")
    before = [minute.expected for minute in alarm.series if minute.minute < world.falls]
    assert sum(before) / len(before) == pytest.approx(RATES[MOBILE_CART] * CHANCES[MOBILE_CART], rel=0.1)
    since = [minute for minute in alarm.series if minute.minute >= alarm.notice.change_point]
    assert 0 < len(since) < 61
    assert sum(one.expected - one.came for one in since) == pytest.approx(alarm.notice.lost, abs=0.01 * len(since))


def test_numbers_are_of_two_digits(found: list[Finding]) -> None:
    for one in found:
        assert [SeriesMinute(m.minute, round(m.expected, 2), round(m.came, 2)) for m in one.series] == list(one.series)
