"""``alerts.toml``: which people to tell apart, how often to be wrong, whom to tell and when to be quiet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from ladder.durations import parse_duration
from ladder.errors import UsageError
from ladder.toml_file import TomlFile
from stream.alerts import MINUTES_A_MONTH, Rules

Segment = Literal["device_class", "utm_source", "utm_medium", "utm_campaign", "referrer", "page_url"]
SEGMENTS: tuple[Segment, ...] = get_args(Segment)
"""The columns of events that asks can be told apart by."""

SinkType = Literal["webhook", "slack", "alertmanager"]

WINDOW = 60
"""Minutes after an ask in which a yes counts.  Fixed: the worker, the history and the detector must agree on it."""

_MINUTES = {"day": 1440.0, "week": 7 * 1440.0, "month": MINUTES_A_MONTH, "year": 365 * 1440.0}
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10}
_BUDGET = re.compile(
    rf"at most (\d+(?:\.\d+)?|{'|'.join(_NUMBERS)}) false alarms? (?:a|an|per|each|every|in a) ({'|'.join(_MINUTES)})"
)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(rf"(daily|{'|'.join(_DAYS)}) (\d\d?):(\d\d)-(\d\d?):(\d\d)")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ \t!-~]*[!-~])?|")
_LONGEST_GRACE = timedelta(minutes=30)


@dataclass(frozen=True)
class Sink:
    """Somewhere to send alerts to.

    ``url_env`` and ``header_env`` (header to variable) name variables of the environment whose values take the place of
    ``url`` and join ``headers``, so that secrets need not stand in the file.
    """

    name: str
    type: SinkType
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    url_env: str | None = None
    header_env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mute:
    """Nobody is told of these alerts: of a ``step``, a ``tier``, a ``segment`` (``column=value``); None: of any.

    ``since`` (inclusive) and ``until`` (exclusive), UTC; None: always.
    """

    step: str | None = None
    tier: str | None = None
    segment: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    reason: str = "muted"

    def covers(self, tier: str, step: str, segment: Mapping[str, str], at: datetime) -> bool:
        """Whether an alert about these people at that moment is muted."""
        if (self.since is not None and at < self.since) or (self.until is not None and at >= self.until):
            return False
        if self.step not in (None, step) or self.tier not in (None, tier):
            return False
        return self.segment is None or self.segment in {f"{column}={value}" for column, value in segment.items()}


@dataclass(frozen=True)
class Weekly:
    """A window that comes again each week (``day`` 0 is Monday) or each day (None), UTC.

    Until ``ends`` (exclusive); where that is not after ``begins``, until that time of the next day.
    """

    day: int | None
    begins: time
    ends: time
    reason: str = "maintenance"

    def covers(self, at: datetime) -> bool:
        """Whether a moment lies in the window."""
        for started in (at, at - timedelta(days=1)):
            if self.day in (None, started.weekday()):
                begin = datetime.combine(started.date(), self.begins, UTC)
                end = datetime.combine(started.date(), self.ends, UTC)
                if begin <= at < (end if end > begin else end + timedelta(days=1)):
                    return True
        return False


@dataclass(frozen=True)
class Mark:
    """Something that was done, such as a deploy: what alerts point to when it came shortly before a fall."""

    at: datetime
    what: str


@dataclass(frozen=True)
class AlertsConfig:
    """How alerts are made and whom they reach.

    ``patience``: minutes between two false alarms of all that is watched together, at least.
    ``grace``: how long a minute is waited with after it is over, for events on their way.
    ``smallest_fall`` (share of the yeses), ``fewest_lost`` (yeses) and ``least_volume`` (asks an hour): less is not
    told.
    ``dashboard``: where the dashboard is, for links.
    """

    patience: float = MINUTES_A_MONTH / 2
    segments: tuple[Segment, ...] = ()
    grace: timedelta = timedelta(seconds=10)
    smallest_fall: float = 0.05
    fewest_lost: float = 3.0
    least_volume: float = 0.0
    dashboard: str | None = None
    sinks: tuple[Sink, ...] = ()
    mutes: tuple[Mute, ...] = ()
    maintenance: tuple[Weekly, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def rules(self) -> Rules:
        """What the detector is to be told, without what depends on the keys."""
        return Rules(
            patience=self.patience,
            together=True,
            smallest_fall=self.smallest_fall,
            fewest_lost=self.fewest_lost,
            one_road=True,
        )


def wrong_with_header(name: str, value: str) -> str | None:
    """What HTTP does not allow of a header (RFC 9110, without obsolete octets); it does not repeat the value."""
    if not _HEADER_NAME.fullmatch(name):
        return f"{name!r} is no name of a header"
    if not _HEADER_VALUE.fullmatch(value):
        return f"the value of {name} has more than plain characters (ASCII, no line breaks, no spaces around it)"
    return None


class _SinkFile(msgspec.Struct, forbid_unknown_fields=True):
    type: SinkType
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    url: str | None = None
    url_env: str | None = None
    headers: dict[str, str] = {}
    header_env: dict[str, str] = {}


class _MuteFile(msgspec.Struct, forbid_unknown_fields=True):
    step: str | None = None
    tier: str | None = None
    segment: str | None = None
    until: datetime | None = None
    reason: str = "muted in alerts.toml"


class _MaintenanceFile(msgspec.Struct, forbid_unknown_fields=True):
    from_: datetime | None = msgspec.field(name="from", default=None)
    to: datetime | None = None
    every: str | None = None
    reason: str = "maintenance"


class _MarkFile(msgspec.Struct, forbid_unknown_fields=True):
    at: datetime
    what: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    budget: str = "at most 2 false alarms a month"
    segments: Annotated[list[Segment], msgspec.Meta(max_length=3)] = []
    grace: str = "10s"
    smallest_fall: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.05
    fewest_lost: Annotated[float, msgspec.Meta(ge=0)] = 3.0
    least_volume: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    dashboard: str | None = None
    sink: list[_SinkFile] = []
    mute: list[_MuteFile] = []
    maintenance: list[_MaintenanceFile] = []
    mark: list[_MarkFile] = []


def load_alerts_config(path: Path) -> AlertsConfig:
    """Read an ``alerts.toml``.  ``UsageError`` names the file, the line, the key and the reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file of alerts") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a file of alerts: {error}") from None
    return parse_alerts_config(text, str(path))


