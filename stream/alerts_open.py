"""The life of an alarm: raised once, its kind corrected, resolved when people say yes again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream.alerts_baseline import RING, WEEK
from stream.alerts_delay import arrived_by, delay_shares, stretched
from stream.alerts_kinds import KINDS, ByDelay, Kind, back_on_time, by_delay, slower
from stream.alerts_quiet import SUSPECT
from stream.alerts_state import State
from stream.alerts_units import Units

What = Literal["alarm", "changed", "resolved", "lasting"]

SETTLES_WITHIN = 60
"""Minutes after an alarm in which its kind may still be corrected, as the first cohorts that changed mature."""
_SETTLES_EVERY = 5
_CONVINCED, _IN_THE_END = 2.5, 1.0
"""By how much, in log likelihood, a kind must be better to be told; drops are the commoner kind."""
_BACK = 10.0
"""Log likelihood ratio for "as usual": an alarm that goes on is taken for resolved, and raised again, once in weeks."""
_BACK_ON_TIME, _YOUNG = 3.0, 30
_LASTS = 7 * 1440
_SURE_HOURS = 2 * WEEK - 24
_ALL_GONE, _ALMOST_ALL = 0.05, 0.8
_ENOUGH_DUE, _ENOUGH_STEPS = 10.0, 3


@dataclass(frozen=True)
class Notice:
    """Something to tell.  ``unit`` counts keys, then groups; ``lost`` are yeses (people), with a 95% interval.

    ``what``: ``alarm``; ``changed`` (its kind is known better); ``resolved``; ``lasting`` (closed after a week: the
    new rate is the usual one from now on).  ``fall``: the share of the yeses that is missing.
    ``sure``: the baseline has seen two weeks.
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


