"""From files to the facts of the report: backfill, the quality gate, dbt, and the page's numbers."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from answers.facts import ReportFacts
from answers.gather import gather, report_file
from answers.report import render_report
from ladder.errors import UsageError
from ladder.tiers import Ladder, parse_ladder
from warehouse.asks import after_yes, hesitation, leaps, momentum
from warehouse.batches import Batch, Batches
from warehouse.build import build
from warehouse.counted import Slice
from warehouse.drop_off import tier_drop_off
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.stands import standing
from warehouse.too_soon import too_soon
from warehouse.value_first import value_first
from yesladder.backfill import backfill
from yesladder.cli import main

NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
MORNING = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)

LADDER_FILE = """
name = "trial"
tiers = ["spark", "micro", "mini"]
[[on]]
event = "Article Shown"
is = [{ tier = "spark", role = "ask", step = "read" }]
[[on]]
event = "Article Read"
is = [{ tier = "spark", role = "yes", step = "read" }, { tier = "micro", role = "ask", step = "poll" }]
[[on]]
event = "Poll Closed"
is = [{ tier = "micro", role = "no", step = "poll" }]
[[on]]
event = "Poll Answered"
is = [{ tier = "micro", role = "yes", step = "poll" }]
"""
LADDER = parse_ladder(LADDER_FILE, "test")


def message(n: int, visitor: str, minutes: int, event: str) -> dict[str, Any]:
    at = MORNING + timedelta(minutes=minutes)
    return {"type": "track", "messageId": f"m{n}", "anonymousId": visitor, "event": event, "timestamp": at.isoformat()}


MESSAGES = [
    message(1, "ann", 0, "Article Shown"),
    message(2, "ann", 1, "Article Read"),
    message(3, "ann", 2, "Poll Answered"),
    message(4, "ann", 90, "Article Shown"),
    message(5, "ben", 0, "Article Shown"),
    message(6, "ben", 5, "Article Read"),
    message(7, "ben", 6, "Poll Closed"),
    message(8, "cy", 0, "Poll Answered"),
    message(1, "ann", 0, "Article Shown"),
    {**message(9, "dee", 0, "Article Shown"), "timestamp": "yesterday"},
]


@pytest.fixture(scope="module")
def warehouse(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("warehouse")
    sent = folder / "sent.ndjson"
    sent.write_text("\n".join(json.dumps(one) for one in MESSAGES), encoding="utf-8")
    lake = Lake(folder / "lake")
    backfill([sent], lake, LADDER, now=NOW)
    again = lake.scan("events").filter(pl.col("event_id") == "m8").with_columns(source=pl.lit("kafka:events"))
    lake.append("events", again.collect().to_arrow(), now=NOW)
    assert build(lake, LADDER, gate=gate, now=NOW).held_back == ()
    return folder


@pytest.fixture(scope="module")
def facts(warehouse: Path) -> ReportFacts:
    return gather(warehouse, LADDER, now=NOW, sent=len(MESSAGES) + 1, attribution="ours")


def test_the_totals_and_the_period_are_those_of_the_sessions(facts: ReportFacts) -> None:
    assert (facts.events, facts.sessions, facts.visitors) == (8, 4, 3)
    assert (facts.first_at, facts.last_at) == (MORNING, MORNING + timedelta(minutes=90))
    assert (facts.written_at, facts.attribution) == (NOW, "ours")


def test_the_tiers_are_counted_per_session_and_per_visitor(facts: ReportFacts) -> None:
    def counts(unit: str) -> list[tuple[int, ...]]:
        rows = facts.per_session if unit == "session" else facts.per_visitor
        return [(r.tier, r.asked, r.yes, r.no, r.silent, r.implicit, r.reached, r.reached_next) for r in rows]

    assert counts("session") == [(1, 3, 2, 0, 1, 0, 2, 1), (2, 2, 1, 1, 0, 1, 2, 0), (3, 0, 0, 0, 0, 0, 0, 0)]
    assert counts("visitor") == [(1, 2, 2, 0, 0, 0, 2, 1), (2, 2, 1, 1, 0, 1, 2, 0), (3, 0, 0, 0, 0, 0, 0, 0)]


def test_the_steps_are_there_for_both_units(facts: ReportFacts) -> None:
    assert [(r.unit, r.tier, r.step, r.asked, r.yes, r.no, r.silent) for r in facts.steps] == [
        ("session", 1, "read", 3, 2, 0, 1),
        ("session", 2, "poll", 2, 1, 1, 0),
        ("visitor", 1, "read", 2, 2, 0, 0),
        ("visitor", 2, "poll", 2, 1, 1, 0),
    ]


def test_the_sections_are_of_all_visitors_lives(warehouse: Path, facts: ReportFacts) -> None:
    asks = facts.asks
    assert asks.leaps == leaps(warehouse, LADDER)
    assert asks.momentum == momentum(warehouse, LADDER)
    assert (asks.too_soon,) == too_soon(warehouse, LADDER, Slice())
    assert (asks.after_yes, asks.hesitation) == (after_yes(warehouse, LADDER), hesitation(warehouse, LADDER))
    everybody = Slice()
    assert asks.standing == standing(warehouse, LADDER, everybody).all
    assert asks.drop_off == tier_drop_off(warehouse, LADDER, everybody, "week")
    assert asks.value == value_first(warehouse, LADDER, everybody).all
    page = render_report(facts)
    for section in ("standing", "drop_off", "leaps", "value_first"):
        assert f'id="{section}"' in page
    assert 'id="after_yes"' in page


def test_every_event_sent_is_accounted_for(facts: ReportFacts) -> None:
    health = facts.health
    assert (health.sent, health.landed, health.duplicates, dict(health.rejected)) == (11, 8, 2, {"bad_time": 1})
    assert (health.late, health.unaccounted, health.unbuilt_files, health.landed_at) == (0, 0, 0, NOW)
    assert health.built_at is not None
    assert health.built_at >= NOW


def test_the_page_leads_to_the_quality_pages(warehouse: Path, facts: ReportFacts) -> None:
    quality = facts.health.quality
    assert quality is not None
    assert (quality.checked_at, quality.held) == (NOW, ())
    assert quality.page is not None
    assert (report_file(warehouse).parent / quality.page).resolve() == (warehouse / "quality" / "index.html").resolve()
    assert (warehouse / "quality" / "index.html").exists()
    assert f'href="{quality.page}"' in render_report(facts)


def test_a_page_elsewhere_leads_there_too(warehouse: Path, tmp_path: Path) -> None:
    quality = gather(warehouse, LADDER, now=NOW, out=tmp_path / "my reports" / "friday.html").health.quality
    assert quality is not None
    assert quality.page is not None
    assert (tmp_path / "my reports" / quality.page).resolve() == (warehouse / "quality" / "index.html").resolve()


def test_what_landed_since_the_build_is_counted_apart(warehouse: Path, facts: ReportFacts, tmp_path: Path) -> None:
    more = tmp_path / "more.ndjson"
    more.write_text(json.dumps(message(20, "eve", 0, "Article Shown")), encoding="utf-8")
    backfill([more], Lake(warehouse / "lake"), LADDER, now=NOW + timedelta(minutes=1))
    later = gather(warehouse, LADDER, now=NOW)
    assert later.health.unbuilt_files > 0
    assert (later.health.landed, later.per_session) == (facts.health.landed, facts.per_session)


def test_a_batch_that_was_let_in_by_hand_is_named(warehouse: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(warehouse, tmp_path / "copy")
    Batches(copy / "quality").record(Batch("doubtful", NOW - timedelta(days=1), "accepted", {}, {}))
    quality = gather(copy, LADDER, now=NOW).health.quality
    assert quality is not None
    assert (quality.checked_at, quality.held, quality.accepted) == (NOW, (), ("doubtful",))


def test_another_ladder_than_the_one_built_with_is_refused(warehouse: Path) -> None:
    other = Ladder("trial", ("spark", "micro"), LADDER.rules)
    with pytest.raises(UsageError, match="run `yesladder build`"):
        gather(warehouse, other, now=NOW)


def test_a_warehouse_without_marts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="yesladder build"):
        gather(tmp_path, LADDER, now=NOW)


def test_a_walk_is_printed_written_as_json_and_drawn(
    warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ladder.toml").write_text(LADDER_FILE, encoding="utf-8")

    def run(*arguments: str) -> str:
        where = ["--warehouse", str(warehouse), "--ladder", str(tmp_path / "ladder.toml")]
        monkeypatch.setattr(sys, "argv", ["yesladder", "walk", *arguments, *where])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
        return capsys.readouterr().out

    printed = run()
    assert printed.startswith("Nobody was named: of the 1,000 visitors seen last, this one has come furthest.\n\n")
    assert "The walk of ann" in printed
    assert "Nobody was named" not in run("ben")
    page = tmp_path / "pages" / "ann.html"
    found = json.loads(run("ann", "--json", "--html", str(page)))
    assert (found["html"], found["person"], found["held"]) == (str(page), "ann", 2)
    assert [event["event_id"] for session in found["sessions"] for event in session["events"]] == [
        "m1",
        "m2",
        "m3",
        "m4",
    ]
    assert "The walk of <bdi>ann</bdi>" in page.read_text(encoding="utf-8")
