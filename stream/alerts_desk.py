"""From records to alerts that are written down and on their way: what is true is on the disk before anybody is told.

In this order: the table (the truth, behind a fence), the outbox, a snapshot now and then.  After a crash reading goes
on from the snapshot; the same notices come again with the same ids, and those that the table has are not written again,
those that the outbox has are not sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from zipfile import BadZipFile

import msgspec

from ladder import metrics
from ladder.errors import UsageError
from ladder.tiers import Ladder
from stream.alerts_config import AlertsConfig, Mark, Mute
from stream.alerts_ended import ended
from stream.alerts_incidents import Incidents
from stream.alerts_minutes import PassedOver
from stream.alerts_notice import Alert
from stream.alerts_past import Past
from stream.alerts_watch import Watch, Watched
from stream.step_minutes_record import NotARecord, StepMinutesRecord, decode

log = logging.getLogger(__name__)

TOPIC = "topic"
"""The name of the Kafka topic among the sinks."""

_SENT_WITHIN = timedelta(hours=1)
"""What was ended so long ago was sent, or will be."""


class Table(Protocol):
    """See ``warehouse.alerts_table.AlertsTable``."""

    told: set[str]

    def add(self, rows: Sequence[Mapping[str, Any]], *, now: datetime) -> None: ...
    def left_open(self, *, since: datetime) -> Sequence[Mapping[str, Any]]: ...


class Outbox(Protocol):
    """See ``warehouse.alerts_outbox.Outbox``."""

    def add(self, notices: Iterable[tuple[str, bytes]], sinks: Sequence[str], *, now: datetime) -> None: ...


class Snapshots(Protocol):
    """See ``warehouse.alerts_snapshots.Snapshots``."""

    def save(self, offset: int, data: bytes) -> None: ...
    def set_aside(self, offset: int) -> None: ...
    def newest_first(self) -> list[tuple[int, bytes]]: ...
    def forget(self) -> None: ...


class Notes(Protocol):
    """See ``warehouse.alerts_marks.Notes``."""

    def add(self, note: dict[str, Any]) -> None: ...
    def read(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Places:
    """Where the desk keeps things.  ``table`` takes the table over; ``past`` reads the lake's history."""

    table: Callable[[], Table]
    outbox: Outbox
    snapshots: Snapshots
    notes: Notes
    past: Callable[[], Past]


