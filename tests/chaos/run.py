"""Runs of chaos, one seed after the other: `python tests/chaos/run.py --seeds 50`."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp

if __name__ == "__main__":  # at the end: what is installed is what is tested
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.chaos.cluster import Apache, Cluster, Embedded
from tests.chaos.faults import End, begin, heal
from tests.chaos.numbers import CHECKED, CONNECTED_ANEW, REFUSED, Numbers, signs_in
from tests.chaos.reconcile import Circumstances, OnTopic, Verdict, reconcile, reconcile_repaired
from tests.chaos.road import IDLE_AFTER, Broken, Road
from tests.chaos.schedule import (
    KIND,
    REPAIRS,
    STANDS_STILL,
    STORM_S,
    WRONG_CLOCKS,
    Cluster as ClusterKind,
    Plan,
    plan,
)
from warehouse.quality import Gate

CLUSTERS: tuple[tuple[ClusterKind, int], ...] = (
    ("apache", 2),
    ("apache", 3),
    ("apache", 1),
    ("apache", 3),
    ("embedded", 1),
)
"""They take turns; those of the first three seeds are what a short run has time for."""

HAPPEN = 0.7
"""Of the faults that are planned so many must happen; some find nobody there."""
A_CAMPAIGN = 10
"""From so many runs on some commit must have been refused; in fewer there may be nobody to take over in time."""
PATIENCE_S = 120.0
COMES_WITHIN_S = 15.0
"""After the storm a worker that was started again has so long to come to the commit at which something awaits it."""


@dataclass
class Run:
    """What came of a seed.

    ``injected``: faults that did happen, by kind.  ``signs``: what the logs say of them.  ``phases``: seconds of each.
    ``built``: with the marts.
    """

    plan: Plan
    verdict: Verdict
    injected: Counter[str]
    signs: Counter[str]
    restarts: Counter[str]
    seconds: float
    phases: dict[str, float] = field(default_factory=dict)
    built: bool = False
    logs: Path | None = None
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        said = self.verdict
        words = "ok" if not self.wrong else f"WRONG, logs in {self.logs}"
        return (
            f"seed {self.plan.seed:3}  {self.plan.cluster} x{self.plan.brokers}, {self.plan.workers} workers  "
            f"{self.injected.total():2} faults  {said.answered} answered, {said.events} events ({said.late} late, "
            f"{said.copies} copies), {said.dead_letters} dead letters, {said.sessions} sessions  "
            f"{said.lost} lost, {said.doubled} doubled  {self.seconds:.0f} s  {words}"
        )


def run_plan(which: Plan, cluster: Cluster, gate: Gate | None, folder: Path) -> Run:
    """One run from its first process to its verdict.  What is wrong is in the result, nothing is raised.

    ``gate``: what builds the marts; None for a run that ends with the lake.
    """
    started = time.monotonic()
    injected: Counter[str] = Counter()
    verdict = Verdict()
    wrong: list[str] = []
    road: Road | None = None
    phases: dict[str, float] = {}

    def lap(phase: str) -> None:
        phases[phase] = round(time.monotonic() - started - sum(phases.values()), 1)

    try:
        road = Road(which, cluster, folder)
        road.start()
        lap("start")
        injected += storm(which, road)
        lap("storm")
        heal(cluster)
        road.finish(PATIENCE_S)
        lap("finish")
        road.close_sessions()
        topic = OnTopic()
        for record in road.records():
            topic.add(record, road.sender.ledger.good)
        lake, ladder = road.lake, road.ladder
        known = circumstances(which, road)
        verdict = reconcile(road.sender.ledger, topic, road.poison, lake, ladder, road.source, known)
        lap("reconcile")
        if not verdict.wrong:
            reconcile_repaired(verdict, topic, lake, ladder, road.source, known, gate, datetime.now(UTC))
        lap("repair and build")
        wrong += verdict.wrong
    except Exception as error:
        wrong.append(f"{type(error).__name__}: {error}")
        if not isinstance(error, Broken | TimeoutError):
            wrong.append(traceback.format_exc())
    finally:
        if road is not None:
            road.close()
        heal(cluster)
    said = "" if road is None else road.logs("worker") + road.logs("collector")
    return Run(
        plan=which,
        verdict=verdict,
        injected=injected,
        signs=signs_in(said)
        + Counter({"runs that had to leave no session open": int(road is not None and road.drained)}),
        restarts=Counter() if road is None else road.restarts,
        seconds=time.monotonic() - started,
        phases=phases,
        built=gate is not None,
        logs=folder,
        wrong=wrong,
    )


def circumstances(which: Plan, road: Road) -> Circumstances:
    between = [fault for fault in which.faults if KIND[fault.kind].whom == "broker" or "collector" in fault.kind]
    return Circumstances(
        idle_after=IDLE_AFTER if which.live else None,
        drained=which.drain,
        wrong_worker_clock=which.has("worker's clock steps forward", "worker's clock steps back"),
        wrong_clock=which.has(*WRONG_CLOCKS),
        repaired=which.has(*REPAIRS),
        resent=len(between) + road.restarts["collector"] + signs_in(road.logs("collector"))[CONNECTED_ANEW],
    )


def storm(which: Plan, road: Road) -> Counter[str]:
    """Let the faults come down, each at its time; those that have happened."""
    began = time.monotonic()
    injected: Counter[str] = Counter()
    waiting: list[tuple[float, str, str, End]] = []
    to_come = list(enumerate(which.faults))
    while to_come or waiting or time.monotonic() - began < STORM_S:
        now = time.monotonic() - began
        for item in [item for item in waiting if item[0] <= now or road.is_over(item[1])]:
            waiting.remove(item)
            injected[item[2]] += item[3]()
        if to_come and to_come[0][1].at_s <= now:
            number, fault = to_come.pop(0)
            name = f"fault-{number}"
            # What happens once, at a commit, does so when a worker comes to it; upkeep ends when it is done.
            whom = KIND[fault.kind].whom
            ends_itself = (
                whom == "upkeep"
                or fault.kind == STANDS_STILL
                or (whom == "lake" and fault.kind not in ("disk slow", "no room for any file"))
            )
            lasts_s = STORM_S + COMES_WITHIN_S - now if ends_itself else fault.for_s or STORM_S - now
            waiting.append((now + lasts_s, name if ends_itself else "", fault.kind, begin(fault, name, road)))
        time.sleep(0.02)
    return injected


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=3, help="how many, from --first on")
    arguments.add_argument("--first", type=int, default=1, help="the first seed")
    arguments.add_argument("--only", type=int, nargs="+", help="these seeds instead")
    arguments.add_argument("--logs", type=Path, help="where to keep what failed (a new folder in /tmp by default)")
    arguments.add_argument("--results", type=Path, help="write the numbers here, as JSON")
    arguments.add_argument("--tell", type=Path, nargs="+", help="add up such numbers and print them, and do nothing")
    arguments.add_argument("--marts-every", type=int, default=1, help="build the marts for each n-th seed only")
    arguments.add_argument("--keep", action="store_true", help="keep the folders of all runs")
    arguments.add_argument("--schedule", action="store_true", help="print what would be done, and do nothing")
    options = arguments.parse_args()
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what we do to the brokers, told by our own clients
    seeds = options.only or range(options.first, options.first + options.seeds)
    plans = [plan(seed, CLUSTERS) for seed in seeds]
    if options.tell:
        total = Numbers()
        for file in options.tell:
            total.add(Numbers.from_json(file.read_text(encoding="utf-8")))
        print(total.markdown())
        return
    if options.schedule:
        print("\n".join(map(str, plans)))
        return
    logs = options.logs or Path(mkdtemp(prefix="yesladder-chaos-"))
    runs = campaign(plans, logs, keep=options.keep, marts_every=options.marts_every, results_file=options.results)
    print(numbers_of(runs).markdown())
    if missing := shortcomings(runs):
        print(f"WRONG: {'; '.join(missing)}")
    sys.exit(bool(missing) or any(run.wrong for run in runs))


def _say(words: str) -> None:
    print(words, flush=True)


def campaign(
    plans: list[Plan],
    logs: Path,
    *,
    keep: bool = False,
    marts_every: int = 1,
    results_file: Path | None = None,
    say: Callable[[str], None] = _say,
) -> list[Run]:
    """All of them, those of one cluster together; a line for each, and everything known of one that fails.

    ``marts_every``: build the marts for each n-th seed.  ``results_file``: takes the numbers so far, after each.
    """
    runs: list[Run] = []
    with Gate() as gate:
        for kind in dict.fromkeys((which.cluster, which.brokers) for which in plans):
            with ExitStack() as stack:
                cluster = stack.enter_context(cluster_of(*kind, logs))
                for which in (one for one in plans if (one.cluster, one.brokers) == kind):
                    builds = gate if which.seed % marts_every == 0 else None
                    done = run_plan(which, cluster, builds, logs / f"seed-{which.seed}")
                    runs.append(done)
                    if results_file is not None:
                        results_file.write_text(numbers_of(runs).to_json(), encoding="utf-8")
                    say(done.line())
                    if done.wrong:
                        say("\n".join([str(which), f"happened: {dict(done.injected)}", *done.wrong]))
                    elif not keep and done.logs is not None:
                        shutil.rmtree(done.logs, ignore_errors=True)
    return runs


def shortcomings(runs: Sequence[Run]) -> list[str]:
    """What makes these runs no proof, whatever they found: too little has happened."""
    missing = []
    happened, planned = sum(run.injected.total() for run in runs), sum(len(run.plan.faults) for run in runs)
    if happened < HAPPEN * planned:
        missing.append(f"only {happened} of {planned} faults have happened")
    if len(runs) >= A_CAMPAIGN and not any(run.signs[REFUSED] for run in runs):
        missing.append("no commit was refused, so no zombie came to one")
    return missing


def cluster_of(kind: ClusterKind, brokers: int, logs: Path) -> Cluster:
    logs.mkdir(parents=True, exist_ok=True)
    return Embedded(logs / "embedded.log") if kind == "embedded" else Apache(logs / f"kafka-{brokers}", brokers)


def numbers_of(runs: Iterable[Run]) -> Numbers:
    """The numbers of a campaign."""
    total = Numbers()
    for run in runs:
        seed = run.plan.seed
        checked = Counter({name: getattr(run.verdict, name) for name in CHECKED})
        failed = [seed] if run.wrong else []
        total.add(
            Numbers(
                seeds=[seed],
                failed=failed,
                exact=int(run.plan.exact),
                marts=int(run.built),
                planned=len(run.plan.faults),
                faults=run.injected,
                signs=run.signs,
                restarts=run.restarts,
                checked=checked,
                seconds=run.seconds,
            )
        )
    return total


if __name__ == "__main__":
    main()
