"""The drop-off marts in the form that ``tests/suites/tier_oracle.py`` counts in."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from tests.suites.tier_oracle import COUNTED, Counts
from warehouse.query import run_sql


def drop_off_found(
    warehouse: Path, mart: str, step: str, unit: str, segment: tuple[str, str] = ("all", "")
) -> dict[tuple[date, int, str], Counts]:
    """By date, tier and step.  ``step``: the SQL that gives it; a quoted text for a mart that has none."""
    rows = run_sql(
        warehouse,
        f"select date, tier, {step} as step, {', '.join(COUNTED)}"
        f" from {mart} where unit = '{unit}' and segment = '{segment[0]}' and segment_value = '{segment[1]}'",
    ).to_pylist()
    return {(row.pop("date"), row.pop("tier"), row.pop("step")): row for row in rows}
