"""A web server on loopback that takes what alerts are sent to, and may refuse it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Post:
    """One request: its path, headers (in small letters), JSON, and when it came."""

    path: str
    headers: dict[str, str]
    body: Any
    at: datetime

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]


@dataclass
class Webhook:
    """``answers``: what to answer next, (status, headers); 200 when none is left.  ``posts``: what was taken (2xx)."""

    url: str
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    refused: list[Post] = field(default_factory=list)


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Runs until the block ends."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            post = Post(self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(body), datetime.now(UTC))
            with lock:
                status, headers = hook.answers.pop(0) if hook.answers else (200, {})
                (hook.posts if 200 <= status < 300 else hook.refused).append(post)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Webhook(f"http://127.0.0.1:{server.server_port}/hook")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
