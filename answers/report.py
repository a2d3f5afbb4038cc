"""The report page: one HTML file that needs no network, made from facts alone."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import cast
from urllib.parse import urlsplit

from jinja2 import Environment, StrictUndefined, select_autoescape
from markupsafe import Markup

from answers.facts import ReportFacts
from answers.leaks import find_leak, headline
from answers.next_steps import next_steps, worst_steps
from answers.numbers import count, interval, listing, percent, utc
from ladder.errors import REASONS, Reason, UsageError
from warehouse.query import StepRow, TierRow, Unit

STEPS_SHOWN = 10


@dataclass(frozen=True)
class _View:
    """What the page says of one unit."""

    unit: Unit
    tiers: tuple[TierRow, ...]
    worst: TierRow | None
    rivals: bool
    headline: str
    advice: tuple[str, ...]
    steps: tuple[StepRow, ...]
    more_steps: int


def render_report(facts: ReportFacts) -> str:
    """The whole page as HTML.  It loads nothing, runs only its own scripts and opens from ``file://``.

    All names in ``facts`` are untrusted text.  A quality page that is no relative or ``file:`` address gets no link.
    """
    views = [_view("session", facts.per_session, facts), _view("visitor", facts.per_visitor, facts)]
    quality = facts.health.quality
    scripts = [_asset("echarts.js"), _asset("report.js")]
    environment = Environment(autoescape=select_autoescape(["html"], default=True), undefined=StrictUndefined)
    environment.filters |= {"count": count, "percent": percent, "utc": utc}
    return environment.from_string(_text("templates/report.html")).render(
        facts=facts,
        views=views,
        any_implicit=any(row.implicit > 0 for view in views for row in view.tiers),
        tier_names=dict(enumerate(facts.ladder.tiers, start=1)),
        interval=interval,
        rejected=sorted(
            (
                (reason, REASONS.get(cast(Reason, reason), ""), number)
                for reason, number in facts.health.rejected.items()
                if number > 0
            ),
            key=lambda line: -line[2],
        ),
        batches=lambda names: listing([f"batch {name}" for name in names]),
        quality_page=_local(quality.page) if quality is not None and quality.page is not None else None,
        policy=_policy(scripts),
        style=Markup(_asset("report.css")),
        scripts=[Markup(script) for script in scripts],
        data=_json({"views": [_chart(view) for view in views]}),
    )


def write_report(facts: ReportFacts, path: Path) -> Path:
    """Put the page into a file, whole or not at all, and give its path back.  Raises ``UsageError`` where it cannot."""
    page = render_report(facts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".html", delete=False) as file:
            file.write(page)
        written = Path(file.name)
        try:
            written.chmod(0o644)
            written.replace(path)
        finally:
            written.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: the report cannot be written there: {error.strerror}") from None
    return path


def _view(unit: Unit, tiers: tuple[TierRow, ...], facts: ReportFacts) -> _View:
    leak = find_leak(tiers)
    worst = leak.tier if leak is not None and leak.tier.drop_off > 0 else None
    ranked = worst_steps(unit, facts.steps, facts.ladder)
    return _View(
        unit=unit,
        tiers=tiers,
        worst=worst,
        rivals=leak is not None and len(leak.rivals) > 0,
        headline=headline(unit, tiers),
        advice=next_steps(unit, tiers, facts.steps, facts.ladder),
        steps=tuple(ranked[:STEPS_SHOWN]),
        more_steps=max(0, len(ranked) - STEPS_SHOWN),
    )


def _chart(view: _View) -> dict[str, object]:
    """What the page's script draws."""
    return {
        "unit": view.unit,
        "tiers": [asdict(row) for row in view.tiers],
        "worst": None if view.worst is None else view.worst.tier,
    }


def _policy(scripts: Sequence[str]) -> str:
    """Nothing may be loaded or sent, and no script runs but these: one that slips in with a name does not."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _json(value: object) -> Markup:
    """JSON that no text in it can end the script element with."""
    text = json.dumps(value)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _local(page: str) -> str | None:
    parts = urlsplit(page.replace("\\", "/"))
    return page if parts.scheme in ("", "file") and not parts.netloc else None


def _asset(name: str) -> str:
    return _text(f"assets/{name}")


def _text(path: str) -> str:
    return (files("answers") / path).read_text(encoding="utf-8")
