"""What each kind of fault does: how it begins, and how it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kafka.errors import KafkaError

from ladder.errors import YesladderError
from tests.chaos.cluster import Cluster
from tests.chaos.proxy import Client, Trouble
from tests.chaos.road import Road
from tests.chaos.schedule import Fault
from warehouse.locks import Locked
from warehouse.maintain import maintain
from yesladder.resessionise import resessionise

End = Callable[[], bool]
"""Brings a fault to its end; whether it has happened at all."""

CLOCK_STEPS_S = 7200.0


def begin(fault: Fault, name: str, road: Road) -> End:
    """Do it.  ``name``: unlike that of any other fault of the run."""
    return _BEGIN[fault.kind](fault, name, road)


def _happened() -> bool:
    return True


def _signal(number: signal.Signals, part: str | None = None) -> Callable[[Fault, str, Road], End]:
    def do(fault: Fault, name: str, road: Road) -> End:
        done = road.send(part or f"worker-{fault.number}", number)
        return lambda: done

    return do


def _stand_still(part: str | None = None) -> Callable[[Fault, str, Road], End]:
    def do(fault: Fault, name: str, road: Road) -> End:
        whom = part or f"worker-{fault.number}"
        done = road.send(whom, signal.SIGSTOP)
        return lambda: road.send(whom, signal.SIGCONT) and done

    return do


def _stand_still_for_long(fault: Fault, name: str, road: Road) -> End:
    """Half of the time in the middle of a commit: what it does when it wakes up is what matters."""
    if fault.size > 0.5:
        return _stand_still()(fault, name, road)
    road.ask_for(name, at="data", table=fault.table, do="hang", seconds=1.0)
    fired = road.faults / f"{name}.fired"
    _wait_until(lambda: fired.exists() and fired.read_text().isdecimal(), 3)
    if not road.take_back(name):
        return _stand_still()(fault, name, road)
    pid = int(fired.read_text())

    def send(number: signal.Signals) -> bool:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    done = send(signal.SIGSTOP)
    return lambda: send(signal.SIGCONT) and done


def _clock(direction: int, part: str | None = None) -> Callable[[Fault, str, Road], End]:
    def do(fault: Fault, name: str, road: Road) -> End:
        whom = part or f"worker-{fault.number}"
        road.set_clock(whom, direction * CLOCK_STEPS_S * fault.size)

        def end() -> bool:
            road.set_clock(whom, 0)
            return True

        return end

    return do


def _leave_during_a_checkpoint(fault: Fault, name: str, road: Road) -> End:
    road.ask_for(name, at="data", table=fault.table, do="hang", seconds=1.0 + fault.size)
    _wait_until(lambda: (road.faults / f"{name}.fired").exists(), 1.5)
    done = road.send(f"worker-{fault.number}", signal.SIGTERM)
    return lambda: road.take_back(name) and done


def _join_during_a_checkpoint(fault: Fault, name: str, road: Road) -> End:
    number = road.plan.workers + fault.number
    road.add_worker(number)
    road.ask_for(name, at="data", table=fault.table, do="hang", seconds=1.0 + fault.size)

    def end() -> bool:
        road.take_back(name)
        road.remove_worker(f"worker-{number}")
        return True

    return end


def _broker(how: signal.Signals) -> Callable[[Fault, str, Road], End]:
    def do(fault: Fault, name: str, road: Road) -> End:
        road.cluster.stop(fault.number, how)

        def end() -> bool:
            road.cluster.start(fault.number)
            return True

        return end

    return do


def _lose_disk(fault: Fault, name: str, road: Road) -> End:
    road.cluster.wait_whole()
    road.cluster.stop(fault.number, signal.SIGKILL)

    def end() -> bool:
        road.cluster.lose_disk(fault.number)
        road.cluster.start(fault.number)
        return True

    return end


def _move_leaders(fault: Fault, name: str, road: Road) -> End:
    try:
        road.cluster.move_leaders(road.topic)
    except (KafkaError, YesladderError):
        return lambda: False
    return _happened


def _network(client: Client, trouble: Trouble) -> Callable[[Fault, str, Road], End]:
    def do(fault: Fault, name: str, road: Road) -> End:
        # Half of the time the way to all brokers, else to one of them.
        proxies = road.cluster.proxies if fault.size < 0.5 else [road.cluster.proxies[fault.number]]
        for proxy in proxies:
            proxy.begin(client, trouble, 0.05 + fault.size / 2)

        def end() -> bool:
            for proxy in proxies:
                proxy.end(client, trouble)
            return True

        return end

    return do


def _lake(at: str, do: str, *, once: bool = True, any_table: bool = False) -> Callable[[Fault, str, Road], End]:
    def ask(fault: Fault, name: str, road: Road) -> End:
        where = {} if any_table else {"table": fault.table}
        # As long as it lasts; what happens once does so when a worker comes to it, and that takes what it takes.
        seconds = fault.for_s if once else 0.1 + fault.size / 2
        road.ask_for(name, at=at, do=do, seconds=seconds, once=once, **where)
        return lambda: road.take_back(name)

    return ask


def _cut_off_with_a_full_disk(fault: Fault, name: str, road: Road) -> End:
    """Neither Kafka nor the spool takes anything: nobody may be answered with 200."""
    mend = _network("collector", "cut")(replace(fault, size=0.0), name, road)
    pid = road.pid("collector")
    done = road.limit_files("collector", 0)

    def end() -> bool:
        if road.pid("collector") == pid:
            road.limit_files("collector", None)
        return mend() and done

    return end


def _no_room(fault: Fault, name: str, road: Road) -> End:
    whom = f"worker-{fault.number}"
    pid = road.pid(whom)
    done = road.limit_files(whom, int(fault.size * 800))

    def end() -> bool:
        if road.pid(whom) == pid:
            road.limit_files(whom, None)
        return done

    return end


def _poison(fault: Fault, name: str, road: Road) -> End:
    road.poison_topic(fault.size)
    return _happened


def _maintain(fault: Fault, name: str, road: Road) -> End:
    def work() -> None:
        # Two rows of some files are enough to be put together; what was replaced goes after a moment.
        with suppress(Locked):
            maintain(road.lake, keep=timedelta(seconds=5), now=datetime.now(UTC))

    road.in_background(work)
    return _happened


def _resessionise(fault: Fault, name: str, road: Road) -> End:
    def work() -> None:
        with suppress(Locked):
            resessionise(road.lake, road.ladder, now=datetime.now(UTC))

    road.in_background(work)
    return _happened


def _wait_until(done: Callable[[], bool], patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while not done() and time.monotonic() < until:
        time.sleep(0.02)


def heal(cluster: Cluster) -> None:
    """Whatever was done to the cluster is done no longer."""
    cluster.heal_network()
    with suppress(KafkaError, YesladderError):
        cluster.wait_whole()


_BEGIN: dict[str, Callable[[Fault, str, Road], End]] = {
    "worker killed": _signal(signal.SIGKILL),
    "worker told to stop": _signal(signal.SIGTERM),
    "worker leaves during a checkpoint": _leave_during_a_checkpoint,
    "worker joins during a checkpoint": _join_during_a_checkpoint,
    "worker stands still for long": _stand_still_for_long,
    "worker stands still for a moment": _stand_still(),
    "worker's clock steps forward": _clock(1),
    "worker's clock steps back": _clock(-1),
    "collector killed": _signal(signal.SIGKILL, "collector"),
    "collector told to stop": _signal(signal.SIGTERM, "collector"),
    "collector stands still": _stand_still("collector"),
    "collector's clock steps forward": _clock(1, "collector"),
    "collector's clock steps back": _clock(-1, "collector"),
    "broker killed": _broker(signal.SIGKILL),
    "broker told to stop": _broker(signal.SIGTERM),
    "broker's disk lost": _lose_disk,
    "broker stands still": _broker(signal.SIGSTOP),
    "leaders move": _move_leaders,
    "worker cut off": _network("worker", "cut"),
    "worker's answers lost": _network("worker", "deaf"),
    "worker's packets held up": _network("worker", "stalled"),
    "worker's network slow": _network("worker", "slow"),
    "collector cut off": _network("collector", "cut"),
    "collector's answers lost": _network("collector", "deaf"),
    "collector's packets held up": _network("collector", "stalled"),
    "collector's network slow": _network("collector", "slow"),
    "collector cut off with its disk full": _cut_off_with_a_full_disk,
    "disk full under the data": _lake("data", "no space"),
    "disk full under the commit": _lake("before commit", "no space"),
    "no room for any file": _no_room,
    "disk slow": _lake("fsync", "slow", once=False, any_table=True),
    "disk hangs": _lake("data", "hang"),
    "commit's answer lost": _lake("after commit", "lose the answer"),
    "commit's answer late": _lake("after commit", "hang"),
    "killed before the commit": _lake("before commit", "die"),
    "killed after the commit": _lake("after commit", "die"),
    "poison record": _poison,
    "lake maintained": _maintain,
    "late events put into sessions": _resessionise,
}
