from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from answers.dashboard.layout import render_page
from answers.dashboard.page import Asked
from answers.dashboard.pages import people as people_page, sql
from answers.dashboard.pages.alerts import people_of
from answers.dashboard.view import read_view
from ladder.errors import UsageError
from tests.suites.alert_findings import NOON, alert_row
from tests.suites.seeded_lake import LADDER, NOW, event_rows, land, seeded_events
from warehouse.alerts_table import AlertsTable
from warehouse.asks import leaps
from warehouse.build import build
from warehouse.counted import Slice
from warehouse.drop_off import step_drop_off, tier_drop_off
from warehouse.lake import Lake
from warehouse.opened import KeptMarts
from warehouse.people import OUTCOMES, people
from warehouse.quality import Gate
from warehouse.query import freshness, open_marts, run_sql, steps, tiers
from warehouse.step_days import step_days
from yesladder.cli import cli

EVENTS = seeded_events(91, visitors=15)


@pytest.fixture(scope="module")
def lake(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(tmp_path_factory.mktemp("queried") / "lake")
    land(made, EVENTS)
    build(made, LADDER, gate=gate, now=NOW)
    return made


@pytest.fixture
def warehouse(lake: Lake) -> Path:
    return lake.root.parent


def test_marts_models_and_the_lake_can_be_queried(warehouse: Path) -> None:
    for table in ("fct_sessions", "dim_visitors", "staging.stg_events", "intermediate.int_outcomes", "lake.events"):
        assert run_sql(warehouse, f"select count(*) as n from {table}").to_pylist()[0]["n"] > 0, table
    assert run_sql(warehouse, "select count(*) as n from lake.events").to_pylist() == [{"n": len(EVENTS)}]


def test_alerts_can_be_queried_as_they_are_now_whenever_the_marts_were_built(lake: Lake, warehouse: Path) -> None:
    question = "select notice_id, fall, minute from Alerts order by minute"
    assert run_sql(warehouse, question).num_rows == 0
    AlertsTable(lake, "shop").add([alert_row(1)], now=NOW)
    assert run_sql(warehouse, question).to_pylist() == [{"notice_id": "n1", "fall": 0.4, "minute": NOON}]


def test_no_more_rows_are_read_than_asked_for(warehouse: Path) -> None:
    endless = "select * from range(1000000000000)"
    assert run_sql(warehouse, endless, most=3).to_pylist() == [{"range": n} for n in range(3)]
    assert run_sql(warehouse, "show tables", most=2).num_rows == 2
    assert run_sql(warehouse, "select 1 as x, 2 as x order by 1", most=2).num_rows == 1


def test_the_page_and_the_command_say_that_there_are_more_rows(warehouse: Path) -> None:
    def page(statement: str) -> str:
        view, given = read_view({}, LADDER), {"q": (statement,)}
        return render_page("sql", sql.page, Asked(warehouse, LADDER, view, given, NOW, warehouse / "funnels.toml"), [])

    assert "Only the first 500 are read and shown" in page("select * from range(501)")
    assert "More than" not in page("select * from range(500)")

    def command(*options: str) -> Any:
        found = CliRunner().invoke(cli, ["sql", "from range(3)", "--json", "--warehouse", str(warehouse), *options])
        return json.loads(found.stdout)

    assert command() == {"columns": ["range"], "rows": [[0], [1], [2]], "cut": None}
    assert command("--most", "3")["cut"] is None
    assert command("--most", "2") == {
        "columns": ["range"],
        "rows": [[0], [1]],
        "cut": "only the first 2 rows were read; there are more (--most)",
    }


@pytest.mark.parametrize("segments", [(), ("device_class",), ("device_class", "utm_source")])
def test_days_of_a_step_are_those_of_its_asks_and_of_the_yeses_within_the_hour(
    warehouse: Path, segments: tuple[str, ...]
) -> None:
    asks = run_sql(
        warehouse,
        "select visitor_id, tier, step, asked_at, answer, answered_at from fct_asks where unit = 'visitor'",
    ).to_pylist()
    visitors = run_sql(warehouse, "select * from dim_visitors").to_pylist()
    ((known_until,),) = run_sql(warehouse, "select max(ended_at) as until from fct_sessions").to_pydict().values()
    first_touch = {segment: visitors[0][f"first_{segment}"] or "" for segment in segments}
    meant = {v["visitor_id"] for v in visitors if all((v[f"first_{s}"] or "") == t for s, t in first_touch.items())}
    hour = timedelta(hours=1)
    found: Counter[tuple[int, str]] = Counter()
    for tier, step in sorted({(ask["tier"], ask["step"]) for ask in asks}):
        wanted: dict[date, list[int]] = {}
        for ask in asks:
            is_meant = (ask["tier"], ask["step"]) == (tier, step) and ask["visitor_id"] in meant
            if is_meant and ask["asked_at"] + hour <= known_until:
                is_yes = ask["answer"] == "yes" and ask["answered_at"] <= ask["asked_at"] + hour
                day = wanted.setdefault(ask["asked_at"].date(), [0, 0])
                wanted[ask["asked_at"].date()] = [day[0] + 1, day[1] + is_yes]
        days = sorted(wanted)[:-1] or sorted(wanted)
        if not days:
            continue
        since, until = days[0], days[-1] + timedelta(days=1)
        told = step_days(warehouse, LADDER, tier, step, since=since, until=until, first_touch=first_touch)
        assert [(one.day, one.asks, one.yes) for one in told] == [(day, *wanted[day]) for day in days]
        found[tier, step] += len(told)
    assert found


def test_the_people_of_an_alert_are_read_from_its_segment() -> None:
    assert people_of("") == {}
    assert people_of("utm_source=a, b=c, device_class=mobile") == {"utm_source": "a, b=c", "device_class": "mobile"}
    assert people_of("utm_source=(other), device_class=mobile") == {}


def test_a_csv_of_more_rows_than_one_holds_is_refused_rather_than_cut(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "MOST_IN_CSV", 2)
    view = read_view({}, LADDER)

    def csv_of(statement: str) -> str:
        return sql.as_csv(Asked(warehouse, LADDER, view, {"q": (statement,)}, NOW, warehouse / "funnels.toml"))

    assert csv_of("from range(2)").split() == ["range", "0", "1"]
    with pytest.raises(UsageError, match="more than 2 rows"):
        csv_of("from range(3)")

    asked = Asked(warehouse, LADDER, view, {}, NOW, warehouse / "funnels.toml")
    count = people(warehouse, LADDER, view.slice(), 1, "asked").count
    monkeypatch.setattr(people_page, "MOST_IN_CSV", count)
    assert len(people_page.as_csv(asked).splitlines()) == 1 + count > 2
    monkeypatch.setattr(people_page, "MOST_IN_CSV", count - 1)
    with pytest.raises(UsageError, match=f"these are {count} people or sessions, more than {count - 1}"):
        people_page.as_csv(asked)


@pytest.mark.parametrize(
    "statement",
    [
        "select 1 as x",
        "with t as (select 1) select * from t",
        "from fct_sessions",
        "describe fct_sessions",
        "show tables",
        "summarize dim_visitors",
        "explain select 1",
        " EXPLAIN analyze select 1",
        "values (1);",
    ],
)
def test_statements_that_read_are_answered(warehouse: Path, statement: str) -> None:
    assert run_sql(warehouse, statement).num_rows > 0


@pytest.mark.parametrize(
    "statement",
    [
        "insert into fct_sessions select * from fct_sessions",
        "delete from dim_visitors",
        "drop table fct_sessions",
        "create table x as select 1",
        "create temp table x as select 1",
        "update fct_sessions set events = 0",
        "copy (select 1) to 'x.csv'",
        "copy (select 1) to '{lake}/x.csv'",
        "explain analyze copy (select 1) to '{lake}/x.csv'",
        "export database '{lake}/x'",
        "attach 'x.duckdb'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "pragma threads = 1",
        "call force_checkpoint()",
        "select 1; drop table fct_sessions",
        "",
        "-- nothing",
        "selec 1",
    ],
)
def test_anything_else_is_refused_and_nothing_is_written(warehouse: Path, statement: str) -> None:
    before = contents(warehouse)
    with pytest.raises(UsageError):
        run_sql(warehouse, statement.format(lake=warehouse / "lake"))
    assert contents(warehouse) == before
    assert not Path("x.csv").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_text('/etc/hostname')",
        "select * from '{outside}'",
        "select * from read_csv('https://example.com/x.csv')",
        "select * from glob('/etc/*')",
    ],
)
def test_a_query_reads_no_file_but_the_lakes(warehouse: Path, tmp_path: Path, statement: str) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="cannot be run"):
        run_sql(warehouse, statement.format(outside=outside))


