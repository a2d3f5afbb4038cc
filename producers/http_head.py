"""The heads of requests and answers: who asks, from which page, and what a browser is told about it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
    # the last one is Rudder's browser client's
    (b"access-control-allow-headers", b"authorization, content-type, x-write-key, x-retry-count, anonymousid"),
    (b"access-control-max-age", b"7200"),
]
"""What a browser is told that asks before it sends."""


def cross_origin(origin: bytes) -> Headers:
    """Any page may send, with its cookies; and may see Retry-After, without which clients come back too early."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"Retry-After"),
        (b"vary", b"Origin"),
    ]


class Request:
    """What the collector looks at in a request's head.

    ``write_key``: of Basic (the user name), else Bearer, else X-Write-Key; None where the head has none.
    ``content_length``: 0 where the head does not say.
    """

    __slots__ = ("content_length", "encoding", "method", "origin", "path", "write_key")

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.origin: bytes | None = None
        self.encoding = b""
        self.content_length = 0
        authorization = x_write_key = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"x-write-key":
                x_write_key = value
            elif name == b"content-length":
                self.content_length = int(value)  # the server has checked it
            elif name == b"content-encoding":
                self.encoding = value.strip().lower()
            elif name == b"origin":
                self.origin = value
        self.write_key = _write_key(authorization, x_write_key) if authorization or x_write_key else None


@lru_cache(maxsize=1024)
def _write_key(authorization: bytes, x_write_key: bytes) -> str | None:
    return _authorized(authorization) or x_write_key.decode("latin-1") or None


def _authorized(header: bytes) -> str | None:
    """The user name of Basic, or the token of Bearer; None for what is neither."""
    scheme, _, value = header.partition(b" ")
    scheme, value = scheme.lower(), value.strip()
    if scheme == b"bearer":
        return value.decode("latin-1")
    if scheme != b"basic":
        return None
    try:
        return b64decode(value, validate=True).decode().partition(":")[0]
    except ValueError:
        return None
