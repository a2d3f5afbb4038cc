"""The detector of drop-off spikes: one step per minute for many keys at once.  No clock and no I/O.

docs/alerts.md explains it.  The parts: what is usual (``alerts_baseline``, ``alerts_level``, ``alerts_delay``), what the
counts say against it (``alerts_evidence``), the statistic that is watched (``alerts_statistic``, ``alerts_many``), silence
(``alerts_quiet``) and the kind of fall (``alerts_kinds``); ``alerts_state`` is all that is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream import alerts_level
from stream.alerts_baseline import RING, WEEK, features, fit_baseline, residuals
from stream.alerts_delay import STANDS_ALONE, arrived_by, delay_shares
from stream.alerts_evidence import DELTAS, by_cohort, by_minute, summed
from stream.alerts_kinds import KINDS, Kind, back_on_time, slower
from stream.alerts_many import due_alarms
from stream.alerts_quiet import SUSPECT, missing, recent_volume
from stream.alerts_state import State
from stream.alerts_statistic import advance, advance_all, mixture, restart

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

MINUTES_A_MONTH = 43_200.0
TOLERATED = (0.03, 0.05)
"""epsilon of the two configurations.  The first keeps following the level, the second stops while M looks bad."""
_LEARNT_WITH = np.hypot(alerts_level.USUAL_WANDER, 0.01)
_LARGEST_TOLERATED = 0.3
_LOOKS_BAD = 5.0
_FORGET_DELAYS = 0.95
_NOT_ENOUGH_HOURS, _NOT_ENOUGH_YESES = 24, 50
_SETTLES_WITHIN, _SETTLES_EVERY = 30, 5
_CALLED_SLOW = 1.0
_BACK = 5.0
_OUTAGE_MINUTES = 3
_ALL_GONE, _ALMOST_ALL = 0.05, 0.8
_ENOUGH_DUE = 10.0
_LASTS = 7 * 1440
_WARM_HOURS = 72
_ROAD = 3

What = Literal["alarm", "changed", "resolved", "lasting"]


@dataclass(frozen=True)
class Rules:
    """When to alarm.

    ``patience``: minutes between false alarms, at least: of each unit, or with ``together`` of all units together.
    ``smallest_fall`` (share of the yeses) and ``fewest_lost`` (yeses): less is not worth an alarm.
    ``groups``: sets of keys (segments of one step) whose evidence is summed up to a unit of its own.
    ``shown_by``: per key the key of the next step, whose asks only people who said yes come to; -1 for none.
    ``one_road``: the keys are steps of one site, so what falls in all of them at once is tracking, not people.
    """

    patience: float = MINUTES_A_MONTH
    together: bool = False
    smallest_fall: float = 0.05
    fewest_lost: float = 3.0
    groups: tuple[tuple[int, ...], ...] = ()
    shown_by: tuple[int, ...] | None = None
    one_road: bool = False


@dataclass(frozen=True)
class History:
    """What is known when a detector starts: of cohorts that have matured only, minutes before ``until``.

    ``asks`` and ``yeses`` are (hours, keys) with at most the last ``RING`` hours, the last of which holds minute
    ``until`` - 1; ``delays`` (window, keys) counts their yeses by delay, and its rows are the minutes a yes may take.
    """

    until: int
    asks: Floats
    yeses: Floats
    delays: Floats


@dataclass(frozen=True)
class Notice:
    """Something to tell.  ``unit`` counts keys, then groups; ``lost`` are yeses (people), with a 95% interval.

    ``what``: ``alarm``; ``changed`` (the kind is now better known); ``resolved``; ``lasting`` (closed after a week: the
    new rate is from now on the usual one).  ``sure``: the baseline has seen two weeks.
    """

    what: What
    unit: int
    minute: int
    kind: Kind
    change_point: int
    fall: float
    lost: float
    lost_low: float
    lost_high: float
    sure: bool


class Detector:
    """``state`` may be taken (``alerts_state.save``) and given back between any two steps."""

    def __init__(self, state: State, rules: Rules | None = None) -> None:
        self.state = state
        self.rules = rules or Rules()
        self._groups = [np.array(group, dtype=np.int64) for group in self.rules.groups]
        self._ages = state.asks.shape[0]
        self._keys = state.asks.shape[1]
        self._log_patience = float(np.log(self.rules.patience))
        self._usual_volume = self._usual_volumes(int(state.minute[0]))
        self._arrive()

    @classmethod
    def learn(cls, history: History, rules: Rules | None = None) -> Detector:
        """A detector that has seen ``history`` and takes minute ``history.until`` next."""
        chosen = rules or Rules()
        return cls(_first_state(history, len(chosen.groups)), chosen)

    @property
    def units(self) -> int:
        return self._keys + len(self._groups)

    def step(self, asks: NDArray[np.floating], yeses: NDArray[np.floating], *, armed: bool = True) -> list[Notice]:
        """Take in the next minute: ``asks`` (keys) made in it and ``yeses`` (ages, keys) that arrived in it, by age.

        Row a of ``yeses`` counts those to asks of a minutes ago.  ``armed=False`` while catching up: no alarms, and the
        statistic starts afterwards.  Yeses to asks that are not in flight (unknown, or given up) are passed over.
        """
        state = self.state
        minute = int(state.minute[0]) + 1
        state.minute[0] = minute
        if minute % 1440 == 0:
            self._refresh(minute)
        if minute % 60 == 0:
            self._usual_volume = self._usual_volumes(minute)
        self._mature(minute)
        state.delay_counts += np.where(self._is_usual(), yeses, 0.0)
        yeses = np.minimum(yeses[::-1].astype(np.float32), np.vstack([(state.asks - state.yeses)[1:], asks]))
        self._admit(minute, asks.astype(np.float32), yeses)
        notices = list(self._silence(minute, asks, yeses.sum(axis=0))) if armed else []
        self._weigh_minute(minute, yeses)
        self._weigh_cohorts()
        if not armed:
            self._clear(np.ones(self.units, dtype=np.bool_))
            return []
        notices += self._follow(minute)
        notices += self._alarms(minute)
        return notices

    def lost(self, unit: int) -> tuple[float, float, float]:
        """Yeses lost since the change-point of the open alarm of a unit, so far, with a 95% interval."""
        state = self.state
        members = self._members(unit)
        due = float(state.due_total[members].sum() - state.alarm_due[unit])
        came = float(state.came_total[members].sum() - state.alarm_came[unit])
        return self._interval(members, due, came)

    def sure(self, unit: int) -> bool:
        """Whether the baseline has seen two weeks; before that a unit tolerates more."""
        return bool((self.state.baseline_hours[self._members(unit)] >= 2 * WEEK).all())

    # What is usual

    def _arrive(self) -> None:
        """What follows from the state alone and is used in each step."""
        arrived = arrived_by(self.state.shares)
        self._arrived = arrived
        shares = self.state.shares[::-1].astype(np.float32)
        self._by_age = arrived[::-1].astype(np.float32)
        self._before = np.vstack([arrived[-2::-1], np.zeros((1, self._keys))]).astype(np.float32)
        self._shares = shares

    def _refresh(self, minute: int) -> None:
        """The daily fit, on what has matured; the level takes up the difference, so no expectation jumps."""
        state = self.state
        before = self._log_odds(minute)
        _fit(state)
        state.level_mean += before - self._log_odds(minute)
        state.delay_counts *= _FORGET_DELAYS
        self._arrive()

    def _log_odds(self, minute: int) -> Floats:
        return np.asarray(self.state.coefficients @ features(np.array([minute]))[0])

    def _usual_volumes(self, minute: int) -> Floats:
        """Asks, and asks and yeses, that this hour of the week brings a minute: (2, keys)."""
        rows = np.arange(minute // 60 % WEEK, RING, WEEK)
        asks, yeses = self.state.hour_asks[rows].astype(np.float64), self.state.hour_yeses[rows].astype(np.float64)
        seen = asks > 0
        hours = np.maximum(seen.sum(axis=0), 1) * 60.0
        both = np.stack([asks.sum(axis=0) / hours, (asks + yeses).sum(axis=0) / hours])
        return np.asarray(np.where(seen.any(axis=0), both, np.inf))

    def _is_usual(self) -> NDArray[np.bool_]:
        """Keys that no open alarm speaks of."""
        is_open = self.state.kind >= 0
        usual = ~is_open[: self._keys]
        for number, members in enumerate(self._groups, start=self._keys):
            if is_open[number]:
                usual[members] = False
        return np.asarray(usual)

    def _looks_bad(self) -> NDArray[np.bool_]:
        bad = self.state.log_mixture > _LOOKS_BAD
        keys = bad[: self._keys].copy()
        for number, members in enumerate(self._groups, start=self._keys):
            if bad[number]:
                keys[members] = True
        return keys

    # The counts

    def _mature(self, minute: int) -> None:
        """The oldest cohort leaves: its final word is folded into the statistic, and into what is usual."""
        state = self.state
        cohort = minute - self._ages
        asks, yeses = state.asks[:1], state.yeses[:1]
        evidence = summed(by_cohort(asks, yeses, state.chance[:1], state.epsilon), self._groups)[0]
        state.by_cohort = advance(state.by_cohort, evidence)
        self._restart(0, evidence[1], cohort, self._total(state.due), self._total(state.came))
        usual = self._is_usual()
        log_odds = self._log_odds(cohort)
        hour = 1 / 60
        for number in range(len(TOLERATED)):
            mean, variance = alerts_level.forecast(
                state.level_mean[number], state.level_variance[number], state.wander, hour
            )
            heard = usual & ~self._looks_bad() if number == 1 else usual
            state.level_mean[number], state.level_variance[number] = alerts_level.observe(
                mean, variance, log_odds, np.where(heard, asks[0], 0.0), np.where(heard, yeses[0], 0.0)
            )
        row = cohort // 60 % RING
        if cohort % 60 == 0:
            state.hour_asks[row] = 0
            state.hour_yeses[row] = 0
        state.hour_asks[row] += np.where(usual, asks[0], 0.0)
        state.hour_yeses[row] += np.where(usual, yeses[0], 0.0)

    def _admit(self, minute: int, asks: Singles, yeses: Singles) -> None:
        state = self.state
        for ring in (state.asks, state.yeses, state.chance, state.due, state.came):
            ring[:-1] = ring[1:]
        state.asks[-1] = asks
        state.yeses[-1] = 0
        ahead = alerts_level.PERSISTENCE ** (self._ages / 60)
        odds = self._log_odds(minute) + state.level_mean * ahead
        state.chance[-1] = np.clip(1 / (1 + np.exp(-odds)), 1e-4, 1 - 1e-4)
        state.due[-1] = np.einsum("ak,ak,ak->k", state.asks, state.chance[:, 1], self._shares)
        state.came[-1] = yeses.sum(axis=0)
        state.due_total += state.due[-1]
        state.came_total += state.came[-1]

    def _silence(self, minute: int, asks: NDArray[np.floating], came: Singles) -> Iterator[Notice]:
        """Follow how long keys have been silent; give up what is in flight where that is no chance any more."""
        state = self.state
        counts = asks + came
        state.quiet = missing(state.quiet, self._usual_volume[1], state.volume[1], counts)
        state.quiet_asks = missing(state.quiet_asks, self._usual_volume[0], state.volume[0], asks)
        state.volume[0] = recent_volume(state.volume[0], asks, state.quiet_asks)
        state.volume[1] = recent_volume(state.volume[1], counts, state.quiet)
        state.last_seen = np.where(counts > 0, minute, state.last_seen)
        state.last_ask = np.where(asks > 0, minute, state.last_ask)
        limit = self._log_patience + 2.0
        gone = (state.quiet >= limit) & ~state.dark
        for key in np.flatnonzero(gone):
            self._give_up(minute, int(key))
        state.dark = (state.dark | gone) & (counts == 0)
        free = state.kind[: self._keys] < 0
        silent = state.dark & (minute - state.last_seen >= _OUTAGE_MINUTES)
        mute = (state.quiet_asks >= limit) & ~state.dark & (minute - state.last_ask >= _OUTAGE_MINUTES)
        for key in np.flatnonzero(free & (silent | mute)):
            kind: Kind = "outage" if silent[key] else "tracking"
            since = int(state.last_seen[key] if silent[key] else state.last_ask[key]) + 1
            yield self._raise(int(key), minute, kind, since, *self._since(int(key), minute, since))

    def _give_up(self, minute: int, key: int) -> None:
        """A key went dark: its cohorts say what they had said when it was last seen, and no more.

        What was asked just before cannot be told from what was not counted; without this, every outage looks like people
        who stopped saying yes.
        """
        state = self.state
        gap = min(minute - int(state.last_seen[key]), self._ages)
        seen = slice(0, self._ages - gap)
        arrived = self._by_age[gap:, key : key + 1]
        evidence = by_cohort(
            state.asks[seen, key : key + 1],
            state.yeses[seen, key : key + 1],
            state.chance[seen, :, key : key + 1] * arrived[:, None, :],
            state.epsilon[:, key : key + 1],
        )
        state.by_cohort[..., key : key + 1] = advance_all(state.by_cohort[..., key : key + 1], evidence)
        state.asks[:, key] = 0
        state.yeses[:, key] = 0

    # The statistic

    def _weigh_minute(self, minute: int, yeses: Singles) -> None:
        state = self.state
        silent = state.asks - state.yeses - yeses
        hazard = state.chance * self._shares[:, None, :] / (1 - state.chance * self._before[:, None, :])
        state.yeses += yeses
        evidence = by_minute(silent, yeses.sum(axis=0), hazard, state.epsilon)
        suspect = state.quiet >= SUSPECT
        evidence[..., suspect] = 0
        evidence = summed(evidence, self._groups)
        state.by_minute = advance(state.by_minute, evidence)
        self._restart(1, evidence[1], minute, state.due[-1], state.came[-1])

    def _weigh_cohorts(self) -> None:
        state = self.state
        self._evidence = summed(
            by_cohort(state.asks, state.yeses, state.chance * self._by_age[:, None, :], state.epsilon), self._groups
        )
        now = advance_all(state.by_cohort, self._evidence)
        closed = state.kind >= 0
        self._clear(closed)
        now[..., closed] = 0
        state.log_mixture = np.log(np.maximum(mixture(now, state.by_minute), 1e-300))

    def _restart(self, which: int, evidence: Singles, minute: int, due: NDArray[np.floating], came: NDArray[np.floating]) -> None:
        """Follow where a change may have begun; ``due`` and ``came`` arrived since that minute, to date."""
        state = self.state
        starts = state.excess[which] <= 0
        state.excess[which], state.since[which] = restart(state.excess[which], state.since[which], evidence, minute)
        state.due_then[which] = np.where(starts, self._in_units(state.due_total - due), state.due_then[which])
        state.came_then[which] = np.where(starts, self._in_units(state.came_total - came), state.came_then[which])

    def _clear(self, units: NDArray[np.bool_]) -> None:
        state = self.state
        state.by_cohort[..., units] = 0
        state.by_minute[..., units] = 0
        state.excess[..., units] = 0
        state.log_mixture[units] = -np.inf

    # Alarms

    def _alarms(self, minute: int) -> Iterator[Notice]:
        state = self.state
        free = state.kind < 0
        able = free & self._known() & ~self._any_of(state.quiet >= SUSPECT)
        score = np.where(able, state.log_mixture, -np.inf)
        if not (score >= self._log_patience).any():
            return
        if self.rules.together:
            due = due_alarms(np.exp(np.minimum(score, 600.0)), self.rules.patience, among=self.units)
        else:
            due = score >= self._log_patience
        for unit in np.flatnonzero(due & able):
            since, expected, came = self._change(int(unit), minute)
            fall = 1 - came / max(expected, 1e-9)
            if fall < self.rules.smallest_fall or expected - came < self.rules.fewest_lost:
                continue
            kind, factor = self._kind(int(unit), minute, since, expected, came)
            state.factor[unit] = factor
            yield self._raise(int(unit), minute, kind, since, expected, came)

    def _raise(self, unit: int, minute: int, kind: Kind, since: int, expected: float, came: float) -> Notice:
        state = self.state
        members = self._members(unit)
        state.kind[unit] = KINDS.index(kind)
        state.raised[unit] = minute
        state.change_point[unit] = since
        state.alarm_due[unit] = state.due_total[members].sum() - expected
        state.alarm_came[unit] = state.came_total[members].sum() - came
        state.fall[unit] = np.clip(1 - came / max(expected, 1e-9), 0.02, 0.95)
        state.recovery[unit] = 0
        for hour in range(max(since, minute - RING * 60) // 60, minute // 60 + 1):
            state.hour_asks[hour % RING, members] = 0
            state.hour_yeses[hour % RING, members] = 0
        notice = self._notice("alarm", unit, minute)
        cleared = np.zeros(self.units, dtype=np.bool_)
        cleared[unit] = True
        self._clear(cleared)
        return notice

    def _follow(self, minute: int) -> Iterator[Notice]:
        """Open alarms: know their kind better, and see whether they are over."""
        state = self.state
        for unit in map(int, np.flatnonzero(state.kind >= 0)):
            members = self._members(unit)
            kind = KINDS[state.kind[unit]]
            if kind == "outage" or (kind == "tracking" and state.last_ask[members].max() <= state.change_point[unit]):
                if (state.last_ask[members] == minute).any():
                    yield self._resolve(unit, minute)
                continue
            if minute - state.raised[unit] >= _LASTS:
                yield self._adopt(unit, minute)
                continue
            age = minute - int(state.raised[unit])
            if kind in ("drop", "slow") and 0 < age <= _SETTLES_WITHIN and age % _SETTLES_EVERY == 0:
                expected = float(state.due_total[members].sum() - state.alarm_due[unit])
                came = float(state.came_total[members].sum() - state.alarm_came[unit])
                found, factor = self._kind(unit, minute, int(state.change_point[unit]), expected, came)
                if found != kind:
                    state.kind[unit] = KINDS.index(found)
                    state.factor[unit] = factor
                    yield self._notice("changed", unit, minute)
                    continue
            if self._is_over(unit, minute):
                yield self._resolve(unit, minute)

    def _is_over(self, unit: int, minute: int) -> bool:
        """For a fall: a CUSUM of "as good as usual" against "fallen as much as when it was raised"."""
        state = self.state
        members = self._members(unit)
        if state.quiet[members].max() >= SUSPECT:
            return False
        if KINDS[state.kind[unit]] == "slow":
            if minute % _SETTLES_EVERY != 0 or minute - state.raised[unit] < _SETTLES_WITHIN:
                return False
            asks, yeses, chance = self._in_flight(members)
            return back_on_time(asks, yeses, chance, self._arrived[:, members], float(state.factor[unit])) > _BACK
        fall = float(state.fall[unit])
        fine = fall / 4
        due, came = float(state.due[-1, members].sum()), float(state.came[-1, members].sum())
        gain = came * np.log((1 - fine) / (1 - fall)) - (fall - fine) * due
        state.recovery[unit] = max(0.0, float(state.recovery[unit]) + gain)
        return bool(state.recovery[unit] > _BACK)

    def _resolve(self, unit: int, minute: int) -> Notice:
        """Close an alarm.  People asked while it was open are not judged by what is usual."""
        state = self.state
        notice = self._notice("resolved", unit, minute)
        state.kind[unit] = -1
        members = self._members(unit)
        state.asks[:, members] = 0
        state.yeses[:, members] = 0
        return notice

    def _adopt(self, unit: int, minute: int) -> Notice:
        """A fall that lasted a week is how it is now: the baseline moves, and watching starts again."""
        state = self.state
        notice = self._resolve(unit, minute)
        members = self._members(unit)
        due = state.due_total[members].sum() - state.alarm_due[unit]
        came = state.came_total[members].sum() - state.alarm_came[unit]
        kept = min(1.0, float(came / max(due, 1e-9)))
        said, asked = state.hour_yeses[:, members], state.hour_asks[:, members]
        share = (said.sum(axis=0) + 0.5) / (asked.sum(axis=0) + 1.0)
        now = np.clip(share * kept, 1e-4, 1 - 1e-4)
        state.coefficients[members, 0] += np.log(now / (1 - now)) - np.log(share / (1 - share))
        state.hour_yeses[:, members] = np.round(said * kept)
        return Notice(**{**notice.__dict__, "what": "lasting"})

    def _kind(self, unit: int, minute: int, since: int, expected: float, came: float) -> tuple[Kind, float]:
        state = self.state
        members = self._members(unit)
        if came <= _ALL_GONE * expected and self._people_go_on(members):
            return "tracking", 1.0
        if self.rules.one_road and self._all_fell(minute, since):
            return "tracking", 1.0
        asks, yeses, chance = self._in_flight(members)
        age = min(minute - since, self._ages - 1)
        better, factor = slower(asks, yeses, chance, self._arrived[:, members], age)
        return ("slow", factor) if better > _CALLED_SLOW else ("drop", 1.0)

    def _people_go_on(self, members: NDArray[np.int64]) -> bool:
        """Whether the next step is still asked as much as ever, though nobody said yes to this one."""
        if self.rules.shown_by is None:
            return False
        following = [self.rules.shown_by[key] for key in members if self.rules.shown_by[key] >= 0]
        if not following:
            return False
        usual = np.minimum(self._usual_volume[0, following], self.state.volume[0, following]).sum() * self._ages
        return bool(usual > 0 and self.state.asks[:, following].sum() > _ALMOST_ALL * usual)

    def _all_fell(self, minute: int, since: int) -> bool:
        """Whether every step with enough yeses lost much in the same minutes."""
        state = self.state
        rows = slice(max(0, self._ages - (minute - since + 1)), None)
        due, came = state.due[rows].sum(axis=0), state.came[rows].sum(axis=0)
        told = due >= _ENOUGH_DUE
        return bool(told.sum() >= _ROAD and (came[told] < _ALMOST_ALL * due[told]).all())

    def _change(self, unit: int, minute: int) -> tuple[int, float, float]:
        """When the change of a unit began most likely, and the yeses expected and seen since then."""
        state = self.state
        members = self._members(unit)
        excess, since = state.excess[0, :, unit].copy(), state.since[0, :, unit].copy()
        for row, evidence in enumerate(self._evidence[:, 1, :, unit]):
            excess, since = restart(excess, since, evidence, minute - self._ages + 1 + row)
        cohort, step = int(np.argmax(excess)), int(np.argmax(state.excess[1, :, unit]))
        which, delta = (0, cohort) if excess[cohort] >= state.excess[1, step, unit] else (1, step)
        began = int(since[cohort]) if which == 0 else int(state.since[1, step, unit])
        if began > minute - self._ages:
            return (began, *self._since(unit, minute, began))
        due = float(state.due_total[members].sum() - state.due_then[which, delta, unit])
        return began, due, float(state.came_total[members].sum() - state.came_then[which, delta, unit])

    def _since(self, unit: int, minute: int, began: int) -> tuple[float, float]:
        rows = slice(max(0, self._ages - (minute - began + 1)), None)
        members = self._members(unit)
        return float(self.state.due[rows][:, members].sum()), float(self.state.came[rows][:, members].sum())

    def _notice(self, what: What, unit: int, minute: int) -> Notice:
        state = self.state
        lost, low, high = self.lost(unit)
        kind = KINDS[state.kind[unit]]
        since = int(state.change_point[unit])
        return Notice(what, unit, minute, kind, since, float(state.fall[unit]), lost, low, high, self.sure(unit))

    def _interval(self, members: NDArray[np.int64], due: float, came: float) -> tuple[float, float, float]:
        """Expected minus seen; Poisson noise of what came, and what is uncertain of the usual rate."""
        state = self.state
        rate = state.chance[-1, 1, members]
        share = np.sqrt(state.level_variance[1, members] + state.baseline_error[members] ** 2) * (1 - rate)
        half = 1.96 * float(np.sqrt(max(came, 1.0) + (due * share.mean()) ** 2))
        return due - came, due - came - half, due - came + half

    # Keys and units

    def _members(self, unit: int) -> NDArray[np.int64]:
        return np.array([unit]) if unit < self._keys else self._groups[unit - self._keys]

    def _in_flight(self, members: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        state = self.state
        return (
            state.asks[:, members].astype(np.float64),
            state.yeses[:, members].astype(np.float64),
            state.chance[:, 1, members].astype(np.float64),
        )

    def _total(self, ring: Singles) -> Floats:
        return np.asarray(ring.sum(axis=0, dtype=np.float64))

    def _in_units(self, of_keys: NDArray[np.floating]) -> Floats:
        together = [of_keys[members].sum(keepdims=True) for members in self._groups]
        return np.concatenate([of_keys, *together]) if together else np.asarray(of_keys)

    def _any_of(self, keys: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.concatenate([keys, [bool(keys[members].any()) for members in self._groups]]).astype(np.bool_)

    def _known(self) -> NDArray[np.bool_]:
        """Units that have a history worth the name."""
        state = self.state
        known = (state.baseline_hours >= _NOT_ENOUGH_HOURS) & (state.known_yeses >= _NOT_ENOUGH_YESES)
        return ~self._any_of(~known)


def _fit(state: State) -> None:
    """Baseline, wander, tolerance and delays anew from the state's own history."""
    asks, yeses = state.hour_asks.astype(np.float64), state.hour_yeses.astype(np.float64)
    stands_alone = yeses.sum(axis=0) >= STANDS_ALONE
    usual = np.full(asks.shape[1], alerts_level.USUAL_WANDER)
    baseline = fit_baseline(asks, yeses, usual, alerts_level.PERSISTENCE)
    state.wander = alerts_level.wander(*residuals(baseline, asks, yeses), stands_alone)
    baseline = fit_baseline(asks, yeses, state.wander, alerts_level.PERSISTENCE)
    state.coefficients, state.baseline_error = baseline.coefficients, baseline.error
    state.baseline_hours, state.known_yeses = baseline.hours, yeses.sum(axis=0)
    wider = np.maximum(1.0, np.hypot(state.wander, baseline.error) / _LEARNT_WITH)
    tolerated = np.array(TOLERATED)[:, None] * wider
    state.epsilon = np.minimum(tolerated, _LARGEST_TOLERATED).astype(np.float32)
    state.shares = delay_shares(state.delay_counts)


