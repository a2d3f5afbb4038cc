"""Real data all the way to the tier table, against the numbers that were computed elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.suites.seeded_lake import NOW
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import run_sql, tiers
from yesladder.backfill import backfill
from yesladder.datasets import example_ladder

DATASETS = Path(__file__).parents[2] / "datasets"
UNITS = {"session": ("sessions", "reach_sessions"), "visitor": ("actors", "reach_actors")}


@pytest.mark.parametrize("name", ["moodle_edify", "snowplow_web", "otto_mini"])
def test_the_marts_of_a_data_set_hold_its_expected_numbers(name: str, lake: Lake, gate: Gate) -> None:
    expected: dict[str, Any] = json.loads((DATASETS / name / "expected.json").read_text())
    ladder = example_ladder(name)
    backfill([DATASETS / name / "segment.ndjson.gz"], lake, ladder, now=NOW)
    result = build(lake, ladder, gate=gate, now=NOW)
    assert result.held_back == ()
    warehouse = lake.root.parent

    ((counts),) = run_sql(
        warehouse, "select count(*) sessions, sum(events)::bigint events, max(events) most from fct_sessions"
    ).to_pylist()
    assert counts == {
        "sessions": expected["sessions"],
        "events": expected["events"],
        "most": expected["events_per_session"]["max"],
    }
    for unit, (answers, reach) in UNITS.items():
        table = tiers(warehouse, ladder, unit).tiers
        for row in table:
            wanted = expected["tiers"][row.name][answers]
            assert (row.asked, row.yes, row.no + row.silent, row.reached) == (
                wanted["with_ask"],
                wanted["ask_then_yes"],
                wanted["dropped"],
                wanted["with_yes"],
            ), (unit, row)
        climbable = [row for row in table if row.name in expected[reach]["any"]]
        if len(climbable) > 1:
            assert climbable[0].reached_next == expected[reach]["any"][climbable[1].name]
        mart, key = ("fct_sessions", "session_id") if unit == "session" else ("dim_visitors", "visitor_id")
        highest = run_sql(
            warehouse, f"select highest_tier, count({key}) n from {mart} group by highest_tier"
        ).to_pylist()
        found = {
            "none" if row["highest_tier"] is None else ladder.tiers[row["highest_tier"] - 1]: row["n"]
            for row in highest
        }
        assert found == {tier: n for tier, n in expected[reach]["highest"].items() if n}