def parse_alerts_config(text: str, origin: str) -> AlertsConfig:
    """The same from text; ``origin`` names it in errors."""
    toml = TomlFile(text, origin)
    file, refuse = toml.read(_File), toml.refuse
    found = _BUDGET.fullmatch(" ".join(file.budget.lower().split()))
    if found is None:
        raise refuse("budget", f"{file.budget!r} is not understood; write it like: at most 2 false alarms a month")
    number = float(_NUMBERS.get(found[1], 0) or found[1])
    if number <= 0:
        raise refuse("budget", "no alarms are never false; write it like: at most 1 false alarm a year")
    twice = next((name for i, name in enumerate(file.segments) if name in file.segments[:i]), None)
    if twice is not None:
        raise refuse("segments", f"{twice} stands there twice")
    try:
        grace = parse_duration(file.grace)
    except ValueError as error:
        raise refuse("grace", str(error)) from None
    if grace > _LONGEST_GRACE:
        raise refuse("grace", "is at most 30m: alerts come that much later")
    if file.dashboard is not None and not re.match(r"https?://[^\s/]", file.dashboard):
        raise refuse("dashboard", f"{file.dashboard!r} is no address; write it like https://yes.example")
    mutes, weekly = _mutes(toml, file)
    return AlertsConfig(
        patience=_MINUTES[found[2]] / number,
        segments=tuple(file.segments),
        grace=grace,
        smallest_fall=file.smallest_fall,
        fewest_lost=file.fewest_lost,
        least_volume=file.least_volume,
        dashboard=None if file.dashboard is None else file.dashboard.rstrip("/"),
        sinks=_sinks(toml, file),
        mutes=mutes,
        maintenance=weekly,
        marks=tuple(Mark(_utc(toml, f"mark[{i}].at", mark.at), mark.what) for i, mark in enumerate(file.mark)),
    )