def _first_state(history: History, groups: int) -> State:
    window, keys = history.delays.shape
    units, shape = keys + groups, (len(TOLERATED), len(DELTAS), keys + groups)
    newest = (history.until - 1) // 60
    hours = history.asks[-RING:], history.yeses[-RING:]
    rows = np.arange(newest - len(hours[0]) + 1, newest + 1) % RING
    hour_asks, hour_yeses = np.zeros((RING, keys), dtype=np.float32), np.zeros((RING, keys), dtype=np.float32)
    hour_asks[rows], hour_yeses[rows] = hours
    recent = np.stack([hours[0], hours[0] + hours[1]])[:, -3:-1]
    state = State(
        minute=np.array([history.until - 1]),
        asks=np.zeros((window, keys), dtype=np.float32),
        yeses=np.zeros((window, keys), dtype=np.float32),
        chance=np.full((window, len(TOLERATED), keys), 0.5, dtype=np.float32),
        due=np.zeros((window, keys), dtype=np.float32),
        came=np.zeros((window, keys), dtype=np.float32),
        due_total=np.zeros(keys),
        came_total=np.zeros(keys),
        hour_asks=hour_asks,
        hour_yeses=hour_yeses,
        delay_counts=history.delays.astype(np.float64),
        coefficients=np.zeros((keys, 0)),
        baseline_error=np.zeros(keys),
        baseline_hours=np.zeros(keys),
        known_yeses=np.zeros(keys),
        wander=np.full(keys, alerts_level.USUAL_WANDER),
        shares=np.zeros((window, keys)),
        level_mean=np.zeros((len(TOLERATED), keys)),
        level_variance=np.zeros((len(TOLERATED), keys)),
        epsilon=np.zeros((len(TOLERATED), keys), dtype=np.float32),
        by_cohort=np.zeros(shape),
        by_minute=np.zeros(shape),
        log_mixture=np.full(units, -np.inf),
        excess=np.zeros((2, len(DELTAS), units), dtype=np.float32),
        since=np.full((2, len(DELTAS), units), history.until, dtype=np.int64),
        due_then=np.zeros((2, len(DELTAS), units)),
        came_then=np.zeros((2, len(DELTAS), units)),
        quiet=np.zeros(keys),
        quiet_asks=np.zeros(keys),
        volume=recent.mean(axis=1) / 60 if recent.size else np.zeros((2, keys)),
        last_seen=np.full(keys, history.until - 1, dtype=np.int64),
        last_ask=np.full(keys, history.until - 1, dtype=np.int64),
        dark=np.zeros(keys, dtype=np.bool_),
        kind=np.full(units, -1, dtype=np.int8),
        raised=np.zeros(units, dtype=np.int64),
        change_point=np.zeros(units, dtype=np.int64),
        alarm_due=np.zeros(units),
        alarm_came=np.zeros(units),
        fall=np.zeros(units),
        factor=np.ones(units),
        recovery=np.zeros(units),
    )
    _fit(state)
    mean, variance = np.zeros(keys), state.wander**2
    for hour in range(newest - min(_WARM_HOURS, len(hours[0])) + 1, newest + 1):
        mean, variance = alerts_level.forecast(mean, variance, state.wander, 1.0)
        log_odds = state.coefficients @ features(np.array([hour * 60 + 30]))[0]
        asks, yeses = hour_asks[hour % RING].astype(np.float64), hour_yeses[hour % RING].astype(np.float64)
        mean, variance = alerts_level.observe(mean, variance, log_odds, asks, yeses)
    state.level_mean[:], state.level_variance[:] = mean, variance
    return state
