"""The facts of the report page, from a warehouse as its last build left it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from answers.data_health import read_health
from answers.facts import AskFacts, ReportFacts
from ladder.tiers import Ladder
from warehouse.asks import after_yes, hesitation, leaps, momentum
from warehouse.counted import Slice
from warehouse.drop_off import tier_drop_off
from warehouse.effects import of_a_cheer, of_a_gift, of_an_earlier_yes
from warehouse.query import open_marts, steps, tiers
from warehouse.stands import standing
from warehouse.too_soon import too_soon
from warehouse.value_first import value_first


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
) -> ReportFacts:
    """What the report page has to say about this warehouse.

    ``out``: the file that the page will be (else ``report_file``), from which its links lead on.  ``sent``: how many
    events the sender knows to have sent in all.  Raises ``UsageError`` where nothing was built yet, and where it was
    built with another ladder than this one.
    """
    with open_marts(warehouse, ladder) as marts:
        ((first_at, last_at, events, sessions),) = marts.execute(
            "select min(started_at), max(ended_at), coalesce(sum(events - repeated_events), 0)::bigint, count(*)"
            " from main.fct_sessions"
        ).fetchall()
        ((visitors,),) = marts.execute("select count(*) from main.dim_visitors").fetchall()
    return ReportFacts(
        ladder=ladder,
        written_at=now,
        first_at=first_at,
        last_at=last_at,
        events=events,
        sessions=sessions,
        visitors=visitors,
        per_session=tiers(warehouse, ladder, "session").tiers,
        per_visitor=tiers(warehouse, ladder, "visitor").tiers,
        steps=steps(warehouse, ladder, "session") + steps(warehouse, ladder, "visitor"),
        health=read_health(warehouse, sent=sent, page=out or report_file(warehouse)),
        asks=_asks(warehouse, ladder),
        attribution=attribution,
    )


def _asks(warehouse: Path, ladder: Ladder) -> AskFacts:
    everybody = Slice()
    return AskFacts(
        standing=standing(warehouse, ladder, everybody).all,
        drop_off=tier_drop_off(warehouse, ladder, everybody, "week"),
        leaps=leaps(warehouse, ladder),
        momentum=momentum(warehouse, ladder),
        of_an_earlier_yes=of_an_earlier_yes(warehouse, ladder).get(""),
        too_soon=next(iter(too_soon(warehouse, ladder, everybody)), None),
        value=value_first(warehouse, ladder, everybody).all,
        of_a_gift=of_a_gift(warehouse, ladder).get(""),
        after_yes=after_yes(warehouse, ladder),
        of_a_cheer=of_a_cheer(warehouse, ladder).get(""),
        hesitation=hesitation(warehouse, ladder),
    )
