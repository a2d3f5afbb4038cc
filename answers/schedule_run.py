"""One pass over the schedules: what is due and was not sent yet is sent, each report to each target once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from answers.letter import Letter
from answers.schedule_file import Schedule
from answers.schedule_state import Run, ScheduleState, period_key
from answers.sending import SendingError
from answers.targets import Target
from ladder.clock import Clock
from ladder.errors import YesladderError
from warehouse.periods import Days

ATTEMPTS = 6
"""Of a run, before it is given up."""
FIRST_PAUSE = timedelta(minutes=5)
"""To the second attempt; each further pause is twice as long: the last attempt is 2 h 35 min after the first."""
GRACE = timedelta(hours=1)
"""A time this long before a schedule was first seen is still its own: cron may call us a moment after it."""

Make = Callable[[Schedule, Days], Letter]
Send = Callable[[Letter, Target], None]


@dataclass(frozen=True)
class Report:
    """What became of one run in a pass.  ``faults``: one line each; none where all is sent."""

    name: str
    period: str
    sent: tuple[str, ...]
    faults: tuple[str, ...]
    next_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.name,
            "period": self.period,
            "sent": self.sent,
            "faults": self.faults,
            "next_at": None if self.next_at is None else self.next_at.isoformat(),
        }

    def line(self) -> str:
        """For the log."""
        words = [f"sent {name}" for name in self.sent] + list(self.faults)
        if self.faults:
            words.append("given up" if self.next_at is None else f"again {self.next_at:%H:%M} UTC")
        return f"{self.name} {self.period}: {'; '.join(words)}"


def run_due(
    schedules: Mapping[str, Schedule],
    state: ScheduleState,
    make: Make,
    send: Send,
    clock: Clock,
    *,
    at_once: bool = False,
    failed_too: bool = False,
) -> list[Report]:
    """Send what is due.  Call it within ``state.alone``.

    Of several times that were missed the last one counts, once.  ``at_once``: what failed is tried again now, not after
    its pause.  ``failed_too``: also what was given up.
    """
    reports = []
    for schedule in schedules.values():
        now = clock()
        due_at = schedule.last(now)
        since = state.known_since(schedule.name, now)
        days = schedule.period_at(due_at)
        run = state.run(schedule.name, days)
        if run is None:
            if due_at < since - GRACE:
                continue
            run = Run(schedule.name, period_key(days), due_at, 0, due_at, "", None)
        elif failed_too and run.error:
            run = replace(run, attempts=0)
        elif run.next_at is None or (run.next_at > now and not at_once):
            continue
        reports.append(_attempt(schedule, run, days, state, make, send, clock))
    return reports


def next_due(schedules: Sequence[Schedule], state: ScheduleState, now: datetime) -> datetime | None:
    """When a pass may have something to do again; None where there are no schedules."""
    times = [schedule.next(now) for schedule in schedules]
    for schedule in schedules:
        run = state.run(schedule.name, schedule.period_at(schedule.last(now)))
        if run is not None and run.next_at is not None:
            times.append(run.next_at)
    return min(times, default=None)


def _attempt(
    schedule: Schedule, run: Run, days: Days, state: ScheduleState, make: Make, send: Send, clock: Clock
) -> Report:
    attempts = run.attempts + 1
    if attempts > ATTEMPTS:  # only what ended its process each time comes here
        state.note_run(replace(run, next_at=None, ended_at=clock()))
        return Report(schedule.name, run.period, (), (f"was cut short {ATTEMPTS} times",), None)
    state.note_run(replace(run, attempts=attempts, next_at=clock(), error="cut short", ended_at=None))
    sent: list[str] = []
    faults: list[str] = []
    try:
        letter = make(schedule, days)
    except (YesladderError, OSError) as error:
        faults.append(f"the report cannot be made: {error}")
    else:
        for target in schedule.targets:
            fault = _deliver(schedule, letter, run.period, target, state, send, clock, sent)
            if fault is not None:
                faults.append(fault)
    now = clock()
    is_over = not faults or attempts >= ATTEMPTS or _is_settled(schedule, run.period, state)
    next_at = None if is_over else now + FIRST_PAUSE * 2 ** (attempts - 1)
    state.note_run(
        replace(run, attempts=attempts, next_at=next_at, error="; ".join(faults), ended_at=now if is_over else None)
    )
    return Report(schedule.name, run.period, tuple(sent), tuple(faults), next_at)


def _deliver(
    schedule: Schedule,
    letter: Letter,
    period: str,
    target: Target,
    state: ScheduleState,
    send: Send,
    clock: Clock,
    sent: list[str],
) -> str | None:
    """Send to one target unless that was done; what went wrong, if anything did."""
    before = state.delivery(schedule.name, period, target)
    may_repeat = target.knows_copies or schedule.if_unsure == "again"

    def note(stage: Any, error: str = "") -> None:
        state.note_delivery(schedule.name, period, target, stage, error, clock())

    if before is not None and before.stage == "sent":
        return None
    if before is not None and before.stage == "sending" and not may_repeat:
        note("unsure", "the scheduler was ended while it was sending")
    elif before is None or before.stage != "unsure" or may_repeat:
        note("sending")
        try:
            send(letter, target)
        except SendingError as error:
            note("unsure" if error.is_unsure and not may_repeat else "failed", str(error))
        except (YesladderError, OSError) as error:
            note("failed", f"{target.name}: {error}" if not str(error).startswith(target.name) else str(error))
        else:
            note("sent")
            sent.append(target.name)
            return None
    after = state.delivery(schedule.name, period, target)
    why = "" if after is None else after.error
    if after is not None and after.stage == "unsure":
        return f"{target.name} may have got it or not, and is not sent it again ({why})"
    return why


def _is_settled(schedule: Schedule, period: str, state: ScheduleState) -> bool:
    """Whether another attempt would change nothing: all that was not sent may have arrived."""
    stages = [state.delivery(schedule.name, period, target) for target in schedule.targets]
    return all(one is not None and one.stage in ("sent", "unsure") for one in stages)