class OpenAlarms:
    """The open alarms in a state.  ``shown_by`` and ``one_road``: see ``Rules``."""

    def __init__(self, state: State, units: Units, shown_by: tuple[int, ...] | None, one_road: bool) -> None:
        self._state, self._units = state, units
        self._shown_by, self._one_road = shown_by, one_road

    def raise_(self, unit: int, minute: int, since: int, expected: float, came: float, kind: Kind | None) -> Notice:
        """Open an alarm of a unit that has none: ``expected`` and ``came`` are its yeses since ``since``.

        Without a ``kind`` it is judged by the cohorts in flight.  The hours since then are no part of what is usual.
        """
        state = self._state
        members = self._units.members(unit)
        found, state.factor[unit] = (kind, 1.0) if kind is not None else self._kind(unit, minute, since, expected, came)
        state.kind[unit] = KINDS.index(found)
        state.raised[unit] = minute
        state.change_point[unit] = since
        state.alarm_due[unit] = state.due_total[members].sum() - expected
        state.alarm_came[unit] = state.came_total[members].sum() - came
        state.fall[unit] = _share_missing(expected, came)
        state.recovery[unit] = 0
        for hour in range(max(since // 60, minute // 60 - RING + 1), minute // 60 + 1):
            state.hour_asks[hour % RING, members] = 0
            state.hour_yeses[hour % RING, members] = 0
        return self._notice("alarm", unit, minute)

    def follow(self, minute: int) -> Iterator[Notice]:
        """Once a minute: what is to be told of the open alarms."""
        state = self._state
        for unit in map(int, np.flatnonzero(state.kind >= 0)):
            members = self._units.members(unit)
            kind = KINDS[state.kind[unit]]
            age = minute - int(state.raised[unit])
            if kind == "outage" or (kind == "tracking" and (state.last_ask[members] < state.change_point[unit]).all()):
                if (state.last_ask[members] == minute).any():
                    yield self._resolve(unit, minute)
            elif age >= _LASTS:
                yield self._adopt(unit, minute)
            elif 0 < age <= SETTLES_WITHIN and age % _SETTLES_EVERY == 0 and self._changes(unit, minute):
                yield self._notice("changed", unit, minute)
            elif self._is_over(unit, minute):
                yield self._resolve(unit, minute)

    def lost(self, unit: int) -> tuple[float, float, float]:
        """Yeses lost since the change-point of an open alarm, so far, with a 95% interval.

        Its width is the Poisson noise of what came, and how uncertain the usual rate is.
        """
        state = self._state
        due, came = self._since_change(unit)
        members = self._units.members(unit)
        uncertain = np.sqrt(state.level_variance[1, members] + state.baseline_error[members] ** 2)
        share = float((uncertain * (1 - state.chance[-1, 1, members])).mean())
        half = 1.96 * float(np.sqrt(max(came, 1.0) + (due * share) ** 2))
        return due - came, due - came - half, due - came + half

    def _changes(self, unit: int, minute: int) -> bool:
        state = self._state
        if KINDS[state.kind[unit]] not in ("drop", "slow"):
            return False
        is_last = minute - state.raised[unit] == SETTLES_WITHIN
        lean = _IN_THE_END if is_last else _CONVINCED if KINDS[state.kind[unit]] == "drop" else -_CONVINCED
        kind, factor = self._kind(unit, minute, int(state.change_point[unit]), *self._since_change(unit), lean)
        if kind == KINDS[state.kind[unit]]:
            return False
        state.kind[unit] = KINDS.index(kind)
        state.factor[unit] = factor
        return True

    def _is_over(self, unit: int, minute: int) -> bool:
        """Of a fall: a CUSUM of "nearly as usual" against "fallen as at first".  Of delays: which fit better."""
        state = self._state
        members = self._units.members(unit)
        dark = state.dark[members]
        if dark.all() or ((state.quiet[members] >= SUSPECT) & ~dark).any():
            return False
        if KINDS[state.kind[unit]] == "slow":
            age = minute - int(state.raised[unit])
            if age < SETTLES_WITHIN or age % _SETTLES_EVERY != 0:
                return False
            return back_on_time(*self._in_flight(members), _YOUNG) > _BACK_ON_TIME
        if state.recovery[unit] == 0:
            state.fall[unit] = _share_missing(*self._since_change(unit))
        fall = float(state.fall[unit])
        fine = fall / 4
        due, came = float(state.due[-1, members].sum()), float(state.came[-1, members].sum())
        gain = came * np.log((1 - fine) / (1 - fall)) - (fall - fine) * due
        state.recovery[unit] = max(0.0, float(state.recovery[unit]) + gain)
        # Yeses that only come later come as often again before long; then it is the delays that must be back.
        return bool(state.recovery[unit] > _BACK) and back_on_time(*self._in_flight(members), _YOUNG) > 0

    def _resolve(self, unit: int, minute: int) -> Notice:
        """Close an alarm.  People asked while it was open are judged no more."""
        state = self._state
        notice = self._notice("resolved", unit, minute)
        state.kind[unit] = -1
        members = self._units.members(unit)
        state.asks[:, members] = 0
        state.yeses[:, members] = 0
        return notice

    def _adopt(self, unit: int, minute: int) -> Notice:
        """What lasted a week is how it is now: the baseline moves, and watching starts again."""
        state = self._state
        due, came = self._since_change(unit)
        notice = self._resolve(unit, minute)
        members = self._units.members(unit)
        kept = min(1.0, came / max(due, 1e-9))
        said, asked = state.hour_yeses[:, members], state.hour_asks[:, members]
        share = (said.sum(axis=0) + 0.5) / (asked.sum(axis=0) + 1.0)
        now = np.clip(share * kept, 1e-4, 1 - 1e-4)
        state.coefficients[members, 0] += np.log(now / (1 - now)) - np.log(share / (1 - share))
        state.hour_yeses[:, members] = said * kept
        longer = stretched(arrived_by(state.shares[:, members]), float(state.factor[unit]))
        state.delay_counts[:, members] = np.diff(longer, axis=0, prepend=0) * state.delay_counts[:, members].sum(axis=0)
        state.shares[:, members] = delay_shares(state.delay_counts[:, members])
        return replace(notice, what="lasting")

    def _kind(
        self, unit: int, minute: int, since: int, expected: float, came: float, lean: float = _CONVINCED
    ) -> tuple[Kind, float]:
        """The kind, and how many times longer delays are; ``lean``: what "slow" must be better by."""
        members = self._units.members(unit)
        if came <= _ALL_GONE * expected and self._people_go_on(members):
            return "tracking", 1.0
        if self._one_road and self._all_fell(minute, since):
            return "tracking", 1.0
        age = min(minute - since, len(self._state.asks) - 1)
        better, factor = slower(self._by_delay(members, age))
        return ("slow", factor) if better > lean else ("drop", 1.0)

    def _people_go_on(self, members: NDArray[np.int64]) -> bool:
        """Whether the next step is asked as much as ever, though nobody said yes to this one."""
        if self._shown_by is None:
            return False
        following = sorted({self._shown_by[key] for key in members} - {-1})
        if not following:
            return False
        state = self._state
        usual = np.minimum(state.usual_volume[0, following], state.volume[0, following]).sum() * len(state.asks)
        return bool(usual > 0 and state.asks[:, following].sum() > _ALMOST_ALL * usual)

    def _all_fell(self, minute: int, since: int) -> bool:
        """Whether every key with enough yeses lost many in the same minutes."""
        state = self._state
        rows = slice(max(0, len(state.due) - (minute - since + 1)), None)
        due, came = state.due[rows].sum(axis=0), state.came[rows].sum(axis=0)
        told = due >= _ENOUGH_DUE
        return bool(told.sum() >= _ENOUGH_STEPS and (came[told] < _ALMOST_ALL * due[told]).all())

    def _since_change(self, unit: int) -> tuple[float, float]:
        state = self._state
        members = self._units.members(unit)
        return (
            float(state.due_total[members].sum() - state.alarm_due[unit]),
            float(state.came_total[members].sum() - state.alarm_came[unit]),
        )

    def _in_flight(
        self, members: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        state = self._state
        return (
            state.asks[:, members].astype(np.float64),
            state.yeses[:, members].astype(np.float64),
            state.chance[:, 1, members].astype(np.float64),
            arrived_by(state.shares[:, members]),
        )

    def _by_delay(self, members: NDArray[np.int64], change_age: int) -> ByDelay:
        state = self._state
        return by_delay(
            state.due_by_delay[::-1, members].astype(np.float64),
            state.came_by_delay[::-1, members].astype(np.float64),
            state.shares[:, members],
            (state.asks[:, members] * state.chance[:, 1, members])[::-1].astype(np.float64),
            change_age,
        )

    def _notice(self, what: What, unit: int, minute: int) -> Notice:
        state = self._state
        lost, low, high = self.lost(unit)
        sure = bool((state.baseline_hours[self._units.members(unit)] >= _SURE_HOURS).all())
        kind, since = KINDS[state.kind[unit]], int(state.change_point[unit])
        return Notice(what, unit, minute, kind, since, float(state.fall[unit]), lost, low, high, sure)


def _share_missing(expected: float, came: float) -> float:
    return float(np.clip(1 - came / max(expected, 1e-9), 0.02, 0.95))
