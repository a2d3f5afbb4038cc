from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path

import httpx
from starlette.types import ASGIApp

from answers.dashboard.answering import Desk
from answers.dashboard.app import Dashboard, create_app
from answers.dashboard.doors import doors
from ladder.tiers import builtin_ladder


class Listening(Desk):
    """Notes which questions are told apart, and answers none."""

    def __init__(self, warehouse: Path) -> None:
        super().__init__(warehouse)
        self.heard: list[Hashable] = []
        self.fails = False

    async def ask(self, question: Hashable, find: Callable[[], bytes], *, is_slow: bool) -> bytes:
        if self.fails:
            raise ZeroDivisionError
        self.heard.append(question)
        return b"heard"


def get(app: ASGIApp, address: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(address)

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
