"""Data health: whether the numbers of the other pages can be trusted."""

from __future__ import annotations

from typing import cast, get_args

from answers.dashboard.page import Asked, Page
from answers.data_health import read_health
from ladder.errors import REASONS, Reason
from warehouse.arrivals import arrived, builds, days, samples
from warehouse.batches import Batches, State
from warehouse.opened import identity_of

DAYS_SHOWN = 60
BUILDS_SHOWN = 10
BATCHES_SHOWN = 10
SAMPLES_SHOWN = 3


def page(asked: Asked) -> Page:
    """It has something to say before the first build, too."""
    warehouse = asked.warehouse
    now = arrived(warehouse)
    if identity_of(warehouse) is None:
        return Page("health.html", "Data health", {"now": now, "health": None, "at": asked.now})
    health = read_health(warehouse)
    by_day = days(warehouse, DAYS_SHOWN)
    quality = Batches(warehouse / "quality")
    looked = sorted(
        (batch for state in get_args(State) for batch in quality.of_state(state)),
        key=lambda batch: batch.looked_at,
        reverse=True,
    )
    rejected = sorted(
        (
            (reason, REASONS.get(cast(Reason, reason), ""), number)
            for reason, number in health.rejected.items()
            if number
        ),
        key=lambda line: (-line[2], line[0]),
    )
    return Page(
        "health.html",
        "Data health",
        {
            "now": now,
            "health": health,
            "at": asked.now,
            "rejected": rejected,
            "samples": samples(warehouse, SAMPLES_SHOWN),
            "days": by_day,
            "builds": builds(warehouse, BUILDS_SHOWN),
            "batches": [(batch, sum(batch.rows.values())) for batch in looked[:BATCHES_SHOWN]],
        },
        charts={
            "days": {
                "periods": [day.day.isoformat() for day in by_day],
                "bars": [
                    ["landed", [day.landed for day in by_day]],
                    ["duplicates", [day.duplicates for day in by_day]],
                    ["rejected", [day.rejected for day in by_day]],
                ],
            }
        },
    )
