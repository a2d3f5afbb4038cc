"""`schedules.toml`: which reports go where, and when.

::

    [weekly]
    period = "week"
    at = "mon 08:00"
    zone = "Europe/Vienna"
    targets = ["mailto:ann@shop.example", "slack+https://hooks.slack.com/services/..."]
"""

from __future__ import annotations

import re
import tomllib
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from answers.report_formats import Format
from answers.targets import Target, parse_target
from ladder.errors import UsageError
from warehouse.counted import SEGMENTS
from warehouse.periods import Days, Every, last_finished
from warehouse.query import Unit

IfUnsure = Literal["leave", "again"]
"""What to do where a report may have arrived, or not, at a target that cannot tell a second copy."""

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AT = re.compile(r"(?:(?P<day>\w+)\s+)?(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)")
_WANTED = {
    "period": 'write "day", "week" or "month"',
    "targets": 'write a list of texts, such as ["reports/", "mailto:ann@shop.example"]',
    "format": 'write "html", "md" or "pdf"',
    "unit": 'write "session" or "visitor"',
    "if_unsure": 'write "leave" or "again"',
}
"""What a key takes, for whoever gave it something else."""
_NAME = re.compile(r"[\w -]{1,60}")


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    period: Every
    at: str
    targets: Annotated[list[str], msgspec.Meta(min_length=1)]
    zone: str = "UTC"
    format: Format = "html"
    unit: Unit = "session"
    segment: str | None = None
    if_unsure: IfUnsure = "leave"


@dataclass(frozen=True)
class Schedule:
    """One report: each ``every``, on the ``day`` of it (of the week from 0 for Monday, or of the month), at ``at``."""

    name: str
    every: Every
    day: int | None
    at: time
    zone: zoneinfo.ZoneInfo
    targets: tuple[Target, ...]
    how: Format = "html"
    unit: Unit = "session"
    segment: str | None = None
    if_unsure: IfUnsure = "leave"

    def last(self, now: datetime) -> datetime:
        """The last time that it was due, ``now`` among them."""
        return next(self._times(now, backwards=True))

    def next(self, now: datetime) -> datetime:
        """The first time after ``now`` that it is due."""
        return next(self._times(now, backwards=False))

    def period_at(self, due_at: datetime) -> Days:
        """What the report of that time is on: the last period of UTC that was over by then."""
        return last_finished(self.every, due_at.astimezone(UTC).date())

    @property
    def when(self) -> str:
        """``mon 08:00 Europe/Vienna``."""
        day = "" if self.day is None else f"{_DAYS[self.day]} " if self.every == "week" else f"{self.day} "
        return f"{day}{self.at:%H:%M} {self.zone.key}"

    def _times(self, now: datetime, *, backwards: bool) -> Iterator[datetime]:
        """From ``now`` on or back, in UTC.  A skipped hour is the one after it; of one that comes twice, the first."""
        step = timedelta(days=-1 if backwards else 1)
        day = now.astimezone(self.zone).date() - step
        while True:
            if self._is_on(day):
                due = datetime.combine(day, self.at, self.zone).astimezone(UTC)
                if (due <= now) if backwards else (due > now):
                    yield due
            day += step

    def _is_on(self, day: date) -> bool:
        if self.every == "week":
            return day.weekday() == self.day
        return self.every == "day" or day.day == self.day


def load_schedules(path: Path, now: datetime) -> dict[str, Schedule]:
    """The schedules of a file by their names, in its order.  ``UsageError`` names the file, the schedule, the key."""
    try:
        return parse_schedules(path.read_text(encoding="utf-8"), str(path), now)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file of schedules") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a file of schedules: {error}") from None


def parse_schedules(text: str, origin: str, now: datetime) -> dict[str, Schedule]:
    """As ``load_schedules``, of the text.  ``now``: from then on no period may be left out or come twice."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{origin}: no TOML: {error}") from None
    found = {}
    for name, table in raw.items():
        if not _NAME.fullmatch(name):
            raise UsageError(f"{origin}: {name!r}: a name has 1 to 60 letters, digits, blanks and hyphens")
        if not isinstance(table, Mapping):
            raise UsageError(f"{origin}: {name} stands outside of a schedule; begin each with [its name]")
        try:
            found[name] = _schedule(name, msgspec.convert(table, _Saved), now)
        except msgspec.ValidationError as error:
            raise UsageError(f"{origin}: [{name}] {_readable(error)}") from None
        except UsageError as error:
            raise UsageError(f"{origin}: [{name}] {error}") from None
    return found


def _schedule(name: str, saved: _Saved, now: datetime) -> Schedule:
    try:
        zone = zoneinfo.ZoneInfo(saved.zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"zone: there is no time zone {saved.zone!r}; write for example Europe/Vienna") from None
    if saved.segment is not None and saved.segment not in SEGMENTS:
        raise UsageError(f"segment: there is no {saved.segment!r}; take {', '.join(SEGMENTS)}")
    at = _AT.fullmatch(saved.at.strip().lower())
    day = None if at is None else _day(at["day"], saved.period)
    if at is None or (at["day"] is None) != (saved.period == "day") or (at["day"] is not None and day is None):
        example = {"day": "08:00", "week": "mon 08:00", "month": "1 08:00"}[saved.period]
        raise UsageError(f"at: {saved.at!r} is no time for every {saved.period}; write it as {example!r}")
    schedule = Schedule(
        name=name,
        every=saved.period,
        day=day,
        at=time(int(at["hour"]), int(at["minute"])),
        zone=zone,
        targets=tuple(dict.fromkeys(target for text in saved.targets for target in parse_target(text))),
        how=saved.format,
        unit=saved.unit,
        segment=saved.segment,
        if_unsure=saved.if_unsure,
    )
    _check_periods(schedule, now)
    return schedule


def _day(word: str | None, every: Every) -> int | None:
    """Of the week from 0, or of the month; None for none, and for what cannot be."""
    if word is None:
        return None
    if every == "week":
        return _DAYS.index(word[:3]) if word[:3] in _DAYS and _is_a_name(word) else None
    return int(word) if every == "month" and word.isdecimal() and 1 <= int(word) <= 28 else None


def _is_a_name(word: str) -> bool:
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return len(word) >= 3 and any(name == word or name[:3] == word for name in names)


def _check_periods(schedule: Schedule, now: datetime) -> None:
    """Where clocks change, a UTC day may be over at that hour in summer and not in winter."""
    due, before = schedule.next(now), None
    while due < now + timedelta(days=800):
        days = schedule.period_at(due)
        if before is not None and days.since != before.until:
            raise UsageError(
                f"at: at {schedule.when} the {schedule.every} (of UTC) is over for one part of the year and not for "
                "the other; take an hour or two later"
            )
        before, due = days, schedule.next(due)


def _readable(error: msgspec.ValidationError) -> str:
    where = re.search(r" - at `\$\.?([^`]*)`$", str(error))
    words = str(error) if where is None else f"{where[1]}: {str(error)[: where.start()]}"
    unknown = re.search(r"unknown field `([^`]+)`", words)
    missing = re.search(r"missing required field `([^`]+)`", words)
    if unknown:
        return f"{unknown[1]}: there is no such key"
    if missing:
        return f"{missing[1]}: is missing"
    key = None if where is None else where[1].partition("[")[0]
    return f"{words}; {_WANTED[key]}" if key in _WANTED else words


def as_dict(schedule: Schedule) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "name": schedule.name,
        "period": schedule.every,
        "at": schedule.when,
        "format": schedule.how,
        "unit": schedule.unit,
        "segment": schedule.segment,
        "targets": [target.name for target in schedule.targets],
    }
