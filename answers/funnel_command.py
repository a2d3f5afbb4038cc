"""A funnel question in the words of the command line, of a page's address, and of the file of saved funnels."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

MANY = ("steps", "step_window", "exclude", "step_where", "optional", "first_ever", "first_matching")
"""Options that may be given several times."""

ONE = ("order", "window", "unit", "where", "by", "attribution", "hold", "since", "until", "trend")

_PLAIN = {"order": "ordered", "unit": "visitor"}

NUMBERS = ("optional", "first_ever", "first_matching")


def as_command(given: Mapping[str, Any], more: Sequence[str] = ()) -> str:
    """`yesladder funnel` with these options of ``answers.funnel_question.ask``.

    What is empty or the default is left out.
    """
    words = ["yesladder", "funnel"]
    if given.get("steps"):
        words += ["--steps", *given["steps"]]
    for name in (*MANY[1:], *ONE):
        values: Sequence[Any] = (given.get(name) or ()) if name in MANY else (given.get(name),)
        for value in values:
            words += [] if value in (None, "", _PLAIN.get(name)) else [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, *more])


def as_toml(name: str, given: Mapping[str, Any]) -> str:
    """The funnel as a table of the file of saved funnels (``answers.funnel_file``)."""
    lines = [f"[{_toml(name)}]"]
    for key in MANY:
        many: Sequence[Any] = given.get(key) or ()
        if many:
            texts = [str(int(one)) if key in NUMBERS else _toml(str(one)) for one in many]
            lines.append(f"{key} = [{', '.join(texts)}]")
    for key in ONE:
        one = given.get(key)
        if one not in (None, ""):
            lines.append(f"{key} = {one if key in ('since', 'until') else _toml(str(one))}")
    return "\n".join(lines) + "\n"


def _toml(text: str) -> str:
    """A basic string; JSON writes all but the last of ASCII as TOML does."""
    return re.sub("[\x7f]", lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
