"""The detector on a stream of records: what is watched, what was learnt, and what is found.  No clock and no I/O.

The same records in the same order give the same findings, from the start as from any ``save`` on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from io import BytesIO

import msgspec
import numpy as np

from ladder.durations import in_microseconds
from ladder.errors import UsageError
from stream import alerts_state
from stream.alerts import Detector, Rules
from stream.alerts_config import WINDOW
from stream.alerts_growth import grown
from stream.alerts_keys import Group, Keys, Name
from stream.alerts_learning import is_known
from stream.alerts_minutes import MINUTE_US, Hole, Intake, PassedOver
from stream.alerts_open import Notice
from stream.alerts_past import Past
from stream.alerts_segments import Contribution, contributions
from stream.alerts_series import SeriesMinute, series_of
from stream.step_minutes_record import StepMinutesRecord

_VERSION = 1
_WORTH_NAMING = 0.1
_MOST_NAMED = 3


@dataclass(frozen=True)
class Carrier:
    """A segment value's part in a fall: yeses ``lost`` with a 95% interval.

    ``share``: of what all values lost that lost any.
    """

    column: str
    value: str
    lost: float
    lost_low: float
    lost_high: float
    share: float


@dataclass(frozen=True)
class Finding:
    """A notice of the detector with the people it is about.

    ``raised``: the minute of the alarm, which may be this one.  ``volume``: usual asks an hour.  ``carriers``: of an
    alarm, which values of the whole step carry the fall, most first.  ``series``: the hour up to the notice.
    """

    notice: Notice
    tier: int
    step: str
    segment: tuple[tuple[str, str], ...]
    raised: int
    volume: float
    carriers: tuple[Carrier, ...] = ()
    series: tuple[SeriesMinute, ...] = ()


@dataclass(frozen=True)
class Watched:
    """What a watch is about; with another one, it has to learn anew.  ``ladder_hash``: changes with its rules.

    ``source``: of the records, ``topic``: that they come on.
    """

    ladder: str
    ladder_hash: str
    source: str
    topic: str
    segments: tuple[str, ...]
    grace: timedelta

    def fingerprint(self) -> str:
        """Equal where what was saved can be gone on from."""
        return repr((_VERSION, WINDOW, self.ladder, self.ladder_hash, self.source, self.topic, self.segments))


class Watch:
    """Feed it records in their order with ``take``."""

    def __init__(
        self,
        watched: Watched,
        rules: Rules,
        keys: Keys,
        groups: Sequence[Group],
        state: alerts_state.State,
        intake: Intake,
        shown_by: tuple[int, ...],
    ) -> None:
        """For ``learn`` and ``restore``."""
        self.watched = watched
        self.keys = keys
        self.groups = list(groups)
        self.intake = intake
        self._rules = rules
        self._shown_by = shown_by
        self._grace_us = in_microseconds(watched.grace)
        self._detector = self._with(state)

    @classmethod
    def learn(cls, watched: Watched, rules: Rules, past: Past, began_us: int = 0) -> Watch:
        """A watch that has seen the past and goes on with the records beyond ``past.positions``.

        ``began_us``: the event time at which the source began, where the past knows nothing of it.
        """
        keys = Keys(watched.segments)
        keys.admit(past.volume())
        counts = past.of_keys(keys)
        intake = Intake(watched.ladder, watched.source, dict(past.positions), dict(past.reached_us))
        grace_us = in_microseconds(watched.grace)
        found = intake.complete_until(grace_us)
        live = max(0, (began_us - grace_us) // MINUTE_US) if found is None else found
        catch_up = live - (WINDOW + 1)
        history = counts.history(catch_up)
        state = Detector.learn(history).state
        known = is_known(state)
        groups = keys.groups(known)
        state = grown(state, len(keys), (), [group.members for group in groups])
        shown_by = keys.shown_by(history.asks.sum(axis=0), history.yeses.sum(axis=0))
        watch = cls(watched, rules, keys, groups, state, intake, shown_by)
        for key, minute, count in counts.asks[counts.asks[:, 1] >= catch_up].tolist():
            intake.add_asks(key, minute, count)
        for key, ask_minute, delay, count in counts.yeses[counts.yeses[:, 1] >= catch_up].tolist():
            intake.add_yeses(key, ask_minute, ask_minute + delay, count)
        for _ in range(catch_up, live):
            watch._step(armed=False)
        return watch

    @property
    def minute(self) -> int:
        """The minute that is judged next; 0 before anything has come."""
        return int(self._detector.state.minute[0]) + 1

    @property
    def passed_over(self) -> PassedOver:
        return self.intake.passed_over

    @property
    def known(self) -> int:
        """How many keys have been seen for long enough."""
        return int(is_known(self._detector.state).sum())

    def take(self, record: StepMinutesRecord) -> list[Finding]:
        """Take in a record and judge the minutes that are complete with it."""
        self.intake.take(record, self.keys, self.minute)
        until = self.intake.complete_until(self._grace_us)
        if until is None:
            return []
        found: list[Finding] = []
        while self.minute < until:
            found += self._step(armed=True)
        return found

    def lost(self, finding: Finding) -> tuple[float, float, float] | None:
        """Yeses lost so far by an alarm that is open, with a 95% interval; None where it is not open."""
        for unit in map(int, np.flatnonzero(self._detector.state.kind >= 0)):
            if self._place(unit) == (finding.tier, finding.step, finding.segment):
                return self._detector.lost(unit)
        return None

    def save(self) -> bytes:
        """All of it, for ``restore``."""
        intake = asdict(self.intake)
        meta = {
            "version": _VERSION,
            "fingerprint": self.watched.fingerprint(),
            "names": self.keys.names,
            "groups": [[g.tier, g.step, g.segment, g.members] for g in self.groups],
            "shown_by": self._shown_by,
            "positions": intake["positions"],
            "reached_us": intake["reached_us"],
            "asks": [[m, key, n] for m, counts in self.intake.asks.items() for key, n in counts.items()],
            "yeses": [[m, *at, n] for m, counts in self.intake.yeses.items() for at, n in counts.items()],
            "unknown": list(self.intake.unknown.items()),
            "holes": [[hole.begin, hole.until] for hole in self.intake.holes],
            "holes_begun": intake["holes_begun"],
            "heard_from": intake["heard_from"],
            "late_asks": [[*at, n] for at, n in self.intake.late_asks.items()],
            "passed_over": intake["passed_over"],
        }
        file = BytesIO()
        np.savez(
            file,
            meta=np.frombuffer(msgspec.json.encode(meta), np.uint8),
            detector=np.frombuffer(alerts_state.save(self._detector.state), np.uint8),
        )
        return file.getvalue()

    @classmethod
    def restore(cls, watched: Watched, rules: Rules, saved: bytes) -> Watch | None:
        """The watch that ``save`` made these bytes of; None where it was about something else.

        Raises ``UsageError`` for bytes of another release.
        """
        with np.load(BytesIO(saved), allow_pickle=False) as archive:
            meta = msgspec.json.decode(archive["meta"].tobytes(), type=_Meta)
            detector = archive["detector"].tobytes()
        if meta.version != _VERSION:
            raise UsageError(f"the saved alert state has version {meta.version}, this release reads {_VERSION}")
        if meta.fingerprint != watched.fingerprint():
            return None
        intake = Intake(watched.ladder, watched.source, meta.positions, meta.reached_us)
        for minute, key, count in meta.asks:
            intake.add_asks(key, minute, count)
        for minute, key, ask_minute, count in meta.yeses:
            intake.add_yeses(key, ask_minute, minute, count)
        intake.unknown = {(tier, step, values): count for (tier, step, values), count in meta.unknown}
        intake.passed_over = PassedOver(**meta.passed_over)
        intake.holes = [Hole(*hole) for hole in meta.holes]
        intake.holes_begun, intake.heard_from = meta.holes_begun, meta.heard_from
        intake.late_asks = {(key, minute): count for key, minute, count in meta.late_asks}
        groups = [Group(*group) for group in meta.groups]
        keys = Keys(watched.segments, meta.names)
        return cls(watched, rules, keys, groups, alerts_state.restore(detector), intake, meta.shown_by)

    def _step(self, *, armed: bool) -> list[Finding]:
        minute = self.minute
        found: list[Finding] = []
        if len(self.keys):
            asks, yeses = self.intake.pop(minute, len(self.keys))
            if self.intake.passes_hole(minute):
                self._detector.skip()
            else:
                self.intake.leave_out(minute, yeses, self._detector.state.asks)
                notices = self._detector.step(asks, yeses, armed=armed)
                found = [self._finding(notice) for notice in notices]
        else:
            self._detector.state.minute[0] = minute
        if (minute + 1) % 60 == 0:
            self._admit(minute + 1)
        return found

    def _admit(self, minute: int) -> None:
        """On the hour: watch what has come up; after midnight's fit also what has become known of it.

        What did not come up all day is forgotten.
        """
        state, intake = self._detector.state, self.intake
        before = [group.members for group in self.groups]
        added = self.keys.admit(intake.unknown) if intake.unknown else 0
        midnight = minute % 1440 == 60  # the detector fits at midnight itself
        if added or minute % 1440 == 0:
            intake.unknown.clear()
        if not added and not midnight:
            return
        known = np.zeros(len(self.keys), np.bool_)
        known[: len(self.keys) - added] = is_known(state)
        self.groups = self.keys.groups(known, self.groups)
        state = grown(state, len(self.keys), before, [group.members for group in self.groups])
        if midnight:
            self._shown_by = self.keys.shown_by(state.hour_asks.sum(axis=0), state.hour_yeses.sum(axis=0))
        else:
            self._shown_by += (-1,) * added
        self._detector = self._with(state)

    def _with(self, state: alerts_state.State) -> Detector:
        groups = tuple(group.members for group in self.groups)
        return Detector(state, replace(self._rules, groups=groups, shown_by=self._shown_by))

    def _place(self, unit: int) -> tuple[int, str, tuple[tuple[str, str], ...]]:
        if unit >= len(self.keys):
            group = self.groups[unit - len(self.keys)]
            return group.tier, group.step, group.segment
        tier, step, values = self.keys.names[unit]
        return tier, step, tuple(zip(self.keys.segments, values, strict=True))

    def _finding(self, notice: Notice) -> Finding:
        state = self._detector.state
        members = self._detector.units.members(notice.unit)
        usual = np.where(np.isfinite(state.usual_volume[0]), state.usual_volume[0], state.volume[0])
        tier, step, segment = self._place(notice.unit)
        return Finding(
            notice=notice,
            tier=tier,
            step=step,
            segment=segment,
            raised=int(state.raised[notice.unit]),
            volume=float(usual[members].sum() * 60),
            carriers=self._carriers(notice, tier, step) if notice.what == "alarm" else (),
            series=series_of(state, members),
        )

    def _carriers(self, notice: Notice, tier: int, step: str) -> tuple[Carrier, ...]:
        """Which values of the step carry the fall: each key against its own usual rate, then summed by value."""
        state = self._detector.state
        known = is_known(state)
        of_step = [number for number, name in enumerate(self.keys.names) if name[:2] == (tier, step) and known[number]]
        if not self.keys.segments or not of_step:
            return ()
        parts = contributions(state, np.array(of_step), notice.change_point, notice.fall)
        carriers: list[Carrier] = []
        for place, column in enumerate(self.keys.segments):
            by_value: dict[str, list[Contribution]] = {}
            for part in parts:
                by_value.setdefault(self.keys.names[part.key][2][place], []).append(part)
            summed = [_summed(column, value, own) for value, own in by_value.items()]
            in_all = sum(max(0.0, carrier.lost) for carrier in summed)
            summed = [replace(carrier, share=max(0.0, carrier.lost) / max(in_all, 1e-9)) for carrier in summed]
            summed.sort(key=lambda carrier: (-carrier.lost, carrier.value))
            carriers += [carrier for carrier in summed[:_MOST_NAMED] if carrier.share >= _WORTH_NAMING]
        return tuple(carriers)


def _summed(column: str, value: str, parts: Sequence[Contribution]) -> Carrier:
    lost = sum(part.lost for part in parts)
    half = float(np.sqrt(sum((part.lost_high - part.lost) ** 2 for part in parts)))
    return Carrier(column, value, lost, lost - half, lost + half, 0.0)


class _Meta(msgspec.Struct):
    version: int
    fingerprint: str
    names: list[Name]
    groups: list[tuple[int, str, tuple[tuple[str, str], ...], tuple[int, ...]]]
    shown_by: tuple[int, ...]
    positions: dict[int, int]
    reached_us: dict[int, int]
    asks: list[tuple[int, int, int]]
    yeses: list[tuple[int, int, int, int]]
    unknown: list[tuple[Name, int]]
    passed_over: dict[str, int]
    holes: list[tuple[int, int]] = []
    holes_begun: dict[int, int] = {}
    heard_from: int = 0
    late_asks: list[tuple[int, int, int]] = []
