from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from ladder.errors import EventError
from ladder.events import Event
from ladder.rejects import Reject
from producers.group_commit import GroupCommit
from producers.publisher import MemoryPublisher, PublishError
from producers.records import Record
from tests.suites.collector_client import NOW, stored


def event(number: int) -> Event:
    return Event(event_id=f"e{number}", visitor_id=f"v{number}", occurred_at=NOW, received_at=NOW, name="x")


class Counting(MemoryPublisher):
    """Remembers how many records each publish brought."""

    def __init__(self) -> None:
        super().__init__(partitions=1)
        self.groups: list[int] = []

    def publish(self, records: Sequence[Record]) -> Future[None]:
        self.groups.append(len(records[0].value.split(b"\n")))
        return super().publish(records)


class Broken(MemoryPublisher):
    def publish(self, records: Sequence[Record]) -> Future[None]:
        raise ValueError("the topic has changed")


def test_requests_of_one_moment_are_published_together() -> None:
    publisher = Counting()

    async def run() -> None:
        commit = GroupCommit(publisher, answer_within_s=5)
        await asyncio.gather(*(commit.store([event(n)], []) for n in range(10)))
        await commit.store([event(10)], [])

    asyncio.run(run())

    assert publisher.groups == [10, 1]
    assert {e.event_id for e in stored(publisher.records)[0]} == {f"e{n}" for n in range(11)}


def test_requests_that_come_while_kafka_is_busy_wait_and_travel_as_one() -> None:
    publisher = Counting()

    async def run() -> None:
        commit = GroupCommit(publisher, answer_within_s=5)
        publisher.pause()
        waiting = []
        for n in range(20):
            waiting.append(asyncio.ensure_future(commit.store([event(n)], [])))
            await asyncio.sleep(0.001)
        assert not any(task.done() for task in waiting)
        publisher.resume()
        await asyncio.gather(*waiting)

    asyncio.run(run())

    assert sum(publisher.groups) == 20
    assert len(publisher.groups) <= 4


def test_after_a_group_of_many_the_next_is_given_time_to_become_large_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.group_commit._PAUSE_S", 0.3)  # longer than a busy machine takes for what follows
    publisher = Counting()

    async def run() -> float:
        commit = GroupCommit(publisher, answer_within_s=5)
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiting = []
        for n in range(100):
            waiting.append(asyncio.ensure_future(commit.store([event(n)], [])))
            if n % 20 == 19:
                for _ in range(5):
                    await asyncio.sleep(0)  # a few turns of the loop, in which a group could be sent and answered
        await asyncio.gather(*waiting)
        return loop.time() - began

    assert asyncio.run(run()) < 1.0
    assert publisher.groups == [20, 80]


def test_one_request_after_the_other_does_not_wait_for_company() -> None:
    publisher = Counting()

    async def run() -> float:
        commit = GroupCommit(publisher, answer_within_s=5)
        began = asyncio.get_running_loop().time()
        for n in range(200):
            await commit.store([event(n)], [])
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(run()) < 1.0
    assert publisher.groups == [1] * 200


def test_dead_letters_travel_with_the_events() -> None:
    publisher = MemoryPublisher()
    reject = Reject.of(EventError("not_json", "", "x"), b"raw", NOW, "collector")

    asyncio.run(GroupCommit(publisher, answer_within_s=5).store([event(1)], [reject]))

    assert stored(publisher.records) == ([event(1)], [reject])


def test_a_failure_reaches_everyone_of_the_group_and_nobody_after_it() -> None:
    publisher = MemoryPublisher()

    async def run() -> list[BaseException | None]:
        commit = GroupCommit(publisher, answer_within_s=5)
        publisher.pause()
        waiting = [asyncio.ensure_future(commit.store([event(n)], [])) for n in range(3)]
        await asyncio.sleep(0.01)
        publisher.expire()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        publisher.resume()
        await commit.store([event(3)], [])
        return outcomes

    outcomes = asyncio.run(run())

    assert [getattr(outcome, "reason", None) for outcome in outcomes] == ["unavailable"] * 3
    assert stored(publisher.records)[0] == [event(3)]


def test_a_publisher_that_raises_is_no_reason_to_wait() -> None:
    async def run() -> None:
        commit = GroupCommit(Broken(), answer_within_s=5)
        for _ in range(5):
            with pytest.raises(PublishError, match="ValueError"):
                await asyncio.wait_for(commit.store([event(1)], []), timeout=1)

    asyncio.run(run())


def test_nobody_waits_longer_than_said_neither_in_a_group_under_way_nor_in_the_one_behind_it() -> None:
    publisher = MemoryPublisher()

    async def run() -> float:
        commit = GroupCommit(publisher, answer_within_s=0.2)
        publisher.pause()
        began = asyncio.get_running_loop().time()
        waiting = []
        for n in range(6):
            waiting.append(asyncio.ensure_future(commit.store([event(n)], [])))
            await asyncio.sleep(0.005)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [getattr(outcome, "reason", None) for outcome in outcomes] == ["unavailable"] * 6
        took = asyncio.get_running_loop().time() - began
        with pytest.raises(PublishError):
            await asyncio.wait_for(commit.store([event(8)], []), timeout=1)
        publisher.resume()
        await asyncio.sleep(0.05)
        await commit.store([event(9)], [])
        return took

    assert 0.2 <= asyncio.run(run()) < 1.0
    assert event(9) in stored(publisher.records)[0]


def test_a_request_that_was_given_up_does_not_disturb_the_others() -> None:
    publisher = MemoryPublisher()

    async def run() -> None:
        commit = GroupCommit(publisher, answer_within_s=5)
        publisher.pause()
        given_up, stays = (asyncio.ensure_future(commit.store([event(n)], [])) for n in range(2))
        await asyncio.sleep(0.01)
        given_up.cancel()
        await asyncio.sleep(0)
        publisher.resume()
        await asyncio.wait_for(stays, timeout=1)

    asyncio.run(run())