def test_a_query_that_duckdb_cannot_run_says_why_in_one_line(warehouse: Path) -> None:
    with pytest.raises(UsageError, match="nonesuch") as told:
        run_sql(warehouse, "select nonesuch from fct_sessions")
    assert "\n" not in str(told.value)


def test_times_come_in_utc(warehouse: Path) -> None:
    (row,) = run_sql(warehouse, "select min(started_at) as at from fct_sessions").to_pylist()
    assert row["at"].utcoffset() == timedelta(0)
    assert row["at"] == min(event.occurred_at for event in EVENTS)


def test_the_tier_table_has_the_shape_that_scripts_rely_on(warehouse: Path) -> None:
    shape = tiers(warehouse, LADDER, "session").to_dict()
    assert list(shape) == ["unit", "tiers"]
    assert shape["unit"] == "session"
    assert [list(row) for row in shape["tiers"]] == [
        [
            "tier",
            "name",
            "asked",
            "yes",
            "no",
            "silent",
            "implicit",
            "drop_off",
            "drop_off_low",
            "drop_off_high",
            "reached",
            "reached_next",
            "reached_next_share",
            "reached_next_share_low",
            "reached_next_share_high",
            "in_flight",
            "matured",
            "matured_yes",
            "matured_drop_off",
            "matured_drop_off_low",
            "matured_drop_off_high",
        ]
    ] * len(LADDER.tiers)


