"""`yesladder schedule`: the commands that send reports by themselves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from ladder.errors import UsageError, YesladderError
from yesladder.options import json_option, print_json, settings_options
from yesladder.settings import Settings, read_settings

if TYPE_CHECKING:
    from answers.letter import Letter
    from answers.schedule_file import Schedule
    from answers.schedule_run import Report
    from answers.schedule_state import ScheduleState
    from answers.targets import Target
    from warehouse.periods import Days

_LOOK_EVERY_S = 30.0
_PATIENCE = timedelta(minutes=10)
_SHOWN = 5
"""Runs of a schedule, of which those are shown that were given up."""


@click.group()
def schedule() -> None:
    """Reports that are sent by themselves, as schedules.toml says: docs/reports.md.

    Example: yesladder schedule check --schedules schedules.toml
    """


@schedule.command()
@settings_options("warehouse", "ladder", "schedules")
@click.option(
    "--once", is_flag=True, help="Send what is due, or is due again after a failure, and end: for cron and Kubernetes."
)
@click.option("--failed", "failed_too", is_flag=True, help="Try again now what failed, also where it was given up.")
@json_option
def run(once: bool, failed_too: bool, as_json: bool, **options: Any) -> None:
    """Send each report when it is due, once; a missed time is made up for, the last one of several.

    Without --once it goes on until it is stopped.  Exit code 1: something was not sent; it says what.

    Example: yesladder schedule run --once
    """
    settings = read_settings(**options)
    schedules = load(settings)
    if not once:
        if as_json or failed_too:
            raise UsageError("--json and --failed go with --once")
        _run_on(settings, schedules)
        return
    reports = _pass(schedules, settings, failed_too=failed_too)
    if as_json:
        print_json({"reports": [report.to_dict() for report in reports]})
    else:
        for report in reports:
            click.echo(report.line())
        if not reports:
            click.echo("nothing is due")
    faulty = [report for report in reports if report.faults]
    if faulty:
        raise YesladderError("; ".join(f"{report.name}: {'; '.join(report.faults)}" for report in faulty))


@schedule.command("list")
@settings_options("warehouse", "schedules")
@json_option
def list_(as_json: bool, **options: Any) -> None:
    """When each report goes out next, and what became of the last one.

    Example: yesladder schedule list --json
    """
    from answers.plain_text import plain
    from answers.schedule_file import as_dict, load_schedules
    from answers.schedule_state import FILE, ScheduleState

    settings = read_settings(**options)
    now = datetime.now(UTC)
    state = ScheduleState(settings.warehouse) if (settings.warehouse / FILE).exists() else None
    found = [
        {**as_dict(one), "next_at": one.next(now).isoformat(), **_last(state, one.name)}
        for one in load_schedules(settings.schedules_file(), now).values()
    ]
    if as_json:
        print_json({"schedules": found})
        return
    table = Table("name", "when", "next (UTC)", "last on", "went", box=None, header_style="dim")
    for one in found:
        went = one["last"]
        table.add_row(
            one["name"],
            one["at"],
            datetime.fromisoformat(one["next_at"]).strftime("%a %d %b %H:%M"),
            "-" if went is None else went["period"],
            plain("-" if went is None else _went(went)),
        )
        for run in one["given_up"]:
            table.add_row("", "", "", run["period"], f"failed: {run['error']}")
    Console().print(table)


@schedule.command()
@settings_options("warehouse", "ladder", "schedules")
@json_option
def check(as_json: bool, **options: Any) -> None:
    """Whether the file is right, and what it needs is set; sends nothing.

    Example: yesladder schedule check
    """
    schedules = load(read_settings(**options))
    now = datetime.now(UTC)
    said = [_announced(one, one.next(now)) for one in schedules.values()]
    if as_json:
        print_json({"ok": True, "schedules": said})
    else:
        for line in said:
            click.echo(line)


def _announced(schedule: Schedule, due_at: datetime) -> str:
    """One line on when a report is due, and on what; with a warning where that is long over by then."""
    days = schedule.period_at(due_at)
    to = ", ".join(target.name for target in schedule.targets)
    late = (due_at - days.ends).days
    warning = f" (look at `at`: the {schedule.every} is over {late} days before)" if late > 1 else ""
    return (
        f"{schedule.name}: {schedule.when}, next {due_at:%Y-%m-%d %H:%M} UTC on the {schedule.every} from "
        f"{days.since}{warning}, to {to}"
    )


def load(settings: Settings) -> dict[str, Schedule]:
    """The schedules, with all that can be known wrong without sending anything."""
    from answers.schedule_file import load_schedules

    schedules = load_schedules(settings.schedules_file(), datetime.now(UTC))
    settings.load_ladder()
    kinds = {target.kind for one in schedules.values() for target in one.targets}
    if "mail" in kinds and settings.carriers().mail is None:
        raise UsageError("YESLADDER_SMTP_HOST and YESLADDER_SMTP_FROM: set them, for there are mails to send")
    return schedules


def _pass(
    schedules: Mapping[str, Schedule],
    settings: Settings,
    *,
    failed_too: bool = False,
    stopping: threading.Event | None = None,
) -> list[Report]:
    from answers.schedule_run import run_due
    from answers.schedule_state import ScheduleState
    from answers.sending import send

    by = settings.carriers()
    state = ScheduleState(settings.warehouse)
    stopping = threading.Event() if stopping is None else stopping

    def post(letter: Letter, target: Target) -> None:
        send(letter, target, by, say=lambda words: click.echo(words, err=True), stopping=stopping)

    with state.alone(_PATIENCE):
        return run_due(
            schedules,
            state,
            _maker(settings, state.installation()),
            post,
            lambda: datetime.now(UTC),
            failed_too=failed_too,
            stopping=stopping.is_set,
        )


def _maker(settings: Settings, installation: str) -> Callable[[Schedule, Days], Letter]:
    """Reports of this warehouse as it is then.  One whose period was not over at the last build waits, and so does one
    of which nothing was built with this ladder."""
    from answers.gather import Asked
    from answers.letter import letter
    from answers.schedule_run import NotReadyError
    from yesladder.reporting import facts_of

    def make(schedule: Schedule, days: Days) -> Letter:
        try:
            facts = facts_of(
                settings.warehouse,
                settings.load_ladder(),
                now=datetime.now(UTC),
                out=settings.warehouse / "reports" / "report.html",
                asked=Asked(days, schedule.every, schedule.unit, schedule.segment),
            )
        except UsageError as error:
            raise NotReadyError(str(error)) from error
        if facts.period is None or facts.period.changes is None:
            raise NotReadyError("the marts were built before the period was over: run `yesladder build`")
        return letter(schedule.name, facts, schedule.how, sender=installation)

    return make


def _run_on(settings: Settings, schedules: Mapping[str, Schedule]) -> None:
    """Until SIGINT or SIGTERM.  A changed file counts from the next look on; a wrong one is told, the old one stays."""
    path = settings.schedules_file()
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    click.echo(f"sending by {path}: {', '.join(schedules) or 'nothing'}", err=True)
    told, seen = "", _stamp(path)
    while True:
        try:
            if _stamp(path) != seen:
                seen = _stamp(path)
                schedules = load(settings)
            for report in _pass(schedules, settings, stopping=stopping):
                click.echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC  {report.line()}", err=True)
            told = ""
        except Exception as error:  # a fault that nobody thought of must not end it
            words = str(error) if isinstance(error, (YesladderError, OSError)) else f"{type(error).__name__}: {error}"
            if words != told:
                told = words
                click.echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC  {words}", err=True)
        if stopping.wait(_LOOK_EVERY_S):
            return


def _stamp(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _last(state: ScheduleState | None, name: str) -> dict[str, Any]:
    """What became of the last run, and which of those before it were given up."""
    run = None if state is None else state.last_run(name)
    if state is None or run is None:
        return {"last": None, "given_up": []}
    return {
        "last": {
            "period": run.period,
            "due_at": run.due_at.isoformat(),
            "attempts": run.attempts,
            "error": run.error,
            "next_attempt_at": None if run.next_at is None else run.next_at.isoformat(),
            "deliveries": [
                {"target": one.target_name, "stage": one.stage, "error": one.error, "at": one.at.isoformat()}
                for one in state.deliveries(name, run.period)
            ],
        },
        "given_up": [
            {"period": one.period, "error": one.error}
            for one in state.given_up(name, newest=_SHOWN)
            if one.period != run.period
        ],
    }


def _went(last: Mapping[str, Any]) -> str:
    if not last["error"]:
        return "sent"
    again = last["next_attempt_at"]
    return f"{'failed' if again is None else f'to be tried again {again[11:16]} UTC'}: {last['error']}"
