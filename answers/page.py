"""A page that stands alone: its template, styles and scripts in one HTML file that loads and sends nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound
from markupsafe import Markup

from answers.numbers import count, percent, seconds, shortened, signed, utc
from ladder.errors import UsageError


def render(template: str, *, styles: Sequence[str], scripts: Sequence[str] = (), **facts: Any) -> str:
    """The page of a template of ours.  It has ``style``, ``scripts`` and ``policy``, and what else is said here.

    All text in ``facts`` is untrusted and is escaped; only these scripts run.
    """
    return (
        environment()
        .get_template(template)
        .render(
            policy=_policy(scripts),
            style=Markup("\n".join(styles)),
            scripts=[Markup(script) for script in scripts],
            **facts,
        )
    )


def write_page(page: str | bytes, path: Path) -> Path:
    """Put a page into a file, whole or not at all, and give its path back.  Raises ``UsageError`` where it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("wb", dir=path.parent, suffix=path.suffix, delete=False) as file:
            file.write(page.encode() if isinstance(page, str) else page)
        written = Path(file.name)
        try:
            written.chmod(0o644)
            written.replace(path)
        finally:
            written.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: the page cannot be written there: {error.strerror}") from None
    return path


def as_json(value: object) -> Markup:
    """JSON that no text in it can end the script element with."""
    text = json.dumps(value)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def asset(name: str) -> str:
    """A script or style of ours."""
    return _text(f"assets/{name}")


class _Templates(BaseLoader):
    """Those of this package, wherever it is installed."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, None, None]:
        try:
            return _text(f"templates/{template}"), None, None
        except FileNotFoundError:
            raise TemplateNotFound(template) from None


@cache
def environment() -> Environment:
    """Of the templates of this package: all text is escaped, and nothing may be missing."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, loader=_Templates())
    environment.filters |= {
        "count": count,
        "percent": percent,
        "seconds": seconds,
        "signed": signed,
        "shortened": shortened,
        "utc": utc,
    }
    return environment


_NONE = "'none'"


def _policy(scripts: Sequence[str]) -> str:
    """Nothing may be loaded or sent, and no script runs but these: one that slips in with a name does not."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes or _NONE}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _text(path: str) -> str:
    return (files("answers") / path).read_text(encoding="utf-8")
