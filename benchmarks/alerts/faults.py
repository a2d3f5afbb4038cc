"""The detector as shipped, when other things than drops happen: `PYTHONPATH=.:benchmarks python -m alerts.faults`.

Outages, longer delays, slow ramps, a wander twice as large as learnt, many streams under a budget; time and memory.
"""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
from measured import machine

from alerts.world import Fault, World, live, past
from stream.alerts import Detector, Rules
from stream.alerts_learning import History
from stream.alerts_open import Notice
from stream.alerts_state import save

SEED = 2501
STREAMS = 40


def watched(world: World, minutes: int, fault: Fault | None = None, rules: Rules | None = None) -> list[Notice]:
    """All notices of a run."""
    draw = np.random.default_rng(world.seed)
    asks, yeses, delays, level = past(world, draw)
    detector = Detector.learn(History(0, asks, yeses, delays), rules)
    return [n for now in live(world, draw, level, minutes, fault) for n in detector.step(now.asks, now.yeses)]


def described(name: str, rate: float, fault: Fault, minutes: int) -> str:
    """A row: streams that alarmed since the fault, how late the first was, and the kinds, at first and corrected."""
    notices = watched(World(rate, STREAMS, SEED), minutes, fault)
    first: dict[int, Notice] = {}
    settled: dict[int, str] = {}
    alarms = 0
    for notice in notices:
        if notice.minute < fault.start[notice.unit]:
            continue
        alarms += notice.what == "alarm"
        if notice.what == "alarm" and notice.unit not in first:
            first[notice.unit] = notice
            settled[notice.unit] = notice.kind
        elif notice.what == "changed" and notice.minute - first[notice.unit].minute <= 60:
            settled[notice.unit] = notice.kind
    late = [notice.minute - fault.start[unit] + 1 for unit, notice in first.items()]
    kinds = [
        ", ".join(f"{number} {kind}" for kind, number in Counter(which).most_common()) or "-"
        for which in ([notice.kind for notice in first.values()], list(settled.values()))
    ]
    median = f"{np.median(late):.0f}" if late else "-"
    return f"| {name} | {rate:g} | {len(first)} of {STREAMS} | {median} | {kinds[0]} | {kinds[1]} | {alarms} |"


def quiet(rate: float, streams: int, days: int, wander: float, rules: Rules | None = None) -> float:
    """Alarms in 30 days of one stream, with a wander that may differ from the learnt one of 0.05."""
    world = World(rate, streams, SEED + 1, wander=wander, history_wander=0.05)
    alarms = [notice for notice in watched(world, days * 1440, rules=rules) if notice.what == "alarm"]
    return len(alarms) / (streams * days / 30)


def many(streams: int, days: int, budget: float) -> str:
    """False alarms of all streams together in 30 days with a budget and without, and planted drops found with it."""
    pooled = Rules(patience=43_200 / budget, together=True)
    row = [f"{quiet(10, streams, days, 0.05, rules) * streams:.1f}" for rules in (Rules(), pooled)]
    starts = np.where(np.arange(streams) < 45, 600, 10**8)
    notices = watched(World(10, streams, SEED + 2), 1200, Fault(starts, fall=0.4), pooled)
    found = {notice.unit: notice.minute - 599 for notice in reversed(notices) if notice.unit < 45}
    late = np.median(list(found.values()))
    return f"{row[0]} without, {row[1]} with; {len(found)} of 45 drops by 40 % found, median {late:.0f} minutes"


def speed(keys: int, minutes: int) -> str:
    """CPU time of a step, and the size of the saved state."""
    world = World(10, keys, SEED + 3)
    draw = np.random.default_rng(world.seed)
    asks, yeses, delays, level = past(world, draw)
    detector = Detector.learn(History(0, asks, yeses, delays))
    counted = list(live(world, draw, level, minutes))
    began = time.process_time()
    for now in counted:
        detector.step(now.asks, now.yeses)
    each = (time.process_time() - began) / minutes
    size = len(save(detector.state)) / keys
    return f"{keys:,} keys: {each * 1e3:.2f} ms a minute, {each / keys * 1e6:.1f} µs a key, {size:,.0f} bytes a key"


def main() -> None:
    print(machine(), flush=True)
    starts = 500 + np.arange(STREAMS) * 20
    for rate in (1.0, 10.0, 100.0):
        print(described("outage of 10 minutes", rate, Fault(starts, 10, silent=True), 1600), flush=True)
        print(described("outage of 2 hours", rate, Fault(starts, 120, silent=True), 1700), flush=True)
        print(described("delays twice as long", rate, Fault(starts, slow=2.0), 2000), flush=True)
    for rate in (10.0, 100.0):
        print(described("ramp to 20 % over two days", rate, Fault(starts, fall=0.2, ramp=2880), 5000), flush=True)
        print(f"wander of 0.1, learnt 0.05, {rate:g} a minute: {quiet(rate, 60, 8, 0.1):.1f} in 30 days", flush=True)
    print(f"200 streams, budget of 2 false alarms in 30 days: {many(200, 6, 2.0)}", flush=True)
    for keys in (1, 200, 5000):
        print(speed(keys, 200 if keys < 5000 else 20), flush=True)


if __name__ == "__main__":
    main()
