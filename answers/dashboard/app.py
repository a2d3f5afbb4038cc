"""The dashboard as an ASGI application: addresses in, pages out; read-only but for the file of saved funnels."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from answers.dashboard.answering import BusyError, Desk, Lane, NoNumbersError, StillLookingError
from answers.dashboard.assets import assets
from answers.dashboard.doors import Doors
from answers.dashboard.layout import render_page, render_trouble
from answers.dashboard.page import Asked, Page
from answers.dashboard.pages import (
    alerts,
    cheers,
    funnel,
    health,
    hesitation,
    ladder,
    leaps,
    momentum,
    people,
    sql,
    value_first,
    walk,
)
from answers.dashboard.saving import save_funnel
from answers.dashboard.view import read_view
from answers.funnel_table import as_csv as funnel_csv
from ladder.errors import UsageError, YesladderError
from ladder.tiers import Ladder
from warehouse.built import ladder_hash

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script but ours, nothing from elsewhere.  Style attributes carry the places of marks on their lines."""

_OF_QUALITY_PAGES = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

_HTML = "text/html; charset=utf-8"

MOST_ADDRESS = 16_000
"""Characters of an address that is looked at."""


@dataclass(frozen=True)
class PageAt:
    """A page of the menu, or (``title`` empty) one that others lead to.  What is live changes between builds.

    ``meanwhile``: what a browser shows where the answer takes longer than ``AT_ONCE_S``.
    """

    title: str
    make: Callable[[Asked], Page]
    lane: Lane = "quick"
    meanwhile: str | None = None


AT_ONCE_S = 0.25

_COUNTING = (
    "The events of these days are being read from the lake, and this funnel counted from them. A funnel that is saved"
    " is counted by every build and opens at once; fewer days take less time. This page looks again by itself."
)

PAGES: Mapping[str, PageAt] = {
    "ladder": PageAt("Ladder", ladder.page),
    "funnel": PageAt("Funnels", funnel.page, "slow", _COUNTING),
    "leaps": PageAt("Leaps", leaps.page),
    "momentum": PageAt("Momentum", momentum.page),
    "hesitation": PageAt("Hesitation", hesitation.page),
    "value-first": PageAt("Value first", value_first.page),
    "cheers": PageAt("Cheers", cheers.page),
    "walk": PageAt("Walk", walk.page),
    "alerts": PageAt("Alerts", alerts.page, "live"),
    "health": PageAt("Data health", health.page, "live"),
    "people": PageAt("", people.page),
}

SQL = PageAt("SQL", sql.page, "slow")
"""One more, where the settings allow it."""


@dataclass(frozen=True)
class Dashboard:
    """What it shows and to whom.  ``load_ladder`` may raise ``UsageError``.  ``now``: the clock."""

    warehouse: Path
    load_ladder: Callable[[], Ladder]
    doors: Doors
    funnels: Path = Path("funnels.toml")
    allows_sql: bool = False
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


def create_app(dashboard: Dashboard, desk: Desk | None = None) -> ASGIApp:
    """The application.  ``desk``: another one than that which it would make."""
    served = _Served(dashboard, desk or Desk(dashboard.warehouse))
    routes = [
        Route("/", served.home),
        Route("/assets/{name}", _asset),
        Route("/quality/{path:path}", served.quality),
        *(Route(f"/{name}", served.page(name, at)) for name, at in served.pages.items()),
        Route("/alerts/{alert}", served.alert),
        Route("/funnel/save", served.save_funnel, methods=["POST"]),
        Route("/funnel.csv", served.csv("funnel", lambda asked: funnel_csv(funnel.answered(asked)))),
        Route("/people.csv", served.csv("people", people.as_csv)),
    ]
    if dashboard.allows_sql:
        routes.append(Route("/sql.csv", served.csv("rows", sql.as_csv)))
    app = Starlette(routes=routes, exception_handlers={404: served.not_found, 405: served.not_found})
    return _Door(app, dashboard.doors)


