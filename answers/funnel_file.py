"""Saved funnels: a TOML file with one table per funnel, whose keys are the options of `yesladder funnel`.

::

    [sign-up]
    steps = ["Page Shown", "Form Shown", "Signed Up"]
    window = "7d"
    step_where = ["3:plan = 'pro'"]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import msgspec

from answers.funnel_question import Question, ask
from ladder.errors import UsageError


class _Saved(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    steps: list[str]
    order: str = "ordered"
    window: str = "14d"
    step_window: list[str] = []
    unit: str = "visitor"
    exclude: list[str] = []
    where: str | None = None
    step_where: list[str] = []
    optional: list[int] = []
    first_ever: list[int] = []
    first_matching: list[int] = []
    by: str | None = None
    attribution: str | None = None
    hold: str | None = None
    since: Any = None
    until: Any = None
    trend: str | None = None


def load_funnels(path: Path) -> dict[str, Question]:
    """The saved funnels of a file by their names, in its order.

    ``UsageError`` names the file, the funnel, the key and the fix.
    """
    try:
        return parse_funnels(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file of funnels") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a file of funnels: {error}") from None


def chosen(options: Mapping[str, Any], saved: str | None, path: Path) -> Question:
    """The question of a command line: its options (None and empty where not given), or a saved funnel's name.

    Raises ``UsageError`` in the words of the command line.
    """
    given = {field: value for field, value in options.items() if value not in (None, ())}
    if saved is None:
        if "steps" not in given:
            raise UsageError(
                '--steps: name at least one, such as --steps "Form Shown" "Signed Up", or use --saved NAME'
            )
        for field in ("since", "until"):
            if field in given:
                given[field] = given[field].replace(tzinfo=UTC)
        return ask(**given, name=lambda field: f"--{field.replace('_', '-')}")
    if given:
        first = next(iter(given)).replace("_", "-")
        raise UsageError(f"--{first}: a saved funnel is asked as it stands in its file; leave it out, or --saved")
    funnels = load_funnels(path)
    if saved not in funnels:
        raise UsageError(f"--saved: {path} has no funnel {saved!r}; it has {', '.join(funnels) or 'none'}")
    return funnels[saved]


def parse_funnels(text: str, origin: str) -> dict[str, Question]:
    """The same from text; ``origin`` names it in errors."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{origin}: no TOML: {error}") from None
    return {name: _question(name, value, origin) for name, value in raw.items()}


def _question(funnel: str, value: object, origin: str) -> Question:
    def named(field: str) -> str:
        return f"{origin}, funnel {funnel!r}, {field}"

    try:
        saved = msgspec.convert(value, _Saved)
    except msgspec.ValidationError as error:
        found = re.search(r" - at `\$\.?([^`]*)`$", str(error))
        path, reason = (found[1], str(error)[: found.start()]) if found else ("", str(error))
        unknown = re.search(r"unknown field `([^`]+)`", reason)
        if unknown:
            path, reason = unknown[1], f"there is no such key; there are {', '.join(_Saved.__struct_fields__)}"
        raise UsageError(f"{named(path or 'all of it')}: {reason}") from None
    given = msgspec.structs.asdict(saved)
    given |= {field: _time(given[field], named(field)) for field in ("since", "until")}
    return ask(**given, name=named)


def _time(value: object, field: str) -> datetime | None:
    """TOML has dates and times of its own; a date is its first instant in UTC."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise UsageError(f"{field}: {value!r} is no date; write it as 2026-03-01, without quotes")
