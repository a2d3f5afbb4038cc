"""What Faust is told, and what becomes of what it does not do; the reasons are in docs/decisions/0009."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from faust.types.enums import ProcessingGuarantee

from ladder.connection import KafkaConnection
from ladder.tiers import Ladder
from stream.app import EXIT_HALT, EXIT_RESTART, WorkerApp, WorkerSettings, create_app
from stream.transport import Batch
from tests.suites.consumed import Record
from warehouse.lake import Lake

LADDER = Ladder("test", ("spark", "micro"), (), timedelta(minutes=30), timedelta(hours=2))
SETTINGS = WorkerSettings(KafkaConnection("127.0.0.1:9092"), web_port=0)


@pytest.fixture
def ended() -> list[int]:
    """The exit codes that the process would have ended with."""
    return []


@pytest.fixture
def app(tmp_path: Path, ended: list[int]) -> WorkerApp:
    settings = replace(SETTINGS, data_dir=tmp_path / "faust")
    return create_app(settings, LADDER, Lake(tmp_path / "lake"), end=ended.append)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def agent_of(app: WorkerApp) -> Any:
    (agent,) = app.agents.values()
    return agent


def test_faust_acknowledges_and_commits_nothing(app: WorkerApp) -> None:
    """Its bookkeeping takes a batch for one message: with acks it stalls, and loses what an exception left behind."""
    assert agent_of(app).channel.acks is False
    assert app.conf.stream_wait_empty is False, "it would wait for acknowledgements at every rebalance"
    # Its exactly-once mode is another thing, with faults of its own.
    assert str(app.conf.processing_guarantee) == str(ProcessingGuarantee.AT_LEAST_ONCE)


def test_faust_holds_few_fetches_each_of_which_is_a_whole_batch(app: WorkerApp) -> None:
    assert app.conf.broker_max_poll_records == 10_000
    assert 4 <= app.conf.stream_buffer_maxsize <= 16


def test_faust_declares_no_topics_and_keeps_no_tables(app: WorkerApp) -> None:
    assert app.conf.topic_allow_declare is False
    assert app.conf.topic_disable_leader is True
    assert dict(app.tables.data) == {}


def test_an_exception_in_the_agent_ends_the_process_before_the_next_fetch_is_taken(
    app: WorkerApp, ended: list[int]
) -> None:
    """Faust acknowledges a batch that raised, and goes on: what was in it would be lost."""

    async def test() -> None:
        owner: Any = await app.assignments.claim({0})
        app.assignments.replace(owner)
        taken = []

        async def fetches() -> AsyncIterator[Batch]:
            for begins in (0, 2, 1):
                taken.append(list(ended))
                yield Batch(owner, begins, [Record(b"", offset=begins)])

        await agent_of(app).fun(fetches())
        assert taken == [[], [], [EXIT_RESTART]], "it ends at the second, which a hole lies before"

    run(test)


@pytest.mark.parametrize(
    ("why", "code"), [("GroupAuthorizationFailedError", EXIT_HALT), ("UnknownError", EXIT_RESTART)]
)
def test_only_what_kafka_will_say_again_halts_a_worker_that_the_group_refuses(
    app: WorkerApp, ended: list[int], why: str, code: int
) -> None:
    app.assignments.not_taken_in(why)
    assert ended == [code]
