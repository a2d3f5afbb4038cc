"""What is true of a simulation before anything is drawn: every situation in which somebody is asked, and how often.

Told by plain loops over the states that a visit can be in, from the words of ``producers.simulation.Simulation``.  For
ladders whose every tier with a yes has an ask of its own, with an event that does nothing else, and without spikes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ladder.tiers import Ladder
from producers.script import script_of
from producers.simulation import Simulation

LONGEST_PAUSE_S, SHORTEST_PAUSE_S = 60.0, 0.2
"""The ends between which a visitor's pauses are held; true of ladders with a session gap of at least four minutes."""
_GRID_S = 0.01


class Situation(NamedTuple):
    """People who are asked for ``tier`` while they hold ``held`` (0: none), after so many ``yeses``.

    ``is_next``: the ask that follows on a yes.  ``pauses``: since their last yes.  ``rewards`` they have got, and
    ``gives``: these, and the yes to the lowest tier.  ``took``: they were asked for more than the lowest tier at first;
    ``is_first``: for the first time now.  ``weight``: how many a visit has on average; ``yes``: the probability of
    theirs.  ``lost``: of the weight, those who say no and are asked no more.
    """

    tier: int
    held: int
    yeses: int
    is_next: bool
    pauses: int
    rewards: int
    gives: int
    took: bool
    is_first: bool
    weight: float
    yes: float
    lost: float


class _State(NamedTuple):
    rung: int
    held: int
    yeses: int
    is_next: bool
    pauses: int
    rewards: int
    has_read: bool
    took: bool
    is_first: bool


def situations(simulation: Simulation, ladder: Ladder) -> list[Situation]:
    """All of one visit, segments put together."""
    tiers = [asks[0].tier for asks in script_of(ladder).rungs]
    rates = [simulation.rates(len(ladder.tiers))[tier - 1] for tier in tiers]
    all_shares = sum(segment.share for segment in simulation.segments)
    found: list[Situation] = []
    for segment in simulation.segments:
        states: dict[_State, float] = defaultdict(float)
        for rung, chance in ((0, 1 - simulation.skip_share), (1, simulation.skip_share)):
            begun = _State(rung, -1, 0, False, 0, 0, False, rung > 0, True)
            states[begun] += chance * segment.share / all_shares
        for rung, tier in enumerate(tiers):
            for state in [state for state in states if state.rung == rung]:
                weight = states.pop(state)
                odds = rates[rung] / (1 - rates[rung]) * segment.odds
                odds *= simulation.momentum ** min(state.yeses, 3) * simulation.leap_penalty ** (rung - state.held - 1)
                yes = odds / (1 + odds)
                stay = simulation.push_share if rung + 1 < len(tiers) else 0.0
                held = tiers[state.held] if state.held >= 0 else 0
                found.append(
                    Situation(
                        tier,
                        held,
                        state.yeses,
                        state.is_next,
                        state.pauses,
                        state.rewards,
                        state.rewards + state.has_read,
                        state.took,
                        rung > 0 and state.is_first,
                        weight,
                        yes,
                        lost=weight * (1 - yes) * (1 - stay),
                    )
                )
                for then, chance in _next(state, simulation, yes):
                    states[then] += weight * chance
    return found


def _next(state: _State, simulation: Simulation, yes: float) -> Iterator[tuple[_State, float]]:
    """Where people are asked next, with the chance of it."""
    asked = state._replace(is_first=state.is_first and state.rung == 0)
    for said_no, chance in ((1, simulation.no_share), (0, 1 - simulation.no_share)):
        pauses = state.pauses + 1 + said_no if state.yeses else 0
        after = asked._replace(rung=state.rung + 1, is_next=False, pauses=pauses)
        yield after, (1 - yes) * simulation.push_share * chance
    for skipped, skips in ((1, simulation.skip_share), (0, 1 - simulation.skip_share)):
        for rewarded, rewards in ((1, simulation.reward_share), (0, 1 - simulation.reward_share)):
            for cheered, cheers in ((1, simulation.cheer_share), (0, 1 - simulation.cheer_share)):
                after = asked._replace(
                    rung=state.rung + 1 + skipped,
                    held=state.rung,
                    yeses=state.yeses + 1,
                    is_next=True,
                    pauses=1 + rewarded + cheered,
                    rewards=state.rewards + rewarded,
                    has_read=state.has_read or state.rung == 0,
                )
                yield after, yes * skips * rewards * cheers


def rate(some: Iterable[Situation]) -> float:
    """The yes-rate of these asks."""
    chosen = list(some)
    return sum(one.weight * one.yes for one in chosen) / sum(one.weight for one in chosen)


def adjusted(some: Iterable[tuple[str, Situation]]) -> dict[str, float]:
    """The yes-rate of each bucket, with its tiers weighing as much as all asks have of them."""
    weights: dict[int, float] = defaultdict(float)
    cells: dict[str, dict[int, list[Situation]]] = defaultdict(lambda: defaultdict(list))
    for bucket, one in some:
        weights[one.tier] += one.weight
        cells[bucket][one.tier].append(one)
    return {
        name: sum(weights[tier] * rate(cell) for tier, cell in tiers.items()) / sum(weights[tier] for tier in tiers)
        for name, tiers in cells.items()
    }


def highest_tiers(some: Iterable[Situation], tiers: int) -> list[float]:
    """The share of visits whose highest yes is of each tier, from 0 (none)."""
    reached = [1.0] + [0.0] * tiers
    for one in some:
        reached[one.tier] += one.weight * one.yes
        reached[one.held] -= one.weight * one.yes
    return reached


def share_within(pauses: int, limit_s: float, mean_s: float) -> float:
    """The probability that so many pauses together last less than a limit."""
    return float(_within(pauses, mean_s)[round(limit_s / _GRID_S) - 1])


@lru_cache
def _within(pauses: int, mean_s: float) -> npt.NDArray[np.float64]:
    """For each multiple of the grid up to a minute (exclusive) the share of sums below the next one."""
    return np.cumsum(_density(pauses, mean_s))


@lru_cache
def _density(pauses: int, mean_s: float) -> npt.NDArray[np.float64]:
    """The chance of each grid cell [i, i + 1): one pause is exponential, and at least the shortest."""
    cells = round(LONGEST_PAUSE_S / _GRID_S)
    edges = np.arange(cells + 1) * _GRID_S
    below = 1 - np.exp(-edges / mean_s)
    below[edges < SHORTEST_PAUSE_S - _GRID_S / 2] = 0
    one: npt.NDArray[np.float64] = np.diff(below)
    # the pause that is cut to the shortest lies at the start of its cell
    at_least = round(SHORTEST_PAUSE_S / _GRID_S)
    one[:at_least] = 0
    one[at_least] += 1 - np.exp(-SHORTEST_PAUSE_S / mean_s)
    if pauses == 1:
        return one
    rest = _density(pauses - 1, mean_s)
    whole: npt.NDArray[np.float64] = np.convolve(rest, one)[:cells]
    # two cells together begin between i + j and i + j + 2: half of it spills over
    spilled = np.zeros(cells)
    spilled += whole / 2
    spilled[1:] += whole[:-1] / 2
    return spilled
