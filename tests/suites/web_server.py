"""A real web server on loopback that takes webhooks and fails when it is told to."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Fault = int | Literal["drop", "drop after reading", "hang", "bad gzip", "endless"]


@dataclass(frozen=True)
class Call:
    """One request as it came in whole."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")


class Web:
    """``calls``: what came in, also where the sender was not told so.  ``faults``: what goes wrong with the next."""

    def __init__(self) -> None:
        self.url = ""
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.retry_after: str | None = None
        self.words = b"ok"
        self.release = threading.Event()


@contextmanager
def web_server() -> Iterator[Web]:
    """It listens at ``url`` until the block ends."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            fault = web.faults.pop(0) if web.faults else 200
            if fault == "drop":
                return self._reset()
            body = self.rfile.read(int(self.headers["Content-Length"]))
            web.calls.append(Call(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if fault == "drop after reading":
                return self._reset()
            if fault == "hang":
                web.release.wait(60)
                return self._reset()
            if not isinstance(fault, int):
                return self._odd(fault)
            self.send_response(fault)
            if web.retry_after is not None:
                self.send_header("Retry-After", web.retry_after)
            self.send_header("Content-Length", str(len(web.words)))
            self.end_headers()
            self.wfile.write(web.words)
            return None

        def _odd(self, fault: Fault) -> None:
            self.send_response(200)
            if fault == "bad gzip":
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", "4" if fault == "bad gzip" else "1000000")
            self.end_headers()
            self.wfile.write(b"okok")
            if fault == "endless":
                web.release.wait(60)

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def finish(self) -> None:
            if self.connection.fileno() != -1:
                super().finish()

        def log_message(self, format: str, *args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is what is tried
    web.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.release.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
