"""What came in and what became of it: read from a warehouse as its last build left it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from answers.facts import Health, Quality
from ladder.tables import REMOVED_COPIES
from warehouse.batches import Batches
from warehouse.located import lake_of
from warehouse.periods import Days
from warehouse.query import Freshness, freshness, open_marts
from warehouse.tallies import late_counts


def read_health(
    warehouse: Path, *, sent: int | None = None, page: Path | None = None, days: Days | None = None
) -> Health:
    """``sent``: how many events the sender knows to have sent.  ``page``: the file that links to the quality pages.

    ``days``: of events that happened on them, and of what was refused or came twice on them; None: of all.
    Raises ``UsageError`` where nothing was built yet.
    """
    with open_marts(warehouse) as marts:
        happened, committed = between("occurred_at", days), between("committed_at", days)
        ((rows,),) = marts.execute(f"select count(*) from lake.events where {happened}").fetchall()
        late, late_repaired = late_counts(marts, happened)
        ((copies,),) = marts.execute(
            f"select count(*) from staging.stg_event_copies where copy > 1 and {happened}"
        ).fetchall()
        ((duplicates, counted),) = marts.execute(
            "select coalesce(sum(duplicates), 0)::bigint, coalesce(sum(landed), 0)::bigint"
            f" from lake.checkpoints where {committed}"
        ).fetchall()
        ((landed_at,),) = marts.execute("select max(committed_at) from lake.checkpoints").fetchall()
        rejected = dict(
            marts.execute(
                f"select reason, count(*) from lake.rejects where {between('rejected_at', days)} group by reason"
            ).fetchall()
        )
    lake = lake_of(warehouse)
    fresh = freshness(lake)
    # The tally is the lake's as it is now; of copies taken out since the build, the build still counts the rows.
    removed = max(0, min(counted - rows, lake.tally("events", REMOVED_COPIES))) if days is None else 0
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


def between(column: str, days: Days | None) -> str:
    """The condition that a time or a day in ``column`` is one of the ``days``; None: any."""
    if days is None:
        return "true"
    return f"{column} >= '{days.since}' and {column} < '{days.until}'"


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
