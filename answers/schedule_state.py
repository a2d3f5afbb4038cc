"""What was sent and what was not, kept in ``WAREHOUSE/schedules.sqlite`` so that no end of a process forgets it.

Each step is on disk before the next one is taken: that a report is about to be sent before it is, and that it was sent
before anything else happens.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import uuid4

from answers.targets import Target
from ladder.errors import YesladderError
from warehouse.periods import Days

FILE = "schedules.sqlite"
_LOCK = "schedules.lock.sqlite"

Stage = Literal["sending", "sent", "failed", "unsure"]
"""Of one report to one target.  ``sending``: begun; found so by a later pass, its process was ended meanwhile.
``unsure``: it may have arrived, and is not sent again."""

_TABLES = """
create table if not exists installation (
    id text not null
) strict;
create table if not exists schedules (
    name text primary key,
    known_since text not null
) strict;
create table if not exists runs (
    name text not null,
    period text not null,
    due_at text not null,
    attempts integer not null,
    next_at text,
    error text not null,
    ended_at text,
    primary key (name, period)
) strict;
create table if not exists deliveries (
    name text not null,
    period text not null,
    target text not null,
    target_name text not null,
    stage text not null check (stage in ('sending', 'sent', 'failed', 'unsure')),
    error text not null,
    at text not null,
    primary key (name, period, target)
) strict;
"""


@dataclass(frozen=True)
class Run:
    """A report of one schedule on one period.  ``next_at``: when it is tried again; None once it has ended.

    ``error``: of the last attempt, empty where there was none.
    """

    name: str
    period: str
    due_at: datetime
    attempts: int
    next_at: datetime | None
    error: str
    ended_at: datetime | None

    @property
    def days(self) -> Days:
        """Which the period is."""
        since, _, until = self.period.partition("/")
        return Days(date.fromisoformat(since), date.fromisoformat(until))


@dataclass(frozen=True)
class Delivery:
    """One target of a run."""

    target_name: str
    stage: Stage
    error: str
    at: datetime


class ScheduleState:
    """The state of a warehouse's schedules.  All times are UTC."""

    def __init__(self, warehouse: Path) -> None:
        self._warehouse = warehouse
        warehouse.mkdir(parents=True, exist_ok=True)
        with self._open() as state:
            state.executescript(_TABLES)

    def installation(self) -> str:
        """Made once: tells the reports of this warehouse from those of any other."""
        with self._open() as state:
            state.execute(
                "insert into installation select ? where not exists (select 1 from installation)", [uuid4().hex]
            )
            ((found,),) = state.execute("select id from installation").fetchall()
        return str(found)

    @contextmanager
    def alone(self, patience: timedelta) -> Iterator[None]:
        """One scheduler at a time; let go when the process ends, however it does.

        Raises ``YesladderError`` where another is at it for longer than ``patience``.
        """
        with closing(
            sqlite3.connect(self._warehouse / _LOCK, timeout=patience.total_seconds(), isolation_level=None)
        ) as lock:
            try:
                lock.execute("begin exclusive")
            except sqlite3.OperationalError:
                raise YesladderError(f"{self._warehouse}: another scheduler is sending reports; try later") from None
            yield

    def known_since(self, name: str, now: datetime) -> datetime:
        """When a schedule of this name was seen first; ``now`` if never."""
        with self._open() as state:
            state.execute("insert or ignore into schedules values (?, ?)", [name, _text(now)])
            ((since,),) = state.execute("select known_since from schedules where name = ?", [name]).fetchall()
        return _time(since)

    def last_run(self, name: str) -> Run | None:
        """The run that was due last."""
        with self._open() as state:
            rows = state.execute("select * from runs where name = ? order by due_at desc limit 1", [name]).fetchall()
        return _run(rows[0]) if rows else None

    def open_runs(self, name: str) -> tuple[Run, ...]:
        """Those that have not ended, the oldest first."""
        with self._open() as state:
            rows = state.execute(
                "select * from runs where name = ? and ended_at is null order by due_at", [name]
            ).fetchall()
        return tuple(map(_run, rows))

    def given_up(self, name: str, newest: int) -> tuple[Run, ...]:
        """Of the ``newest`` runs those that ended without all being sent, the newest first."""
        with self._open() as state:
            rows = state.execute(
                "select * from runs where name = ? order by due_at desc limit ?", [name, newest]
            ).fetchall()
        return tuple(run for run in map(_run, rows) if run.error and run.ended_at is not None)

    def run(self, name: str, days: Days) -> Run | None:
        """The run on that period; None where there was no attempt yet."""
        with self._open() as state:
            key = [name, period_key(days)]
            rows = state.execute("select * from runs where name = ? and period = ?", key).fetchall()
        return _run(rows[0]) if rows else None

    def note_run(self, run: Run) -> None:
        """Keep how a run stands now."""
        times = [_text(at) for at in (run.due_at, run.next_at, run.ended_at)]
        values = [run.name, run.period, times[0], run.attempts, times[1], run.error, times[2]]
        with self._open() as state:
            state.execute("insert or replace into runs values (?, ?, ?, ?, ?, ?, ?)", values)

    def delivery(self, name: str, period: str, target: Target) -> Delivery | None:
        """How it stands with one target; None where nothing was tried yet."""
        with self._open() as state:
            rows = state.execute(
                "select target_name, stage, error, at from deliveries where name = ? and period = ? and target = ?",
                [name, period, target.digest],
            ).fetchall()
        return _delivery(rows[0]) if rows else None

    def deliveries(self, name: str, period: str) -> tuple[Delivery, ...]:
        """All targets of a run, by name."""
        with self._open() as state:
            rows = state.execute(
                "select target_name, stage, error, at from deliveries where name = ? and period = ?"
                " order by target_name, target",
                [name, period],
            ).fetchall()
        return tuple(map(_delivery, rows))

    def note_delivery(self, name: str, period: str, target: Target, stage: Stage, error: str, now: datetime) -> None:
        """Keep how it stands with one target; on disk when this returns."""
        with self._open() as state:
            state.execute(
                "insert or replace into deliveries values (?, ?, ?, ?, ?, ?, ?)",
                [name, period, target.digest, target.name, stage, error, _text(now)],
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        path = self._warehouse / FILE
        try:
            with closing(sqlite3.connect(path, timeout=60)) as connection:
                connection.execute("pragma synchronous = full")
                with connection:
                    yield connection
        except sqlite3.Error as error:
            raise YesladderError(f"{path}: what was sent cannot be kept: {error}") from error


def period_key(days: Days) -> str:
    """``2026-03-09/2026-03-16``: from the first day to the one after the last."""
    return f"{days.since}/{days.until}"


def _run(row: tuple[str, str, str, int, str | None, str, str | None]) -> Run:
    name, period, due_at, attempts, next_at, error, ended_at = row
    next_time = None if next_at is None else _time(next_at)
    return Run(name, period, _time(due_at), attempts, next_time, error, None if ended_at is None else _time(ended_at))


def _delivery(row: tuple[str, Stage, str, str]) -> Delivery:
    name, stage, error, at = row
    return Delivery(name, stage, error, _time(at))


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