class Desk:
    """One at a time for a ladder; of two, the table's fence stops the older."""

    def __init__(
        self,
        watched: Watched,
        config: AlertsConfig,
        ladder: Ladder,
        places: Places,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        say: Callable[[Alert], None] = lambda alert: None,
    ) -> None:
        """``say`` hears of each alert that was not written down before."""
        self._watched, self._config, self._ladder, self._places = watched, config, ladder, places
        self._now, self._say = now, say
        self._sinks = [TOPIC, *(sink.name for sink in config.sinks)]
        self._kept = -1
        self._is_strange = False
        self._past: Past | None = None
        self.offset = 0
        self.watch: Watch | None = None
        self.incidents = Incidents(*self._named())

    def open(self) -> int:
        """Take over where the last desk was; returns the offset of the topic to read from."""
        self._table = self._places.table()
        for offset, data in self._places.snapshots.newest_first():
            try:
                saved = _decoder.decode(data)
                watch = Watch.restore(self._watched, self._config.rules, saved.watch)
                incidents = Incidents.restore(*self._named(), saved.incidents)
            except _UNREADABLE as error:
                log.warning("a snapshot of offset %s cannot be read and is set aside: %s", offset, error)
                self._places.snapshots.set_aside(offset)
                continue
            if watch is None:
                log.warning("the ladder, the topic or alerts.toml has changed: learning anew")
                self._places.snapshots.forget()
                break
            self.watch, self.offset, self._kept = watch, offset, offset
            self.incidents = incidents
            self._tell_metrics()
            return offset
        return self._learn()

    def take(self, records: Sequence[tuple[int, bytes]]) -> list[Alert]:
        """Take in records (offset, value) in their order; the alerts that came of them, written down by then."""
        made: list[Alert] = []
        marks, mutes = self._told()

        def quiet(alert: Alert) -> str | None:
            return self._why_quiet(alert, mutes)

        for offset, value in records:
            try:
                record = decode(value)
            except NotARecord as error:
                log.warning("offset %s of the topic is passed over: %s", offset, error)
                continue
            if (watch := self._begun(record, offset)) is None:
                continue
            passed_over = replace(watch.passed_over)
            findings = watch.take(record)
            self._warn_of(record, passed_over, watch.passed_over)
            made += [self.incidents.take(one, marks, quiet) for one in findings]
            made += self.incidents.wake(datetime.fromtimestamp((watch.minute - 1) * 60, UTC), quiet)
        self._write_down(made)
        if records:
            self.offset = records[-1][0] + 1
        self._tell_metrics()
        return made

    def keep(self) -> None:
        """Write a snapshot, unless nothing came since the last."""
        if self.watch is not None and self.offset != self._kept:
            saved = _Saved(self.watch.save(), self.incidents.save())
            self._places.snapshots.save(self.offset, _encode_saved(saved))
            self._kept = self.offset

    def _write_down(self, made: Sequence[Alert]) -> None:
        """Into the table, then into the outbox; what the table has is not written or said again."""
        if not made:
            return
        new = [alert for alert in made if alert.notice_id not in self._table.told]
        self._table.add([_row(alert) for alert in new], now=self._now())
        parcels = [(alert.notice_id, _encoder.encode(alert.to_dict())) for alert in made if alert.told]
        self._places.outbox.add(parcels, self._sinks, now=self._now())
        for alert in new:
            metrics.ALERTS_RAISED.labels(what=alert.what, kind=alert.kind).inc()
            self._say(alert)

    def _learn(self) -> int:
        """Read the lake; the topic is read from its beginning, and what the lake had of it already is passed over.

        What people were told of and what is open still, by the table, is ended: it will be found anew, by another id.
        """
        self._past, self.watch, self.offset, self._kept = self._places.past(), None, 0, -1
        self.incidents = Incidents(*self._named())
        now = self._now()
        left = self._table.left_open(since=now - _SENT_WITHIN)
        self._write_down([ended(row, self._config.dashboard, now=now) for row in left])
        self._mark_new_ladder()
        if self._past.reached_us:
            self._begin(self._past, 0)
            self.keep()
        return 0

    def _begun(self, record: StepMinutesRecord, offset: int) -> Watch | None:
        """The watch, which begins with the first event of the source at the latest: it may come long after the past."""
        is_ours = record.source == self._watched.source
        if self.watch is None and self._past is not None and is_ours and record.reached_us is not None:
            self._begin(self._past, record.reached_us)
            # Before anything is found: learnt once more, it would not be the same.
            self.offset = offset
            self.keep()
        return self.watch

    def _begin(self, past: Past, began_us: int) -> None:
        self.watch, self._past = Watch.learn(self._watched, self._config.rules, past, began_us), None
        known, keys = self.watch.known, len(self.watch.keys)
        log.warning("learnt %s: %s steps and segments, %s of them for long enough", self._ladder.name, keys, known)
        self._tell_metrics()

    def _mark_new_ladder(self) -> None:
        """A ladder that is not the one of the last time is a mark by itself."""
        notes = [note for note in self._places.notes.read() if note.get("ladder") == self._ladder.name]
        if not notes or notes[-1].get("hash") != self._watched.ladder_hash:
            what = f"ladder {self._ladder.name} " + ("changed" if notes else "first watched")
            at = self._now().isoformat()
            note = {"at": at, "ladder": self._ladder.name, "hash": self._watched.ladder_hash}
            self._places.notes.add(note | ({"what": what} if notes else {}))

    def _warn_of(self, record: StepMinutesRecord, before: PassedOver, after: PassedOver) -> None:
        """Say what cannot be judged, once where it goes on."""
        if after.lost_offsets > before.lost_offsets:
            log.warning(
                "nothing tells of %s offsets of partition %s before %s: their minutes are not judged",
                after.lost_offsets - before.lost_offsets, record.partition, record.first,
            )  # fmt: skip
        is_strange = after.strange > before.strange
        if is_strange and not self._is_strange:
            log.warning(
                "records about ladder %s, source %s and segments %s are passed over: the agent watches %s, %s and %s; "
                "give agent and workers the same files, and start the workers first",
                record.ladder, record.source, list(record.segments),
                self._watched.ladder, self._watched.source, list(self._watched.segments),
            )  # fmt: skip
        self._is_strange = is_strange

    def _named(self) -> tuple[str, tuple[str, ...], str | None]:
        return self._ladder.name, self._ladder.tiers, self._config.dashboard

    def _told(self) -> tuple[list[Mark], list[Mute]]:
        """Marks and mutes of the file and of the command line, as they are now."""
        marks, mutes = list(self._config.marks), list(self._config.mutes)
        for note in self._places.notes.read():
            try:
                if "what" in note:
                    marks.append(Mark(datetime.fromisoformat(note["at"]), str(note["what"])))
                elif "until" in note:
                    since, until = (datetime.fromisoformat(note[key]) for key in ("at", "until"))
                    mutes.append(
                        Mute(note["step"], note.get("tier"), note.get("segment"), since, until, note["reason"])
                    )
            except (KeyError, TypeError, ValueError) as error:
                log.warning("a note is passed over (%s): %s", error, note)
        return marks, mutes

    def _why_quiet(self, alert: Alert, mutes: Sequence[Mute]) -> str | None:
        segment = dict(alert.segment)
        for mute in mutes:
            if mute.covers(alert.tier_name, alert.step, segment, alert.minute):
                return mute.reason
        for window in self._config.maintenance:
            if window.covers(alert.minute):
                return window.reason
        if alert.volume < self._config.least_volume:
            return f"fewer than {self._config.least_volume:g} asks an hour"
        return None

    def _tell_metrics(self) -> None:
        metrics.ALERTS_OPEN.set(len(self.incidents.open))
        if self.watch is None:
            return
        metrics.ALERT_KEYS.labels(known="yes").set(self.watch.known)
        metrics.ALERT_KEYS.labels(known="no").set(len(self.watch.keys) - self.watch.known)
        metrics.ALERT_DELAY.set(max(0.0, self._now().timestamp() - self.watch.minute * 60))
        for why, count in vars(self.watch.passed_over).items():
            metrics.ALERT_PASSED_OVER.labels(why=why).set(count)


def _row(alert: Alert) -> dict[str, Any]:
    told = alert.to_dict()
    same = (
        "notice_id", "alert_id", "what", "ladder", "tier", "tier_name", "step", "kind", "fall", "lost", "lost_low",
        "lost_high", "asks_an_hour", "sure", "told", "quiet", "headline",
    )  # fmt: skip
    return {name: told[name] for name in same} | {
        "segment": ", ".join(f"{column}={value}" for column, value in alert.segment),
        "minute": alert.minute,
        "raised": alert.raised,
        "since": alert.since,
        "carried_by": _encoder.encode(told["carried_by"]).decode(),
        "series": _encoder.encode(alert.series).decode() if alert.series else None,
        "mark": None if alert.mark is None else alert.mark.what,
        "marked_at": None if alert.mark is None else alert.mark.at,
    }


_UNREADABLE = (msgspec.DecodeError, UsageError, BadZipFile, EOFError, LookupError, OSError, TypeError, ValueError)


class _Saved(msgspec.Struct):
    watch: bytes
    incidents: bytes


_encoder = msgspec.json.Encoder()
_encode_saved = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Saved)
