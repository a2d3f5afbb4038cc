"""`yesladder doctor`: what is wrong with this installation, and the fix."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from ladder.durations import format_duration
from ladder.errors import UsageError, YesladderError
from ladder.tiers import Ladder
from yesladder.settings import Settings, read_settings

Level = Literal["ok", "note", "problem"]

_MIN_FREE_BYTES = 1 << 30
_STALE_AFTER = timedelta(hours=1)
_NEARLY_FULL = 0.8

_CHECK = "`yesladder maintain --check` names all that is damaged, and what to do"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: how it is and, unless it is ok, what to do."""

    level: Level
    about: str
    what: str
    do: str = ""

    def line(self) -> str:
        mark = {"ok": "ok      ", "note": "note    ", "problem": "PROBLEM "}[self.level]
        return f"{mark}{self.about}: {self.what}" + (f"\n        -> {self.do}" if self.do else "")

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def examine(options: Mapping[str, Any], *, now: datetime) -> list[Finding]:
    """Look at settings, ladder, disk, Kafka, spool, lake and marts, in this order.

    No data are changed; SQLite may write its log into the spool's file, and tables that the lake lacks are made.
    """
    try:
        settings = read_settings(**options)
    except YesladderError as error:
        return [Finding("problem", "settings", str(error), "correct the option or the environment variable")]
    findings = [Finding("ok", "settings", "all values are valid")]
    ladder = _try(findings, "ladder", settings.load_ladder, "correct the file, or name another with --ladder")
    if ladder is not None:
        findings.append(_of_ladder(settings, ladder))
    findings.append(_of_disk(settings.warehouse))
    findings.extend(_of_kafka(settings))
    findings.extend(_of_spool(settings, now))
    findings.extend(_of_warehouse(settings, now))
    return findings


def _of_ladder(settings: Settings, ladder: Ladder) -> Finding:
    if settings.ladder is None and not Path("ladder.toml").exists():
        return Finding(
            "note",
            "ladder",
            "the built-in one is in force; it only knows events that name their own tier and role",
            "write ladder.toml (docs/ladder.md), or start from one of ladders/",
        )
    empty = [
        name
        for tier, name in enumerate(ladder.tiers, 1)
        if not any(mark.tier == tier for rule in ladder.rules for mark in rule.marks)
    ]
    if empty:
        return Finding("note", "ladder", f"{ladder.name}: no event is on {', '.join(empty)}", "fine if that is meant")
    return Finding("ok", "ladder", f"{ladder.name}: {len(ladder.tiers)} tiers, {len(ladder.rules)} rules")


def _of_disk(warehouse: Path) -> Finding:
    there = next(folder for folder in [warehouse.absolute(), *warehouse.absolute().parents] if folder.exists())
    free = shutil.disk_usage(there).free
    said = f"{free / 2**30:.1f} GiB free for {warehouse}"
    if free < _MIN_FREE_BYTES:
        return Finding("problem", "disk", said, "make room: a worker stops when the disk is full (and loses nothing)")
    return Finding("ok", "disk", said)


def _of_kafka(settings: Settings) -> Iterator[Finding]:
    from producers.topics import end_offsets

    if settings.brokers is None:
        yield Finding("note", "Kafka", "no brokers given", "--brokers HOST:PORT; `demo` and `up` bring their own")
        return
    try:
        ends = end_offsets(settings.connection(), settings.topic, timeout_s=5)
    except YesladderError as error:
        yield Finding(
            "problem", "Kafka", str(error), "start the brokers, or correct --brokers and the security options"
        )
        return
    if not ends:
        yield Finding("note", "Kafka", f"there is no topic {settings.topic}", "a collector or worker makes it")
        return
    yield Finding("ok", "Kafka", f"topic {settings.topic}: {len(ends)} partitions, {sum(ends.values()):,} records")
    yield _of_lag(settings, ends)


