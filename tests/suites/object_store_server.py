"""An object store behind faults that are sent for: moto's S3, our own Google Cloud Storage, or one that runs already.

``python -P -m tests.suites.object_store_server s3`` (or ``gs BUCKET``, ``at ADDRESS``) prints its port and serves on
loopback until its stdin ends.  Where moto looks before it writes there is a lock.
``POST /-/faults`` takes a list of ``Fault`` as JSON; ``GET /-/requests`` tells what was asked since it was last asked.
"""

from __future__ import annotations

import io
import json
import logging
import random
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpx
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.suites.google_storage import GoogleStorage

_OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "date", "server"}

Environment = dict[str, Any]
Application = Callable[[Environment, Callable[..., Any]], Iterable[bytes]]

_SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please slow down.</Message></Error>"


class Faulty:
    """The store with what goes wrong on the way to it and back.

    A fault is ``{"what", "method", "path", "times", "share", "seed"}``: of the requests that fit, ``share`` are hit,
    ``times`` at most.  ``what``: ``slow_down`` (503, nothing done), ``lost`` (done, and 503 all the same), ``cut``
    (the connection ends, nothing done), ``cut_after`` (done, and the connection ends), ``slow`` (half a second),
    ``late`` (the connection ends, and a third of a second later it is done).
    """

    def __init__(self, store: Application) -> None:
        self._store = store
        self._faults: list[dict[str, Any]] = []
        self._asked: list[str] = []
        self._hit: list[str] = []
        self._lock = threading.Lock()
        self._conditional = threading.Lock()

    def __call__(self, environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
        path = environment["PATH_INFO"]
        if path.startswith("/-/"):
            return self._steered(path, environment, start)
        request = f"{environment['REQUEST_METHOD']} {path}"
        what = self._fault_of(request, environment["QUERY_STRING"])
        if what == "slow_down":
            _body(environment)
            return self._refused(start)
        if what == "cut":
            _body(environment)
            return self._cut(environment)
        if what == "slow":
            time.sleep(0.5)
        if what == "late":
            environment["wsgi.input"] = io.BytesIO(_body(environment))
            threading.Timer(0.3, lambda: self._ask(environment)).start()
            return self._cut(environment)
        answers, body = self._ask(environment)
        if what == "lost":
            return self._refused(start)
        if what == "cut_after":
            return self._cut(environment)
        start(*answers[-1])
        return [body]

    def _ask(self, environment: Environment) -> tuple[list[tuple[Any, ...]], bytes]:
        answers: list[tuple[Any, ...]] = []
        if "HTTP_IF_NONE_MATCH" in environment:
            with self._conditional:
                body = b"".join(self._store(environment, lambda *answer: answers.append(answer)))
        else:
            body = b"".join(self._store(environment, lambda *answer: answers.append(answer)))
        return answers, body

    def _fault_of(self, request: str, query: str) -> str | None:
        with self._lock:
            self._asked.append(request)
            for fault in self._faults:
                fits = re.search(fault["fits"], f"{request}?{query}")
                if fault["times"] and fits and fault["chance"].random() < fault["share"]:
                    fault["times"] -= 1
                    self._hit.append(f"{fault['what']} {request}")
                    return str(fault["what"])
        return None

    def _steered(self, path: str, environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            if path == "/-/faults":
                given = json.loads(environment["wsgi.input"].read(int(environment["CONTENT_LENGTH"])))
                self._faults = [fault | {"chance": random.Random(fault["seed"])} for fault in given]
                told: list[str] = []
            else:
                told, self._asked = (self._asked, []) if path == "/-/requests" else (self._hit, self._asked)
                if path == "/-/hits":
                    self._hit = []
        body = json.dumps(told).encode()
        start("200 OK", [("content-type", "application/json"), ("content-length", str(len(body)))])
        return [body]

    def _refused(self, start: Callable[..., Any]) -> Iterable[bytes]:
        start("503 Slow Down", [("content-type", "application/xml"), ("content-length", str(len(_SLOW_DOWN)))])
        return [_SLOW_DOWN]

    def _cut(self, environment: Environment) -> Iterable[bytes]:
        environment["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError


def _body(environment: Environment) -> bytes:
    """All of it, or the connection could not be used again."""
    if environment.get("wsgi.input_terminated"):
        chunked: bytes = environment["wsgi.input"].read()
        return chunked
    whole: bytes = environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
    return whole


def _forwarded(address: str) -> Application:
    """Whatever is asked is asked of another server."""
    client = httpx.Client(timeout=60)

    def forward(environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
        body = _body(environment)
        headers = {
            key.removeprefix("HTTP_").replace("_", "-"): value
            for key, value in environment.items()
            if key.startswith("HTTP_") or (key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
        }
        method, target = environment["REQUEST_METHOD"], environment["REQUEST_URI"]
        answer = client.request(method, address + target, headers=headers, content=body)
        kept = [(key, value) for key, value in answer.headers.items() if key not in _OF_THE_CONNECTION]
        if method != "HEAD":
            kept = [(key, value) for key, value in kept if key != "content-length"]
            kept.append(("content-length", str(len(answer.content))))
        start(f"{answer.status_code} {answer.reason_phrase}", kept)
        return [answer.content]

    return forward


def _store(kind: str, what: str = "") -> Application:
    if kind == "at":
        return _forwarded(what)
    moto: Application = DomainDispatcherApplication(create_backend_app)
    return GoogleStorage(what) if kind == "gs" else moto


def main() -> None:
    """Serve until stdin ends."""
    logging.getLogger("werkzeug").disabled = True
    store = _store(*sys.argv[1:])
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    server = make_server("127.0.0.1", 0, Faulty(store), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
