from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream.alerts import Detector, Rules
from stream.alerts_learning import TOLERATED
from stream.alerts_open import Notice
from stream.alerts_state import restore, save
from tests.suites.alert_world import AGES, SHARES, Counts, history, run, simulate

RATES, CHANCES = [10.0, 20.0, 40.0], [0.3, 0.5, 0.2]


def learnt(rules: Rules | None = None, *, hours: int = 28 * 24) -> Detector:
    return Detector.learn(history(RATES, CHANCES, hours), rules)


def told(notices: list[Notice]) -> list[tuple[str, int, str]]:
    return [(notice.what, notice.unit, notice.kind) for notice in notices]


def test_all_quiet_raises_nothing() -> None:
    assert run(learnt(), simulate(900, RATES, CHANCES, seed=1)) == []


def test_a_drop_is_told_once_with_its_step_its_beginning_and_its_loss() -> None:
    counts = simulate(700, RATES, CHANCES, seed=2, falls=[0.0, 0.5, 0.0], since=300)
    detector = learnt()

    (alarm,) = run(detector, counts)

    assert (alarm.what, alarm.unit, alarm.kind) == ("alarm", 1, "drop")
    assert 301 <= alarm.minute <= 330
    assert abs(alarm.change_point - 300) <= 6
    overdue = np.cumsum(SHARES)[: alarm.minute - 300 + 1].sum()
    assert alarm.lost_low < 20 * 0.5 * 0.5 * overdue < alarm.lost_high
    lost, low, high = detector.lost(1)
    assert low < 20 * 0.5 * 0.5 * 395 < high
    assert lost > 10 * alarm.lost


def test_a_fall_in_all_that_arrives_is_told() -> None:
    counts = simulate(500, RATES, CHANCES, seed=3, falls=[0.6, 0.0, 0.0], since=300, of_arrivals=True)

    (alarm,) = run(learnt(), counts)

    assert (alarm.unit, alarm.kind) == (0, "drop")
    assert alarm.minute <= 345


def test_what_is_lost_is_summed_up_from_a_change_long_ago() -> None:
    counts = simulate(800, [40.0], [0.3], seed=25, falls=[0.13], since=300)
    detector = Detector.learn(history([40.0], [0.3]))
    missing, notices = [], []
    for asks, yeses in zip(counts.asks, counts.yeses, strict=True):
        notices += detector.step(asks, yeses)
        missing.append(float(detector.state.due[-1, 0] - detector.state.came[-1, 0]))

    alarm = notices[0]
    assert alarm.change_point < alarm.minute - AGES
    assert alarm.lost == pytest.approx(sum(missing[alarm.change_point : alarm.minute + 1]), rel=1e-4)


def test_one_level_follows_a_fall_and_the_other_stops_when_it_looks_bad() -> None:
    detector = Detector.learn(history([40.0], [0.3]), Rules(patience=1e300))
    run(detector, simulate(500, [40.0], [0.3], seed=26, falls=[0.3], since=60))

    follows, stopped = detector.state.level_mean[:, 0]
    assert follows < stopped - 0.02


def test_it_is_resolved_when_people_say_yes_again_and_can_be_raised_anew() -> None:
    falls = np.zeros((800, 3))
    falls[100:250, 2] = falls[600:, 2] = 0.6

    notices = run(learnt(), simulate(800, RATES, CHANCES, seed=4, falls=falls))

    assert told(notices) == [("alarm", 2, "drop"), ("resolved", 2, "drop"), ("alarm", 2, "drop")]
    assert [notice.minute for notice in notices] == sorted(notice.minute for notice in notices)
    assert 250 < notices[1].minute < 350


def test_longer_delays_are_called_slow_before_long() -> None:
    counts = simulate(800, [100.0], [0.4], seed=6, since=300, until=800, slower=3)
    detector = Detector.learn(history([100.0], [0.4]))

    notices = run(detector, counts)

    assert notices[0].what == "alarm"
    assert notices[-1].kind == "slow"
    assert all(notice.what in ("alarm", "changed") for notice in notices)


def silenced(counts: Counts, since: int, until: int, *, asks_only: bool = False) -> Counts:
    asks, yeses = counts.asks.copy(), counts.yeses.copy()
    asks[since:until] = 0
    if asks_only:
        for minute in range(since, len(yeses)):
            first = minute - since
            yeses[minute, : min(first + 1, AGES)] = 0
    else:
        yeses[since:until] = 0
    return Counts(asks, yeses)


@pytest.mark.parametrize("lasts", [10, 120])
def test_an_outage_is_no_drop(lasts: int) -> None:
    counts = silenced(simulate(700, RATES, CHANCES, seed=7), 300, 300 + lasts)

    notices = run(learnt(), counts)

    assert {notice.kind for notice in notices} == {"outage"}
    assert [notice.what for notice in notices] == ["alarm"] * 3 + ["resolved"] * 3
    assert {notice.change_point for notice in notices} == {300}
    assert [notice.minute for notice in notices][-3:] == [300 + lasts] * 3


