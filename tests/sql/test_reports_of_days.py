"""Reports on a few days: the changes against the days before, by plain loops and by the marts, and the command."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from answers.gather import Asked, gather
from answers.report import render_report
from answers.report_document import report_document
from ladder.clusters import Clustered
from ladder.comparisons import change
from ladder.errors import UsageError
from tests.suites.reported_warehouse import reported_warehouse
from tests.suites.seeded_lake import LADDER, NOW
from warehouse.changes import VALUES_COMPARED, drop_off_changes
from warehouse.counted import Slice
from warehouse.drop_off import step_drop_off, tier_drop_off
from warehouse.periods import Days, before
from warehouse.quality import Gate
from warehouse.query import run_sql
from warehouse.seen import seen
from yesladder.cli import main
from yesladder.reporting import asked_of

WEEK = Days(date(2026, 2, 9), date(2026, 2, 16))
EARLIER = before(WEEK, "week")
UNITS = ["session", "visitor"]


@pytest.fixture(scope="module")
def warehouse(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported_warehouse(gate, tmp_path_factory)


def rows(warehouse: Path, unit: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run_sql(
        warehouse,
        "select visitor_id, date, tier, step, is_matured_yes, first_utm_source as source from intermediate.int_outcomes"
        f" inner join dim_visitors using (visitor_id) where unit = '{unit}' and is_matured",
    ).to_pylist()
    return found


def by_person(found: list[dict[str, Any]], days: Days) -> dict[tuple[int, str | None], Clustered]:
    """The counts of the days by plain loops: each person's asks and how many of them were in vain."""
    people: dict[tuple[int, str | None], dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for row in found:
        if days.since <= row["date"] < days.until:
            person = people[row["tier"], row["step"]][row["visitor_id"]]
            person[0] += 1
            person[1] += not row["is_matured_yes"]
    return {
        key: Clustered(
            len(each),
            sum(n for n, _ in each.values()),
            sum(lost for _, lost in each.values()),
            sum(n * n for n, _ in each.values()),
            sum(n * lost for n, lost in each.values()),
            sum(lost * lost for _, lost in each.values()),
        )
        for key, each in people.items()
    }


@pytest.mark.parametrize("unit", UNITS)
def test_the_changes_are_those_of_plain_loops_over_people(warehouse: Path, unit: str) -> None:
    all_rows = rows(warehouse, unit)
    now, then = by_person(all_rows, WEEK), by_person(all_rows, EARLIER)
    found = drop_off_changes(warehouse, LADDER, unit, WEEK, EARLIER)
    alone = {
        (tier, step)
        for tier, step in {*now, *then}
        if step is not None and all(side.get((tier, step)) == side.get((tier, None)) for side in (now, then))
    }
    compared = ({*now} & {*then}) - alone
    assert {(row.tier, row.step) for row in found.rows} == compared
    assert found.one_sided == len(({*now} ^ {*then}) - alone)
    enough = sum(min(now[key].clusters, then[key].clusters) >= 10 for key in compared)
    assert enough >= 3
    for row in found.rows:
        side_now, side_then = now[row.tier, row.step], then[row.tier, row.step]
        assert row.later == (side_now.trials, side_now.successes, side_now.clusters)
        assert row.earlier == (side_then.trials, side_then.successes, side_then.clusters)
        assert row.change == change(side_then, side_now, enough)


@pytest.mark.parametrize("unit", UNITS)
def test_the_changes_count_what_the_drop_off_marts_count(warehouse: Path, unit: str) -> None:
    found = drop_off_changes(warehouse, LADDER, unit, WEEK, EARLIER)
    for days, side in ((WEEK, "later"), (EARLIER, "earlier")):
        of = Slice(unit=unit, since=days.since, until=days.until)
        tiers = {row.tier: row for row in tier_drop_off(warehouse, LADDER, of).rows}
        steps = {(row.tier, row.step): row for row in step_drop_off(warehouse, LADDER, of).rows}
        for row in found.rows:
            mart = tiers[row.tier] if row.step is None else steps[row.tier, row.step]
            assert getattr(row, side)[:2] == (mart.matured, mart.matured - mart.matured_yes)


def test_with_a_segment_the_tiers_are_compared_value_by_value(warehouse: Path) -> None:
    plain = drop_off_changes(warehouse, LADDER, "session", WEEK, EARLIER)
    found = drop_off_changes(warehouse, LADDER, "session", WEEK, EARLIER, "utm_source")
    by_value = [row for row in found.rows if row.segment_value is not None]
    assert {row.segment_value for row in by_value} == {"", "mail"}
    assert len({row.segment_value for row in by_value}) <= VALUES_COMPARED
    assert [(row.tier, row.step, row.later) for row in found.rows if row.segment_value is None] == [
        (row.tier, row.step, row.later) for row in plain.rows
    ]
    for tier in {row.tier for row in by_value}:
        of_tier = next(row for row in plain.rows if (row.tier, row.step) == (tier, None))
        parts = [row for row in by_value if row.tier == tier]
        if len(parts) == 2:
            assert sum(row.later[0] for row in parts) == of_tier.later[0]
    assert found.rows[0].change.difference.low < plain.rows[0].change.difference.low
    with pytest.raises(UsageError, match="there is no segment 'moon'"):
        drop_off_changes(warehouse, LADDER, "session", WEEK, EARLIER, "moon")


def test_a_report_on_a_week_holds_nothing_of_other_days(warehouse: Path) -> None:
    facts = gather(warehouse, LADDER, now=NOW, asked=Asked(WEEK, "week"))
    ((sessions, visitors, events),) = [
        tuple(row.values())
        for row in run_sql(
            warehouse,
            "select count(*) as s, count(distinct visitor_id) as v, sum(events - repeated_events)::bigint as e"
            " from fct_sessions where started_date between '2026-02-09' and '2026-02-15'",
        ).to_pylist()
    ]
    assert (facts.sessions, facts.visitors, facts.events) == (sessions, visitors, events)
    assert facts.first_at is not None
    assert facts.first_at >= WEEK.begins
    assert 0 < facts.health.landed < gather(warehouse, LADDER, now=NOW).health.landed
    trend = facts.asks.drop_off
    assert trend is not None
    assert max(period.begins for period in trend.trend) <= WEEK.since
    assert trend.rows == facts.per_visitor
    assert (
        facts.per_session
        == tier_drop_off(warehouse, LADDER, Slice(unit="session", since=WEEK.since, until=WEEK.until)).rows
    )
    assert "week 7 of 2026 (9 to 15 February)" in render_report(facts)
    assert report_document(facts).title == "small: where people drop off, week 7 of 2026 (9 to 15 February)"


def test_visitors_about_are_the_new_ones_and_those_who_came_back(warehouse: Path) -> None:
    """By plain loops: with a session begun, an ask or a yes on these days."""
    seen_on: dict[str, set[date]] = defaultdict(set)
    sources: dict[str, str] = {}
    for mart, day, where in (
        ("fct_sessions", "started_date", "true"),
        ("fct_asks", "asked_date", "unit = 'visitor'"),
        ("fct_yeses", "yes_date", "unit = 'visitor'"),
    ):
        query = f"select visitor_id, {day} as day from {mart} where {where}"
        for row in run_sql(warehouse, query).to_pylist():
            seen_on[row["visitor_id"]].add(row["day"])
    firsts = run_sql(warehouse, "select visitor_id, first_utm_source as source from dim_visitors").to_pylist()
    for row in firsts:
        sources[row["visitor_id"]] = row["source"] or ""
    about = [visitor for visitor, days in seen_on.items() if any(WEEK.since <= day < WEEK.until for day in days)]
    new = [visitor for visitor in about if WEEK.since <= min(seen_on[visitor])]
    assert 0 < len(new) < len(about) < len(firsts)
    of = Slice(since=WEEK.since, until=WEEK.until)
    assert seen(warehouse, LADDER, of) == {"": len(about)}
    by = Counter(sources[visitor] for visitor in about)
    found = seen(warehouse, LADDER, replace(of, segment="utm_source"))
    assert found == dict(by)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert seen(warehouse, LADDER, replace(of, segment="utm_source", value="mail")) == {"mail": by["mail"]}
    assert seen(warehouse, LADDER, Slice()) == {"": len(firsts)}
    audit = gather(warehouse, LADDER, now=NOW, asked=Asked(WEEK, "week")).asks.audit
    assert audit is not None
    assert audit.visitors == len(about)


def test_what_there_is_at_all_is_told_beside_the_days(warehouse: Path) -> None:
    query = "select min(started_at) as a, max(started_at) as b, max(ended_at) as c from fct_sessions"
    ((first, newest, until),) = [tuple(row.values()) for row in run_sql(warehouse, query).to_pylist()]
    period = gather(warehouse, LADDER, now=NOW, asked=Asked(WEEK, "week")).period
    assert period is not None
    assert (period.first_at, period.last_begun_at, period.known_until) == (first, newest, until)


def test_days_that_were_not_over_at_the_build_are_not_compared(warehouse: Path) -> None:
    built = run_sql(warehouse, "select max(finished_at) as at from meta_builds").to_pylist()[0]["at"]
    assert isinstance(built, datetime)
    for ends, is_compared in ((built.date(), True), (built.date() + timedelta(days=1), False)):
        facts = gather(warehouse, LADDER, now=NOW, asked=Asked(Days(ends - timedelta(days=2), ends), None))
        assert facts.period is not None
        assert (facts.period.changes is not None) == is_compared


Say = Callable[..., dict[str, Any]]


@pytest.fixture
def report(warehouse: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run `yesladder report --json` in this process."""

    def command(*arguments: object) -> dict[str, Any]:
        where = ("--warehouse", warehouse, "--ladder", warehouse / "ladder.toml")
        monkeypatch.setattr(sys, "argv", ["yesladder", "report", *map(str, (*where, *arguments)), "--json"])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 0
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        return said

    return command


def test_the_command_writes_each_form(warehouse: Path, report: Say, tmp_path: Path) -> None:
    wanted = [row.to_dict() for row in drop_off_changes(warehouse, LADDER, "session", WEEK, EARLIER).rows]
    for how, begins in {"html": b"<!doctype html>", "md": b"# small", "pdf": b"%PDF-"}.items():
        out = tmp_path / f"week.{how}"
        found = report("--period", "week", "--until", "2026-02-18", "--out", out)
        days = found["since"], found["until"], found["before"]
        assert (found["report"], *days) == (str(out), "2026-02-09", "2026-02-16", "2026-02-02")
        assert found["changes"] == json.loads(json.dumps(wanted))
        assert out.read_bytes().startswith(begins)


def test_a_period_that_is_going_on_is_never_reported_as_whole(report: Say, tmp_path: Path) -> None:
    found = report("--period", "month", "--until", "2999-01-01", "--out", tmp_path / "r.md")
    today = datetime.now(UTC).date()
    assert date.fromisoformat(found["until"]) == today.replace(day=1)


def test_days_to_come_are_refused() -> None:
    with pytest.raises(UsageError, match="--since 2030-01-01: these days are still to come; today is 2026-03-16"):
        asked_of(None, date(2030, 1, 1), date(2030, 2, 1), None, None, today=date(2026, 3, 16))
    assert asked_of(None, date(2026, 3, 16), date(2026, 3, 17), None, None, today=date(2026, 3, 16)) is not None
