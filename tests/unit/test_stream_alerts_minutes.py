from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream.alerts_config import WINDOW
from stream.alerts_keys import Keys
from stream.alerts_minutes import Hole, Intake, PassedOver
from stream.step_minutes_record import Asks, StepMinutesRecord, Yeses

CART = (3, "add to cart", ())


@pytest.fixture
def keys() -> Keys:
    return Keys([], [CART])


@pytest.fixture
def intake() -> Intake:
    return Intake("shop", "kafka:events", {0: 100})


def record(first: int = 100, until: int = 200, **fields: Any) -> StepMinutesRecord:
    given = {"ladder": "shop", "source": "kafka:events", "partition": 0, "reached_us": None, **fields}
    return StepMinutesRecord(first=first, next=until, **given)


def asks(minute: int, count: int) -> Asks:
    return Asks(*CART, minute, count)


def yeses(ask_minute: int, delay: int, count: int) -> Yeses:
    return Yeses(*CART, ask_minute, delay, count)


def test_asks_count_in_their_minute_and_yeses_when_they_came_by_their_age(intake: Intake, keys: Keys) -> None:
    intake.take(record(asks=(asks(1000, 7), asks(1001, 2)), yeses=(yeses(1000, 0, 1), yeses(990, 10, 3))), keys, 1000)
    made, said = intake.pop(1000, 1)
    assert made.tolist() == [7]
    assert {age: said[age, 0] for age in range(WINDOW + 1) if said[age, 0]} == {0: 1, 10: 3}
    assert intake.pop(1001, 1)[0].tolist() == [2]


def test_what_was_judged_is_over_for_asks_and_counts_now_for_yeses(intake: Intake, keys: Keys) -> None:
    late = record(asks=(asks(999, 5),), yeses=(yeses(995, 2, 4), yeses(930, 8, 6)))
    intake.take(late, keys, 1000)
    made, said = intake.pop(1000, 1)
    assert made.tolist() == [0]
    assert {age: said[age, 0] for age in range(WINDOW + 1) if said[age, 0]} == {5: 4}
    assert intake.passed_over == PassedOver(late_asks=5, late_yeses=6)


def test_a_yes_taken_back_after_it_was_judged_is_taken_from_those_to_come(intake: Intake, keys: Keys) -> None:
    intake.take(record(yeses=(yeses(995, 5, -1),)), keys, 1000)
    assert intake.pop(1000, 1)[1].sum() == 0
    intake.take(record(200, 300, yeses=(yeses(995, 6, 3),)), keys, 1001)
    assert intake.pop(1001, 1)[1][6, 0] == 2


@pytest.mark.parametrize(("first", "until"), [(0, 100), (50, 150), (99, 100), (0, 300)])
def test_a_range_that_was_read_is_passed_over(intake: Intake, keys: Keys, first: int, until: int) -> None:
    intake.take(record(first, until, asks=(asks(1000, 7),)), keys, 1000)
    assert (intake.asks, intake.positions) == ({}, {0: 100})
    assert intake.passed_over == PassedOver(doubles=1)


def test_a_hole_is_counted_and_gone_over(intake: Intake, keys: Keys) -> None:
    intake.take(record(130, 200, asks=(asks(1000, 7),)), keys, 1000)
    assert intake.passed_over == PassedOver(lost_offsets=30)
    assert intake.positions == {0: 200}
    assert intake.asks == {1000: {0: 7}}


def test_a_hole_reaches_from_the_last_that_was_read_to_the_next(keys: Keys) -> None:
    intake = Intake("shop", "kafka:events", {0: 100}, {0: 1000 * 60_000_000 + 5})
    intake.take(record(100, 200, reached_us=1001 * 60_000_000), keys, 990)
    assert intake.holes == []
    intake.take(record(230, 300, reached_us=1005 * 60_000_000), keys, 990)
    assert intake.holes == [Hole(1000, 1006)]
    assert [intake.passes_hole(minute) for minute in (999, 1000, 1005, 1006)] == [False, True, True, False]
    assert (intake.holes, intake.heard_from) == ([], 1006)


def test_yeses_to_asks_before_a_hole_or_of_those_that_came_late_are_left_out(intake: Intake, keys: Keys) -> None:
    intake.take(record(asks=(asks(999, 3), asks(998, 5), asks(900, 7))), keys, 1000)
    assert intake.late_asks == {(0, 999): 3, (0, 998): 5}
    in_flight = np.zeros((WINDOW + 1, 1), np.float32)
    in_flight[-1], in_flight[-3] = 9, 4
    said = np.ones((WINDOW + 1, 1), np.float32)
    intake.heard_from = 996
    intake.leave_out(1000, said, in_flight)
    assert said[:, 0].tolist() == [1, 0.75, 0, 1, 1] + [0] * (WINDOW - 4)
    intake.leave_out(999 + WINDOW, np.ones((WINDOW + 1, 1), np.float32), in_flight)
    assert intake.late_asks == {(0, 999): 3}


def test_a_heartbeat_moves_time_and_nothing_else(intake: Intake, keys: Keys) -> None:
    intake.take(record(100, 100, reached_us=60_000_000), keys, 0)
    assert (intake.positions, intake.passed_over) == ({0: 100}, PassedOver())
    assert intake.reached_us == {0: 60_000_000}


def test_a_minute_is_complete_when_all_partitions_have_passed_it_by_the_grace(intake: Intake, keys: Keys) -> None:
    assert intake.complete_until(0) is None
    intake.take(record(reached_us=1000 * 60_000_000 + 9_999_999), keys, 0)
    assert intake.complete_until(10_000_000) == 999
    intake.take(record(partition=1, reached_us=1002 * 60_000_000), keys, 0)
    assert intake.complete_until(10_000_000) == 999
    intake.take(record(200, 200, reached_us=1000 * 60_000_000 + 10_000_000), keys, 0)
    assert intake.complete_until(10_000_000) == 1000
    intake.take(record(200, 200, reached_us=1), keys, 0)
    assert intake.complete_until(10_000_000) == 1000


@pytest.mark.parametrize(
    "other", [{"ladder": "course"}, {"source": "kafka:other"}, {"segments": ("referrer",), "asks": ()}]
)
def test_records_about_something_else_are_passed_over(intake: Intake, keys: Keys, other: dict[str, Any]) -> None:
    intake.take(record(**{"asks": (asks(1000, 7),), "reached_us": 5, **other}), keys, 1000)
    assert (intake.asks, intake.reached_us, intake.positions) == ({}, {}, {0: 100})
    assert intake.passed_over == PassedOver(strange=1)


def test_what_is_not_watched_yet_is_counted_by_its_name(intake: Intake, keys: Keys) -> None:
    pay = (4, "pay", ())
    intake.take(record(asks=(Asks(*pay, 1000, 3), Asks(*pay, 1001, 2))), keys, 1000)
    assert intake.unknown == {pay: 5}
    assert intake.passed_over == PassedOver(unknown=5)