def test_two_minutes_without_counts_are_no_drop_and_no_alarm() -> None:
    counts = silenced(simulate(400, [100.0], [0.5], seed=22), 300, 302)

    assert run(Detector.learn(history([100.0], [0.5])), counts) == []


def test_a_minute_of_suspicious_silence_is_no_evidence() -> None:
    detector = Detector.learn(history([10.0], [0.3]))
    run(detector, simulate(120, [10.0], [0.3], seed=23))
    before = detector.state.by_minute.copy()

    detector.step(np.zeros(1), np.zeros((AGES, 1)))

    assert detector.state.by_minute == pytest.approx(before + 1)


def test_the_usual_volume_is_that_of_the_hour() -> None:
    past = history([60.0], [0.5])
    past.asks[1::24] /= 10
    past.yeses[1::24] /= 10
    detector = Detector.learn(past)

    volumes = []
    for asks, yeses in zip(*vars(simulate(130, [60.0], [0.5], seed=24)).values(), strict=True):
        detector.step(asks, yeses)
        volumes.append(detector.state.usual_volume[:, 0].tolist())

    assert [volumes[minute] for minute in (59, 60, 119, 120)] == [[60, 90], [6, 9], [6, 9], [60, 90]]


def test_asks_that_stop_while_yeses_go_on_are_a_matter_of_tracking() -> None:
    counts = silenced(simulate(340, RATES, CHANCES, seed=8), 300, 340, asks_only=True)

    assert set(told(run(learnt(), counts))) == {("alarm", unit, "tracking") for unit in range(3)}


def test_no_yes_while_the_next_step_is_asked_as_ever_is_a_matter_of_tracking() -> None:
    counts = simulate(330, RATES, CHANCES, seed=9, falls=[1.0, 0.0, 0.0], since=300, of_arrivals=True)

    assert told(run(learnt(Rules(shown_by=(1, -1, -1))), counts)) == [("alarm", 0, "tracking")]
    assert told(run(learnt(), counts)) == [("alarm", 0, "drop")]


def test_what_falls_in_all_steps_at_once_is_tracking_on_one_road() -> None:
    counts = simulate(330, RATES, CHANCES, seed=10, falls=[0.7] * 3, since=300, of_arrivals=True)

    assert {notice.kind for notice in run(learnt(Rules(one_road=True)), counts)} == {"tracking"}
    assert {notice.kind for notice in run(learnt(), counts)} == {"drop"}


def test_segments_are_summed_and_the_one_that_fell_is_named() -> None:
    counts = simulate(400, RATES, CHANCES, seed=11, falls=[0.0, 0.6, 0.0], since=300)
    detector = learnt(Rules(groups=((0, 1, 2),)))

    notices = run(detector, counts)

    assert {notice.unit for notice in notices} == {1, 3}
    parts = detector.explain(3)
    assert parts[0].key == 1
    assert parts[0].share > 0.8
    assert sum(part.share for part in parts) == pytest.approx(1)
    assert parts[0].lost_low > 0 > parts[-1].lost_low
    assert parts[0].evidence > 5 > max(part.evidence for part in parts[1:])


def test_people_moving_to_a_segment_that_says_yes_less_raise_nothing() -> None:
    rates = np.tile(RATES, (700, 1))
    rates[300:] = [10.0, 2.0, 80.0]
    counts = simulate(700, rates, CHANCES, seed=12)
    mixed = Detector.learn(history([sum(RATES)], [float(np.dot(RATES, CHANCES)) / sum(RATES)]))

    assert run(learnt(Rules(groups=((0, 1, 2),))), counts) == []
    assert told(run(mixed, Counts(counts.asks.sum(axis=1, keepdims=True), counts.yeses.sum(axis=2, keepdims=True))))


def test_a_fall_that_is_too_small_or_of_too_few_is_not_told() -> None:
    counts = simulate(420, RATES, CHANCES, seed=14, falls=[0.0, 0.4, 0.0], since=300)

    assert run(learnt(Rules(smallest_fall=0.7)), counts) == []
    assert run(learnt(Rules(fewest_lost=1e6)), counts) == []
    assert told(run(learnt(), counts)) == [("alarm", 1, "drop")]


def test_patience_delays_alarms() -> None:
    counts = simulate(420, RATES, CHANCES, seed=15, falls=[0.0, 0.4, 0.0], since=300)

    soon, late = (run(learnt(Rules(patience=patience)), counts)[0].minute for patience in (1000.0, 1e9))

    assert soon < late


def test_without_a_day_of_history_nothing_is_told() -> None:
    counts = simulate(400, RATES, CHANCES, seed=16, falls=[0.9] * 3, since=100)

    assert run(learnt(hours=23), counts) == []


