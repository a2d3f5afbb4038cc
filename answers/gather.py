"""The facts of the report page, from a warehouse as its last build left it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from answers.audit_findings import audits
from answers.data_health import between, read_health
from answers.facts import AskFacts, PeriodFacts, ReportFacts, Totals
from answers.gather_audit import gather_audit
from ladder.tiers import Ladder
from warehouse.asks import after_yes, hesitation, leaps, momentum
from warehouse.changes import drop_off_changes
from warehouse.counted import Slice
from warehouse.drop_off import DropOff, step_drop_off, tier_drop_off
from warehouse.effects import of_a_cheer, of_a_gift, of_an_earlier_yes
from warehouse.periods import Days, Every, before
from warehouse.query import TierRow, Unit, checked_unit, open_marts, steps, tiers
from warehouse.stands import standing
from warehouse.too_soon import too_soon
from warehouse.value_first import value_first

TREND = 8
"""Periods that the trend of a report reaches back, its own among them."""


@dataclass(frozen=True)
class Asked:
    """Which days a report is on, and what it compares: ``every`` is None for days that are no calendar period."""

    days: Days
    every: Every | None
    unit: str = "session"
    segment: str | None = None


def report_file(warehouse: Path) -> Path:
    """Where a warehouse's report goes when nobody says otherwise."""
    return warehouse / "reports" / "report.html"


def gather(
    warehouse: Path,
    ladder: Ladder,
    *,
    now: datetime,
    out: Path | None = None,
    sent: int | None = None,
    attribution: str | None = None,
    asked: Asked | None = None,
) -> ReportFacts:
    """What the report page has to say about this warehouse.

    ``out``: the file that the page will be (else ``report_file``), from which its links lead on.  ``sent``: how many
    events the sender knows to have sent in all.  ``asked``: the days it is on; without it, all.  Of a report on days,
    the data health is of events that happened then, and of what was refused or came twice in these days.
    Raises ``UsageError`` where nothing was built yet, where it was built with another ladder than this one, and for a
    unit or segment that there is not.
    """
    days = None if asked is None else asked.days
    of = Slice() if days is None else Slice(since=days.since, until=days.until)
    with open_marts(warehouse, ladder) as marts:
        ((first_at, last_at, events, sessions, visitors),) = marts.execute(
            "select min(started_at), max(ended_at), coalesce(sum(events - repeated_events), 0)::bigint, count(*),"
            f" count(distinct visitor_id) from main.fct_sessions where {between('started_date', days)}"
        ).fetchall()
        if days is None:
            ((visitors,),) = marts.execute("select count(*) from main.dim_visitors").fetchall()
    health = read_health(warehouse, sent=sent, page=out or report_file(warehouse), days=days)
    return ReportFacts(
        ladder=ladder,
        written_at=now,
        first_at=first_at,
        last_at=last_at,
        events=events,
        sessions=sessions,
        visitors=visitors,
        **_drop_off(warehouse, ladder, of),
        health=health,
        asks=_asks(warehouse, ladder, of, asked),
        attribution=attribution,
        period=None if asked is None else _period(warehouse, ladder, asked, health.built_at),
    )


def _drop_off(warehouse: Path, ladder: Ladder, of: Slice) -> dict[str, Any]:
    """The fields of the facts that are rows of tiers and steps."""
    if of == Slice():
        return {
            "per_session": tiers(warehouse, ladder, "session").tiers,
            "per_visitor": tiers(warehouse, ladder, "visitor").tiers,
            "steps": steps(warehouse, ladder, "session") + steps(warehouse, ladder, "visitor"),
        }
    session, visitor = replace(of, unit="session"), replace(of, unit="visitor")
    return {
        "per_session": tier_drop_off(warehouse, ladder, session).rows,
        "per_visitor": tier_drop_off(warehouse, ladder, visitor).rows,
        "steps": step_drop_off(warehouse, ladder, session).rows + step_drop_off(warehouse, ladder, visitor).rows,
    }


def _period(warehouse: Path, ladder: Ladder, asked: Asked, built_at: datetime | None) -> PeriodFacts:
    days, earlier = asked.days, before(asked.days, asked.every)
    with open_marts(warehouse, ladder) as marts:
        ((events, sessions, visitors),) = marts.execute(
            "select coalesce(sum(events - repeated_events), 0)::bigint, count(*), count(distinct visitor_id)"
            f" from main.fct_sessions where {between('started_date', earlier)}"
        ).fetchall()
        ((first_at, last_begun_at, known_until),) = marts.execute(
            "select min(started_at), max(started_at), max(ended_at) from main.fct_sessions"
        ).fetchall()
    unit: Unit = checked_unit(asked.unit)
    changes = drop_off_changes(warehouse, ladder, unit, days, earlier, asked.segment)
    return PeriodFacts(
        days=days,
        before=earlier,
        every=asked.every,
        unit=unit,
        segment=asked.segment,
        totals=Totals(events, sessions, visitors),
        first_at=first_at,
        last_begun_at=last_begun_at,
        known_until=known_until,
        changes=changes if built_at is not None and built_at >= days.ends else None,
    )


def _asks(warehouse: Path, ladder: Ladder, of: Slice, asked: Asked | None) -> AskFacts:
    (found,) = audits([gather_audit(warehouse, ladder, of)[0]], ladder)
    return AskFacts(
        audit=found,
        standing=standing(warehouse, ladder, of).all,
        drop_off=_trend(warehouse, ladder, of, asked),
        leaps=leaps(warehouse, ladder, of),
        momentum=momentum(warehouse, ladder, of),
        of_an_earlier_yes=of_an_earlier_yes(warehouse, ladder, of).get(""),
        too_soon=next(iter(too_soon(warehouse, ladder, of)), None),
        value=value_first(warehouse, ladder, of).all,
        of_a_gift=of_a_gift(warehouse, ladder, of).get(""),
        after_yes=after_yes(warehouse, ladder, of),
        of_a_cheer=of_a_cheer(warehouse, ladder, of).get(""),
        hesitation=hesitation(warehouse, ladder, of),
    )


def _trend(warehouse: Path, ladder: Ladder, of: Slice, asked: Asked | None) -> DropOff[TierRow]:
    """The tiers in the slice, with the trend up to it."""
    if asked is None:
        return tier_drop_off(warehouse, ladder, of, "week")
    own = tier_drop_off(warehouse, ladder, of)
    if asked.every is None:
        return own
    back = replace(of, since=before(asked.days, asked.every, TREND - 1).since)
    return replace(tier_drop_off(warehouse, ladder, back, asked.every), of=of, rows=own.rows)