class _Served:
    def __init__(self, dashboard: Dashboard, desk: Desk) -> None:
        self._dashboard, self._desk = dashboard, desk
        self.pages = {**PAGES, **({"sql": SQL} if dashboard.allows_sql else {})}
        self._menu = [(name, at.title) for name, at in self.pages.items() if at.title]

    async def home(self, request: Request) -> Response:
        return RedirectResponse(f"/ladder?{request.url.query}" if request.url.query else "/ladder", status_code=307)

    async def alert(self, request: Request) -> Response:
        """Where the messages about an alert lead."""
        return RedirectResponse(f"/alerts?{urlencode({'alert': request.path_params['alert']})}", status_code=307)

    async def not_found(self, request: Request, error: Exception) -> Response:
        return self._trouble(404, "There is no such page", f"{request.url.path[:200]} is none of this dashboard's.")

    def page(self, name: str, at: PageAt) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            given = _given(request)

            def find() -> bytes:
                return self._render(name, at, given)

            async def ask() -> Response:
                if at.lane == "live":
                    found = await self._desk.ask_anew(find, lane=at.lane)
                else:
                    ladder_as_of = ladder_hash(self._dashboard.load_ladder())
                    question = (name, tuple(sorted(given.items())), self._funnels_as_of(), ladder_as_of)
                    # What is no browser's page, such as a script's, waits for the answer.
                    waits = at.meanwhile is None or request.headers.get("sec-fetch-dest") != "document"
                    lane: Lane = "kept" if name == "funnel" and _is_kept(given) else at.lane
                    found = await self._desk.ask(question, find, lane=lane, at_once_s=None if waits else AT_ONCE_S)
                return Response(found, media_type=_HTML)

            try:
                return await self._answer(ask)
            except StillLookingError as looking:
                words = f"{at.meanwhile} For {looking.seconds:.0f} s so far."
                return self._trouble(200, "Being counted", words, again_s=1, is_counting=True)

        return answer

    def csv(self, name: str, make: Callable[[Asked], str]) -> Callable[[Request], Awaitable[Response]]:
        """The same numbers as a page's, for a spreadsheet."""

        async def answer(request: Request) -> Response:
            given = _given(request)

            async def ask() -> Response:
                text = await self._desk.ask_anew(lambda: make(self._asked(given)), lane="slow")
                headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
                return Response(text, headers=headers, media_type="text/csv; charset=utf-8")

            return await self._answer(ask)

        return answer

    async def save_funnel(self, request: Request) -> Response:
        """The funnel of the address under the name of the form; leads to it."""
        body = await _body(request, MOST_ADDRESS)
        if body is None:
            return self._trouble(413, "This cannot be saved", "name: that is too much")
        name = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True)).get("name", "")
        given = _given(request)

        async def ask() -> Response:
            asked, saved = await self._desk.ask_anew(lambda: self._save(given, name), lane="quick")
            return RedirectResponse(f"/funnel?{asked.view.query(saved=saved)}", status_code=303)

        return await self._answer(ask)

    def _save(self, given: dict[str, tuple[str, ...]], name: str) -> tuple[Asked, str]:
        asked = self._asked(given)
        return asked, save_funnel(asked, name)

    async def quality(self, request: Request) -> Response:
        """A page of the quality gate's, which has styles of its own and no scripts."""
        folder = (self._dashboard.warehouse / "quality").resolve()
        try:
            wanted = (folder / request.path_params["path"]).resolve()
            if wanted.suffix != ".html" or not wanted.is_relative_to(folder):
                raise FileNotFoundError
            page = wanted.read_bytes()
        except (OSError, ValueError):  # a name that no file can have is ValueError
            return await self.not_found(request, LookupError())
        return Response(page, media_type=_HTML, headers={"content-security-policy": _OF_QUALITY_PAGES})

    async def _answer(self, ask: Callable[[], Awaitable[Response]]) -> Response:
        try:
            return await ask()
        except StillLookingError:
            raise
        except NoNumbersError as error:
            return self._trouble(200, "No numbers yet", str(error), again_s=5)
        except UsageError as error:
            return self._trouble(400, "This cannot be shown", str(error))
        except BusyError as error:
            return self._trouble(503, "Too much at once", str(error), {"retry-after": "5"})
        except YesladderError as error:
            return self._trouble(500, "This cannot be shown", str(error))
        except Exception:
            log.exception("a page failed")
            return self._trouble(500, "This cannot be shown", "The fault is ours; the dashboard's log has it.")

    def _render(self, name: str, at: PageAt, given: dict[str, tuple[str, ...]]) -> bytes:
        return render_page(name, at.make, self._asked(given), self._menu).encode()

    def _asked(self, given: dict[str, tuple[str, ...]]) -> Asked:
        dashboard = self._dashboard
        found = dashboard.load_ladder()
        view = read_view({key: values[-1] for key, values in given.items()}, found)
        return Asked(dashboard.warehouse, found, view, given, dashboard.now(), dashboard.funnels)

    def _funnels_as_of(self) -> int:
        """Changes whenever the file of saved funnels does."""
        try:
            return self._dashboard.funnels.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _trouble(
        self,
        status: int,
        title: str,
        words: str,
        headers: Mapping[str, str] | None = None,
        again_s: int | None = None,
        is_counting: bool = False,
    ) -> Response:
        return Response(render_trouble(title, words, self._menu, again_s, is_counting), status, headers, _HTML)


def _is_kept(given: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a funnel is one that builds count, or none yet."""
    return "saved" in given or not any(step.strip() for step in given.get("steps", ()))


async def _body(request: Request, most: int) -> bytes | None:
    """What was sent; None where that is more than so many bytes, of which no more is then read."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return bytes(body)


def _given(request: Request) -> dict[str, tuple[str, ...]]:
    return {name: tuple(request.query_params.getlist(name)) for name in request.query_params}


async def _asset(request: Request) -> Response:
    found = assets().get(request.path_params["name"])
    if found is None:
        return Response("there is no such file", 404, media_type="text/plain")
    headers = {"etag": f'"{found.tag}"', "vary": "accept-encoding", "cache-control": "no-cache"}
    if request.query_params.get("v") == found.tag:
        headers["cache-control"] = "private, max-age=31536000, immutable"
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, headers={**headers, "content-encoding": "gzip"}, media_type=found.kind)
    return Response(found.plain, headers=headers, media_type=found.kind)


class _Door:
    """Lets in whom the doors let in, and puts the headers of safety onto every answer that has none of its own."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self._app, self._doors = app, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                told: list[Any] = list(message.get("headers", []))
                known = {name.lower() for name, _ in told}
                told += [
                    (name.encode(), text.encode()) for name, text in _HEADERS.items() if name.encode() not in known
                ]
                message = {**message, "headers": told}
            await send(message)

        peer = scope["client"][0] if scope.get("client") is not None else None
        refusal = self._doors.refusal(request.method, request.headers, peer)
        if refusal is not None:
            words = Response(f"{refusal.reason}\n", refusal.status, refusal.headers, "text/plain; charset=utf-8")
            await words(scope, receive, send_safely)
            return
        if len(scope.get("query_string", b"")) > MOST_ADDRESS:
            await Response("the address is too long\n", 414)(scope, receive, send_safely)
            return
        await self._app(scope, receive, send_safely)
