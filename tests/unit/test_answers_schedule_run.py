"""What is due is sent once, whatever fails, however the process ends, and however many run."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from answers.letter import Letter, letter
from answers.schedule_file import Schedule, parse_schedules
from answers.schedule_run import ATTEMPTS, FIRST_PAUSE, LONGEST_WAIT, NotReadyError, Report, run_due
from answers.schedule_state import ScheduleState
from answers.sending import SendingError
from answers.targets import Target
from ladder.errors import YesladderError
from tests.suites.named_facts import facts_with
from warehouse.periods import Days

MONDAY = datetime(2026, 3, 16, 8, 0, tzinfo=UTC)
WEEKLY = '[weekly]\nperiod = "week"\nat = "mon 08:00"\ntargets = {targets}\n'
MAIL = '["mailto:ann@x.example", "mailto:ben@x.example"]'
TO_ANN = '["mailto:ann@x.example"]'
CHAT = '["slack+https://chat.example/x"]'


class Crash(BaseException):
    """The process is gone."""


class World:
    """A state on disk, a clock to set, and targets that fail as told.  ``sent``: what arrived: period and target."""

    def __init__(self, folder: Path, targets: str = MAIL, more: str = "") -> None:
        self.state = ScheduleState(folder)
        self.schedules = parse_schedules(WEEKLY.format(targets=targets) + more, "test", MONDAY)
        self.now = MONDAY - timedelta(days=2)
        self.sent: list[tuple[str, str]] = []
        self.keys: list[str] = []
        self.faults: dict[str, list[BaseException]] = {}
        self.makes: list[BaseException] = []
        self.stopped = False
        self._letter = letter("weekly", facts_with("poll"), "md")

    def make(self, schedule: Schedule, days: Days) -> Letter:
        if self.makes:
            raise self.makes.pop(0)
        self.period = f"{days.since}/{days.until}"
        return self._letter

    def send(self, sent: Letter, target: Target) -> None:
        faults = self.faults.get(target.where, [])
        fault = faults.pop(0) if faults else None
        if fault is not None and not isinstance(fault, Crash):
            raise fault
        self.sent.append((self.period, target.where))
        self.keys.append(sent.key(target))
        if fault is not None:
            raise fault

    def run(self, now: datetime, *, failed_too: bool = False) -> list[Report]:
        self.now = now
        with self.state.alone(timedelta(seconds=5)):
            return run_due(
                self.schedules,
                self.state,
                self.make,
                self.send,
                lambda: self.now,
                failed_too=failed_too,
                stopping=lambda: self.stopped,
            )


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    assert found.run(found.now) == []
    return found


WEEK = "2026-03-09/2026-03-16"
BOTH = [(WEEK, "ann@x.example"), (WEEK, "ben@x.example")]
PASSING = SendingError("busy", is_passing=True)


def test_a_report_is_sent_when_it_is_due_and_once(world: World) -> None:
    assert world.run(MONDAY - timedelta(seconds=1)) == []
    (report,) = world.run(MONDAY)
    assert (report.name, report.period, report.faults) == ("weekly", WEEK, ())
    assert report.line() == f"weekly {WEEK}: sent mail ann@x.example; sent mail ben@x.example"
    for minutes in (0, 1, 600, 7 * 24 * 60 - 1):
        assert world.run(MONDAY + timedelta(minutes=minutes), failed_too=True) == []
    assert world.sent == BOTH


def test_of_several_missed_times_the_last_is_made_up_for_once(world: World) -> None:
    world.run(MONDAY + timedelta(days=17))
    world.run(MONDAY + timedelta(days=18))
    assert world.sent == [("2026-03-23/2026-03-30", "ann@x.example"), ("2026-03-23/2026-03-30", "ben@x.example")]


def test_what_was_due_before_the_schedule_was_there_is_not_sent(tmp_path: Path) -> None:
    found = World(tmp_path)
    assert found.run(MONDAY + timedelta(hours=1, seconds=1)) == []
    assert found.run(MONDAY + timedelta(days=7)) != []
    assert [period for period, _ in found.sent] == ["2026-03-16/2026-03-23"] * 2


def test_cron_may_bring_it_up_a_moment_after_its_first_time(tmp_path: Path) -> None:
    found = World(tmp_path)
    found.run(MONDAY + timedelta(seconds=5))
    assert found.sent == BOTH


def test_one_target_that_fails_is_tried_again_alone_after_a_longer_pause_each_time(world: World) -> None:
    world.faults["ben@x.example"] = [PASSING, PASSING]
    (report,) = world.run(MONDAY)
    assert (report.sent, report.faults, report.next_at) == (("mail ann@x.example",), ("busy",), MONDAY + FIRST_PAUSE)
    assert report.line().endswith("busy; again 08:05 UTC")
    assert world.run(MONDAY + FIRST_PAUSE - timedelta(seconds=1)) == []
    (second,) = world.run(MONDAY + FIRST_PAUSE)
    assert second.next_at == MONDAY + 3 * FIRST_PAUSE
    (third,) = world.run(MONDAY + 3 * FIRST_PAUSE)
    assert (third.sent, third.faults) == (("mail ben@x.example",), ())
    assert world.sent == BOTH


@pytest.mark.parametrize("every_s", [1, 60, 600, 3600])
def test_how_often_cron_calls_does_not_matter(world: World, every_s: int) -> None:
    """A target is away for 100 minutes, which is less than all attempts together last."""
    back = MONDAY + timedelta(minutes=100)
    now = MONDAY
    while now < back:
        world.faults["ben@x.example"] = [PASSING]
        world.run(now)
        run = world.state.last_run("weekly")
        assert run is not None
        assert run.next_at is not None
        now += timedelta(seconds=every_s) * max(1, (run.next_at - now) // timedelta(seconds=every_s))
    world.faults.clear()
    world.run(now + timedelta(hours=2))
    assert world.sent == BOTH


def test_what_asks_for_patience_is_tried_again_at_once_where_that_is_wished(world: World) -> None:
    world.faults["ben@x.example"] = [PASSING]
    world.run(MONDAY)
    assert world.run(MONDAY) == []
    assert world.run(MONDAY, failed_too=True)[0].sent == ("mail ben@x.example",)


def test_after_the_last_attempt_it_is_given_up_and_kept_as_failed(world: World) -> None:
    world.faults["ben@x.example"] = [SendingError("no such user")] * 99
    reports = [world.run(MONDAY + timedelta(hours=2 * turn)) for turn in range(20)]
    assert [len(found) for found in reports] == [1] * ATTEMPTS + [0] * (20 - ATTEMPTS)
    assert reports[ATTEMPTS - 1][0].line().endswith("no such user; given up")
    run = world.state.last_run("weekly")
    assert run is not None
    assert (run.error, run.next_at, run.attempts) == ("no such user", None, ATTEMPTS)
    assert [(one.target_name, one.stage) for one in world.state.deliveries("weekly", WEEK)] == [
        ("mail ann@x.example", "sent"),
        ("mail ben@x.example", "failed"),
    ]
    world.faults.clear()
    (report,) = world.run(MONDAY + timedelta(hours=41), failed_too=True)
    assert report.sent == ("mail ben@x.example",)
    assert world.run(MONDAY + timedelta(hours=42), failed_too=True) == []
    assert world.sent == BOTH


def test_a_report_that_cannot_be_made_is_tried_again_too(world: World) -> None:
    world.makes = [YesladderError("the marts are away"), OSError(28, "No space left on device")]
    (report,) = world.run(MONDAY)
    assert report.faults == ("the report cannot be made: the marts are away",)
    assert world.run(MONDAY + FIRST_PAUSE)[0].faults == (
        "the report cannot be made: [Errno 28] No space left on device",
    )
    assert world.run(MONDAY + 3 * FIRST_PAUSE)[0].faults == ()
    assert world.sent == BOTH


def test_a_report_that_waits_for_a_build_waits_until_the_next_is_due(world: World) -> None:
    """However often it is looked for, it is not given up."""
    world.makes = [NotReadyError("the marts are from before")] * 10_000
    now, looks = MONDAY, []
    while now < MONDAY + timedelta(hours=12):
        looks += [now] * len(world.run(now))
        now += timedelta(minutes=5)
    assert [later - look for look, later in pairwise(looks)][:2] == [FIRST_PAUSE, FIRST_PAUSE]
    assert max(later - look for look, later in pairwise(looks)) == LONGEST_WAIT
    run = world.state.last_run("weekly")
    assert run is not None
    assert (run.attempts, run.error) == (0, "the report cannot be made yet: the marts are from before")
    world.makes.clear()
    assert world.run(now + LONGEST_WAIT)[0].faults == ()
    assert world.sent == BOTH


def test_a_report_for_which_no_build_came_is_told_when_the_next_is_due(world: World) -> None:
    world.makes = [NotReadyError("no marts")] * 2
    world.run(MONDAY)
    old, new = world.run(MONDAY + timedelta(days=7))
    assert old.line() == f"weekly {WEEK}: the report cannot be made yet: no marts; the next time has come; given up"
    assert new.faults == ()
    assert [(one.period, one.attempts) for one in world.state.given_up("weekly", 5)] == [(WEEK, 0)]


def test_a_report_that_failed_has_a_last_attempt_when_the_next_is_due(world: World) -> None:
    """As where cron calls once a week."""
    world.faults["ben@x.example"] = [PASSING]
    world.run(MONDAY)
    old, new = world.run(MONDAY + timedelta(days=7))
    assert (old.period, old.sent, old.faults) == (WEEK, ("mail ben@x.example",), ())
    assert new.sent == ("mail ann@x.example", "mail ben@x.example")
    assert world.sent[:2] == BOTH
    assert world.state.open_runs("weekly") == ()


def test_a_report_that_fails_at_its_last_attempt_is_given_up_loudly(world: World) -> None:
    world.faults["ben@x.example"] = [PASSING, PASSING]
    world.run(MONDAY)
    old, new = world.run(MONDAY + timedelta(days=7))
    assert old.line().endswith("busy; the next time has come; given up")
    assert new.faults == ()
    assert world.run(MONDAY + timedelta(days=7, hours=5)) == []
    assert [one.period for one in world.state.given_up("weekly", 5)] == [WEEK]


def test_a_report_of_long_ago_is_not_sent_but_told(world: World) -> None:
    world.faults["ben@x.example"] = [PASSING]
    world.run(MONDAY)
    old, new = world.run(MONDAY + timedelta(days=28))
    assert old.line() == f"weekly {WEEK}: busy; the next time has come; given up"
    assert (new.period, new.faults) == ("2026-04-06/2026-04-13", ())
    assert (WEEK, "ben@x.example") not in world.sent


OTHER = WEEKLY.replace("weekly", "other").format(targets='["mailto:eve@x.example"]')


def test_a_fault_that_nobody_thought_of_is_of_its_schedule_alone(tmp_path: Path) -> None:
    world = World(tmp_path, more=OTHER)
    world.run(world.now)
    world.makes = [ZeroDivisionError("by 0")]
    first, second = world.run(MONDAY)
    assert first.faults == ("the report cannot be made: ZeroDivisionError: by 0",)
    assert second.sent == ("mail eve@x.example",)
    world.faults["ann@x.example"] = [ValueError("odd")]
    (again,) = world.run(MONDAY + FIRST_PAUSE)
    assert "ValueError: odd" in again.faults[0]
    assert again.sent == ("mail ben@x.example",)


def test_a_state_that_fails_at_one_schedule_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, more=OTHER)
    world.run(world.now)
    plain = world.state.known_since

    def full(name: str, now: datetime) -> datetime:
        if name == "weekly":
            raise sqlite3.OperationalError("database or disk is full")
        return plain(name, now)

    monkeypatch.setattr(world.state, "known_since", full)
    first, second = world.run(MONDAY)
    assert first.faults == ("OperationalError: database or disk is full",)
    assert second.sent == ("mail eve@x.example",)


def test_a_stop_is_heard_between_two_targets_and_uses_up_no_attempt(tmp_path: Path) -> None:
    world = World(tmp_path, more=OTHER)
    world.run(world.now)
    plain = world.send

    def stopping_send(sent: Letter, target: Target) -> None:
        plain(sent, target)
        world.stopped = True

    world.send = stopping_send  # type: ignore[method-assign]  # the same targets; the stop comes while one is sent to
    (report,) = world.run(MONDAY)
    assert (report.sent, report.faults) == (
        ("mail ann@x.example",),
        ("the scheduler was stopped before all was sent",),
    )
    run = world.state.last_run("weekly")
    assert run is not None
    assert (run.attempts, run.next_at) == (0, MONDAY)
    world.stopped, world.send = False, plain  # type: ignore[method-assign]
    world.run(MONDAY)
    assert world.sent == [*BOTH, (WEEK, "eve@x.example")]


def test_two_warehouses_are_two_installations_and_stay_it(tmp_path: Path) -> None:
    found = [ScheduleState(tmp_path / name).installation() for name in ("a", "b", "a")]
    assert found[0] == found[2] != found[1]


def test_a_process_that_ends_before_it_sends_leaves_all_to_the_next(world: World) -> None:
    world.makes = [Crash()]
    with pytest.raises(Crash):
        world.run(MONDAY)
    assert world.run(MONDAY) != []
    assert world.sent == BOTH


def test_a_process_that_ends_between_sending_and_noting_sends_again_under_the_same_key(tmp_path: Path) -> None:
    world = World(tmp_path, '["https://a.example/x", "https://b.example/x"]')
    world.run(world.now)
    world.faults["https://a.example/x"] = [Crash()]
    with pytest.raises(Crash):
        world.run(MONDAY)
    world.run(MONDAY)
    assert [where for _, where in world.sent] == ["https://a.example/x", "https://a.example/x", "https://b.example/x"]
    assert world.keys[0] == world.keys[1] != world.keys[2]


def test_a_process_that_ends_each_time_is_not_begun_for_ever(tmp_path: Path) -> None:
    world = World(tmp_path, '["https://a.example/x"]')
    world.run(world.now)
    world.faults["https://a.example/x"] = [Crash()] * 99
    for _ in range(ATTEMPTS):
        with pytest.raises(Crash):
            world.run(MONDAY)
    assert world.run(MONDAY)[0].faults == (f"was cut short {ATTEMPTS} times",)
    assert world.run(MONDAY) == []
    assert len(world.sent) == ATTEMPTS


@pytest.mark.parametrize(("targets", "where"), [(CHAT, "https://chat.example/x"), (TO_ANN, "ann@x.example")])
def test_mail_and_chat_are_left_where_a_process_ended_between_sending_and_noting(
    tmp_path: Path, targets: str, where: str
) -> None:
    world = World(tmp_path, targets)
    world.run(world.now)
    world.faults[where] = [Crash()]
    with pytest.raises(Crash):
        world.run(MONDAY)
    (report,) = world.run(MONDAY)
    assert "may have got it or not, and is not sent it again" in report.faults[0]
    assert report.next_at is None
    assert world.run(MONDAY, failed_too=True)[0].sent == ()
    assert len(world.sent) == 1
    assert [one.stage for one in world.state.deliveries("weekly", WEEK)] == ["unsure"]


@pytest.mark.parametrize(("targets", "where"), [(CHAT, "https://chat.example/x"), (TO_ANN, "ann@x.example")])
def test_mail_and_chat_get_it_again_where_that_is_wished(tmp_path: Path, targets: str, where: str) -> None:
    world = World(tmp_path, targets, 'if_unsure = "again"\n')
    world.run(world.now)
    world.faults[where] = [Crash()]
    with pytest.raises(Crash):
        world.run(MONDAY)
    assert world.run(MONDAY)[0].faults == ()
    assert len(world.sent) == 2


def test_an_answer_that_never_came_leaves_mail_unsure_and_a_webhook_to_be_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path, '["mailto:ann@x.example", "https://a.example/x"]')
    world.run(world.now)
    unsure = SendingError("no answer", is_passing=True, is_unsure=True)
    world.faults = {"https://a.example/x": [unsure], "ann@x.example": [unsure]}
    (report,) = world.run(MONDAY)
    assert report.next_at is not None
    (report,) = world.run(report.next_at)
    assert len(report.sent) == 1
    assert report.next_at is None
    assert world.sent == [(WEEK, "https://a.example/x")]


def test_two_schedulers_at_once_send_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run(world.now)
    inside, go_on = threading.Event(), threading.Event()
    plain = world.send

    def slow(sent: Letter, target: Target) -> None:
        inside.set()
        go_on.wait(30)
        plain(sent, target)

    world.send = slow  # type: ignore[method-assign]  # the same targets, only slower
    first = threading.Thread(target=world.run, args=[MONDAY])
    second = threading.Thread(target=world.run, args=[MONDAY])
    first.start()
    assert inside.wait(30)
    second.start()
    with pytest.raises(YesladderError, match="another scheduler is sending reports"), world.state.alone(timedelta()):
        pass
    go_on.set()
    first.join(30)
    second.join(30)
    assert world.sent == BOTH


def test_no_secret_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path, '["slack+https://chat.example/services/secret", "https://chat.example/?token=secret"]')
    world.run(MONDAY)
    assert len(world.sent) == 2
    assert b"secret" not in (tmp_path / "schedules.sqlite").read_bytes()