def test_another_unit_is_refused(warehouse: Path) -> None:
    with pytest.raises(UsageError, match="session and visitor"):
        tiers(warehouse, LADDER, "household")


def test_marts_of_another_ladder_are_not_passed_off_as_this_ones(warehouse: Path) -> None:
    other = replace(LADDER, name="other")
    with pytest.raises(UsageError, match=r"built with the ladder 'small'.*for ladder 'other'"):
        tiers(warehouse, other, "session")
    with pytest.raises(UsageError, match="has changed since"):
        steps(warehouse, replace(LADDER, rules=LADDER.rules[:-1]), "session")


def test_without_marts_the_way_to_them_is_told(tmp_path: Path) -> None:
    for ask in (lambda: tiers(tmp_path, LADDER, "session"), lambda: run_sql(tmp_path, "select 1")):
        with pytest.raises(UsageError, match="run `yesladder build`"):
            ask()


def test_freshness_tells_what_the_marts_hold_and_what_they_lack(lake: Lake) -> None:
    fresh = freshness(lake)
    assert (fresh.ladder, fresh.was_full, fresh.visitors, fresh.unbuilt_files) == ("small", True, 15, 0)
    assert fresh.built_at >= NOW
    assert fresh.last_look is not None
    assert (fresh.last_look.state, fresh.last_look.looked_at, fresh.held_back) == ("passed", NOW, ())
    lake.append("events", event_rows(seeded_events(92, visitors=1, prefix="x"), first=9_000), now=NOW)
    assert freshness(lake).unbuilt_files == 1


