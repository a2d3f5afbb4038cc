"""What each kind of fault does: how it begins, and how it ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from kafka.errors import KafkaError

from ladder.errors import YesladderError
from tests.chaos.cluster import Cluster
from tests.chaos.proxy import Client, Trouble
from tests.chaos.road import Road, send_to
from tests.chaos.schedule import Fault

End = Callable[[], bool]
"""Brings a fault to its end; whether it has happened at all."""

CLOCK_STEPS_S = 7200.0
FALLS_ASLEEP_WITHIN_S = 8.0
TAKEN_OVER_WITHIN_S = 20.0
ENDS_WITHIN_S = 90.0
"""What upkeep may take beside all else on a busy machine."""


def begin(fault: Fault, name: str, road: Road) -> End:
    """Do it.  ``name``: unlike that of any other fault of the run."""
    return _BEGIN[fault.kind](fault, name, road)


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
    """In the middle of a commit, unless nobody comes to one: what it does when it wakes up is what matters.

    Where there are others it sleeps on until they have gone on with what was its own.
    """
    road.ask_for(name, at="data", do="stand still")
    happened: list[bool] = []

    def work() -> None:
        pid = _pid_that_fired(name, road, FALLS_ASLEEP_WITHIN_S)
        if pid is None:
            road.take_back(name)
            pid = road.pid(f"worker-{fault.number}")
            if pid is None or not send_to(pid, signal.SIGSTOP):
                return
        before = road.offsets_in_lake()
        time.sleep(fault.for_s)
        if road.plan.workers > 1:
            _wait_until(lambda: road.has_gone_on_since(before), TAKEN_OVER_WITHIN_S, every_s=0.5)
        happened.append(send_to(pid, signal.SIGCONT))

    sleeper = road.in_background(work, name)

    def end() -> bool:
        sleeper.join()
        return any(happened)

    return end


def _pid_that_fired(name: str, road: Road, patience_s: float) -> int | None:
    """Of the process in which the fault that is asked for happens; None where it does not within that time."""
    fired = road.faults / f"{name}.fired"
    _wait_until(lambda: fired.exists() and fired.read_text().isdecimal(), patience_s)
    return int(fired.read_text()) if fired.exists() and fired.read_text().isdecimal() else None


def _clock(direction: int, part: str | None = None) -> Callable[[Fault, str, Road], End]:
    def do(fault: Fault, name: str, road: Road) -> End:
        whom = part or f"worker-{fault.number}"
        wrong_by_s = direction * CLOCK_STEPS_S * fault.size
        road.set_clock(whom, wrong_by_s)

        def end() -> bool:
            done = road.has_seen_clock(whom, wrong_by_s)
            road.set_clock(whom, 0)
            return done

        return end

    return do


def _leave_during_a_checkpoint(fault: Fault, name: str, road: Road) -> End:
    """Whoever comes to one next."""
    road.ask_for(name, at="data", table=fault.table, do="hang", seconds=1.0 + fault.size)
    pid = _pid_that_fired(name, road, 3)
    road.take_back(name)
    done = pid is not None and send_to(pid, signal.SIGTERM)
    return lambda: done


def _join_during_a_checkpoint(fault: Fault, name: str, road: Road) -> End:
    number = road.plan.workers + fault.number
    road.add_worker(number)
    # It takes seconds until it is there: somebody's checkpoint lasts until then.
    road.ask_for(name, at="data", do="hang", seconds=fault.for_s - 1)

    def end() -> bool:
        hung = road.take_back(name)
        return road.remove_worker(f"worker-{number}") and hung

    return end


def _broker(how: signal.Signals) -> Callable[[Fault, str, Road], End]:
    def do(fault: Fault, name: str, road: Road) -> End:
        was_up = not road.cluster.is_down(fault.number)
        road.cluster.stop(fault.number, how)
        _wait_until(lambda: road.cluster.is_down(fault.number), 1)
        done = was_up and road.cluster.is_down(fault.number)

        def end() -> bool:
            road.cluster.start(fault.number)
            return done

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
    done = False
    with suppress(KafkaError, YesladderError):
        done = road.cluster.move_leaders(road.topic)
    return lambda: done


def _network(client: Client, trouble: Trouble) -> Callable[[Fault, str, Road], End]:
    def do(fault: Fault, name: str, road: Road) -> End:
        # Half of the time the way to all brokers, else to one of them.
        proxies = road.cluster.proxies if fault.size < 0.5 else [road.cluster.proxies[fault.number]]

        def felt() -> int:
            return sum(proxy.felt(client, trouble) for proxy in proxies)

        before = felt()
        for proxy in proxies:
            proxy.begin(client, trouble, 0.05 + fault.size / 2)

        def end() -> bool:
            for proxy in proxies:
                proxy.end(client, trouble)
            return felt() > before

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
    since = time.monotonic()

    def end() -> bool:
        until = time.monotonic()
        is_the_same = road.pid("collector") == pid
        if is_the_same:
            road.limit_files("collector", None)
        cut = mend()
        taken = road.sender.ledger.taken_within(since, until)
        if done and is_the_same and taken:
            road.trouble.append(f"{taken} requests were answered with 200 with Kafka cut off and the disk full")
        return cut and done and is_the_same

    return end


def _no_room(fault: Fault, name: str, road: Road) -> End:
    """What cannot write ends: its words find no room either."""
    whom = f"worker-{fault.number}"
    pid = road.pid(whom)
    done = road.limit_files(whom, int(fault.size * 800))

    def end() -> bool:
        ended = road.pid(whom) != pid
        if not ended:
            road.limit_files(whom, None)
        return done and ended

    return end


def _poison(fault: Fault, name: str, road: Road) -> End:
    """Whether it is on the topic is counted at the end."""
    road.poison_topic(fault.size)
    return lambda: True


_MAINTAIN = ("maintain", "--keep", "5s")
_REPAIR = ("resessionise",)
_OTHERS_AT_IT = ("wait for that to end", "is a worker stopped or stuck?")


def _upkeep(*command: str, do: str | None = None) -> Callable[[Fault, str, Road], End]:
    """``do``: what goes wrong inside it, at one of its commits."""

    def begin(fault: Fault, name: str, road: Road) -> End:
        at = ("data", "before commit", "after commit")[int(fault.size * (3 if do == "die" else 2))]
        ladder = ["--ladder", str(road.ladder_file)] if command == _REPAIR else []
        inside = None if do is None else {"at": at, "do": do}
        road.begin_upkeep(name, *command, *ladder, fault=inside)

        def end() -> bool:
            code, said = road.end_of_upkeep(name, ENDS_WITHIN_S)
            fired = (road.faults / name / f"{name}.fired").exists()
            gave_way = any(words in said for words in _OTHERS_AT_IT)
            as_due = (code == -signal.SIGKILL if do == "die" else code != 0) if fired else code == 0
            if not as_due and not gave_way:
                road.trouble.append(f"{command[0]} ended with {code}: {said[-2000:]}")
            return as_due and fired == (do is not None)

        return end

    return begin


def _build_killed(fault: Fault, name: str, road: Road) -> End:
    """After two to six seconds; it takes that long to begin and longer to end."""
    road.begin_upkeep(name, "build", "--ladder", str(road.ladder_file))
    at = time.monotonic() + 2 + 4 * fault.size

    def kill() -> None:
        time.sleep(max(0.0, at - time.monotonic()))
        killed.append(road.kill_upkeep(name))

    killed: list[bool] = []
    road.in_background(kill)

    def end() -> bool:
        code, _ = road.end_of_upkeep(name, ENDS_WITHIN_S)
        return any(killed) and code == -signal.SIGKILL

    return end


def _wait_until(done: Callable[[], bool], patience_s: float, *, every_s: float = 0.02) -> None:
    until = time.monotonic() + patience_s
    while not done() and time.monotonic() < until:
        time.sleep(every_s)


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
    "lake maintained": _upkeep(*_MAINTAIN),
    "upkeep killed": _upkeep(*_MAINTAIN, do="die"),
    "disk full under upkeep": _upkeep(*_MAINTAIN, do="no space"),
    "late events put into sessions": _upkeep(*_REPAIR),
    "killed while late events are put into sessions": _upkeep(*_REPAIR, do="die"),
    "build killed": _build_killed,
}
