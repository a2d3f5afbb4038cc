from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from answers.alerts_file import MinuteCounts
from answers.alerts_replay import Replay, default_live_from, replay
from answers.alerts_threshold import threshold_alerts
from ladder.errors import UsageError
from tests.suites.alert_world import simulate

LIVE, FAULT, UNTIL, END = 2880, 3000, 3120, 3300


def recorded(keys: tuple[str, ...] = ("a", "b"), fall: float = 0.6) -> MinuteCounts:
    """Two days of history, then a drop of key b that lasts two hours."""
    world = simulate(END, [10.0, 20.0], [0.3, 0.5], 5, falls=[0.0, fall], since=FAULT, until=UNTIL)
    asked, of = np.nonzero(world.asks)
    arrived, delay, said = np.nonzero(world.yeses)
    ask_minute = np.concatenate([asked, arrived - delay])
    delays = np.concatenate([np.full(len(asked), -1), delay])
    order = np.lexsort((delays, ask_minute + np.maximum(delays, 0)))
    number = np.concatenate([world.asks[asked, of], world.yeses[arrived, delay, said]])
    return MinuteCounts(keys, np.concatenate([of, said])[order], ask_minute[order], delays[order], number[order])


COUNTS = recorded()


def only(counts: MinuteCounts, rows: np.ndarray) -> MinuteCounts:
    return MinuteCounts(counts.keys, counts.key[rows], counts.ask_minute[rows], counts.delay[rows], counts.number[rows])


@pytest.fixture(scope="module")
def found() -> Replay:
    return replay(COUNTS, LIVE)


def test_the_drop_is_found_and_its_end(found: Replay) -> None:
    (alarm,) = found.alarms

    assert (alarm.key, alarm.kind, alarm.sure) == ("b", "drop", False)
    assert FAULT < alarm.minute < FAULT + 20
    assert abs(alarm.change_point - FAULT) < 5
    assert alarm.resolved is not None
    assert UNTIL < alarm.resolved < UNTIL + 90
    assert alarm.lost < alarm.lost_in_all
    assert alarm.lost_in_all == pytest.approx(20 * 0.5 * 0.6 * 120, rel=0.3)


def test_nothing_is_seen_before_it_arrived(found: Replay) -> None:
    at = found.alarms[0].minute

    known = replay(only(COUNTS, COUNTS.arrival <= at), LIVE)
    before = replay(only(COUNTS, COUNTS.arrival < at), LIVE)

    assert known.alarms == (replace(found.alarms[0], resolved=None, lost_in_all=found.alarms[0].lost),)
    assert before.alarms == ()


def test_a_key_alone_says_the_same_as_beside_others(found: Replay) -> None:
    rows = COUNTS.key == 1
    alone = MinuteCounts(("b",), COUNTS.key[rows] - 1, COUNTS.ask_minute[rows], COUNTS.delay[rows], COUNTS.number[rows])

    assert replay(alone, LIVE).alarms == found.alarms


def test_yeses_beyond_the_window_count_for_nothing(found: Replay) -> None:
    late = MinuteCounts(
        COUNTS.keys,
        np.append(COUNTS.key, 0),
        np.append(COUNTS.ask_minute, END - 62),
        np.append(COUNTS.delay, 61),
        np.append(COUNTS.number, 1e6),
    )

    assert replay(late, LIVE).alarms == found.alarms


def test_the_history_ends_in_the_middle_unless_told() -> None:
    assert default_live_from(COUNTS) == int(COUNTS.arrival[0]) + (END - int(COUNTS.arrival[0])) // 2


def test_a_start_after_the_end_is_refused() -> None:
    with pytest.raises(UsageError, match="--live-from 9999: the last count arrived in minute 3299"):
        replay(COUNTS, 9999)


def test_seconds_for_minutes_are_refused() -> None:
    far = replace(COUNTS, ask_minute=np.append(COUNTS.ask_minute[:-1], 10**9))

    with pytest.raises(UsageError, match="more than five years of minutes; is it in seconds"):
        replay(far, LIVE)


def test_a_threshold_fires_when_its_hour_is_over() -> None:
    alerts = threshold_alerts(COUNTS, LIVE)

    assert [alert.key for alert in alerts] == ["a", "b"]
    assert alerts[1].threshold is not None
    assert 0.3 < alerts[1].threshold < 0.5
    assert alerts[1].fired == (FAULT + 60,)


def test_a_threshold_needs_hours_to_be_set_from() -> None:
    rows = COUNTS.arrival >= LIVE

    assert [alert.threshold for alert in threshold_alerts(only(COUNTS, rows), LIVE)] == [None, None]
