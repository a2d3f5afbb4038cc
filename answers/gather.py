"""The facts of the report page, from a warehouse as its last build left it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from answers.facts import AskFacts, Health, Quality, ReportFacts
from ladder.tables import REMOVED_COPIES
from ladder.tiers import Ladder
from warehouse.asks import after_yes, hesitation, leaps, momentum
from warehouse.batches import Batches
from warehouse.counted import Slice
from warehouse.drop_off import tier_drop_off
from warehouse.effects import of_a_cheer, of_a_gift, of_an_earlier_yes
from warehouse.lake import Lake
from warehouse.query import Freshness, freshness, open_marts, steps, tiers
from warehouse.stands import standing
from warehouse.too_soon import too_soon
from warehouse.value_first import value_first

_LATE = """
with

late as (
    select source, source_partition as partition, visitor_id, event_id
    from staging.stg_events
    where is_late
),

held as (
    select distinct
        source, partition, visitor_id, unnest(list_transform(sequence, lambda entry: entry.event_id)) as event_id
    from lake.sessions
    where visitor_id in (select visitor_id from late)
)

select count(*), count(held.event_id)
from late
left join held using (source, partition, visitor_id, event_id)
"""
"""Late events, and those of them that are in sessions."""


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
        ((rows,),) = marts.execute("select count(*) from lake.events").fetchall()
        ((late, late_repaired),) = marts.execute(_LATE).fetchall()
        ((copies,),) = marts.execute("select count(*) from staging.stg_event_copies where copy > 1").fetchall()
        ((duplicates, counted, landed_at),) = marts.execute(
            "select coalesce(sum(duplicates), 0)::bigint, coalesce(sum(landed), 0)::bigint, max(committed_at)"
            " from lake.checkpoints"
        ).fetchall()
        rejected = dict(marts.execute("select reason, count(*) from lake.rejects group by reason").fetchall())
    lake = Lake(warehouse / "lake")
    fresh = freshness(lake)
    # The tally is the lake's as it is now; of copies taken out since the build, the build still counts the rows.
    removed = max(0, min(counted - rows, lake.tally("events", REMOVED_COPIES)))
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
        health=Health(
            landed=rows - copies,
            duplicates=duplicates + copies + removed,
            rejected=rejected,
            late=late - late_repaired,
            late_repaired=late_repaired,
            sent=sent,
            landed_at=landed_at,
            built_at=fresh.built_at,
            unbuilt_files=fresh.unbuilt_files,
            quality=_quality(fresh, warehouse, out or report_file(warehouse)),
        ),
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


def _quality(fresh: Freshness, warehouse: Path, out: Path) -> Quality | None:
    if fresh.last_look is None:
        return None
    pages = os.path.relpath((warehouse / "quality" / "index.html").resolve(), out.resolve().parent)
    accepted = Batches(warehouse / "quality").of_state("accepted")
    return Quality(
        checked_at=fresh.last_look.looked_at,
        held=tuple(batch.name for batch in fresh.held_back),
        accepted=tuple(batch.name for batch in accepted),
        page=quote(Path(pages).as_posix()),
    )
