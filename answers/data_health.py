"""What came in and what became of it: read from a warehouse as its last build left it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from answers.facts import Health, Quality
from ladder.tables import REMOVED_COPIES
from warehouse.batches import Batches
from warehouse.lake import Lake
from warehouse.query import Freshness, freshness, open_marts

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


def read_health(warehouse: Path, *, sent: int | None = None, page: Path | None = None) -> Health:
    """``sent``: how many events the sender knows to have sent.  ``page``: the file that links to the quality pages.

    Raises ``UsageError`` where nothing was built yet.
    """
    with open_marts(warehouse) as marts:
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
    return Health(
        landed=rows - copies,
        duplicates=duplicates + copies + removed,
        rejected=rejected,
        late=late - late_repaired,
        late_repaired=late_repaired,
        sent=sent,
        landed_at=landed_at,
        built_at=fresh.built_at,
        unbuilt_files=fresh.unbuilt_files,
        quality=_quality(fresh, warehouse, page),
    )


def _quality(fresh: Freshness, warehouse: Path, page: Path | None) -> Quality | None:
    if fresh.last_look is None:
        return None
    index = (warehouse / "quality" / "index.html").resolve()
    pages = None if page is None else os.path.relpath(index, page.resolve().parent)
    accepted = Batches(warehouse / "quality").of_state("accepted")
    return Quality(
        checked_at=fresh.last_look.looked_at,
        held=tuple(batch.name for batch in fresh.held_back),
        accepted=tuple(batch.name for batch in accepted),
        page=None if pages is None else quote(Path(pages).as_posix()),
    )
