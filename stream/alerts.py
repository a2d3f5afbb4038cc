"""The detector of drop-off spikes: one step per minute for many keys at once.  No clock and no I/O.

docs/alerts.md explains it.  The parts: what is usual (``alerts_learning``: ``alerts_baseline``, ``alerts_level``,
``alerts_delay``), what the counts say against it (``alerts_evidence``), the statistic that is watched
(``alerts_statistic``, ``alerts_many``), silence (``alerts_quiet``), and alarms (``alerts_open``, ``alerts_kinds``).
``alerts_state`` is all that is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream import alerts_level
from stream.alerts_baseline import RING, log_odds
from stream.alerts_delay import arrived_by
from stream.alerts_evidence import DELTAS, by_cohort, by_minute, summed
from stream.alerts_kinds import OF_LATE, Kind
from stream.alerts_learning import TOLERATED, History, first_state, is_known, refit, usual_volume
from stream.alerts_many import due_alarms, wider_for
from stream.alerts_open import Notice, OpenAlarms
from stream.alerts_quiet import SUSPECT, missing, recent_volume
from stream.alerts_segments import Contribution, contributions
from stream.alerts_state import State
from stream.alerts_statistic import advance, advance_all, mixture, restart
from stream.alerts_units import Units

Singles = NDArray[np.float32]

MINUTES_A_MONTH = 43_200.0
_LOOKS_BAD = 5.0
"""log M above which the second configuration stops following the level."""
_OUTAGE_MINUTES = 3
_SURE_OF_SILENCE = 2.0


@dataclass(frozen=True)
class Rules:
    """When to alarm.

    ``patience``: minutes between false alarms, at least: of each unit, or with ``together`` of all units together.
    ``smallest_fall`` (share of the yeses) and ``fewest_lost`` (yeses): less is not worth an alarm.
    ``groups``: sets of keys (segments of one step) whose evidence is summed up to a unit of its own.
    ``shown_by``: per key the key of the next step, whose asks only people who said yes come to; -1 for none.
    ``one_road``: the keys are steps of one site, so what falls in all of them at once is tracking, not people; and
    what falls silent while others are heard is tracking, too, no outage.
    """

    patience: float = MINUTES_A_MONTH
    together: bool = False
    smallest_fall: float = 0.05
    fewest_lost: float = 3.0
    groups: tuple[tuple[int, ...], ...] = ()
    shown_by: tuple[int, ...] | None = None
    one_road: bool = False


class Detector:
    """Nothing but ``state`` is remembered: it may be saved (``alerts_state.save``) and given back after any step."""

    def __init__(self, state: State, rules: Rules | None = None) -> None:
        self.state = state
        self.rules = rules or Rules()
        self.units = Units(state.asks.shape[1], self.rules.groups)
        self._alarms = OpenAlarms(state, self.units, self.rules.shown_by, self.rules.one_road)
        self._ages = len(state.asks)
        self._wider = _wider(self.rules, len(self.units))
        self._log_patience = float(np.log(self.rules.patience))
        shape = (self._ages, len(TOLERATED), len(DELTAS), self.units.keys)
        self._scratch = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self._read_delays()

    @classmethod
    def learn(cls, history: History, rules: Rules | None = None) -> Detector:
        """A detector that has seen ``history`` and takes minute ``history.until`` next."""
        chosen = rules or Rules()
        groups = len(chosen.groups)
        return cls(first_state(history, groups, _wider(chosen, history.asks.shape[1] + groups)), chosen)

    def step(self, asks: NDArray[np.floating], yeses: NDArray[np.floating], *, armed: bool = True) -> list[Notice]:
        """Take in the next minute: ``asks`` (keys) made in it and ``yeses`` (ages, keys) that arrived in it, by age.

        Row a of ``yeses`` counts those to asks of a minutes ago.  ``armed=False`` while catching up: no alarms, and the
        statistic starts afterwards.  Yeses to asks that are not in flight (unknown, or given up) are passed over.
        """
        state = self.state
        minute = int(state.minute[0]) + 1
        state.minute[0] = minute
        if minute % 1440 == 0:
            refit(state, minute, self._wider)
            self._read_delays()
        if minute % 60 == 0:
            hour = minute // 60
            state.usual_volume = usual_volume(state.hour_asks, state.hour_yeses, hour)
            state.hour_asks[hour % RING] = 0
            state.hour_yeses[hour % RING] = 0
        usual = ~self.units.touched(state.kind >= 0)
        self._mature(minute - self._ages, usual)
        state.delay_counts += np.where(usual, yeses, 0.0)
        new = asks.astype(np.float32)
        came = np.minimum(yeses[::-1].astype(np.float32), np.vstack([(state.asks - state.yeses)[1:], new]))
        self._admit(minute, new, came)
        self._listen(minute, new, came.sum(axis=0))
        self._weigh_minute(minute, came)
        self._weigh_cohorts()
        if not armed:
            self._clear(np.ones(len(self.units), dtype=np.bool_))
            return []
        notices = [*self._silences(minute), *self._alarms.follow(minute), *self._falls(minute)]
        if any(notice.what == "lasting" for notice in notices):
            self._read_delays()
        return notices

    def skip(self) -> None:
        """Pass the next minute, of which not all is known: nothing in it is silence, and nothing is judged by it.

        Who was asked before it or in it is judged no more: some of their answers are lost.  Open alarms stay as they
        are, and the statistic starts afterwards.
        """
        state = self.state
        state.asks[:] = 0
        state.yeses[:] = 0
        quiet, quiet_asks, volume, dark = state.quiet, state.quiet_asks, state.volume.copy(), state.dark
        self.step(np.zeros(self.units.keys), np.zeros((self._ages, self.units.keys)), armed=False)
        state.quiet, state.quiet_asks, state.volume, state.dark = quiet, quiet_asks, volume, dark
        # Silence before it and after it is one; that of an open alarm keeps its place.
        moves = ~self.units.touched(state.kind >= 0)
        state.last_seen = state.last_seen + moves
        state.last_ask = state.last_ask + moves

    def lost(self, unit: int) -> tuple[float, float, float]:
        """Yeses lost so far since the change-point of the open alarm of a unit, with a 95% interval."""
        return self._alarms.lost(unit)

    def explain(self, unit: int) -> tuple[Contribution, ...]:
        """What each key of a unit contributes to its open alarm, most first."""
        since, fall = int(self.state.change_point[unit]), float(self.state.fall[unit])
        return contributions(self.state, self.units.members(unit), since, fall)

    def _read_delays(self) -> None:
        """The tables of delays that each step uses, from the oldest cohort in flight to the newest."""
        arrived = arrived_by(self.state.shares)
        self._arrived = arrived[::-1].astype(np.float32)
        self._arrived_before = np.vstack([arrived[-2::-1], np.zeros((1, self.units.keys))]).astype(np.float32)
        self._arriving = self.state.shares[::-1].astype(np.float32)

    def _mature(self, cohort: int, usual: NDArray[np.bool_]) -> None:
        """The oldest cohort leaves: its last word goes into the statistic, and into what is usual."""
        state = self.state
        asks, yeses = state.asks[:1], state.yeses[:1]
        evidence = summed(by_cohort(asks, yeses, state.chance[:1], state.epsilon), self.units.groups)[0]
        state.by_cohort = advance(state.by_cohort, evidence)
        self._restart(0, evidence[1], cohort, state.due.sum(axis=0), state.came.sum(axis=0))
        follows = ~self.units.touched(state.log_mixture > _LOOKS_BAD)
        heard = np.stack([usual, usual & follows]).astype(np.float64)
        mean, variance = alerts_level.forecast(state.level_mean, state.level_variance, state.wander, 1 / 60)
        state.level_mean, state.level_variance = alerts_level.observe(
            mean, variance, log_odds(state.coefficients, cohort), asks * heard, yeses * heard
        )
        row = cohort // 60 % RING
        state.hour_asks[row] += np.where(usual, asks[0], 0)
        state.hour_yeses[row] += np.where(usual, yeses[0], 0)

    def _admit(self, minute: int, asks: Singles, came: Singles) -> None:
        """The newest cohort enters, with the chance that was to be expected before it was seen."""
        state = self.state
        for ring in (state.asks, state.yeses, state.chance, state.due, state.came):
            ring[:-1] = ring[1:]
        state.asks[-1] = asks
        state.yeses[-1] = 0
        ahead = alerts_level.PERSISTENCE ** (self._ages / 60)
        odds = log_odds(state.coefficients, minute) + state.level_mean * ahead
        state.chance[-1] = np.clip(1 / (1 + np.exp(-odds)), 1e-4, 1 - 1e-4)
        due = state.asks * state.chance[:, 1] * self._arriving
        state.due_by_delay = OF_LATE * state.due_by_delay + due
        state.came_by_delay = OF_LATE * state.came_by_delay + came
        state.due[-1] = due.sum(axis=0, dtype=np.float64)
        state.came[-1] = came.sum(axis=0)
        state.due_total += state.due[-1]
        state.came_total += state.came[-1]

    def _listen(self, minute: int, asks: Singles, came: Singles) -> None:
        """How long keys have been silent; what is in flight is given up where that is no chance any more."""
        state = self.state
        asked, counts = asks.astype(np.float64), (asks + came).astype(np.float64)
        state.quiet = missing(state.quiet, state.usual_volume[1], state.volume[1], counts)
        state.quiet_asks = missing(state.quiet_asks, state.usual_volume[0], state.volume[0], asked)
        state.volume[0] = recent_volume(state.volume[0], asked, state.quiet_asks)
        state.volume[1] = recent_volume(state.volume[1], counts, state.quiet)
        state.last_seen = np.where(counts > 0, minute, state.last_seen)
        state.last_ask = np.where(asks > 0, minute, state.last_ask)
        gone = (state.quiet >= self._log_patience + _SURE_OF_SILENCE) & ~state.dark
        for key in np.flatnonzero(gone):
            self._give_up(minute, int(key))
        state.dark = (state.dark | gone) & (counts == 0)

    def _give_up(self, minute: int, key: int) -> None:
        """A key went dark: its cohorts say what they had said when it was last seen, and no more.

        That they are silent now cannot be told from not being counted; without this, an outage looks like people who
        stopped saying yes.
        """
        state = self.state
        gap = min(minute - int(state.last_seen[key]), self._ages)
        seen, only = slice(0, self._ages - gap), slice(key, key + 1)
        due = state.chance[seen, :, only] * self._arrived[gap:, None, only]
        evidence = by_cohort(state.asks[seen, only], state.yeses[seen, only], due, state.epsilon[:, only])
        state.by_cohort[..., only] = advance_all(state.by_cohort[..., only], evidence)
        state.asks[:, key] = 0
        state.yeses[:, key] = 0

    def _weigh_minute(self, minute: int, came: Singles) -> None:
        state = self.state
        silent = state.asks - state.yeses - came
        state.yeses += came
        hazard = state.chance * self._arriving[:, None, :] / (1 - state.chance * self._arrived_before[:, None, :])
        evidence = by_minute(silent, came.sum(axis=0), hazard, state.epsilon)
        evidence[..., state.quiet >= SUSPECT] = 0
        evidence = summed(evidence, self.units.groups)
        state.by_minute = advance(state.by_minute, evidence)
        self._restart(1, evidence[1], minute, state.due[-1], state.came[-1])

    def _weigh_cohorts(self) -> None:
        """The statistic with all that is known now; units with an open alarm have none."""
        state = self.state
        now = advance_all(state.by_cohort, self._in_flight())
        is_open = state.kind >= 0
        self._clear(is_open)
        now[..., is_open] = 0
        state.log_mixture = np.log(np.maximum(mixture(now, state.by_minute), 1e-300))

    def _in_flight(self) -> Singles:
        """Log L of the cohorts in flight, for all units; in an array that the next call uses again."""
        state = self.state
        due = state.chance * self._arrived[:, None, :]
        return summed(by_cohort(state.asks, state.yeses, due, state.epsilon, self._scratch), self.units.groups)

    def _restart(
        self, which: int, evidence: Singles, minute: int, due: NDArray[np.floating], came: NDArray[np.floating]
    ) -> None:
        """Follow where a change may have begun; ``due`` and ``came`` (keys) arrived from that minute on, to date."""
        state = self.state
        starts = state.excess[which] <= 0
        state.excess[which], state.since[which] = restart(state.excess[which], state.since[which], evidence, minute)
        due_then, came_then = self.units.totals(state.due_total - due), self.units.totals(state.came_total - came)
        state.due_then[which] = np.where(starts, due_then, state.due_then[which])
        state.came_then[which] = np.where(starts, came_then, state.came_then[which])

    def _clear(self, units: NDArray[np.bool_]) -> None:
        state = self.state
        state.by_cohort[..., units] = 0
        state.by_minute[..., units] = 0
        state.excess[..., units] = 0
        state.log_mixture[units] = -np.inf

    def _silences(self, minute: int) -> Iterator[Notice]:
        """Keys of which nothing is counted any more, or no asks though yeses to earlier ones still come."""
        state = self.state
        limit = self._log_patience + _SURE_OF_SILENCE
        silent = state.dark & (minute - state.last_seen >= _OUTAGE_MINUTES)
        mute = (state.quiet_asks >= limit) & ~state.dark & (minute - state.last_ask >= _OUTAGE_MINUTES)
        for key in map(int, np.flatnonzero((silent | mute) & (state.kind[: self.units.keys] < 0))):
            # On one road nothing is out while others are heard: it is this key that is not counted any more.
            others = self.rules.one_road and bool((state.last_seen > minute - _OUTAGE_MINUTES).any())
            kind: Kind = "outage" if silent[key] and not others else "tracking"
            began = int(state.last_seen[key] if silent[key] else state.last_ask[key]) + 1
            yield self._raise(key, minute, began, *self._since(key, minute, began), kind)

    def _falls(self, minute: int) -> Iterator[Notice]:
        state = self.state
        doubtful = ~is_known(state) | (state.quiet >= SUSPECT)
        unsure = self.units.any_of(doubtful & ~state.dark)  # what is dark says nothing, and holds up no one else
        unsure[: self.units.keys] = doubtful
        score = np.where((state.kind < 0) & ~unsure, state.log_mixture, -np.inf)
        due = score >= self._log_patience
        if due.any() and self.rules.together:
            due = due_alarms(np.exp(score), self.rules.patience, among=len(self.units))
        for unit in map(int, np.flatnonzero(due)):
            began, expected, came = self._change(unit, minute)
            if expected - came >= max(self.rules.fewest_lost, self.rules.smallest_fall * expected):
                yield self._raise(unit, minute, began, expected, came, None)

    def _raise(self, unit: int, minute: int, began: int, expected: float, came: float, kind: Kind | None) -> Notice:
        notice = self._alarms.raise_(unit, minute, began, expected, came, kind)
        self._clear(np.arange(len(self.units)) == unit)
        return notice

    def _change(self, unit: int, minute: int) -> tuple[int, float, float]:
        """When the change of a unit most likely began, and the yeses expected and seen since then."""
        state = self.state
        excess, since = state.excess[0, :, unit], state.since[0, :, unit]
        for age, evidence in zip(range(self._ages - 1, -1, -1), self._in_flight()[:, 1, :, unit], strict=True):
            excess, since = restart(excess, since, evidence, minute - age)
        cohorts, minutes = int(np.argmax(excess)), int(np.argmax(state.excess[1, :, unit]))
        of_cohorts = bool(excess[cohorts] >= state.excess[1, minutes, unit])
        which, delta = (0, cohorts) if of_cohorts else (1, minutes)
        began = int(since[cohorts] if of_cohorts else state.since[1, minutes, unit])
        if began > minute - self._ages:
            return (began, *self._since(unit, minute, began))
        members = self.units.members(unit)
        due = float(state.due_total[members].sum() - state.due_then[which, delta, unit])
        return began, due, float(state.came_total[members].sum() - state.came_then[which, delta, unit])

    def _since(self, unit: int, minute: int, began: int) -> tuple[float, float]:
        rows = slice(max(0, self._ages - (minute - began + 1)), None)
        members = self.units.members(unit)
        return float(self.state.due[rows][:, members].sum()), float(self.state.came[rows][:, members].sum())


def _wider(rules: Rules, units: int) -> float:
    return wider_for(units) if rules.together else 1.0