def _sinks(toml: TomlFile, file: _File) -> tuple[Sink, ...]:
    sinks: dict[str, Sink] = {}
    for i, sink in enumerate(file.sink):
        if (sink.url is None) == (sink.url_env is None):
            raise toml.refuse(f"sink[{i}]", "needs `url`, or `url_env`, the name of a variable that holds it")
        if sink.url is not None and not re.match(r"https?://[^\s/]", sink.url):
            raise toml.refuse(f"sink[{i}].url", f"{sink.url!r} is no address; it begins with https:// or http://")
        for header, value in [*sink.headers.items(), *((header, "") for header in sink.header_env)]:
            if (wrong := wrong_with_header(header, value)) is not None:
                raise toml.refuse(f"sink[{i}].{'headers' if header in sink.headers else 'header_env'}", wrong)
        name = sink.name or sink.type
        if name in sinks:
            raise toml.refuse(f"sink[{i}]", f"there are two sinks called {name}; give one of them another `name`")
        if name == "topic":
            raise toml.refuse(f"sink[{i}].name", "topic is what the Kafka topic is called; take another")
        sinks[name] = Sink(name, sink.type, sink.url, sink.headers, sink.url_env, sink.header_env)
    return tuple(sinks.values())


def _mutes(toml: TomlFile, file: _File) -> tuple[tuple[Mute, ...], tuple[Weekly, ...]]:
    mutes: list[Mute] = []
    weekly: list[Weekly] = []
    for i, mute in enumerate(file.mute):
        if mute.step is None and mute.tier is None and mute.segment is None:
            raise toml.refuse(
                f"mute[{i}]", "needs `step`, `tier` or `segment`; to be quiet about all use [[maintenance]]"
            )
        column, equals, _ = (mute.segment or "").partition("=")
        if mute.segment is not None and (not equals or column not in file.segments):
            there = ", ".join(file.segments) or "none"
            raise toml.refuse(f"mute[{i}].segment", f"write it as COLUMN=VALUE with one of `segments` ({there})")
        until = None if mute.until is None else _utc(toml, f"mute[{i}].until", mute.until)
        mutes.append(Mute(mute.step, mute.tier, mute.segment, None, until, mute.reason))
    for i, window in enumerate(file.maintenance):
        where = f"maintenance[{i}]"
        if window.every is not None:
            if window.from_ is not None or window.to is not None:
                raise toml.refuse(where, "has `every`, or `from` and `to`, not both")
            weekly.append(_weekly(toml, f"{where}.every", window.every, window.reason))
        elif window.from_ is None or window.to is None:
            raise toml.refuse(where, "needs `from` and `to`, or `every`")
        else:
            since, until = _utc(toml, f"{where}.from", window.from_), _utc(toml, f"{where}.to", window.to)
            if until <= since:
                raise toml.refuse(f"{where}.to", "is not after `from`")
            mutes.append(Mute(since=since, until=until, reason=window.reason))
    return tuple(mutes), tuple(weekly)


def _weekly(toml: TomlFile, where: str, text: str, reason: str) -> Weekly:
    found = _WEEKLY.fullmatch(" ".join(text.lower().split()))
    try:
        if found is None:
            raise ValueError
        begins, ends = time(int(found[2]), int(found[3])), time(int(found[4]), int(found[5]))
    except ValueError:
        reason = f"{text!r} is not understood; write it like sun 02:00-04:00 or daily 03:00-03:30, UTC"
        raise toml.refuse(where, reason) from None
    return Weekly(None if found[1] == "daily" else _DAYS.index(found[1]), begins, ends, reason)


def _utc(toml: TomlFile, where: str, at: datetime) -> datetime:
    if at.tzinfo is None:
        raise toml.refuse(where, f"{at.isoformat()} could be anywhere; write {at.isoformat()}Z for UTC")
    return at.astimezone(UTC)
