from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.suites.object_store import S3
from tests.suites.seeded_lake import LADDER, LADDER_FILE, NOW, land, seeded_events
from warehouse.build import build
from warehouse.located import lake_of
from warehouse.maintain import maintain
from warehouse.quality import Gate
from warehouse.query import freshness, run_sql
from yesladder.cli import cli

EVENTS = seeded_events(7, visitors=30)
MUCH_LATER = NOW + timedelta(days=3650)


def asked(warehouse: Path, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run_sql(warehouse, sql).to_pylist()
    return rows


def funnel_of(warehouse: Path) -> dict[str, Any]:
    """What `yesladder funnel` says, which has no credentials here."""
    ladder = warehouse.parent / "ladder.toml"
    ladder.write_text(LADDER_FILE)
    options = ["--warehouse", str(warehouse), "--ladder", str(ladder), "--json", "--steps", "Page Shown", "Voted"]
    answered = CliRunner().invoke(cli, ["funnel", *options])
    assert answered.exit_code == 0, answered.output
    told: dict[str, Any] = json.loads(answered.stdout)
    return told


def test_marts_are_built_from_copies_and_answer_without_the_store_whatever_upkeep_does_there(
    s3: S3, tmp_path: Path, gate: Gate
) -> None:
    """Workers land on another machine; builds and upkeep have this warehouse."""
    warehouse, url = tmp_path / "ware house", s3.url()
    lake = lake_of(warehouse, url, s3.options)
    worker = s3.lake(tmp_path / "worker", url)
    for first in range(0, 200, 50):
        land(worker, EVENTS[first : first + 50], first=first)
    result = build(lake, LADDER, gate=gate, now=NOW)
    assert (result.full, result.landed["events"], result.held_back) == (True, 200, ())
    s3.requests()
    funnel = funnel_of(warehouse)
    assert funnel["steps"][0]["count"] == len({e.visitor_id for e in EVENTS[:200] if e.name == "Page Shown"})
    tiers = asked(warehouse, "select * from fct_tier_totals order by all")
    sessions = asked(warehouse, "select session_id from fct_sessions order by all")
    assert asked(warehouse, "select count(*) as n from lake.events") == [{"n": 200}]
    assert [request for request in s3.requests() if "/-/" not in request] == [], "answers need no store"
    assert [row["session_id"] for row in sessions] == sorted(worker.scan("sessions").collect()["session_id"])

    land(worker, EVENTS[200:250], first=200)
    land(worker, EVENTS[250:300], first=250)
    assert maintain(lake, keep=timedelta(0), now=MUCH_LATER).files["events"] == 2, "built and unbuilt stay apart"
    assert freshness(lake).unbuilt_files > 0
    assert asked(warehouse, "select * from fct_tier_totals order by all") == tiers
    assert asked(warehouse, "select count(*) as n from lake.events") == [{"n": 200}], (
        "the views have their copies still"
    )
    assert worker.scan("events").collect().height == 300
