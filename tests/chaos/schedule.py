"""The schedule of a run as data: what is done to whom, when, and for how long.  A pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Cluster = Literal["embedded", "apache"]

STORM_S = 16.0
"""How long faults come down while events flow; what is still going on then is brought to its end."""

SESSION_TIMEOUT_S = 6
"""The shortest that Apache Kafka grants by default."""

TABLES = ("events", "rejects", "checkpoints", "sessions")


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    ``whom``: a worker, the collector, a broker, the way of a client to a broker, the lake as one worker sees it, the
    topic, or upkeep beside the workers.  ``shortest_s`` and ``longest_s``: how long it lasts; zero for an instant.
    ``brokers``: how many the cluster must have.  ``apache``: whether the embedded broker cannot bear it (it keeps
    everything in memory).  ``costs``: processes to start again, which is what a short run cannot have many of.
    """

    name: str
    whom: Literal["worker", "collector", "broker", "network", "lake", "topic", "upkeep"]
    shortest_s: float = 0.0
    longest_s: float = 0.0
    brokers: int = 1
    apache: bool = False
    costs: int = 0


KINDS: tuple[Kind, ...] = (
    Kind("worker killed", "worker", costs=1),
    Kind("worker told to stop", "worker", costs=1),
    Kind("worker leaves during a checkpoint", "worker", costs=1),
    Kind("worker joins during a checkpoint", "worker", 5, 7, costs=1),
    Kind("worker stands still for long", "worker", SESSION_TIMEOUT_S + 3, SESSION_TIMEOUT_S + 5),
    Kind("worker stands still for a moment", "worker", 1, 3),
    Kind("worker's clock steps forward", "worker", 2, 6),
    Kind("worker's clock steps back", "worker", 2, 6),
    Kind("collector killed", "collector", costs=1),
    Kind("collector told to stop", "collector", costs=1),
    Kind("collector stands still", "collector", 1, 4),
    Kind("collector's clock steps forward", "collector", 2, 5),
    Kind("collector's clock steps back", "collector", 2, 5),
    Kind("broker killed", "broker", 1, 3, apache=True, costs=3),
    Kind("broker told to stop", "broker", 1, 3, apache=True, costs=3),
    Kind("broker's disk lost", "broker", 1, 2, brokers=3, apache=True, costs=3),
    Kind("broker stands still", "broker", 2, 5),
    Kind("leaders move", "broker", brokers=2, apache=True),
    Kind("worker cut off", "network", 1, 4),
    Kind("worker's answers lost", "network", 1, 4),
    Kind("worker's packets held up", "network", 1, 5),
    Kind("worker's network slow", "network", 2, 6),
    Kind("collector cut off", "network", 1, 4),
    Kind("collector's answers lost", "network", 1, 4),
    Kind("collector's packets held up", "network", 1, 5),
    Kind("collector's network slow", "network", 2, 6),
    Kind("collector cut off with its disk full", "network", 1, 3),
    Kind("disk full under the data", "lake", costs=1),
    Kind("disk full under the commit", "lake", costs=1),
    Kind("no room for any file", "lake", 0.5, 2, costs=1),
    Kind("disk slow", "lake", 2, 5),
    Kind("disk hangs", "lake", 2, SESSION_TIMEOUT_S + 2),
    Kind("commit's answer lost", "lake", costs=1),
    Kind("commit's answer late", "lake", 1, SESSION_TIMEOUT_S + 2),
    Kind("killed before the commit", "lake", costs=1),
    Kind("killed after the commit", "lake", costs=1),
    Kind("poison record", "topic"),
    Kind("lake maintained", "upkeep", costs=1),
    Kind("upkeep killed", "upkeep", costs=1),
    Kind("disk full under upkeep", "upkeep", costs=1),
    Kind("late events put into sessions", "upkeep", costs=1),
    Kind("killed while late events are put into sessions", "upkeep", costs=1),
    Kind("build killed", "upkeep", costs=2),
)
STANDS_STILL = "worker stands still for long"
REPAIRS = ("late events put into sessions", "killed while late events are put into sessions")
WRONG_CLOCKS = ("collector's clock steps forward", "collector's clock steps back")
KIND = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Fault:
    """One fault.  ``at_s``: seconds into the storm.  ``number``: which worker or broker, where there are several.

    ``table``: at whose commit, for faults of the lake.  ``size``: how strong, from 0 to 1; what of is the fault's own.
    """

    at_s: float
    kind: str
    number: int
    for_s: float
    table: str
    size: float

    def __str__(self) -> str:
        kind = KIND[self.kind]
        whom = f" {self.number}" if kind.whom in ("worker", "broker", "lake", "network") else ""
        lasts = f" for {self.for_s:.1f} s" if self.for_s else ""
        where = f" ({self.table})" if kind.whom == "lake" else ""
        return f"{self.at_s:5.1f} s  {self.kind}{where}{whom}{lasts}"


