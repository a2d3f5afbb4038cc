"""Simulated visits: what everybody is asked and answers, drawn for all visitors at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ladder.errors import UsageError
from ladder.tiers import Ladder
from producers.script import Ask, Script
from producers.simulation import Simulation

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_VISITS = 20
_LONGEST_PAUSE_US = 60_000_000
_SHORTEST_PAUSE_US = 200_000
_PAUSES_PER_RUNG = 4
"""To answer, to be rewarded, to be cheered, to go on: this bounds how long a visit can be."""


class Events(NamedTuple):
    """One row per event; ``at``: microseconds since 1970, whole milliseconds."""

    visitor: Ints
    segment: Ints
    template: Ints
    at: Ints


class Decisions(NamedTuple):
    """One row per ask that was decided on, with the probability its answer was drawn with.

    ``leap``: rungs from the highest one held in the visit to the one asked; 1 is the next.
    """

    rung: Ints
    ask: Ints
    segment: Ints
    earlier_yeses: Ints
    leap: Ints
    probability: Floats
    yes: Bools


def microseconds(at: datetime | timedelta) -> int:
    """A time since 1970, or a span."""
    return (at - _EPOCH if isinstance(at, datetime) else at) // timedelta(microseconds=1)


def walk(simulation: Simulation, ladder: Ladder, script: Script, rng: np.random.Generator) -> tuple[Events, Decisions]:
    """All that happens, in no particular order."""
    visits = _Visits(simulation, ladder, script, rng)
    for rung in range(len(script.rungs)):
        visits.climb(rung)
    return visits.events(), visits.decisions()


class _Visits:
    """The state of all visits, one row each.  ``_rung``: where it is asked next; ``_carried``: what it is asked there
    already, -1: nothing yet; ``_held``: its highest rung so far, -1: none."""

    def __init__(self, simulation: Simulation, ladder: Ladder, script: Script, rng: np.random.Generator) -> None:
        self._simulation = simulation
        self._script = script
        self._rng = rng
        self._longest_pause = min(_LONGEST_PAUSE_US, max(1000, microseconds(ladder.session_gap) // 4))
        rates = simulation.rates(len(ladder.tiers))
        self._rates = [rates[asks[0].tier - 1] for asks in script.rungs]

        shares = np.array([segment.share for segment in simulation.segments])
        segment = rng.choice(len(shares), size=simulation.visitors, p=shares / shares.sum())
        self._visitor, self._now = self._begin(microseconds(ladder.session_gap))
        self._segment: Ints = segment[self._visitor]
        visits = len(self._visitor)
        self._rung: Ints = np.zeros(visits, np.int64) + (rng.random(visits) < simulation.skip_share)
        if simulation.blunt_tier is not None:
            self._rung[rng.random(visits) < simulation.blunt_share] = _rung_of(simulation.blunt_tier, script)
        self._carried = np.full(visits, -1)
        self._held = np.full(visits, -1)
        self._yeses = np.zeros(visits, np.int64)
        self._events: list[tuple[Ints, int, Ints]] = []
        self._decisions: list[Decisions] = []

    def _begin(self, gap: int) -> tuple[Ints, Ints]:
        """Visitor and first moment of every visit; no two visits of a visitor are within a gap of each other."""
        simulation, rng = self._simulation, self._rng
        start, duration = microseconds(simulation.start), microseconds(simulation.duration)
        longest = _PAUSES_PER_RUNG * len(self._script.rungs) * self._longest_pause
        count = np.minimum(rng.geometric(1 / simulation.visits_per_visitor, simulation.visitors), _MOST_VISITS)
        visitor = np.repeat(np.arange(simulation.visitors), count)
        first = np.r_[0, np.cumsum(count)[:-1]] if len(count) else np.zeros(0, np.int64)
        away = longest + gap + 1_000_000 + rng.exponential(microseconds(simulation.return_after), len(visitor))
        away[first] = rng.random(simulation.visitors) * duration
        since_anybody = np.cumsum(away)
        begins = since_anybody - np.repeat(since_anybody[first] - away[first], count)
        happens = begins < duration
        return visitor[happens], start + _whole_milliseconds(begins[happens])

    def climb(self, rung: int) -> None:
        """Ask everybody who has come to this rung, and let them answer."""
        asks = self._script.rungs[rung]
        here = np.flatnonzero(self._rung == rung)
        startable = np.array([place for place, ask in enumerate(asks) if ask.can_start])
        was_carried = self._carried[here] >= 0
        chosen = self._carried[here]
        if len(startable):
            chosen = np.where(was_carried, chosen, startable[self._rng.integers(len(startable), size=len(here))])
        else:
            self._rung[here[~was_carried]] += 1
        for place, ask in enumerate(asks):
            answering = chosen == place
            if answering.any():
                self._answer(rung, place, ask, here[answering], was_carried[answering])

    def _answer(self, rung: int, place: int, ask: Ask, visits: Ints, was_carried: Bools) -> None:
        rng, simulation = self._rng, self._simulation
        asked_at = self._now[visits]
        if ask.shown is not None:
            self._happens(visits[~was_carried], (ask.shown,))
        leap = rung - self._held[visits]
        probability = self._probability(rung, ask, visits, leap, asked_at)
        yes = rng.random(len(visits)) < probability
        segment, yeses = self._segment[visits], self._yeses[visits]
        constant = np.ones(len(visits), np.int64)
        self._decisions.append(Decisions(rung * constant, place * constant, segment, yeses, leap, probability, yes))

        self._carried[visits] = -1
        self._rung[visits] = rung + 1
        agreed, refused = visits[yes], visits[~yes]
        self._held[agreed] = rung
        self._yeses[agreed] += 1
        self._happens(agreed, ask.yes, carries=True)
        self._happens(self._some(agreed, simulation.reward_share), ask.reward, carries=True)
        self._happens(self._some(agreed, simulation.cheer_share), ask.cheer)
        regretting = self._some(agreed, simulation.regret_share)
        later = rng.exponential(microseconds(simulation.regret_after), len(regretting))
        self._happens(regretting, ask.regret, after=_whole_milliseconds(later))
        self._happens(self._some(refused, simulation.no_share), ask.no)
        gone = rng.random(len(refused)) >= simulation.push_share
        self._rung[refused[gone]] = len(self._script.rungs)
        free = agreed[self._carried[agreed] < 0]
        self._rung[self._some(free, simulation.skip_share)] += 1

    def _probability(self, rung: int, ask: Ask, visits: Ints, leap: Ints, asked_at: Ints) -> Floats:
        simulation = self._simulation
        segments = simulation.segments
        rate = self._rates[rung]
        if rate < 1:
            odds = (
                rate / (1 - rate)
                * np.array([segment.odds for segment in segments])[self._segment[visits]]
                * simulation.momentum ** np.minimum(self._yeses[visits], 3).astype(float)
                * simulation.leap_penalty ** (leap - 1).astype(float)
            )  # fmt: skip
            probability: Floats = odds / (1 + odds)
        else:
            probability = np.ones(len(visits))
        for spike in simulation.spikes:
            start = microseconds(spike.start)
            hit = (asked_at >= start) & (asked_at < start + microseconds(spike.duration))
            if spike.segment is not None:
                hit &= np.array([segment.name == spike.segment for segment in segments])[self._segment[visits]]
            if spike.step is None or spike.step == ask.step:
                probability = np.where(hit, probability * spike.factor, probability)
        return probability

    def _happens(
        self, visits: Ints, templates: tuple[int, ...], *, carries: bool = False, after: Ints | None = None
    ) -> None:
        """One of the events happens now, and time goes on; ``after``: later on its own, and the visit knows nothing.

        ``carries``: where the event brings an ask along, that is where the visit goes on.
        """
        if not templates or not len(visits):
            return
        chosen = self._rng.integers(len(templates), size=len(visits))
        for i, template in enumerate(templates):
            some = visits[chosen == i]
            if after is not None:
                self._events.append((some, template, self._now[some] + after[chosen == i]))
                continue
            self._events.append((some, template, self._now[some]))
            pause = self._rng.exponential(microseconds(self._simulation.think_time), len(some))
            self._now[some] += _whole_milliseconds(
                np.clip(pause, min(_SHORTEST_PAUSE_US, self._longest_pause), self._longest_pause)
            )
            if carries and len(some):
                tier = self._script.rungs[int(self._held[some[0]])][0].tier
                ask = self._script.carried_ask(template, above=tier)
                if ask is not None:
                    self._rung[some], self._carried[some] = ask

    def _some(self, visits: Ints, share: float) -> Ints:
        return visits[self._rng.random(len(visits)) < share]

    def events(self) -> Events:
        visit = _joined([visits for visits, _, _ in self._events])
        template = _joined([np.full(len(visits), template) for visits, template, _ in self._events])
        at = _joined([at for _, _, at in self._events])
        return Events(self._visitor[visit], self._segment[visit], template, at)

    def decisions(self) -> Decisions:
        columns = list(zip(*self._decisions, strict=True)) or [()] * len(Decisions._fields)
        return Decisions(*(np.concatenate(column) if column else np.zeros(0, np.int64) for column in columns))


def _rung_of(tier: int, script: Script) -> int:
    """Raises ``UsageError`` where nothing can be asked for at once."""
    for rung, asks in enumerate(script.rungs):
        if asks[0].tier == tier and any(ask.can_start for ask in asks):
            return rung
    raise UsageError(f"blunt_tier is {tier}; the ladder has no ask of its own there that a visit can begin with")


def _joined(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _whole_milliseconds(spans: Floats) -> Ints:
    """Microseconds as clients write times: to the millisecond."""
    whole: Ints = np.round(spans / 1000).astype(np.int64) * 1000
    return whole
