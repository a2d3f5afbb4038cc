"""Everything the collector can refuse a request for, and what it answers then.

The bodies are ``{"code": ..., "message": ...}``: Rudder's Python client sends any other 4xx again for ever.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from ladder.errors import Reason, YesladderError

Code = (
    Reason
    | Literal[
        "not_gzip",
        "unknown_encoding",
        "unknown_key",
        "not_found",
        "wrong_method",
        "too_slow",
        "overloaded",
        "unavailable",
        "not_ready",
        "internal",
    ]
)


class Answer(NamedTuple):
    """``again``: a client that sends the same request later is right to; it is told when, by ``Retry-After``."""

    status: int
    again: bool


ANSWERS: dict[Code, Answer] = {
    "not_json": Answer(400, again=False),
    "not_utf8": Answer(400, again=False),
    "not_an_event": Answer(400, again=False),
    "missing_field": Answer(400, again=False),
    "wrong_type": Answer(400, again=False),
    "bad_value": Answer(400, again=False),
    "bad_time": Answer(400, again=False),
    "unknown_type": Answer(400, again=False),
    "not_gzip": Answer(400, again=False),
    "unknown_key": Answer(401, again=False),
    "not_found": Answer(404, again=False),
    "wrong_method": Answer(405, again=False),
    "too_slow": Answer(408, again=True),
    "too_large": Answer(413, again=False),
    "unknown_encoding": Answer(415, again=False),
    "internal": Answer(500, again=True),
    # Overload is no 429: PostHog's browser client drops what a 4xx answers.
    "overloaded": Answer(503, again=True),
    "unavailable": Answer(503, again=True),
    "not_ready": Answer(503, again=True),
}

if set(ANSWERS) != {code for part in get_args(Code) for code in get_args(part)}:
    raise RuntimeError("every Code needs its line in ANSWERS")


class Refused(YesladderError):
    """A request that is answered with an error; nothing of it was accepted."""

    def __init__(self, code: Code, message: str, retry_after_s: float = 2.0) -> None:
        super().__init__(f"{code}: {message}")
        self.code: Code = code
        self.message = message
        self.retry_after_s = retry_after_s