def _of_spool(settings: Settings, now: datetime) -> Iterator[Finding]:
    from producers.spool import look_into

    folder = settings.spool_folder()
    try:
        found = look_into(folder)
    except YesladderError as error:
        yield Finding("problem", "spool", str(error), "start the collector: it sets a damaged file aside and goes on")
        return
    if found is None:
        return
    waiting = found.records - found.refused
    said = f"{waiting:,} records ({found.bytes / 2**20:,.1f} MiB) in {folder} wait for Kafka"
    if found.oldest is not None:
        seconds = max(0, int((now - found.oldest).total_seconds()))
        said += f", the first for {format_duration(timedelta(seconds=seconds))}"
    if found.damaged:
        yield Finding(
            "problem",
            "spool",
            f"{found.damaged} damaged file(s) were set aside in {folder}",
            "take out what can be read (docs/operations.md), then move them away",
        )
    elif found.refused:
        yield Finding(
            "problem",
            "spool",
            f"{found.refused:,} records in {folder} are kept aside: Kafka refuses them; the collector's log says why",
            "mend the topic's settings (max.message.bytes), then restart the collector, which tries them again",
        )
    elif waiting and found.bytes > settings.spool_bytes * _NEARLY_FULL:
        yield Finding("problem", "spool", f"{said}; it is nearly full", "bring Kafka back, or raise --spool-bytes")
    elif waiting:
        yield Finding("note", "spool", said, "is Kafka there, and does a collector run on this spool?")
    else:
        yield Finding("ok", "spool", "nothing waits for Kafka")


def _of_lag(settings: Settings, ends: Mapping[int, int]) -> Finding:
    if not settings.has_lake():
        return Finding("note", "worker", "nothing has landed from this topic", "`yesladder worker`")
    try:
        claim = settings.open_lake().claim(f"kafka:{settings.topic}", list(ends))
    except YesladderError as error:
        return Finding("problem", "worker", str(error), _CHECK)
    behind = {p: end - claim.next_offset(p) for p, end in ends.items()}
    if any(records < 0 for records in behind.values()):
        return Finding(
            "problem",
            "worker",
            f"the lake holds more of {settings.topic} than the topic itself: it was made anew",
            "give the new topic another name (--topic)",
        )
    records = sum(behind.values())
    if records:
        return Finding("note", "worker", f"{records:,} records are not in the lake yet", "is a worker running?")
    return Finding("ok", "worker", "everything on the topic is in the lake")


def _of_warehouse(settings: Settings, now: datetime) -> Iterator[Finding]:
    from warehouse.query import freshness

    if not settings.has_lake():
        yield Finding(
            "note", "warehouse", f"there is none in {settings.warehouse}", "`yesladder demo`, `backfill` or `up`"
        )
        return
    try:
        lake = settings.open_lake()
    except UsageError as error:
        yield Finding("problem", "lake", str(error), "correct --lake or --warehouse")
        return
    except YesladderError as error:
        yield Finding("problem", "lake", str(error), "can it be reached from here, and with these credentials?")
        return
    try:
        fresh = freshness(lake)
    except UsageError as error:
        yield Finding("note", "marts", str(error), "`yesladder build`")
        return
    except YesladderError as error:
        yield Finding("problem", "marts", str(error), _CHECK)
        return
    said = f"built {fresh.built_at:%Y-%m-%d %H:%M} UTC, {fresh.sessions:,} sessions of {fresh.visitors:,} visitors"
    if fresh.unbuilt_files and now - fresh.built_at > _STALE_AFTER:
        yield Finding("problem", "marts", f"{said}; more has landed since", "`yesladder build`, and schedule it")
    elif fresh.unbuilt_files:
        yield Finding("note", "marts", f"{said}; more has landed since", "`yesladder build`")
    else:
        yield Finding("ok", "marts", said)
    if fresh.held_back:
        yield Finding(
            "problem",
            "quality",
            f"{len(fresh.held_back)} batch(es) are held back from the marts",
            f"read {settings.warehouse}/quality/index.html; mend the source, or `yesladder build --accept`",
        )
    else:
        yield Finding("ok", "quality", "nothing is held back")


def _try(findings: list[Finding], about: str, look: Callable[[], Ladder], do: str) -> Ladder | None:
    try:
        return look()
    except YesladderError as error:
        findings.append(Finding("problem", about, str(error), do))
        return None
