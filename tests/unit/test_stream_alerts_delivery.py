from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from stream.alerts_config import Sink
from stream.alerts_delivery import GIVEN_UP_AFTER, HttpSink, deliver, keep_addresses_out_of_the_log, tidy
from tests.suites.webhook import Webhook, webhook
from warehouse.alerts_outbox import Outbox

NOW = datetime(2026, 1, 4, 12, tzinfo=UTC)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as one:
        yield one


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "deliveries.sqlite")
    yield box
    box.close()


def run(
    outbox: Outbox, url: str, name: str = "ops", now: datetime = NOW, headers: Mapping[str, str] | None = None
) -> None:
    async def all_of_it() -> None:
        async with httpx.AsyncClient() as client:
            sink = HttpSink(Sink(name, "webhook", url), url, headers or {}, client)
            await deliver(name, outbox, sink.send, now=lambda: now, first_pause_s=0.01, once=True)

    asyncio.run(all_of_it())


def put(outbox: Outbox, *numbers: int) -> None:
    outbox.add([(f"n{number}", b'{"number":%d}' % number) for number in numbers], ["ops"], now=NOW)


def test_what_waits_is_delivered_in_order_and_once(hook: Webhook, outbox: Outbox) -> None:
    put(outbox, 1, 2)
    run(outbox, hook.url)
    put(outbox, 1, 2, 3)
    run(outbox, hook.url)
    assert [(post.key, post.body) for post in hook.posts] == [(f"n{n}-ops", {"number": n}) for n in (1, 2, 3)]
    assert outbox.states(["n1", "n9"]) == {"n1": {"ops": "delivered"}, "n9": {}}


@pytest.mark.parametrize("status", [401, 403, 404, 408, 425, 429, 500, 501, 507, 529])
def test_a_sink_that_is_not_well_is_asked_again_with_the_same_key(hook: Webhook, outbox: Outbox, status: int) -> None:
    hook.answers += [(status, {}), (status, {})]
    put(outbox, 1, 2)
    run(outbox, hook.url)
    assert [post.key for post in hook.refused] == ["n1-ops", "n1-ops"]
    assert [post.key for post in hook.posts] == ["n1-ops", "n2-ops"]


@pytest.mark.parametrize("status", [301, 400, 409, 410])
def test_a_sink_that_refuses_is_not_asked_again_and_gets_the_next(hook: Webhook, outbox: Outbox, status: int) -> None:
    hook.answers += [(status, {"location": "http://127.0.0.1:9/"})]
    put(outbox, 1, 2)
    run(outbox, hook.url)
    assert [post.key for post in hook.posts] == ["n2-ops"]
    assert outbox.states(["n1"]) == {"n1": {"ops": "refused"}}


@pytest.mark.parametrize("value", ["K\u00fcrbis", "Bearer s3\ncret"])
def test_a_header_that_cannot_be_sent_ends_nothing_and_is_not_repeated(
    hook: Webhook, outbox: Outbox, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(outbox, 1)
    with caplog.at_level(logging.INFO):
        run(outbox, hook.url, headers={"authorization": value})
    assert outbox.states(["n1"]) == {"n1": {"ops": "refused"}}
    assert "sink ops refuses n1-ops" in caplog.text
    assert "cret" not in caplog.text
    assert "rbis" not in caplog.text


def test_no_address_is_in_the_log(hook: Webhook, outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    put(outbox, 1)
    with caplog.at_level(logging.DEBUG):
        keep_addresses_out_of_the_log()
        run(outbox, f"{hook.url}?token=s3cret")
    assert len(hook.posts) == 1
    assert "s3cret" not in caplog.text


def test_it_waits_for_as_long_as_the_sink_asks_for(hook: Webhook, outbox: Outbox) -> None:
    hook.answers += [(429, {"retry-after": "1"})]
    put(outbox, 1)
    began = time.monotonic()
    run(outbox, hook.url)
    assert 1.0 <= time.monotonic() - began < 5.0
    assert len(hook.posts) == 1


def test_a_date_to_come_again_may_be_in_the_past(hook: Webhook, outbox: Outbox) -> None:
    hook.answers += [(503, {"retry-after": "Sun, 04 Jan 2026 12:00:00 GMT"}), (503, {"retry-after": "when I say so"})]
    put(outbox, 1)
    run(outbox, hook.url)
    assert len(hook.posts) == 1


def test_a_sink_that_is_gone_gets_it_when_it_is_back(outbox: Outbox) -> None:
    put(outbox, 1)
    with webhook() as hook:
        gone = hook.url

    async def until_it_is_back() -> None:
        async with httpx.AsyncClient() as client:
            sink = HttpSink(Sink("ops", "webhook", gone), gone, {}, client)
            going_on = asyncio.ensure_future(
                deliver("ops", outbox, sink.send, now=lambda: NOW, first_pause_s=0.01, once=True)
            )
            await asyncio.sleep(0.2)
            assert not going_on.done()
            going_on.cancel()

    asyncio.run(until_it_is_back())
    assert outbox.waiting() == {"ops": 1}
    with webhook() as hook:
        run(outbox, hook.url)
        assert len(hook.posts) == 1


def test_what_nobody_took_for_a_day_is_given_up(hook: Webhook, outbox: Outbox) -> None:
    put(outbox, 1)
    run(outbox, hook.url, now=NOW + GIVEN_UP_AFTER + timedelta(seconds=1))
    assert hook.posts == []
    assert outbox.states(["n1"]) == {"n1": {"ops": "expired"}}


def test_the_outbox_survives_its_process_and_forgets_what_was_settled_long_ago(tmp_path: Path, hook: Webhook) -> None:
    path = tmp_path / "deliveries.sqlite"
    first = Outbox(path)
    first.add([("n1", b"{}"), ("n2", b"{}")], ["ops", "slack"], now=NOW)
    first.settle("n1-ops", "delivered", "200", now=NOW)
    first.close()
    again = Outbox(path)
    assert again.waiting() == {"ops": 1, "slack": 2}
    again.forget(NOW + timedelta(seconds=1))
    assert again.states(["n1", "n2"]) == {"n1": {"slack": "waiting"}, "n2": {"ops": "waiting", "slack": "waiting"}}
    again.close()


def test_what_waits_for_a_sink_that_is_no_more_is_given_up_and_forgotten_in_the_end(outbox: Outbox) -> None:
    put(outbox, 1)
    outbox.add([("n2", b"{}")], ["ops"], now=NOW + timedelta(days=2))
    tidy(outbox, NOW + timedelta(days=2))
    assert outbox.waiting() == {"ops": 2}
    tidy(outbox, NOW + timedelta(days=2, seconds=1))
    assert outbox.states(["n1", "n2"]) == {"n1": {"ops": "expired"}, "n2": {"ops": "waiting"}}
    tidy(outbox, NOW + timedelta(days=32, seconds=2))
    assert outbox.states(["n1", "n2"]) == {"n1": {}, "n2": {"ops": "expired"}}
