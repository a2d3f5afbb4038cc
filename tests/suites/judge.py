"""Many simulated audiences in one warehouse, and whether the marts' intervals hold what is true of them.

The visitors of a run carry its name as their first-touch campaign, so that ``--segment utm_campaign`` of each question
answers for each run by itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import log
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl

from ladder.gradient import gradient
from ladder.rates import Rate, difference, wilson
from ladder.tables import EVENTS, LANDED
from ladder.tiers import Ladder, Mark, Rule
from producers.script import Script, script_of
from producers.simulation import Segment, Simulation
from producers.walks import walk
from stream.history import sessionise_history
from tests.suites.expected_walks import Situation, adjusted, highest_tiers, rate, share_within, situations
from warehouse.asks import AfterYes, after_yes, hesitation, leaps, momentum
from warehouse.counted import Slice
from warehouse.drop_off import tier_drop_off
from warehouse.effects import of_a_cheer, of_a_gift, of_an_earlier_yes
from warehouse.lake import Lake
from warehouse.stands import standing
from warehouse.too_soon import TooSoon, too_soon
from warehouse.value_first import value_first

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STEPS = ("read", "vote", "sign up", "try", "buy")
TIERS = ("spark", "micro", "mini", "midi", "macro")
CHEERED_WITHIN_S = 10.0

_LANDED_TOGETHER = 20_000
"""Visitors in one commit."""

_MANY = 10**9
"""Visits of which nearly nothing is left to chance."""

K = TypeVar("K", bound=Hashable)


def _rules(tier: int, step: str) -> Iterator[Rule]:
    for role in ("ask", "yes", "no", "reward", "cheer"):
        yield Rule(f"{step} {role}", {}, (Mark(tier, role, step),))


LADDER = Ladder(
    "judged",
    TIERS,
    tuple(
        rule for tier, step in enumerate(("read", "vote", "sign up", "try", "buy"), 1) for rule in _rules(tier, step)
    ),
    conversion_window=timedelta(hours=1),
)
"""Every ask is an event of its own, so that nobody is asked by the way: the marts see what the simulator decides on."""

CLIMB = Simulation(
    visits_per_visitor=1,
    regret_share=0,
    skip_share=0.2,
    push_share=0.4,
    yes_rates=(0.7, 0.6, 0.5, 0.45, 0.4),
    momentum=1.4,
    leap_penalty=0.5,
    out_of_order=0,
    late=0,
    duplicates=0,
    malformed=0,
)
NOTHING = replace(
    CLIMB, visits_per_visitor=1.6, yes_rates=(0.5,) * 5, momentum=1, leap_penalty=1, segments=(Segment("all"),)
)
"""Whatever came before, an ask is answered yes by every second."""


@dataclass(frozen=True)
class World:
    """What simulated people are like, and by whose life the marts are asked about them.

    With several visits each, what the simulator counts in a visit is what the marts count in a session.
    """

    name: str
    simulation: Simulation
    unit: str


WORLDS = (World("climb", CLIMB, "visitor"), World("nothing", NOTHING, "session"))


class Estimate(NamedTuple):
    """A number of the marts with its 95 % interval, and how many it was counted from."""

    value: float
    low: float
    high: float
    counted: int


@dataclass(frozen=True)
class Verdict:
    """One estimate over all runs.  ``covered``: runs whose interval holds the truth.  ``fewest``: counted in a run.

    ``bias``: the mean of value - truth.
    """

    name: str
    truth: float
    runs: int
    covered: int
    fewest: int
    bias: float


def land_runs(lake: Lake, world: World, visitors: int, runs: int, first_seed: int, ladder: Ladder = LADDER) -> int:
    """Draw runs of so many visitors, put all of them into the lake, and tell how many events there are."""
    script = script_of(ladder)
    total, together = 0, max(1, _LANDED_TOGETHER // max(1, visitors))
    for first in range(0, runs, together):
        frame = pl.concat(
            _events(
                replace(world.simulation, visitors=visitors, seed=first_seed + run), script, ladder,
                f"{world.name}-{run:03}",
            )
            for run in range(first, min(first + together, runs))
        )  # fmt: skip
        lake.append("events", frame.select([c for c in EVENTS.names if c != LANDED.name]).to_arrow(), now=NOW)
        lake.append("sessions", sessionise_history(frame, ladder, "file:judge"), now=NOW)
        total += len(frame)
    return total


def _events(simulation: Simulation, script: Script, ladder: Ladder, run: str) -> pl.DataFrame:
    """What one run's visitors do, as rows of the lake's events."""
    drawn, _ = walk(simulation, ladder, script, np.random.default_rng(simulation.seed))
    names = np.array([template.name for template in script.templates])
    at = pl.from_epoch(pl.Series(drawn.at), "us").dt.replace_time_zone("UTC")
    frame = pl.DataFrame(
        {
            "event_id": f"{run}-" + pl.Series(np.arange(len(drawn.at))).cast(pl.String),
            "visitor_id": f"{run}-v" + pl.Series(drawn.visitor).cast(pl.String),
            "name": pl.Series(names[drawn.template]),
            "occurred_at": at,
            "received_at": at,
            "record_offset": np.arange(len(drawn.at)),
        }
    )
    text = {"kind": "track", "properties": "{}", "context": "{}", "source": "file:judge", "utm_campaign": run}
    empty = ("user_id", "page_url", "referrer", "utm_source", "utm_medium", "device_class")
    return frame.with_columns(
        *(pl.lit(value).alias(column) for column, value in text.items()),
        *(pl.lit(None, pl.String).alias(column) for column in empty),
        pl.lit(0, pl.Int32).alias("partition"),
        pl.lit(value=False).alias("late"),
    )


def estimates(warehouse: Path, world: World, *, together: bool = False) -> dict[str, dict[str, Estimate]]:
    """By run and name: everything with an interval that the ladder marts tell of a world.

    ``together``: of all that is in the warehouse, as one run without a name.
    """
    of = Slice(None if together else "utm_campaign", world.unit)
    found: dict[str, dict[str, Estimate]] = defaultdict(dict)
    by_tier: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    lost: dict[str, Counter[str]] = defaultdict(Counter)
    all_leaps = leaps(warehouse, LADDER, of)
    for score in all_leaps.gradients if has_falls(world.simulation) else ():
        found[score.segment_value]["gradient score"] = Estimate(score.score, score.low, score.high, 0)
    for leap in all_leaps.leaps:
        run = leap.segment_value
        name = f"leap {leap.held_tier} to {leap.tier}: yes-rate"
        found[run][name] = Estimate(leap.yes_rate, leap.yes_rate_low, leap.yes_rate_high, leap.asks)
        by_tier[run, leap.tier] += Counter(asks=leap.asks, yes=leap.yes)
        lost[run] += Counter({"all": leap.lost, "long": leap.lost if leap.tier - leap.held_tier > 1 else 0})
    for (run, tier), counts in by_tier.items():
        found[run][f"tier {tier}: yes-rate"] = _share(counts["yes"], counts["asks"])
    for run, counts in lost.items():
        found[run]["people lost: on long leaps"] = _share(counts["long"], counts["all"])
    for row in momentum(warehouse, LADDER, of):
        own, name = found[row.segment_value], f"{row.grouped_by} {row.bucket}"
        own[f"{name}: yes-rate"] = Estimate(row.yes_rate, row.yes_rate_low, row.yes_rate_high, row.asks)
        own[f"{name}: adjusted"] = Estimate(row.adjusted_rate, row.adjusted_rate_low, row.adjusted_rate_high, row.asks)
    for soon in too_soon(warehouse, LADDER, of):
        found[soon.segment_value] |= _too_soon(soon)
    for step in hesitation(warehouse, LADDER, of):
        own = found[step.segment_value]
        own[f"tier {step.tier}: unthinking"] = _share(step.unthinking, step.answers)
        own[f"tier {step.tier}: pondered"] = _share(step.pondered, step.answers)
    for said in after_yes(warehouse, LADDER, of):
        found[said.segment_value] |= _after_yes(said)
    for run, own in _by_run(warehouse, of, together).items():
        found[run] |= own
    for name, effects in (
        ("an earlier yes", of_an_earlier_yes(warehouse, LADDER, of)),
        ("a cheer", of_a_cheer(warehouse, LADDER, of)),
        ("a gift", of_a_gift(warehouse, LADDER, of)),
    ):
        for run, effect in effects.items():
            found[run][f"with {name}: yes-rate"] = Estimate(*effect.one, effect.trials[0])
            found[run][f"with {name} less without: yes-rate"] = Estimate(*effect.difference, min(effect.trials))
    return {run: own for run, own in found.items() if together or run.startswith(f"{world.name}-")}


def _by_run(warehouse: Path, of: Slice, together: bool) -> dict[str, dict[str, Estimate]]:
    """What is told of units as wholes: where they stand, whether they dropped off, how they began."""
    stands, drop_offs = standing(warehouse, LADDER, of), tier_drop_off(warehouse, LADDER, of)
    values = value_first(warehouse, LADDER, of)
    found: dict[str, dict[str, Estimate]] = defaultdict(dict)
    for run, stand in ({"": stands.all} if together else stands.by).items():
        for row in stand.tiers:
            found[run][f"stands at {row.tier}"] = _share(row.units, stand.units)
            if row.tier > 0:
                found[run][f"stands at {row.tier} or higher"] = _share(row.at_least, stand.units)
    for run, tiers in ({"": drop_offs.rows} if together else drop_offs.by).items():
        for tier in tiers:
            ends = (tier.matured_drop_off_low, tier.matured_drop_off_high)
            found[run][f"tier {tier.tier}: drop-off"] = Estimate(tier.matured_drop_off, *ends, tier.matured)
            if tier.tier < len(TIERS):
                found[run][f"tier {tier.tier}: reached next"] = _share(tier.reached_next, tier.reached)
    for run, value in ({"": values.all} if together else values.by).items():
        for start in value.starts:
            if start.start in ("gives", "takes"):
                found[run][f"start {start.start}: share"] = _share(start.units, value.units)
                found[run][f"start {start.start}: yes-rate"] = _share(start.yes, start.asks)
        for given in value.gives:
            if given.asks:
                found[run][f"{given.given} {given.bucket}: yes-rate"] = _share(given.yes, given.asks)
    return found


def _too_soon(soon: TooSoon) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for name, asked in (("too soon", soon.too_soon), ("in order", soon.in_order)):
        found[f"{name}: yes-rate"] = Estimate(asked.yes_rate, asked.yes_rate_low, asked.yes_rate_high, asked.asks)
        found[f"{name}: share lost"] = Estimate(
            asked.lost_share, asked.lost_share_low, asked.lost_share_high, asked.asks
        )
    fewest = min(soon.too_soon.asks, soon.in_order.asks)
    found["too soon less in order: yes-rate"] = Estimate(
        soon.yes_rate_difference, soon.yes_rate_difference_low, soon.yes_rate_difference_high, fewest
    )
    found["too soon less in order: share lost"] = Estimate(
        soon.lost_share_difference, soon.lost_share_difference_low, soon.lost_share_difference_high, fewest
    )
    return found


def _after_yes(said: AfterYes) -> dict[str, Estimate]:
    tier = said.tier
    found = {
        f"tier {tier}: rewarded": _share(said.rewarded, said.yeses),
        f"tier {tier}: cheered": _share(said.cheered, said.yeses),
    }
    if tier < len(TIERS):
        cheered = _share(said.next_yes_cheered, said.next_asks_cheered)
        uncheered = _share(said.next_yes_uncheered, said.next_asks_uncheered)
        found[f"after a yes to tier {tier}, cheered: yes-rate"] = cheered
        found[f"after a yes to tier {tier}, not cheered: yes-rate"] = uncheered
        found[f"after a yes to tier {tier}, cheered less not: yes-rate"] = _less(cheered, uncheered)
    return found


def _less(one: Estimate, other: Estimate) -> Estimate:
    return Estimate(*difference(Rate(*one[:3]), Rate(*other[:3])), min(one.counted, other.counted))


def _share(part: int, whole: int) -> Estimate:
    return Estimate(*wilson(part, whole), whole)


def quantiles(warehouse: Path, world: World) -> dict[str, list[float]]:
    """By name what each run says of times, which has no interval."""
    of = Slice("utm_campaign", world.unit)
    found: dict[str, list[float]] = defaultdict(list)
    for row in hesitation(warehouse, LADDER, of):
        if row.segment_value.startswith(world.name):
            for name, value in (("p10", row.p10_seconds), ("median", row.median_seconds), ("p90", row.p90_seconds)):
                found[f"tier {row.tier}: {name}"].append(value)
    for said in after_yes(warehouse, LADDER, of):
        if said.segment_value.startswith(world.name) and said.median_reward_seconds is not None:
            found[f"tier {said.tier}: median to reward"].append(said.median_reward_seconds)
    return dict(found)


def true_quantiles(simulation: Simulation) -> dict[str, float]:
    """What ``quantiles`` estimates."""
    mean = simulation.think_time.total_seconds()
    shares = {"p10": 0.1, "median": 0.5, "p90": 0.9, "median to reward": 0.5}
    of_answer = {name: -log(1 - share) * mean for name, share in shares.items()}
    return {f"tier {tier}: {name}": value for tier in range(1, 6) for name, value in of_answer.items()}


def truth(simulation: Simulation) -> dict[str, float]:
    """What ``estimates`` estimates, by name."""
    asks = situations(simulation, LADDER)
    mean = simulation.think_time.total_seconds()
    found: dict[str, float] = {}
    for (held, tier), some in _by(asks, lambda one: (one.held, one.tier)).items():
        found[f"leap {held} to {tier}: yes-rate"] = rate(some)
    far = _by(asks, lambda one: "too soon" if one.tier - one.held > 1 else "in order")
    lost = {name: sum(one.lost for one in some) for name, some in far.items()}
    found["people lost: on long leaps"] = lost["too soon"] / sum(lost.values())
    for name, some in far.items():
        found[f"{name}: yes-rate"] = rate(some)
        found[f"{name}: share lost"] = lost[name] / sum(one.weight for one in some)
    for what in ("yes-rate", "share lost"):
        found[f"too soon less in order: {what}"] = found[f"too soon: {what}"] - found[f"in order: {what}"]
    cheered = _cheered(simulation)
    for tier, some in _by(asks, lambda one: one.tier).items():
        found[f"tier {tier}: yes-rate"] = rate(some)
        found[f"tier {tier}: unthinking"] = 1 - float(np.exp(-1 / mean))
        found[f"tier {tier}: pondered"] = float(np.exp(-60 / mean))
        found[f"tier {tier}: rewarded"] = simulation.reward_share
        found[f"tier {tier}: cheered"] = cheered
        if tier < len(TIERS):
            after = rate(one for one in asks if one.is_next and one.held == tier)
            found[f"after a yes to tier {tier}, cheered: yes-rate"] = after
            found[f"after a yes to tier {tier}, not cheered: yes-rate"] = after
            found[f"after a yes to tier {tier}, cheered less not: yes-rate"] = 0.0
    with_yes, without = [one for one in asks if one.yeses > 0], [one for one in asks if one.yeses == 0]
    found |= _effect("an earlier yes", _by(with_yes, lambda one: one.tier), _by(without, lambda one: one.tier))
    firsts = [one for one in asks if one.is_first]
    gives, takes = ([one for one in firsts if one.took == took] for took in (False, True))
    found |= _effect("a gift", _by(gives, lambda one: one.tier), _by(takes, lambda one: one.tier))
    found |= {"start gives: yes-rate": rate(gives), "start takes: yes-rate": rate(takes)}
    found |= {"start gives: share": 1 - simulation.skip_share, "start takes: share": simulation.skip_share}
    higher = [one for one in asks if one.tier > 1]
    for bucket, some in _by(higher, lambda one: _bucket(one.rewards)).items():
        found[f"rewards {bucket}: yes-rate"] = rate(some)
    for bucket, some in _by(higher, lambda one: _bucket(one.gives)).items():
        found[f"gives {bucket}: yes-rate"] = rate(some)
    found |= _of_units(asks)
    if has_falls(simulation):
        found["gradient score"] = _gradient(asks)
    following = _by((one for one in asks if one.is_next), lambda one: one.held)
    found |= _effect("a cheer", following, following)
    for grouped_by, buckets in _buckets(asks, mean).items():
        together: dict[str, list[Situation]] = defaultdict(list)
        for bucket, one in buckets:
            together[bucket].append(one)
        found |= {f"{grouped_by} {bucket}: yes-rate": rate(some) for bucket, some in together.items()}
        found |= {f"{grouped_by} {bucket}: adjusted": value for bucket, value in adjusted(buckets).items()}
    return found


def _of_units(asks: Sequence[Situation]) -> dict[str, float]:
    """Where units stand and whether they drop off; nobody is asked for a tier twice in a visit."""
    found: dict[str, float] = {}
    shares = highest_tiers(asks, len(TIERS))
    for tier, share in enumerate(shares):
        found[f"stands at {tier}"] = share
        if tier > 0:
            found[f"stands at {tier} or higher"] = sum(shares[tier:])
    of_tier = _by(asks, lambda one: one.tier)
    for tier, some in of_tier.items():
        found[f"tier {tier}: drop-off"] = 1 - rate(some)
        if tier < len(TIERS):
            both = sum(one.weight * one.yes for one in of_tier[tier + 1] if one.held == tier)
            found[f"tier {tier}: reached next"] = both / sum(one.weight * one.yes for one in some)
    return found


def has_falls(simulation: Simulation) -> bool:
    """Whether it gets harder anywhere: where it does not there is no gradient, and chance makes one of its own."""
    return simulation.leap_penalty < 1 or len(set(simulation.rates(len(TIERS)))) > 1


def _gradient(asks: Sequence[Situation]) -> float:
    """The score of so many visits that next to nothing is left to chance; without falls there is none."""
    ways = {
        way: (round(_MANY * sum(one.weight for one in some)), round(_MANY * sum(one.weight * one.yes for one in some)))
        for way, some in _by(asks, lambda one: (one.held, one.tier)).items()
    }
    score = gradient(ways)
    return 0.0 if score is None else score.score


def _effect(
    name: str, one: Mapping[int, Sequence[Situation]], other: Mapping[int, Sequence[Situation]]
) -> dict[str, float]:
    """What ``warehouse.effects`` tells of something, in the strata that both have."""
    weights = {key: sum(ask.weight for of in (one, other) for ask in of[key]) for key in one.keys() & other.keys()}
    value, without = (
        sum(weight * rate(of[key]) for key, weight in weights.items()) / sum(weights.values()) for of in (one, other)
    )
    return {f"with {name}: yes-rate": value, f"with {name} less without: yes-rate": value - without}


def _buckets(asks: Sequence[Situation], mean_s: float) -> dict[str, list[tuple[str, Situation]]]:
    """The asks as momentum groups them; those after a yes once for each time that may have passed, by their shares."""
    since = []
    for one in asks:
        if one.yeses:
            soon = share_within(one.pauses, 60, mean_s)
            since.append(("under a minute", one._replace(weight=one.weight * soon)))
            since.append(("under an hour", one._replace(weight=one.weight * (1 - soon))))
    return {
        "earlier yeses": [(_bucket(one.yeses), one) for one in asks],
        "tier held": [(str(one.held), one) for one in asks],
        "since the last yes": since,
    }


def _bucket(number: int) -> str:
    return str(number) if number < 3 else "3+"


def _cheered(simulation: Simulation) -> float:
    """A cheer comes after a yes's own pause, or after that and the reward's."""
    mean = simulation.think_time.total_seconds()
    soon = [share_within(pauses, CHEERED_WITHIN_S, mean) for pauses in (1, 2)]
    return simulation.cheer_share * ((1 - simulation.reward_share) * soon[0] + simulation.reward_share * soon[1])


def _by(asks: Iterable[Situation], key: Callable[[Situation], K]) -> dict[K, list[Situation]]:
    found: dict[K, list[Situation]] = defaultdict(list)
    for one in asks:
        found[key(one)].append(one)
    return found


def judged(true: Mapping[str, float], found: Mapping[str, Mapping[str, Estimate]]) -> list[Verdict]:
    """For each name how many runs hold its truth; a run without the row says nothing and holds everything."""
    return [
        Verdict(
            name,
            value,
            len(found),
            sum(name not in own or own[name].low <= value <= own[name].high for own in found.values()),
            min(own[name].counted if name in own else 0 for own in found.values()),
            float(np.mean([own[name].value - value for own in found.values() if name in own])),
        )
        for name, value in true.items()
    ]


def differences(own: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """One run's differences between neighbours: those the product tells, and between the groups of momentum."""
    found = {name: estimate for name, estimate in own.items() if " less " in name}
    for kind in ("yes-rate", "adjusted"):
        for grouped_by, buckets in (
            ("earlier yeses", ("0", "1", "2", "3+")),
            ("tier held", ("0", "1", "2", "3", "4")),
            ("since the last yes", ("under a minute", "under an hour")),
        ):
            names = [f"{grouped_by} {bucket}: {kind}" for bucket in buckets]
            for before, after in pairwise(name for name in names if name in own):
                found[f"{after} less {before}"] = _less(own[after], own[before])
    return found


def is_found(difference: Estimate) -> bool:
    """Whether the interval leaves no room for there being none."""
    return difference.low > 0 or difference.high < 0
