from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from answers.dashboard.answering import AT_ONCE, WAITING, BusyError, Desk, Lane, Memory, StillLookingError
from ladder.errors import UsageError

ONE, OTHER = (1, 1, 1, 1), (1, 2, 1, 1)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path, patience_s=0.2)
    yield found
    found.close()


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Desk]:
    """Of marts in which nothing but a build is noted."""
    with duckdb.connect(str(tmp_path / "marts.duckdb")) as marts:
        marts.execute(
            "create table meta_builds as select 1 as build, '/lake' as lake, 'shop' as ladder, '' as ladder_hash"
        )
    found = Desk(tmp_path)
    yield found
    found.close()


@pytest.mark.parametrize(
    ("waited_for", "asked"), [("slow", "quick"), ("slow", "live"), ("slow", "kept"), ("quick", "live")]
)
def test_questions_of_one_lane_keep_none_of_another_waiting(desk: Desk, waited_for: Lane, asked: Lane) -> None:
    go_on = threading.Event()

    async def ask() -> str:
        others = [asyncio.create_task(desk.ask_anew(lambda: go_on.wait(5), lane=waited_for)) for _ in range(8)]
        await asyncio.sleep(0)
        found = await desk.ask_anew(lambda: "found", lane=asked)
        go_on.set()
        await asyncio.gather(*others)
        return found

    assert asyncio.run(ask()) == "found"


def test_a_question_that_takes_too_long_is_given_up(desk: Desk) -> None:
    go_on = threading.Event()

    async def ask() -> None:
        with pytest.raises(BusyError, match="given up"):
            await desk.ask_anew(lambda: go_on.wait(5), lane="slow")
        go_on.set()

    asyncio.run(ask())


def test_who_was_never_heard_is_told_of_the_others(desk: Desk) -> None:
    go_on = threading.Event()

    async def ask() -> None:
        others = [asyncio.create_task(desk.ask_anew(lambda: go_on.wait(5), lane="slow")) for _ in range(AT_ONCE)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="others were asked first"):
            await desk.ask_anew(lambda: "one more", lane="slow")
        go_on.set()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run(ask())


def test_more_questions_than_may_wait_are_turned_away(desk: Desk) -> None:
    go_on = threading.Event()

    async def ask() -> None:
        waiting = [asyncio.create_task(desk.ask_anew(lambda: go_on.wait(5), lane="slow")) for _ in range(WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="too many"):
            await desk.ask_anew(lambda: "one more", lane="quick")
        go_on.set()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(ask())


class SlowLook:
    """Finds something once it is told to go on.  ``times``: how often it was asked to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        self.go_on.wait(5)
        return b"found"


def test_who_asks_again_gets_the_answer_to_the_same_look(shown: Desk) -> None:
    look = SlowLook()

    async def ask() -> bytes:
        for _ in range(2):
            with pytest.raises(StillLookingError) as told:
                await shown.ask("q", look, lane="slow", at_once_s=0.01)
            assert 0.005 < told.value.seconds < 4
        look.go_on.set()
        return await shown.ask("q", look, lane="slow", at_once_s=5)

    assert asyncio.run(ask()) == b"found"
    assert look.times == 1


def test_two_who_ask_at_the_same_moment_have_one_answer_looked_for(shown: Desk) -> None:
    look = SlowLook()

    async def ask() -> list[bytes | BaseException]:
        early = [shown.ask("q", look, lane="slow", at_once_s=0.05) for _ in range(2)]
        told = await asyncio.gather(*early, return_exceptions=True)
        assert [type(one) for one in told] == [StillLookingError, StillLookingError]
        late = [asyncio.create_task(shown.ask("q", look, lane="slow", at_once_s=5)) for _ in range(2)]
        await asyncio.sleep(0)
        look.go_on.set()
        return await asyncio.gather(*late)

    assert asyncio.run(ask()) == [b"found", b"found"]
    assert look.times == 1


def test_who_waits_for_a_look_that_too_many_others_crowd_out_is_told_so(shown: Desk) -> None:
    go_on = threading.Event()

    async def ask() -> None:
        held = [asyncio.create_task(shown.ask_anew(lambda: go_on.wait(5), lane="slow")) for _ in range(AT_ONCE)]
        await asyncio.sleep(0)
        first = asyncio.create_task(shown.ask("q", lambda: b"found", lane="slow", at_once_s=5))
        await asyncio.sleep(0)
        others = [asyncio.create_task(shown.ask(n, lambda: b"other", lane="slow", at_once_s=5)) for n in range(WAITING)]
        with pytest.raises(BusyError, match="too many"):
            await first
        go_on.set()
        await asyncio.gather(*held, *others, return_exceptions=True)

    asyncio.run(ask())


def test_a_look_that_failed_is_told_once_and_then_begun_anew(shown: Desk) -> None:
    go_on = threading.Event()

    def fail() -> bytes:
        go_on.wait(5)
        raise UsageError("steps: there are none")

    async def ask() -> None:
        with pytest.raises(StillLookingError):
            await shown.ask("q", fail, lane="slow", at_once_s=0.01)
        go_on.set()
        with pytest.raises(UsageError, match="there are none"):
            await shown.ask("q", fail, lane="slow", at_once_s=5)
        assert await shown.ask("q", lambda: b"found", lane="slow", at_once_s=5) == b"found"

    asyncio.run(ask())


def test_what_was_answered_is_remembered_until_there_are_other_marts() -> None:
    memory = Memory(100)
    assert memory.recall(ONE, "q") is None
    memory.remember(ONE, "q", b"answer")
    assert memory.recall(ONE, "q") == b"answer"
    assert memory.recall(OTHER, "q") is None
    assert memory.recall(ONE, "q") is None


def test_an_answer_of_marts_that_are_gone_is_not_remembered() -> None:
    memory = Memory(100)
    memory.recall(OTHER, "q")
    memory.remember(ONE, "q", b"old")
    assert memory.recall(OTHER, "q") is None


def test_the_memory_is_bounded_and_forgets_what_was_asked_longest_ago() -> None:
    memory = Memory(10)
    memory.recall(ONE, "a")
    memory.remember(ONE, "a", b"12345")
    memory.remember(ONE, "b", b"12345")
    memory.recall(ONE, "a")
    memory.remember(ONE, "c", b"1")
    assert [memory.recall(ONE, question) for question in "abc"] == [b"12345", None, b"1"]