def test_with_less_history_it_is_wider_and_says_so() -> None:
    counts = simulate(420, RATES, CHANCES, seed=17, falls=[0.0, 0.6, 0.0], since=300)
    short, full = (Detector.learn(history(RATES, CHANCES, hours, wander=0.05)) for hours in (48, 28 * 24))

    assert short.state.epsilon.mean() > 1.1 * full.state.epsilon.mean()
    assert full.state.epsilon[:, 1] == pytest.approx(TOLERATED, rel=0.2)
    assert [notice.sure for notice in run(short, counts)] == [False]
    assert [notice.sure for notice in run(full, counts)] == [True]


def test_stopped_and_restored_at_any_minute_it_says_the_same_as_if_it_had_gone_on() -> None:
    past, rules = history(RATES, CHANCES, until=1400), Rules(groups=((0, 1),))
    counts = simulate(140, RATES, CHANCES, seed=18, falls=[0.0, 0.6, 0.5], since=35, until=70)
    straight, stopped = Detector.learn(past, rules), Detector.learn(past, rules)
    expected = run(straight, counts)
    found: list[Notice] = []
    for first, last in ((0, 31), (31, 38), (38, 41), (41, 60), (60, 140)):
        found += run(stopped, Counts(counts.asks[first:last], counts.yeses[first:last]))
        stopped = Detector(restore(save(stopped.state)), rules)

    assert found == expected
    assert len(expected) > 1
    assert save(stopped.state) == save(straight.state)


def test_keys_do_not_depend_on_their_order_or_on_each_other() -> None:
    counts = simulate(400, RATES, CHANCES, seed=19, falls=[0.5, 0.0, 0.5], since=300)
    order = [2, 0, 1]
    turned = Detector.learn(history([RATES[i] for i in order], [CHANCES[i] for i in order]))
    alone = Detector.learn(history(RATES[:1], CHANCES[:1]))

    expected = run(learnt(), counts)
    found = run(turned, Counts(counts.asks[:, order], counts.yeses[:, :, order]))
    of_one = run(alone, Counts(counts.asks[:, :1], counts.yeses[:, :, :1]))

    moved = sorted((replace(notice, unit=order[notice.unit]) for notice in found), key=lambda n: (n.minute, n.unit))
    assert [(n.what, n.unit, n.minute, n.kind, n.change_point) for n in moved] == [
        (n.what, n.unit, n.minute, n.kind, n.change_point) for n in expected
    ]
    assert [n.minute for n in of_one] == [n.minute for n in expected if n.unit == 0]


def test_an_alarm_of_a_week_becomes_what_is_usual() -> None:
    detector = Detector.learn(history([20.0], [0.4]))
    counts = simulate(700, [20.0], [0.4], seed=20, falls=[0.5], since=100)
    (alarm,) = run(detector, Counts(counts.asks[:200], counts.yeses[:200]))
    detector.state.raised[0] -= 7 * 1440 - 200

    notices = run(detector, Counts(counts.asks[200:], counts.yeses[200:]))

    assert [notice.what for notice in notices] == ["lasting"]
    assert notices[0].change_point == alarm.change_point
    assert detector.state.chance[-1, 1, 0] == pytest.approx(0.2, abs=0.03)


def test_counts_that_cannot_be_do_no_harm() -> None:
    detector = learnt()
    yeses = np.zeros((AGES, 3))
    yeses[:, 1] = 50.0
    for _ in range(5):
        detector.step(np.array([10.0, 20.0, 40.0]), yeses)

    assert (detector.state.yeses <= detector.state.asks).all()
    assert np.isfinite(detector.state.by_cohort).all()


@pytest.mark.parametrize(("others_go_on", "kind"), [(True, "tracking"), (False, "outage")])
def test_on_one_road_an_outage_is_of_all(others_go_on: bool, kind: str) -> None:
    detector = Detector.learn(history([20.0, 20.0], [0.3, 0.3]), Rules(one_road=True))
    rates = np.array([[20.0, 20.0]] * 60 + [[0.0, 20.0 * others_go_on]] * 30)
    counts = simulate(90, rates, [0.3, 0.3], 1)
    counts.yeses[60:, :, 0] = 0
    counts.yeses[60:, :, 1] *= others_go_on
    raised = {notice.unit: notice.kind for notice in run(detector, counts) if notice.what == "alarm"}
    assert raised[0] == kind
    assert (1 in raised) is not others_go_on


def test_a_dead_segment_does_not_hold_up_its_step() -> None:
    falls = np.zeros((400, 3))
    falls[200:, :2] = 0.5
    rates = np.full((400, 3), 30.0)
    rates[60:, 2] = 0
    counts = simulate(400, rates, [0.3] * 3, 1, falls=falls)
    counts.yeses[60:, :, 2] = 0
    detector = Detector.learn(history([30.0] * 3, [0.3] * 3), Rules(groups=((0, 1, 2),), one_road=True))
    raised = {notice.unit: notice for notice in run(detector, counts) if notice.what == "alarm"}
    assert raised[2].kind == "tracking"
    assert raised[3].kind == "drop"
    assert 200 <= raised[3].minute < 230
