"""One pass over the schedules: what is due and was not sent yet is sent, each report to each target once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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

LONGEST_WAIT = timedelta(minutes=30)
"""Between two looks whether a report can be made by now."""

_OVERTAKEN = "the next time has come"
_STOPPED = "the scheduler was stopped before all was sent"

Make = Callable[[Schedule, Days], Letter]
Send = Callable[[Letter, Target], None]


class NotReadyError(YesladderError):
    """A report cannot be made yet, for which nobody is to blame: it waits, and uses up no attempt."""


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
    failed_too: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> list[Report]:
    """Send what is due.  Call it within ``state.alone``.

    Of several times that were missed the last one counts, once.  What failed at the time before has one last attempt
    when the next time comes.  ``failed_too``: at once also what has its pause, and what was given up of the last time.
    ``stopping``: asked between two targets; then the rest is left to the next pass.  A fault of one schedule, whatever
    it is, is no other's.
    """
    reports: list[Report] = []
    for schedule in schedules.values():
        if stopping():
            break
        try:
            for run, is_last in _due(schedule, state, clock(), failed_too, reports):
                if not stopping():
                    reports.append(_Pass(schedule, run, is_last, state, make, send, clock, stopping).report())
        except Exception as error:  # such as a full disk under the state
            reports.append(Report(schedule.name, "", (), (f"{type(error).__name__}: {error}",), None))
    return reports


def _due(
    schedule: Schedule, state: ScheduleState, now: datetime, failed_too: bool, reports: list[Report]
) -> Iterator[tuple[Run, bool]]:
    """The runs to attempt now, and of each whether it is its last attempt.  What is too old for one is given up."""
    due_at = schedule.last(now)
    since = state.known_since(schedule.name, now)
    period = period_key(schedule.period_at(due_at))
    before = period_key(schedule.period_at(schedule.last(due_at - timedelta(seconds=1))))
    for run in state.open_runs(schedule.name):
        if run.period == before:
            yield run, True
        elif run.period != period:
            fault = f"{run.error}; {_OVERTAKEN}"
            state.note_run(replace(run, next_at=None, error=fault, ended_at=now))
            reports.append(Report(schedule.name, run.period, (), (fault,), None))
    run_now = state.run(schedule.name, schedule.period_at(due_at))
    if run_now is None:
        if due_at >= since - GRACE:
            yield Run(schedule.name, period, due_at, 0, due_at, "", None), False
    elif failed_too and run_now.error:
        yield replace(run_now, attempts=0), False
    elif run_now.next_at is not None and run_now.next_at <= now:
        yield run_now, False


@dataclass(frozen=True)
class _Pass:
    """One attempt at a run.  ``is_last``: the next time has come, and there is no other."""

    schedule: Schedule
    run: Run
    is_last: bool
    state: ScheduleState
    make: Make
    send: Send
    clock: Clock
    stopping: Callable[[], bool]

    def report(self) -> Report:
        run = self.run
        attempts = run.attempts + 1
        if attempts > ATTEMPTS:  # only what ended its process each time comes here
            return self._end((), (f"was cut short {ATTEMPTS} times",), run.attempts)
        self.state.note_run(replace(run, attempts=attempts, next_at=self.clock(), error="cut short", ended_at=None))
        try:
            letter = self.make(self.schedule, run.days)
        except NotReadyError as error:
            return self._wait(f"the report cannot be made yet: {error}")
        except (YesladderError, OSError) as error:
            return self._failed((), [f"the report cannot be made: {error}"], attempts)
        except Exception as error:
            return self._failed((), [f"the report cannot be made: {type(error).__name__}: {error}"], attempts)
        sent: list[str] = []
        faults: list[str] = []
        for target in self.schedule.targets:
            if self.stopping():
                return self._left(tuple(sent), [*faults, _STOPPED])
            fault = _deliver(self.schedule, letter, run.period, target, self.state, self.send, self.clock, sent)
            if fault is not None:
                faults.append(fault)
        if self.stopping() and faults:
            return self._left(tuple(sent), faults)
        return self._failed(tuple(sent), faults, attempts)

    def _failed(self, sent: tuple[str, ...], faults: Sequence[str], attempts: int) -> Report:
        """Also where there is no fault."""
        is_over = not faults or attempts >= ATTEMPTS or _is_settled(self.schedule, self.run.period, self.state)
        if is_over:
            return self._end(sent, faults, attempts)
        if self.is_last:
            return self._end(sent, (*faults, _OVERTAKEN), attempts)
        return self._note(sent, faults, attempts, self.clock() + FIRST_PAUSE * 2 ** (attempts - 1))

    def _wait(self, fault: str) -> Report:
        if self.is_last:
            return self._end((), (fault, _OVERTAKEN), self.run.attempts)
        now = self.clock()
        pause = min(max((now - self.run.due_at) / 2, FIRST_PAUSE), LONGEST_WAIT)
        return self._note((), (fault,), self.run.attempts, now + pause)

    def _left(self, sent: tuple[str, ...], faults: Sequence[str]) -> Report:
        return self._note(sent, faults, self.run.attempts, self.clock())

    def _end(self, sent: tuple[str, ...], faults: Sequence[str], attempts: int) -> Report:
        return self._note(sent, faults, attempts, None)

    def _note(self, sent: tuple[str, ...], faults: Sequence[str], attempts: int, next_at: datetime | None) -> Report:
        ended_at = self.clock() if next_at is None else None
        error = "; ".join(faults)
        self.state.note_run(replace(self.run, attempts=attempts, next_at=next_at, error=error, ended_at=ended_at))
        return Report(self.run.name, self.run.period, sent, tuple(faults), next_at)


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
        except Exception as error:  # whatever it is, it may have come after the sending
            note("failed" if may_repeat else "unsure", f"{target.name}: {type(error).__name__}: {error}")
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
