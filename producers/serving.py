"""Running the collector with uvicorn: in the foreground until a signal, or beside other work."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator

import uvicorn

from ladder.errors import UsageError, YesladderError
from producers.http_head import ASGIApp

_KEEP_ALIVE_S = 75
"""Longer than the 60 s of common load balancers: the side that forwards must be the one that hangs up."""

_STOP_WITHIN_S = 15.0


def serve(app: ASGIApp, host: str, port: int, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; then requests under way are answered, for 15 s at most, and this returns.

    ``port=0`` takes a free one; ``on_ready`` is told the URL before the first request is taken.
    Raises ``UsageError`` when the address cannot be listened on.
    """
    with _listening(host, port) as listener:
        if on_ready is not None:
            on_ready(_url(listener))
        _Server(app).run(sockets=[listener])


@contextlib.contextmanager
def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve in a thread while the block runs; gives the URL.  Ends as ``serve`` does."""
    with _listening(host, port) as listener:
        server = _Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="collector", daemon=True)
        thread.start()
        try:
            yield _url(listener)
        finally:
            server.should_exit = True
            thread.join(_STOP_WITHIN_S + 5)
            if thread.is_alive():
                raise YesladderError("the collector did not stop in time")


class _Server(uvicorn.Server):
    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                loop="uvloop" if sys.platform != "win32" else "asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(_STOP_WITHIN_S),
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Unlike uvicorn's own, without raising the signal again: the caller has a publisher to close."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen on {host}:{port} ({error}); choose another address or port") from None
    with listener:
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