def test_a_reader_is_not_disturbed_by_a_build(tmp_path: Path, gate: Gate) -> None:
    lake = Lake(tmp_path / "lake")
    land(lake, EVENTS)
    build(lake, LADDER, gate=gate, now=NOW)
    with open_marts(tmp_path) as reader:
        ((before,),) = reader.execute("select count(*) from dim_visitors").fetchall()
        more = [event for event in seeded_events(93, visitors=40, prefix="m") if event.visitor_id > "visitor-20"]
        land(lake, more, first=9_000, now=NOW)
        build(lake, LADDER, gate=gate, now=NOW + timedelta(minutes=1))
        assert reader.execute("select count(*) from dim_visitors").fetchall() == [(before,)]
    assert run_sql(tmp_path, "select count(*) as n from dim_visitors").to_pylist()[0]["n"] > before


def contents(warehouse: Path) -> tuple[bytes, list[str]]:
    files = sorted(str(path) for path in warehouse.rglob("*") if path.is_file())
    return (warehouse / "marts.duckdb").read_bytes(), files


@pytest.fixture
def reading(warehouse: Path) -> Iterator[Path]:
    """The warehouse, its marts kept open."""
    kept = KeptMarts(warehouse)
    with kept.reading():
        yield warehouse
    kept.close()


@pytest.mark.parametrize("unit", ["visitor", "session"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_people_behind_a_count_are_so_many(reading: Path, unit: str, outcome: str) -> None:
    warehouse = reading
    day = run_sql(warehouse, "select min(date) as day from fct_tier_dropoff").to_pylist()[0]["day"]
    value = run_sql(warehouse, "select max(first_utm_source) as value from dim_visitors").to_pylist()[0]["value"]
    for of in (Slice(unit=unit), Slice("utm_source", unit, day, day + timedelta(days=5), value)):
        found = tier_drop_off(warehouse, LADDER, of)
        for row in found.rows if of.value is None else found.by[of.value]:
            wanted = row.matured - row.matured_yes if outcome == "dropped" else getattr(row, outcome)
            all_of_them = people(warehouse, LADDER, of, row.tier, outcome)
            assert all_of_them.count == wanted
            assert len({one.unit_id for one in all_of_them.rows}) == wanted
            pages = [people(warehouse, LADDER, of, row.tier, outcome, most=2, skip=skip).rows for skip in (0, 2)]
            assert pages[0] + pages[1] == all_of_them.rows[:4]
        steps_found = step_drop_off(warehouse, LADDER, of)
        for step in steps_found.rows if of.value is None else steps_found.by[of.value]:
            wanted = step.matured - step.matured_yes if outcome == "dropped" else getattr(step, outcome)
            assert people(warehouse, LADDER, of, step.tier, outcome, step=step.step).count == wanted


def test_of_somebody_it_is_told_what_they_were_asked_and_held(warehouse: Path) -> None:
    for one in people(warehouse, LADDER, Slice(), 4, "asked").rows:
        asks = run_sql(
            warehouse,
            "select step, asked_at, held_tier from fct_asks where unit = 'visitor' and tier = 4"
            f" and visitor_id = '{one.visitor_id}' order by asked_at",
        ).to_pylist()
        assert (one.asks, one.last_asked_at) == (len(asks), asks[-1]["asked_at"])
        assert one.last_asked in {ask["step"] for ask in asks if ask["asked_at"] == one.last_asked_at}
        assert one.held in {ask["held_tier"] for ask in asks if ask["asked_at"] == asks[0]["asked_at"]}


@pytest.mark.parametrize(("tier", "outcome"), [(0, "yes"), (6, "yes"), (1, "maybe"), (1, "is_yes; drop table x")])
def test_people_of_no_tier_or_outcome_are_refused(warehouse: Path, tier: int, outcome: str) -> None:
    with pytest.raises(UsageError):
        people(warehouse, LADDER, Slice(), tier, outcome)


def test_one_value_of_a_segment_is_its_rows(warehouse: Path) -> None:
    by_value = [leap for leap in leaps(warehouse, LADDER, Slice("utm_source")).leaps if leap.segment_value == "ads"]
    alone = leaps(warehouse, LADDER, Slice("utm_source", value="ads"))
    assert list(alone.leaps) == by_value
    assert alone.lost == sum(leap.lost for leap in by_value)
    with pytest.raises(UsageError, match="no segment"):
        Slice(value="ads")