@dataclass(frozen=True)
class Plan:
    """A run.

    ``live``: event time is now, and a silent partition's time passes; else hours pass within the run, by events alone.
    ``drain``: a worker that is told to stop takes the input for ended.
    """

    seed: int
    cluster: Cluster
    brokers: int
    workers: int
    partitions: int
    live: bool
    drain: bool
    faults: tuple[Fault, ...]

    def has(self, *kinds: str) -> bool:
        """Whether any of these is among the faults."""
        return any(fault.kind in kinds for fault in self.faults)

    @property
    def exact(self) -> bool:
        """Whether what becomes of each event follows from nothing but the order of the records."""
        return not (self.live or self.drain or self.has(*REPAIRS, *WRONG_CLOCKS))

    def __str__(self) -> str:
        many = f"{self.brokers} {self.cluster} broker{'s' if self.brokers > 1 else ''}"
        ways = [way for way, so in (("exact", self.exact), ("live", self.live), ("drain", self.drain)) if so]
        head = [f"seed {self.seed}: {many}", f"{self.workers} workers", f"{self.partitions} partitions", *ways]
        return "\n".join([", ".join(head), *(f"  {fault}" for fault in self.faults)])


def plan(seed: int, clusters: Sequence[tuple[Cluster, int]], *, faults: int = 14, restarts: int = 5) -> Plan:
    """The run of a seed on one of these clusters, which take turns.  ``restarts``: what its faults may cost at most.

    Each odd seed is exact.  There is one upkeep at most: of two at once one would give way.
    """
    chance = random.Random(f"chaos {seed}")
    cluster, brokers = clusters[seed % len(clusters)]
    exact = seed % 2 == 1
    possible = [
        kind
        for kind in KINDS
        if brokers >= kind.brokers
        and (cluster == "apache" or not kind.apache)
        and not (exact and kind.name in (*REPAIRS, *WRONG_CLOCKS))
    ]
    chance.shuffle(possible)
    workers = chance.choice([1, 2, 2, 3])
    chosen: list[Kind] = []
    if workers > 1:  # somebody else is there to take over: what a worker that wakes up must be refused for
        possible.sort(key=lambda kind: kind.name != STANDS_STILL)
    left = restarts
    while len(chosen) < faults:
        for kind in possible:
            again = kind.costs > 0 or kind.whom in ("broker", "worker")
            barred = (again and kind in chosen) or (kind.whom == "upkeep" and any(c.whom == "upkeep" for c in chosen))
            if len(chosen) < faults and kind.costs <= left and not barred:
                chosen.append(kind)
                left -= kind.costs
    drawn = [
        Fault(
            at_s=round(STORM_S * chance.uniform(*_when(kind)), 2),
            kind=kind.name,
            number=chance.randrange(brokers if kind.whom in ("broker", "network") else workers),
            for_s=round(chance.uniform(kind.shortest_s, kind.longest_s), 2),
            table=chance.choice(TABLES),
            size=round(chance.random(), 3),
        )
        for kind in chosen
    ]
    in_order = sorted(drawn, key=lambda fault: (fault.at_s, fault.kind))
    return Plan(
        seed=seed,
        cluster=cluster,
        brokers=brokers,
        workers=workers,
        partitions=chance.choice([1, 3, 4, 6]),
        live=not exact and chance.random() < 0.4,
        drain=not exact and chance.random() < 0.4,
        faults=tuple(_one_broker_at_a_time(in_order)),
    )


def _when(kind: Kind) -> tuple[float, float]:
    """The part of the storm in which it begins."""
    if kind.whom == "upkeep":  # there must be something to do
        return 0.5, 0.9
    if kind.name == STANDS_STILL:  # and then wakes up while there is still something to do
        return 0.0, 0.4
    # What waits for a commit asks for it early enough that there is one.
    return (0.0, 0.7) if kind.whom == "lake" else (0.0, 1.0)


def _one_broker_at_a_time(faults: Sequence[Fault]) -> list[Fault]:
    """A majority of brokers is what Kafka asks for, so the next one falls only when the one before is back."""
    free_at = 0.0
    spaced: list[Fault] = []
    for fault in faults:
        if KIND[fault.kind].whom == "broker":
            fault = replace(fault, at_s=round(max(fault.at_s, free_at), 2))
            free_at = fault.at_s + fault.for_s + (6.0 if KIND[fault.kind].costs else 1.0)
        spaced.append(fault)
    return sorted(spaced, key=lambda fault: (fault.at_s, fault.kind))
