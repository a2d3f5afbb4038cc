"""The report page: one HTML file that needs no network, made from facts alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from answers.facts import ReportFacts, Totals
from answers.leaks import find_leak, headline
from answers.next_steps import next_steps, worst_steps
from answers.numbers import interval, listing
from answers.page import as_json, asset, render, write_page
from answers.period_words import called
from answers.sections.after_yes import after_yes_section
from answers.sections.audit import audit_section
from answers.sections.changes import LATE_YES_COUNTS, changes_section
from answers.sections.drop_off import drop_off_section
from answers.sections.hesitation import hesitation_section
from answers.sections.leaps import leaps_section
from answers.sections.momentum import momentum_section
from answers.sections.section import Section
from answers.sections.standing import standing_section
from answers.sections.too_soon import too_soon_section
from answers.sections.value_first import value_first_section
from ladder.errors import REASONS, Reason
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
    quality, period = facts.health.quality, facts.period
    return render(
        "report.html",
        scripts=[asset("times.js"), asset("echarts.js"), asset("report.js")],
        styles=[asset("report.css"), asset("sections.css")],
        changes=changes_section(period, Totals(facts.events, facts.sessions, facts.visitors), facts.ladder),
        sections=sections_of(facts),
        facts=facts,
        late_yes_counts=LATE_YES_COUNTS,
        days=None if period is None else called(period.days, period.every),
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
        data=as_json({"views": [_chart(view) for view in views]}),
    )


def write_report(facts: ReportFacts, path: Path) -> Path:
    """Put the page into a file, whole or not at all, and give its path back.  Raises ``UsageError`` where it cannot."""
    return write_page(render_report(facts), path)


def sections_of(facts: ReportFacts) -> list[Section]:
    """In the order of the page; what there is nothing to say of is left out."""
    asks, ladder = facts.asks, facts.ladder
    when = "" if facts.period is None else "first seen in these days"
    found = (
        audit_section(asks.audit),
        standing_section(asks.standing, ladder, when=when),
        drop_off_section(asks.drop_off),
        leaps_section(asks.leaps, ladder),
        too_soon_section(asks.too_soon, ladder),
        momentum_section(asks.momentum, asks.of_an_earlier_yes, ladder),
        value_first_section(asks.value, asks.of_a_gift, ladder, when=when),
        after_yes_section(asks.after_yes, asks.of_a_cheer, ladder),
        hesitation_section(asks.hesitation, ladder),
    )
    return [section for section in found if section is not None]


def _view(unit: Unit, tiers: tuple[TierRow, ...], facts: ReportFacts) -> _View:
    leak = find_leak(tiers)
    worst = leak.tier if leak is not None and leak.tier.drop_off > 0 else None
    ranked = worst_steps(unit, facts.steps, facts.ladder)
    return _View(
        unit=unit,
        tiers=tiers,
        worst=worst,
        rivals=leak is not None and len(leak.rivals) > 0,
        headline=headline(unit, tiers, of_days=facts.period is not None),
        advice=next_steps(unit, tiers, facts.steps, facts.ladder, of_days=facts.period is not None),
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


def _local(page: str) -> str | None:
    parts = urlsplit(page.replace("\\", "/"))
    return page if parts.scheme in ("", "file") and not parts.netloc else None
