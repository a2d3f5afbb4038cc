"""How late each contender is, at the same rate of false alarms: `PYTHONPATH=.:benchmarks python -m alerts.delays`.

Thresholds come from quiet runs (seeds from ``TUNING``) such that a stream has one false alarm in 30 days; delays and
false alarms from other seeds (from ``HELD_BACK``).  The faults start at all hours of a day.  A stream that alarms
already when its fault starts is left out; one that never alarms within the horizon counts as later than all others.
river is among the locked packages: `uv sync --group peers`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from measured import machine
from numpy.typing import NDArray

from alerts.contenders import (
    Adwin,
    Bocpd,
    Contender,
    Ewma,
    Hourly,
    Matured,
    Oracle,
    Ours,
    PageHinkley,
    RiverPageHinkley,
)
from alerts.world import Fault, World, live, past
from stream.alerts_learning import History

TUNING, HELD_BACK = 1, 2001
FALLS = (0.1, 0.2, 0.4, 0.6)
RATES = (1.0, 10.0, 100.0)
QUIET = 10 * 1440
HORIZON = {0.1: 8000, 0.2: 4000, 0.4: 2500, 0.6: 1500}
STREAMS = 120
ADWIN_DELTAS = (0.9, 0.5, 0.2, 0.05, 0.002, 1e-4, 1e-6)
_BLOCK = 720
_FROM_THEORY = float(np.log(43_200))

Make = Callable[[History], Contender]


def contenders(falls: tuple[float, ...]) -> dict[str, Make]:
    """By name; the oracle is one for each fall."""
    known: dict[str, Make] = {
        "the detector": Ours,
        "fixed hourly threshold": lambda history: Hourly(history, "threshold"),
        "relative change": lambda history: Hourly(history, "relative"),
        "z against last week": lambda history: Hourly(history, "last week"),
        "seasonal EWMA": Ewma,
        "Page-Hinkley": PageHinkley,
        "Page-Hinkley (river)": RiverPageHinkley,
        "BOCPD": Bocpd,
        "CUSUM on matured cohorts": Matured,
    }
    for delta in ADWIN_DELTAS:
        known[f"ADWIN {delta:g}"] = partial(Adwin, delta=delta)
    for fall in falls:
        known[f"oracle {fall}"] = partial(Oracle, fall=fall)
    return known


def scores(world: World, minutes: int, fault: Fault | None, make: dict[str, Make]) -> dict[str, NDArray[np.float32]]:
    """Every contender's score of the same minutes: (minutes, streams) each."""
    draw = np.random.default_rng(world.seed)
    asks, yeses, delays, level = past(world, draw)
    history = History(0, asks, yeses, delays)
    running = {name: build(history) for name, build in make.items()}
    found = {name: np.empty((minutes, world.streams), dtype=np.float32) for name in make}
    for minute, now in enumerate(live(world, draw, level, minutes, fault)):
        for name, contender in running.items():
            found[name][minute] = contender.score(minute, now)
    return found


def threshold(quiet: NDArray[np.float32]) -> float:
    """The score that half days pass once in 30 days and stream."""
    highest = np.sort(quiet.reshape(-1, _BLOCK, quiet.shape[1]).max(axis=1).ravel())[::-1]
    return float(highest[max(0, round(quiet.size / 43_200) - 1)])


def false_alarms(quiet: NDArray[np.float32], above: float) -> float:
    """Half days with a score above, in 30 days of a stream."""
    passed = quiet.reshape(-1, _BLOCK, quiet.shape[1]).max(axis=1) >= above
    return float(passed.sum() / (quiet.size / 43_200))


def median_delay(found: NDArray[np.float32], starts: NDArray[np.int64], above: float) -> tuple[float, float]:
    """Median minutes from the first that is faulty to the alarm, both counted, and the share that never alarmed."""
    late = []
    for stream, start in enumerate(starts):
        before = found[max(0, start - 60) : start, stream]
        if (before >= above).any():
            continue
        passed = np.flatnonzero(found[start:, stream] >= above)
        late.append(passed[0] + 1 if passed.size else np.inf)
    return float(np.median(late)), float(np.mean(np.isinf(late)))


def main(rates: list[float]) -> None:
    print(machine(), flush=True)
    for rate in rates:
        began = time.process_time()
        make = contenders(FALLS)
        quiet = scores(World(rate, STREAMS, TUNING), QUIET, None, make)
        for delta in ADWIN_DELTAS:
            print(f"rate {rate:g}: ADWIN {delta:g}: {false_alarms(quiet[f'ADWIN {delta:g}'], 0.5):.2f} in 30 days")
        chosen = [name for name in make if name not in _losers(quiet)]
        make = {name: make[name] for name in chosen}
        matched = {name: 0.5 if name.startswith("ADWIN") else threshold(quiet[name]) for name in chosen}
        ours = quiet["the detector"]
        print(f"rate {rate:g}: thresholds {matched}; as shipped, tuning seeds: {false_alarms(ours, _FROM_THEORY):.2f}")
        held = scores(World(rate, 2 * STREAMS, HELD_BACK), QUIET, None, {"the detector": Ours})["the detector"]
        print(
            f"rate {rate:g}: the detector as shipped, held back: {false_alarms(held, _FROM_THEORY):.2f} in 30 days",
            flush=True,
        )
        _table("falls of the chance of new asks", rate, "asks", make, matched)
        of_arrivals = {name: build for name, build in make.items() if not name.startswith("oracle")}
        _table("falls of the arrival of all yeses", rate, "arrivals", of_arrivals, matched)
        print(f"rate {rate:g}: {time.process_time() - began:.0f} CPU seconds", flush=True)


def _losers(quiet: dict[str, NDArray[np.float32]]) -> set[str]:
    """All ADWINs but the one that comes nearest to a false alarm in 30 days without passing it."""
    rates = {name: false_alarms(found, 0.5) for name, found in quiet.items() if name.startswith("ADWIN")}
    quiet_enough = [name for name, rate in rates.items() if rate <= 1.0]
    best = max(quiet_enough, key=lambda name: rates[name], default=list(rates)[-1])
    return set(rates) - {best}


def _table(
    title: str, rate: float, of: Literal["asks", "arrivals"], make: dict[str, Make], matched: dict[str, float]
) -> None:
    rows: dict[str, list[str]] = {"the detector, threshold from theory": []}
    for number, fall in enumerate(FALLS):
        starts = 240 + np.arange(STREAMS) * 1440 // STREAMS
        chosen = {
            name: build for name, build in make.items() if not name.startswith("oracle") or name == f"oracle {fall}"
        }
        minutes = 1680 + HORIZON[fall] // (1 if rate < 100 else 2)
        world = World(rate, STREAMS, HELD_BACK + 1 + number)
        found = scores(world, minutes, Fault(starts, fall=fall, of=of), chosen)
        for name in chosen:
            row = "oracle" if name.startswith("oracle") else name
            rows.setdefault(row, []).append(_said(*median_delay(found[name], starts, matched[name])))
        rows["the detector, threshold from theory"].append(
            _said(*median_delay(found["the detector"], starts, _FROM_THEORY))
        )
    print(title)
    for name, cells in rows.items():
        print(f"| {name} | {rate:g} | {' / '.join(cells)} |", flush=True)


def _said(median: float, never: float) -> str:
    return "-" if np.isinf(median) else f"{median:.0f}"


if __name__ == "__main__":
    main([float(rate) for rate in sys.argv[1:]] or list(RATES))
