from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import replace
from pathlib import Path

import httpx
from starlette.types import ASGIApp

from answers.dashboard.answering import Desk, Lane, StillLookingError
from answers.dashboard.app import MOST_ADDRESS, PAGES, Dashboard, create_app
from answers.dashboard.doors import doors
from ladder.tiers import builtin_ladder


class Listening(Desk):
    """Notes which questions are told apart, and answers none."""

    def __init__(self, warehouse: Path) -> None:
        super().__init__(warehouse)
        self.heard: list[Hashable] = []
        self.lanes: list[Lane] = []
        self.fails = False

    async def ask(
        self, question: Hashable, find: Callable[[], bytes], *, lane: Lane, at_once_s: float | None = None
    ) -> bytes:
        if at_once_s is not None:
            raise StillLookingError(3.4)
        if self.fails:
            raise ZeroDivisionError
        self.lanes.append(lane)
        self.heard.append(question)
        return b"heard"


def get(app: ASGIApp, address: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(address, headers=headers)

    return asyncio.run(ask())


def test_an_answer_by_one_ladder_is_none_by_another(tmp_path: Path) -> None:
    ladders = [builtin_ladder(), replace(builtin_ladder(), tiers=("a", "b", "c", "d", "e"))]
    open_to_us = doors("127.0.0.1", password_file=None, trusted_header=None, proxies="")
    desk = Listening(tmp_path)
    app = create_app(Dashboard(tmp_path, lambda: ladders[0], open_to_us), desk)

    for _ in range(2):
        assert get(app, "/ladder?unit=session").text == "heard"
    assert desk.heard[0] == desk.heard[1]
    ladders.reverse()
    get(app, "/ladder?unit=session")
    assert desk.heard[2] != desk.heard[0]
    desk.close()


def test_a_fault_of_ours_is_told_in_a_page(tmp_path: Path) -> None:
    open_to_us = doors("127.0.0.1", password_file=None, trusted_header=None, proxies="")
    desk = Listening(tmp_path)
    app = create_app(Dashboard(tmp_path, builtin_ladder, open_to_us), desk)

    desk.fails = True
    answer = get(app, "/ladder")

    assert answer.status_code == 500
    assert "The fault is ours" in answer.text
    desk.close()


def test_a_browser_is_told_that_a_funnel_is_being_counted_and_a_script_waits(tmp_path: Path) -> None:
    open_to_us = doors("127.0.0.1", password_file=None, trusted_header=None, proxies="")
    desk = Listening(tmp_path)
    app = create_app(Dashboard(tmp_path, builtin_ladder, open_to_us), desk)
    browser = {"sec-fetch-dest": "document"}

    told = get(app, "/funnel?steps=a", **browser)

    assert told.status_code == 200
    assert '<meta http-equiv="refresh" content="1">' in told.text
    assert "For 3 s so far" in told.text
    assert get(app, "/funnel?steps=a").text == "heard"
    assert get(app, "/ladder", **browser).text == "heard"
    for kept in ("/funnel?saved=a", "/funnel", "/funnel?steps=&steps="):
        assert get(app, kept).text == "heard"
    assert desk.lanes == ["slow", "quick", "kept", "kept", "kept"]
    desk.close()


def test_what_changes_between_builds_waits_for_nothing_else() -> None:
    assert {name for name, at in PAGES.items() if at.lane == "live"} == {"alerts", "health"}


def test_of_a_form_that_is_too_long_no_more_is_read_than_it_takes_to_know(tmp_path: Path) -> None:
    open_to_us = doors("127.0.0.1", password_file=None, trusted_header=None, proxies="")
    desk = Listening(tmp_path)
    app = create_app(Dashboard(tmp_path, builtin_ladder, open_to_us), desk)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * MOST_ADDRESS:
            sent += 1000
            yield b"x" * 1000

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/funnel/save?steps=x", content=endless())

    answer = asyncio.run(post())

    assert answer.status_code == 413
    assert sent <= MOST_ADDRESS + 2000
    desk.close()
