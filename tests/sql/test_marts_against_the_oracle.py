from __future__ import annotations

from pathlib import Path

import pytest

from ladder.events import Event
from ladder.rates import drop_off
from tests.suites.drop_off_found import drop_off_found
from tests.suites.seeded_lake import LADDER, NOW, event_rows, land, seeded_events
from tests.suites.tier_oracle import drop_off_rows, sessions_of, visitors_of
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import run_sql, steps, tiers

SEEDS = (1, 2, 3)


@pytest.fixture(params=SEEDS, scope="module")
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def built(seed: int, gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(tmp_path_factory.mktemp("built") / "lake")
    land(lake, seeded_events(seed, visitors=150))
    late = seeded_events(seed + 1000, visitors=5, prefix="late-")
    lake.append("events", event_rows(late, late=True, first=100_000), now=NOW)
    assert build(lake, LADDER, gate=gate, now=NOW).built
    return lake.root.parent


@pytest.mark.parametrize("unit", ["session", "visitor"])
def test_tier_drop_off_is_what_plain_loops_count(seed: int, built: Path, unit: str) -> None:
    assert drop_off_found(built, "fct_tier_dropoff", "''", unit) == drop_off_rows(events(seed), LADDER, unit)


@pytest.mark.parametrize("unit", ["session", "visitor"])
def test_step_drop_off_is_what_plain_loops_count(seed: int, built: Path, unit: str) -> None:
    assert drop_off_found(built, "fct_step_dropoff", "step", unit) == drop_off_rows(
        events(seed), LADDER, unit, by_step=True
    )


@pytest.mark.parametrize("unit", ["session", "visitor"])
def test_the_tier_table_sums_the_dates_and_keeps_the_tier_that_nobody_met(seed: int, built: Path, unit: str) -> None:
    table = tiers(built, LADDER, unit)
    by_date = drop_off_rows(events(seed), LADDER, unit)
    for row in table.tiers:
        expected = [counts for (_, tier, _), counts in by_date.items() if tier == row.tier]
        for name in ("asked", "yes", "no", "silent", "implicit", "reached", "reached_next"):
            assert getattr(row, name) == sum(counts[name] for counts in expected), (row.tier, name)
        assert (row.drop_off, row.drop_off_low, row.drop_off_high) == pytest.approx(drop_off(row.yes, row.asked))
    assert [(row.tier, row.name) for row in table.tiers] == list(enumerate(LADDER.tiers, start=1))
    empty = table.tiers[2]
    assert (empty.asked, empty.reached, empty.drop_off, empty.drop_off_high) == (0, 0, 0.0, 1.0)


def test_steps_sum_the_dates(seed: int, built: Path) -> None:
    by_date = drop_off_rows(events(seed), LADDER, "session", by_step=True)
    found = {(row.tier, row.step): (row.asked, row.yes, row.no, row.silent) for row in steps(built, LADDER, "session")}
    wanted: dict[tuple[int, str], tuple[int, ...]] = {}
    for (_, tier, step), counts in by_date.items():
        part = (counts["asked"], counts["yes"], counts["no"], counts["silent"])
        wanted[tier, step] = tuple(map(sum, zip(wanted.get((tier, step), (0,) * 4), part, strict=True)))
    assert found == wanted


def test_the_interval_of_every_row_is_the_one_of_ladder_rates(built: Path) -> None:
    rows = run_sql(built, "select yes, asked, drop_off, drop_off_low, drop_off_high from fct_tier_dropoff").to_pylist()
    assert len(rows) > 100
    for row in rows:
        found = (row["drop_off"], row["drop_off_low"], row["drop_off_high"])
        assert found == pytest.approx(drop_off(row["yes"], row["asked"]), abs=1e-12), row


def test_sessions_and_visitors_are_those_of_the_events(seed: int, built: Path) -> None:
    sessions = sessions_of(events(seed), LADDER)
    rows = run_sql(built, "select visitor_id, started_at, ended_at, events from fct_sessions").to_pylist()
    assert {tuple(row.values()) for row in rows} == {
        (mine[0].visitor_id, mine[0].occurred_at, mine[-1].occurred_at, len(mine)) for mine in sessions
    }
    assert len(rows) == len(sessions)

    visitors = run_sql(
        built, "select visitor_id, first_seen_at, last_seen_at, sessions, events, user_ids from dim_visitors"
    ).to_pylist()
    per_visitor = {mine[0].visitor_id: mine for mine in visitors_of(events(seed))}
    assert {row["visitor_id"] for row in visitors} == set(per_visitor)
    for row in visitors:
        mine = per_visitor[row["visitor_id"]]
        linked = {event.user_id for event in mine if event.kind == "identify"}
        assert (row["first_seen_at"], row["last_seen_at"]) == (mine[0].occurred_at, mine[-1].occurred_at)
        assert row["sessions"] == sum(session[0].visitor_id == row["visitor_id"] for session in sessions)
        assert row["events"] == len(mine)
        assert set(row["user_ids"] or ()) == linked


def events(seed: int) -> list[Event]:
    return seeded_events(seed, visitors=150)
