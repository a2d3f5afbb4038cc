"""From events on Kafka to a message at a webhook: how late, and how often, while worker and agent are killed.

    PYTHONPATH=.:benchmarks python -m alerts.end_to_end --seeds 5 --kills 6
    PYTHONPATH=.:benchmarks python -m alerts.end_to_end --real-time

A shop whose mobile people (100 asks a minute) say yes 40 % less for fifty minutes, after a day and a half of history;
embedded broker, worker, alert agent and web server are processes and sockets as in production.  Without
``--real-time`` event time runs ten minutes a second.  The delay in minutes is by event time, from the first minute of
the fall to the minute that was judged; in real time also by the clock, to the request at the webhook.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from producers.embedded import EmbeddedBroker
from tests.suites.alert_road import Road, alerts_of, kills_around, minutes_after, world
from tests.suites.brokers import Broker
from tests.suites.webhook import webhook

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Run:
    """One world.  ``keys`` and ``posts``: at the webhook, of both messages; ``rows``: of the table, told ones alone."""

    seed: int
    kills: int
    delay: float
    resolved_after: float
    keys: int
    posts: int
    rows: int
    clock_delay_s: float | None = None

    @property
    def is_right(self) -> bool:
        """One alert and its end, each under one key and in one row."""
        return self.keys == self.rows == 2


def run(broker: Broker, folder: Path, seed: int, kills: int, *, real_time: bool) -> Run:
    """One world, from its first event to the message that the alert is over (in real time: to the alert)."""
    if real_time:
        live, falls_after = timedelta(minutes=25), timedelta(minutes=6)
        shop = world(datetime.now(UTC) + live, seed=seed, live=live, falls_after=falls_after)
    else:
        shop = world(datetime.now(UTC), seed=seed)
    due = kills_around(shop.falls, shop.ends, seed, kills)
    with webhook() as hook:
        road = Road(shop, broker, folder, hook, uuid4().hex[:8])

        def every(at: datetime) -> None:
            road.supervise()
            while due and at >= due[0][0]:
                road.kill(due.pop(0)[1])

        try:
            publisher = road.publisher()
            if real_time:
                road.feed_in_real_time(publisher, every, until=lambda: bool(road.told("/hook")))
            else:
                road.feed(publisher, 600.0, every)
            publisher.close(timeout_s=10)
            end = time.monotonic() + 120
            while len({post.body["what"] for post in road.told("/hook")}) < (1 if real_time else 2):
                if time.monotonic() > end:
                    raise SystemExit(f"seed {seed}: no alert came: {road.said()}")
                road.supervise()
                time.sleep(0.1)
            time.sleep(3)  # anything that should not come would
        finally:
            road.stop()
        posts = road.told("/hook")
        told = alerts_of(posts)
        raised = next(alert for alert in told.values() if alert["what"] == "raised")
        over = [alert for alert in told.values() if alert["what"] == "resolved"]
        return Run(
            seed=seed,
            kills=len(road.kills),
            delay=minutes_after(raised["minute"], shop.falls),
            resolved_after=minutes_after(over[0]["minute"], shop.ends) if over else float("nan"),
            keys=len(told),
            posts=len(posts),
            rows=len(road.rows().filter(told=True)),
            clock_delay_s=(posts[0].at - shop.falls).total_seconds() if real_time else None,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=6, help="how often the agent or the worker is killed in each run")
    parser.add_argument("--real-time", action="store_true", help="one run, by the clock, without kills")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="alerts-end-to-end-"))
    runs = []
    try:
        with EmbeddedBroker() as embedded:
            broker = Broker(embedded.connection)
            print("| seed | kills | minutes to the alert | resolved after | keys | posts | rows told |")
            print("| --- | --- | --- | --- | --- | --- | --- |")
            for seed in range(options.first_seed, options.first_seed + (1 if options.real_time else options.seeds)):
                kills = 0 if options.real_time else options.kills
                one = run(broker, folder / str(seed), seed, kills, real_time=options.real_time)
                runs.append(one)
                cells = (one.seed, one.kills, f"{one.delay:.0f}", f"{one.resolved_after:.0f}")
                print("| " + " | ".join(map(str, (*cells, one.keys, one.posts, one.rows))) + " |", flush=True)
                shutil.rmtree(folder / str(seed))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nmedian {statistics.median(one.delay for one in runs):.0f} minutes")
    if options.real_time:
        print(f"by the clock {runs[0].clock_delay_s:.0f} s after the fall began")
    elif not all(one.is_right for one in runs):
        raise SystemExit("not each run had one alert and one end")


if __name__ == "__main__":
    main()
