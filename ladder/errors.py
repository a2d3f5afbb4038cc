"""What can go wrong, and whose fault it is.

``YesladderError`` is anything we expect: the command line prints it in one line and exits with its ``exit_code``.
Everything else is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

Reason = Literal[
    "not_json",
    "not_utf8",
    "not_an_event",
    "missing_field",
    "wrong_type",
    "bad_value",
    "bad_time",
    "too_large",
    "unknown_type",
]
"""Why one event was refused.  The same word reaches the client, the ``rejects`` table and the metric."""

REASONS: dict[Reason, str] = {
    "not_json": "the bytes are not one JSON value",
    "not_utf8": "the text is not UTF-8",
    "not_an_event": "JSON, but neither an event object nor a list of them",
    "missing_field": "a field that every event needs is absent, null or empty",
    "wrong_type": "a field holds another JSON type than the contract says",
    "bad_value": "a field's value is outside what the contract allows",
    "bad_time": "a time is not RFC 3339 with a zone, or lies before 2000 or after 2100",
    "too_large": "the event is larger than the limit",
    "unknown_type": "`type` is none of track, page, screen, identify, group, alias",
}

if set(REASONS) != set(get_args(Reason)):
    raise RuntimeError("every Reason needs its line in REASONS")


class YesladderError(Exception):
    """An expected failure, told to the user in one line."""

    exit_code: ClassVar[int] = 1


class UsageError(YesladderError):
    """The caller's mistake: a wrong option, file or setting.  The message says what, where and what to do."""

    exit_code: ClassVar[int] = 2


class EventError(YesladderError):
    """One event breaks the contract: ``reason`` is the code, ``field`` the path (empty: the whole event)."""

    def __init__(self, reason: Reason, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.reason: Reason = reason
        self.field = field
        self.detail = detail
