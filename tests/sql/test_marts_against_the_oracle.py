from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from ladder.events import Event
from ladder.rates import drop_off, wilson
from ladder.tiers import Mark, Rule
from tests.suites.drop_off_found import drop_off_found
from tests.suites.seeded_lake import LADDER as SMALL, LADDER_FILE, NOW, event_rows, land, seeded_events
from tests.suites.tier_oracle import (
    COUNTED,
    drop_off_rows,
    first_touch,
    sessions_of,
    standing_rows,
    visitors_of,
    yeses_of,
)
from tests.suites.value_oracle import give_rows, start_rows
from warehouse.asks import after_yes
from warehouse.build import build
from warehouse.counted import Slice
from warehouse.drop_off import step_drop_off, tier_drop_off
from warehouse.lake import Lake
from warehouse.periods import EVERY, Every
from warehouse.quality import Gate
from warehouse.query import TierRow, run_sql, steps, tiers
from warehouse.stands import standing
from warehouse.value_first import BUCKETS, KINDS, value_first
from yesladder.cli import cli

SEEDS = (1, 2, 3)
LADDER = replace(SMALL, rules=(*SMALL.rules, Rule("Scrolled", {}, (Mark(2, "reward", "vote"),))))


@pytest.fixture(params=SEEDS, scope="module")
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def built(seed: int, gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(tmp_path_factory.mktemp("built") / "lake")
    land(lake, events(seed), ladder=LADDER)
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
        for name in COUNTED:
            assert getattr(row, name) == sum(counts[name] for counts in expected), (row.tier, name)
        assert (row.drop_off, row.drop_off_low, row.drop_off_high) == pytest.approx(drop_off(row.yes, row.asked))
        matured = (row.matured_drop_off, row.matured_drop_off_low, row.matured_drop_off_high)
        assert matured == pytest.approx(drop_off(row.matured_yes, row.matured))
        onwards = (row.reached_next_share, row.reached_next_share_low, row.reached_next_share_high)
        assert onwards == ((None,) * 3 if row.tier == 5 else pytest.approx(wilson(row.reached_next, row.reached)))
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


@pytest.mark.parametrize("unit", ["session", "visitor"])
@pytest.mark.parametrize("column", ["page_url", "utm_source"])
def test_every_first_touch_has_the_drop_off_of_its_visitors(seed: int, built: Path, column: str, unit: str) -> None:
    touched = first_touch(events(seed), LADDER, column)
    assert len(set(touched.values())) == 2
    for value in set(touched.values()):
        mine = {visitor for visitor, touch in touched.items() if touch == value}
        for mart, step, by_step in (("fct_tier_dropoff", "''", False), ("fct_step_dropoff", "step", True)):
            found = drop_off_found(built, mart, step, unit, (f"first_{column}", value))
            assert found == drop_off_rows(events(seed), LADDER, unit, by_step=by_step, only=mine.__contains__)


def test_visitors_mature_and_sessions_are_never_in_flight(seed: int, built: Path) -> None:
    visitors, sessions = tiers(built, LADDER, "visitor").tiers, tiers(built, LADDER, "session").tiers
    assert sum(row.in_flight for row in visitors) > 0
    assert sum(row.matured_yes for row in visitors) < sum(row.yes for row in visitors if row.matured)
    assert [(row.in_flight, row.matured, row.matured_yes) for row in sessions] == [
        (0, row.asked, row.yes) for row in sessions
    ]


@pytest.mark.parametrize("every", EVERY)
def test_a_cut_is_told_apart_by_period_and_first_touch(seed: int, built: Path, every: Every) -> None:
    since, until = date(2026, 2, 3), date(2026, 2, 20)
    found = tier_drop_off(built, LADDER, Slice("utm_source", "visitor", since, until), every)
    touched = first_touch(events(seed), LADDER, "utm_source")
    days = {"": Counter[Key](), "mail": Counter[Key]()}
    for value, counted in days.items():
        mine = frozenset(visitor for visitor, touch in touched.items() if touch == value)
        for (day, tier, _), counts in drop_off_rows(events(seed), LADDER, "visitor", only=mine.__contains__).items():
            if since <= day < until:
                begins = {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[every]
                counted.update({(begins, tier, name): n for name, n in counts.items()})
    both = days[""] + days["mail"]
    assert [period.begins for period in found.trend] == sorted({period.begins for period in found.trend})
    assert {begins for begins, _, _ in both} <= {period.begins for period in found.trend}
    for period in found.trend:
        assert counts_of(period.rows) == {key[1:]: n for key, n in both.items() if key[0] == period.begins and n}
        for value, rows_of_value in period.by.items():
            wanted = {key[1:]: n for key, n in days[value].items() if key[0] == period.begins and n}
            assert counts_of(rows_of_value) == wanted
    assert counts_of(found.rows) == summed(both)
    assert {value: counts_of(rows_of_value) for value, rows_of_value in found.by.items()} == {
        value: summed(counted) for value, counted in days.items()
    }
    asked = [sum(row.asked for row in rows_of_value) for rows_of_value in found.by.values()]
    assert asked == sorted(asked, reverse=True)


def test_steps_are_cut_as_tiers_are(seed: int, built: Path) -> None:
    found = step_drop_off(built, LADDER, Slice(None, "session", date(2026, 2, 1), date(2026, 2, 2)), "month")
    counts = drop_off_rows(events(seed), LADDER, "session", by_step=True)
    wanted = {(tier, step): row["asked"] for (day, tier, step), row in counts.items() if day == date(2026, 2, 1)}
    assert {(row.tier, row.step): row.asked for row in found.rows} == wanted
    assert [(period.begins, period.rows) for period in found.trend] == [(date(2026, 2, 1), found.rows)]


@pytest.mark.parametrize("unit", ["session", "visitor"])
def test_everybody_stands_at_the_highest_tier_of_their_yeses(seed: int, built: Path, unit: str) -> None:
    rows = run_sql(built, f"select date, tier, units from fct_standing where unit = '{unit}' and segment = 'all'")
    assert {(row["date"], row["tier"]): row["units"] for row in rows.to_pylist()} == standing_rows(
        events(seed), LADDER, unit
    )
    touched = first_touch(events(seed), LADDER, "utm_source")
    found = standing(built, LADDER, Slice("utm_source", unit, since=date(2026, 2, 2), until=date(2026, 2, 20)))
    stands = {"": found.by[""], "mail": found.by["mail"]}
    for value, of_value in stands.items():
        mine = frozenset(visitor for visitor, touch in touched.items() if touch == value)
        wanted: Counter[int] = Counter()
        for (day, tier), units in standing_rows(events(seed), LADDER, unit, only=mine.__contains__).items():
            wanted[tier] += units if date(2026, 2, 2) <= day < date(2026, 2, 20) else 0
        assert {row.tier: row.units for row in of_value.tiers if row.units} == +wanted
        assert of_value.units == wanted.total()
    for row in found.all.tiers:
        assert row.units == sum(of_value.tiers[row.tier].units for of_value in stands.values())
        assert row.at_least == sum(other.units for other in found.all.tiers if other.tier >= row.tier)
        assert (row.share, row.share_low, row.share_high) == wilson(row.units, found.all.units)
    assert [row.name for row in found.all.tiers] == ["none", *LADDER.tiers]


def test_a_visitor_becomes_what_their_yeses_say_and_when(seed: int, built: Path) -> None:
    stages = {0: "curious", 1: "aware", 2: "aware", 4: "evaluating", 5: "committed"}
    rows = run_sql(
        built,
        "select visitor_id, highest_tier, identity_stage, aware_at, evaluating_at, committed_at from dim_visitors",
    ).to_pylist()
    assert {row["identity_stage"] for row in rows} == set(stages.values())
    per_visitor = {mine[0].visitor_id: yeses_of(mine, LADDER) for mine in visitors_of(events(seed))}
    for row in rows:
        yeses = per_visitor[row["visitor_id"]]
        assert row["identity_stage"] == stages[max((tier for tier, _ in yeses), default=0)]
        for column, lowest in (("aware_at", 1), ("evaluating_at", 4), ("committed_at", 5)):
            assert row[column] == min((at for tier, at in yeses if tier >= lowest), default=None)
    found = standing(built, LADDER, Slice())
    assert {row.stage: row.units for row in found.all.stages} == Counter(row["identity_stage"] for row in rows)
    assert standing(built, LADDER, Slice(unit="session")).all.stages == ()


def test_the_way_of_each_visitor_is_there_in_order(seed: int, built: Path) -> None:
    rows = run_sql(
        built, "select visitor_id, occurred_at, event_id, tier, role from fct_marks order by visitor_id, event_number"
    ).to_pylist()
    found = [tuple(row.values()) for row in rows]
    wanted = [
        (event.visitor_id, event.occurred_at, event.event_id, mark.tier, mark.role)
        for mine in visitors_of(events(seed))
        for event in mine
        for mark in LADDER.marks_of(event.name, json.loads(event.properties))
    ]
    assert sorted(found) == sorted(wanted)
    assert [row[:2] for row in found] == sorted(row[:2] for row in found)


def test_the_interval_of_every_row_is_the_one_of_ladder_rates(built: Path) -> None:
    rows = run_sql(built, "select yes, asked, drop_off, drop_off_low, drop_off_high from fct_tier_dropoff").to_pylist()
    assert len(rows) > 100
    for row in rows:
        found = (row["drop_off"], row["drop_off_low"], row["drop_off_high"])
        assert found == pytest.approx(drop_off(row["yes"], row["asked"]), abs=1e-12), row


@pytest.mark.parametrize("unit", ["session", "visitor"])
def test_starts_and_gives_are_what_plain_loops_count(seed: int, built: Path, unit: str) -> None:
    starts = start_rows(events(seed), LADDER, unit)
    rows = run_sql(
        built,
        "select date, start, '' as more, tier, units, asks, yes, in_flight from fct_starts"
        f" where segment = 'all' and unit = '{unit}'",
    ).to_pylist()
    assert {tuple(row.values())[:4]: Counter(dict(list(row.items())[4:])) for row in rows} == starts
    assert {key[1] for key in starts} == set(KINDS)
    gives = give_rows(events(seed), LADDER, unit)
    rows = run_sql(
        built,
        "select date, given, bucket, tier, asks, yes, in_flight from fct_gives"
        f" where segment = 'all' and unit = '{unit}'",
    ).to_pylist()
    assert {tuple(row.values())[:4]: Counter(dict(list(row.items())[4:])) for row in rows} == gives
    assert {key[2] for key in gives} >= set(BUCKETS if unit == "visitor" else BUCKETS[:2])

    found = value_first(built, LADDER, Slice(unit=unit)).all
    for start in found.starts:
        counts: Counter[str] = sum((n for key, n in starts.items() if key[1] == start.start), Counter())
        assert (start.units, start.asks, start.yes) == (counts["units"], counts["asks"], counts["yes"])
        assert (start.yes_rate, start.yes_rate_low, start.yes_rate_high) == wilson(start.yes, start.asks)
    for given in found.gives:
        counts = sum((n for key, n in gives.items() if key[1:3] == (given.given, given.bucket)), Counter())
        assert (given.asks, given.yes, given.in_flight) == (counts["asks"], counts["yes"], counts["in_flight"])
        of_tier: dict[int, Counter[str]] = {}
        for key, n in gives.items():
            if key[1] == given.given:
                of_tier.setdefault(key[3], Counter()).update({"all": n["asks"]})
                of_tier[key[3]].update(n if key[2] == given.bucket else {})
        known = [n for n in of_tier.values() if n["asks"]]
        weight = sum(n["all"] for n in known)
        adjusted = sum(n["all"] * n["yes"] / n["asks"] for n in known) / weight if known else 0.0
        assert given.adjusted_rate == pytest.approx(adjusted)
    assert [(row.tier, row.step, row.yeses) for row in found.rewards] == [
        (row.tier, row.step, row.yeses) for row in after_yes(built, LADDER, Slice(unit=unit))
    ]


def test_the_value_of_each_first_touch_adds_up_to_all(built: Path) -> None:
    found = value_first(built, LADDER, Slice("utm_source"))
    assert list(found.by) == sorted(found.by, key=lambda value: -found.by[value].units)
    for n, start in enumerate(found.all.starts):
        parts = [one.starts[n] for one in found.by.values()]
        assert (start.units, start.asks) == (sum(p.units for p in parts), sum(p.asks for p in parts))
    for n, given in enumerate(found.all.gives):
        assert given.asks == sum(one.gives[n].asks for one in found.by.values())


@pytest.mark.parametrize(
    "command",
    [
        "value-first --json",
        "tiers --json",
        "tiers --unit visitor --segment utm_source --trend week --since 2026-02-02 --until 2026-03-01 --json",
        "tiers --steps --json",
        "standing --json",
        "standing --unit session --segment page_url --json",
    ],
)
def test_commands_say_what_the_functions_say(
    seed: int, built: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    some = Slice("utm_source", since=date(2026, 2, 2), until=date(2026, 3, 1))
    wanted = {
        "tiers --json": lambda: tiers(built, LADDER, "session").to_dict(),
        "tiers --unit": lambda: tier_drop_off(built, LADDER, some, "week").to_dict("tiers"),
        "tiers --steps": lambda: step_drop_off(built, LADDER, Slice(unit="session")).to_dict("steps"),
        "standing --json": lambda: standing(built, LADDER, Slice()).to_dict(),
        "value-first --json": lambda: value_first(built, LADDER, Slice()).to_dict(),
        "standing --unit": lambda: standing(built, LADDER, Slice("page_url", "session")).to_dict(),
    }[" ".join(command.split()[:2])]()
    file = tmp_path / "ladder.toml"
    scrolled = """    {event = "Scrolled", is = [{tier = "click", role = "reward", step = "vote"}]},\n]\n"""
    file.write_text(LADDER_FILE.removesuffix("]\n") + scrolled, encoding="utf-8")
    cli.main([*command.split(), "--ladder", str(file), "--warehouse", str(built)], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(wanted, default=str))


Key = tuple[date, int, str]


def summed(counted: Counter[Key]) -> dict[tuple[int, str], int]:
    sums: Counter[tuple[int, str]] = Counter()
    for (_, tier, name), n in counted.items():
        sums[tier, name] += n
    return dict(+sums)


def counts_of(rows: Sequence[TierRow]) -> dict[tuple[int, str], int]:
    """Without the zeros."""
    return {(row.tier, name): n for row in rows for name in COUNTED if (n := getattr(row, name))}


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
    """With some who came on the last two days: asked at once, and every third of them answering."""
    found = seeded_events(seed, visitors=150)
    last = max(event.occurred_at for event in found)
    for n in range(12):
        at = last - n * timedelta(hours=4)
        found += [
            Event(
                event_id=f"fresh-{n}-{name}",
                visitor_id=f"fresh-{n}",
                occurred_at=at,
                received_at=at,
                name=name,
                utm_source="mail" if n % 2 else None,
            )
            for name in (("Page Shown", "Voted") if n % 3 == 0 else ("Page Shown",))
        ]
    return found
