"""Durations as people write them: ``30m``, ``2h``, ``1h30m``, ``14d``, ``500ms``."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def parse_duration(text: str) -> timedelta:
    """A duration from text such as ``1h30m``; days are 24 hours.  ``0s`` is allowed.  Raises ``ValueError``."""
    compact = text.replace(" ", "")
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"{text!r} is no duration; write for example 90s, 30m, 2h, 1h30m or 14d")
    try:
        return sum((float(number) * _UNITS[unit] for number, unit in parts), timedelta())
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any duration we know") from None


def format_duration(duration: timedelta) -> str:
    """A short text that ``parse_duration`` reads back as the same duration; ``0s`` for none.

    Raises ``ValueError`` for a negative one, which has no such text.
    """
    if duration < timedelta():
        raise ValueError(f"{duration} is negative")
    rest, parts = duration, ""
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts += f"{count}{unit}"
    if rest:
        parts += f"{rest / _UNITS['ms']:g}ms"
    return parts or "0s"


def in_microseconds(duration: timedelta) -> int:
    """The whole microseconds of a duration, exactly."""
    return duration // timedelta(microseconds=1)
