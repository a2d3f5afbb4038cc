from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ladder.errors import UsageError
from ladder.events import Event
from ladder.gradient import gradient
from ladder.rates import difference, standardised, wilson
from ladder.tiers import Mark, Rule
from ladder.time_buckets import ERROR
from tests.suites.ask_oracle import (
    Asked,
    Key,
    Rows,
    Said,
    after_yes_rows,
    asks_of,
    hesitation_rows,
    leap_rows,
    momentum_rows,
    times_taken,
    too_soon_rows,
    yeses_of,
)
from tests.suites.seeded_lake import LADDER as SMALL, NOW, land, seeded_events
from tests.suites.way_oracle import came_rows, surprised_rows, way_rows
from warehouse.asks import after_yes, hesitation, leaps, momentum
from warehouse.build import build
from warehouse.counted import SEGMENTS, Slice
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import run_sql
from warehouse.too_soon import too_soon
from warehouse.ways import came, surprised, ways
from warehouse.witnesses import witnesses

LADDER = replace(
    SMALL,
    rules=(
        *SMALL.rules,
        Rule("Scrolled", {}, (Mark(2, "reward", "vote"), Mark(4, "cheer", "sign up"))),
        Rule("Mouse Moved", {"paid": True}, (Mark(4, "reward", "sign up"),)),
    ),
)
UNITS = ("visitor", "session")
SEEDED = seeded_events(5, visitors=200)
END = max(event.occurred_at for event in SEEDED)
AGAIN = [
    Event(event_id=f"again-{n}", visitor_id="again", occurred_at=at, received_at=at, kind="track", name=name)
    for n, (name, at) in enumerate(
        (
            ("Page Shown", END - timedelta(days=3)),
            ("Page Shown", END - timedelta(hours=2)),
            ("Voted", END - timedelta(hours=1, minutes=59)),
        )
    )
]
"""Asked long ago in vain, and again lately, with a yes: that ask is in flight."""
EVENTS = [*SEEDED, *AGAIN]
EVERYBODY = {event.visitor_id: "" for event in EVENTS}
ANSWERED = ("asks", "yes", "no", "silent", "in_flight", "lost")


@cache
def asked(unit: str) -> list[Asked]:
    return asks_of(EVENTS, LADDER, unit)


@cache
def said(unit: str) -> list[Said]:
    return yeses_of(EVENTS, LADDER, unit)


@pytest.fixture(scope="module")
def built(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(tmp_path_factory.mktemp("asks") / "lake")
    land(lake, EVENTS, ladder=LADDER)
    assert build(lake, LADDER, gate=gate, now=NOW).built
    return lake.root.parent


@pytest.mark.parametrize("unit", UNITS)
def test_every_ask_is_what_plain_loops_find(built: Path, unit: str) -> None:
    rows = run_sql(built, f"select {', '.join(Asked._fields)} from fct_asks where unit = '{unit}'").to_pylist()
    found = sorted((Asked(**row) for row in rows), key=lambda ask: ask[:4])
    assert found == sorted(asked(unit), key=lambda ask: ask[:4])
    assert {ask.answer for ask in found} == {"yes", "no", None}
    for name in ("is_first", "is_last", "is_loss", "held_tier", "landing_seconds"):
        assert len({bool(getattr(ask, name)) for ask in found}) == 2, name
    assert {ask.is_mature for ask in found} == ({True} if unit == "session" else {True, False})


@pytest.mark.parametrize("unit", UNITS)
def test_every_yes_and_what_follows_is_what_plain_loops_find(built: Path, unit: str) -> None:
    rows = run_sql(built, f"select {', '.join(Said._fields)} from fct_yeses where unit = '{unit}'").to_pylist()
    found = sorted((Said(**row) for row in rows), key=lambda yes: yes[:4])
    assert found == sorted(said(unit), key=lambda yes: yes[:4])
    for name in ("rewarded_at", "cheered_at", "next_asked_at"):
        assert 0 < sum(getattr(yes, name) is None for yes in found) < len(found), name


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("segment", ["all", "first_utm_source"])
def test_every_count_of_every_date_is_what_plain_loops_count(built: Path, segment: str, unit: str) -> None:
    value_of = values(built, segment)
    asks, yeses = asked(unit), said(unit)
    next_asks = ("next_asks_cheered", "next_yes_cheered", "next_asks_uncheered", "next_yes_uncheered")
    for mart, keys, counts, wanted in (
        ("fct_leaps", ("held_tier", "tier"), ANSWERED, leap_rows(asks, value_of)),
        ("fct_momentum", ("grouped_by", "bucket", "tier"), ("asks", "yes"), momentum_rows(asks, value_of)),
        ("fct_hesitation", ("tier", "step"), ("answers", "unthinking", "pondered"), hesitation_rows(asks, value_of)),
        ("fct_too_soon", ("asked", "tier", "step"), ANSWERED, too_soon_rows(asks, value_of)),
        (
            "fct_after_yes",
            ("tier", "step"),
            ("yeses", "rewarded", "cheered", *next_asks),
            after_yes_rows(yeses, value_of),
        ),
    ):
        rows = of(built, mart, segment, unit)
        found = {key_of(row, keys): {name: row[name] for name in counts} for row in rows}
        assert len(found) == len(rows)
        assert found == {key: {name: row[name] for name in counts} for key, row in wanted.items()}, mart
        for name in counts:
            if (name, unit) != ("in_flight", "session"):
                assert any(row[name] for row in rows), (mart, name)


@pytest.mark.parametrize("unit", UNITS)
def test_times_and_their_quantiles_are_within_the_error_that_is_promised(built: Path, unit: str) -> None:
    wanted = times_taken(asked(unit), said(unit), EVERYBODY)
    found: dict[Any, list[float]] = {}
    growth = (1 + ERROR) / (1 - ERROR)
    for row in of(built, "fct_times", "all", unit):
        stands_for = 0.0 if row["bucket"] == -32_768 else 2 * growth ** row["bucket"] / (growth + 1)
        found.setdefault(key_of(row, ("measure", "tier", "step")), []).extend([stands_for] * row["times"])
    assert {key: sorted(times) for key, times in found.items()} == {
        key: pytest.approx(times, rel=ERROR * 1.0001, abs=0) for key, times in wanted.items()
    }
    assert any(times[0] == 0 < times[-1] for times in wanted.values())
    quantiles = of(built, "fct_time_quantiles", "all", unit)
    assert {key_of(row, ("measure", "tier", "step")) for row in quantiles} == set(wanted)
    for row in quantiles:
        times = wanted[key_of(row, ("measure", "tier", "step"))]
        ends = [row["p10_seconds"], row["median_seconds"], row["p90_seconds"]]
        assert row["times"] == len(times)
        assert ends == pytest.approx(exact(times, 10, 50, 90), rel=ERROR * 1.0001, abs=0)


def test_rates_of_a_date_are_of_its_counts(built: Path) -> None:
    for mart, rate, successes, trials in (
        ("fct_leaps", "yes_rate", "yes", "asks"),
        ("fct_momentum", "yes_rate", "yes", "asks"),
        ("fct_too_soon", "yes_rate", "yes", "asks"),
        ("fct_too_soon", "lost_share", "lost", "asks"),
        ("fct_hesitation", "unthinking_share", "unthinking", "answers"),
        ("fct_hesitation", "pondered_share", "pondered", "answers"),
        ("fct_after_yes", "rewarded_share", "rewarded", "yeses"),
        ("fct_after_yes", "cheered_share", "cheered", "yeses"),
        ("fct_after_yes", "next_rate_cheered", "next_yes_cheered", "next_asks_cheered"),
        ("fct_after_yes", "next_rate_uncheered", "next_yes_uncheered", "next_asks_uncheered"),
    ):
        for row in of(built, mart, "all", "visitor"):
            ends = (row[rate], row[f"{rate}_low"], row[f"{rate}_high"])
            assert ends == pytest.approx(wilson(row[successes], row[trials])), (mart, rate)


@pytest.mark.parametrize("unit", UNITS)
def test_the_commands_functions_sum_the_dates_that_are_asked_for(built: Path, unit: str) -> None:
    since, until = NOW.date() - timedelta(days=21), NOW.date() - timedelta(days=9)
    for first, last in ((None, None), (since, None), (since, until)):
        some = Slice(unit=unit, since=first, until=last)
        asks = [ask for ask in asked(unit) if within(ask.asked_at.date(), first, last)]
        yeses = [yes for yes in said(unit) if within(yes.said_at.date(), first, last)]
        wanted = summed(leap_rows(asks, EVERYBODY))
        found = leaps(built, LADDER, some)
        assert {(row.held_tier, row.tier): [getattr(row, name) for name in ANSWERED] for row in found.leaps} == {
            key: [counts[name] for name in ANSWERED] for key, counts in wanted.items()
        }
        for row in found.leaps:
            assert (row.yes_rate, row.yes_rate_low, row.yes_rate_high) == wilson(row.yes, row.asks)
        on_long = sum(counts["lost"] for (held, tier), counts in wanted.items() if tier - held > 1)
        assert (found.lost, found.lost_on_long_leaps) == (sum(row["lost"] for row in wanted.values()), on_long)
        assert 0 < on_long < found.lost
        assert found.to_dict()["long_leap_share"] == on_long / found.lost
        ways = {way: (counts["asks"], counts["yes"]) for way, counts in wanted.items()}
        assert [(one.score, one.low, one.high) for one in found.gradients] == [gradient(ways)]

        took = summed_times(times_taken(asks, yeses, EVERYBODY))
        hesitated = summed(hesitation_rows(asks, EVERYBODY))
        for slow in hesitation(built, LADDER, some):
            counts = hesitated.pop((slow.tier, slow.step))
            assert (slow.answers, slow.unthinking, slow.pondered) == tuple(
                counts[name] for name in ("answers", "unthinking", "pondered")
            )
            times = exact(took["answer", slow.tier, slow.step], 10, 50, 90)
            assert [slow.p10_seconds, slow.median_seconds, slow.p90_seconds] == pytest.approx(
                times, rel=0.010001, abs=0
            )
        assert not hesitated
        followed = summed(after_yes_rows(yeses, EVERYBODY))
        for row_after in after_yes(built, LADDER, some):
            counts = followed.pop((row_after.tier, row_after.step))
            assert (row_after.yeses, row_after.rewarded, row_after.cheered) == (
                counts["yeses"],
                counts["rewarded"],
                counts["cheered"],
            )
            assert row_after.next_asks_cheered == counts["next_asks_cheered"]
            assert row_after.next_yes_uncheered == counts["next_yes_uncheered"]
            rewards = took.get(("reward", row_after.tier, row_after.step), [])
            median = pytest.approx(exact(rewards, 50)[0], rel=0.010001, abs=0) if rewards else None
            assert row_after.median_reward_seconds == median
            uncheered = (row_after.next_rate_uncheered_low, row_after.next_rate_uncheered_high)
            assert uncheered == wilson(counts["next_yes_uncheered"], counts["next_asks_uncheered"])[1:]
        assert not followed


def test_steps_after_which_a_reward_or_a_cheer_may_come_are_the_ladders(built: Path) -> None:
    assert {(row.tier, row.step): (row.has_reward, row.has_cheer) for row in after_yes(built, LADDER)} == {
        (1, "read on"): (False, False),
        (2, "vote"): (True, True),
        (4, "sign up"): (True, True),
        (5, "order"): (False, False),
    }


@pytest.mark.parametrize("unit", UNITS)
def test_momentum_weighs_tiers_as_written_in_the_command_and_in_the_mart(built: Path, unit: str) -> None:
    counted = summed(momentum_rows(asked(unit), EVERYBODY))
    of_tier: Counter[tuple[str, int]] = Counter()
    for (grouped_by, _, tier), counts in counted.items():
        of_tier[grouped_by, tier] += counts["asks"]
    wanted: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for (grouped_by, bucket, tier), counts in sorted(counted.items()):
        stratum = (of_tier[grouped_by, tier], counts["yes"], counts["asks"])
        wanted.setdefault((grouped_by, bucket), []).append(stratum)
    found = momentum(built, LADDER, Slice(unit=unit))
    assert {(row.grouped_by, row.bucket) for row in found} == set(wanted)
    mart = run_sql(built, f"from fct_momentum_totals where segment = 'all' and unit = '{unit}'").to_pylist()
    assert len(mart) == len(found)
    rows = {(row["grouped_by"], row["bucket"]): row for row in mart}
    for row in found:
        strata = wanted[row.grouped_by, row.bucket]
        yes, asks = sum(yes for _, yes, _ in strata), sum(asks for _, _, asks in strata)
        share = sum(weight * yes / asks for weight, yes, asks in strata) / sum(weight for weight, _, _ in strata)
        assert (row.yes, row.asks) == (yes, asks)
        assert row.adjusted_rate == pytest.approx(share)
        adjusted = (row.adjusted_rate, row.adjusted_rate_low, row.adjusted_rate_high)
        assert adjusted == pytest.approx(standardised(strata))
        names = ["asks", "yes", "yes_rate", "yes_rate_low", "yes_rate_high"]
        names += ["adjusted_rate", "adjusted_rate_low", "adjusted_rate_high"]
        of_mart = [rows[row.grouped_by, row.bucket][name] for name in names]
        assert of_mart == pytest.approx([getattr(row, name) for name in names])


@pytest.mark.parametrize("unit", UNITS)
def test_too_soon_is_compared_with_in_order_and_the_first_asks_have_their_times(built: Path, unit: str) -> None:
    (found,) = too_soon(built, LADDER, Slice(unit=unit))
    asks = [ask for ask in asked(unit) if ask.is_mature]
    soon = [ask for ask in asks if ask.tier - ask.held_tier > 1]
    ordered = [ask for ask in asks if ask.tier - ask.held_tier <= 1]
    for those, counted in ((soon, found.too_soon), (ordered, found.in_order)):
        wanted = (len(those), sum(ask.answer == "yes" for ask in those), sum(ask.is_loss for ask in those))
        assert (counted.asks, counted.yes, counted.lost) == wanted
    yes = [wilson(sum(ask.answer == "yes" for ask in those), len(those)) for those in (soon, ordered)]
    lost = [wilson(sum(ask.is_loss for ask in those), len(those)) for those in (soon, ordered)]
    ends = (found.yes_rate_difference, found.yes_rate_difference_low, found.yes_rate_difference_high)
    assert ends == difference(*yes)
    ends = (found.lost_share_difference, found.lost_share_difference_low, found.lost_share_difference_high)
    assert ends == difference(*lost)
    assert {(step.tier, step.step) for step in found.worst} == {(ask.tier, ask.step) for ask in soon}
    assert [step.lost for step in found.worst] == sorted((step.lost for step in found.worst), reverse=True)
    took = summed_times(times_taken(asks, [], EVERYBODY))
    for first in found.first:
        those = [ask for ask in asks if ask.is_first and (ask.tier, ask.step) == (first.asked.tier, first.asked.step)]
        assert first.asked.asks == len(those)
        assert first.asked.lost == sum(ask.is_loss for ask in those)
        times = exact(took["first ask", first.asked.tier, first.asked.step], 10, 50, 90)
        assert [first.p10_seconds, first.median_seconds, first.p90_seconds] == pytest.approx(times, rel=0.010001, abs=0)
    assert len(found.first) == len({(ask.tier, ask.step) for ask in asks if ask.is_first})


def test_nobody_is_lost_twice(built: Path) -> None:
    (visitors,) = run_sql(built, "select count(*) as n from dim_visitors where asks > 0").to_pylist()
    assert 0 < leaps(built, LADDER).lost <= visitors["n"]


@pytest.mark.parametrize("segment", SEGMENTS)
def test_every_segment_sums_to_all(built: Path, segment: str) -> None:
    of_segment = Slice(segment=segment)
    apart, together = leaps(built, LADDER, of_segment), leaps(built, LADDER)
    assert (apart.lost, apart.lost_on_long_leaps) == (together.lost, together.lost_on_long_leaps)
    assert sum(leap.asks for leap in apart.leaps) == sum(leap.asks for leap in together.leaps)
    slow, yes = hesitation(built, LADDER, of_segment), momentum(built, LADDER, of_segment)
    assert sum(row.answers for row in slow) == sum(row.answers for row in hesitation(built, LADDER))
    assert sum(row.yes for row in yes) == sum(row.yes for row in momentum(built, LADDER))


def test_buckets_stand_from_least_to_most(built: Path) -> None:
    assert [(row.grouped_by, row.bucket) for row in momentum(built, LADDER)] == [
        *[("earlier yeses", bucket) for bucket in ("0", "1", "2", "3+")],
        ("since the last yes", "under a minute"),
        ("since the last yes", "under an hour"),
        ("since the last yes", "under a day"),
        ("since the last yes", "a day or more"),
        *[("tier held", bucket) for bucket in ("0", "1", "2", "4", "5")],
    ]


def test_a_slice_that_cannot_be_is_said() -> None:
    with pytest.raises(UsageError, match="there is no segment 'moon'; take page_url, referrer"):
        Slice(segment="moon")
    with pytest.raises(UsageError, match="--unit hour: there are session and visitor"):
        Slice(unit="hour")
    with pytest.raises(UsageError, match="until 2026-01-01 must be later than since 2026-01-01"):
        Slice(since=date(2026, 1, 1), until=date(2026, 1, 1))


BRIDGES = {
    (4, "sign up"): [(2, "vote")],
    (5, "order"): [(1, "read on"), (4, "sign up")],
    (4, "newsletter"): [(2, "vote")],
}


@pytest.mark.parametrize("days", [(None, None), (NOW.date() - timedelta(days=21), NOW.date() - timedelta(days=9))])
@pytest.mark.parametrize("segment", [None, "utm_source"])
def test_the_ways_up_are_what_plain_loops_count(
    built: Path, segment: str | None, days: tuple[date | None, date | None]
) -> None:
    value_of = values(built, "all" if segment is None else f"first_{segment}")
    some = Slice(segment, since=days[0], until=days[1])
    asks = [ask for ask in asked("visitor") if within(ask.asked_at.date(), *days)]
    wanted = way_rows(asks, value_of, EVENTS, LADDER, BRIDGES)
    counts = ("asked", "yes", "lost", "bridged")
    assert all(any(row[name] for row in wanted.values()) for name in counts)
    found = ways(built, LADDER, some, BRIDGES)
    assert {
        (way.segment_value, way.held_tier, way.tier, way.step): [getattr(way, name) for name in counts] for way in found
    } == {key: [row[name] for name in counts] for key, row in wanted.items()}
    arrived = {(row.segment_value, row.tier, row.held_tier): row.visitors for row in came(built, LADDER, some)}
    assert arrived == came_rows(asks, value_of)
    shocked = {row.segment_value: (row.asked, row.surprised) for row in surprised(built, LADDER, some)}
    assert shocked == surprised_rows(asks, value_of)
    if segment is not None:
        one = replace(some, value="")
        assert ways(built, LADDER, one, BRIDGES) == tuple(way for way in found if way.segment_value == "")
        assert [row.segment_value for row in surprised(built, LADDER, one)] == [""]


def test_the_sessions_of_a_way_are_where_it_was_gone_of_the_lost_first(built: Path) -> None:
    rows = run_sql(built, "from fct_asks where unit = 'visitor' and is_mature").to_pylist()
    for way in ways(built, LADDER, Slice()):
        own = [
            row for row in rows if (row["held_tier"], row["tier"], row["step"]) == (way.held_tier, way.tier, way.step)
        ]
        assert len(way.sessions) == len(set(way.sessions)) == min(5, way.asked)
        assert set(way.sessions) <= {row["session_id"] for row in own}
        lost = {row["visitor_id"] for row in own if row["is_loss"]}
        yes = {row["visitor_id"] for row in own if row["answer"] == "yes"}
        ranks = [2 if who in yes else 1 if who not in lost else 0 for who in map(visitor_of(rows), way.sessions)]
        assert ranks == sorted(ranks)


def test_the_witnesses_saw_what_they_are_named_for(built: Path) -> None:
    asks = run_sql(built, "from fct_asks where unit = 'visitor' and is_mature").to_pylist()
    yeses = run_sql(built, "from fct_yeses where unit = 'visitor' and tier > 1").to_pylist()
    starts = run_sql(built, "from intermediate.int_starts where unit = 'visitor'").to_pylist()
    firsts = run_sql(built, "select visitor_id, arg_min(session_id, occurred_at) as s from fct_marks group by all")
    at = {row["visitor_id"]: row["s"] for row in firsts.to_pylist()}
    wanted = {
        "too soon": {row["session_id"] for row in asks if row["leap"] > 1},
        "in order": {row["session_id"] for row in asks if row["leap"] == 1},
        "cheered": {row["session_id"] for row in yeses if within_10_s(row["cheer_seconds"])},
        "uncheered": {row["session_id"] for row in yeses if not within_10_s(row["cheer_seconds"])},
        **{
            kind: {at[row["visitor_id"]] for row in starts if row["start"] == kind}
            for kind in ("gives", "takes", "both")
        },
    }
    found = witnesses(built, LADDER, Slice())[""]
    assert (
        set(found) == {what for what, sessions in wanted.items() if sessions} >= {"too soon", "in order", "uncheered"}
    )
    for what, sessions in found.items():
        assert len(sessions) == len(set(sessions)) == min(5, len(wanted[what])), what
        assert set(sessions) <= wanted[what], what


def within_10_s(seconds: float | None) -> bool:
    return seconds is not None and seconds <= 10


def visitor_of(rows: Sequence[Mapping[str, Any]]) -> Callable[[str], str]:
    return {row["session_id"]: row["visitor_id"] for row in rows}.__getitem__


def values(built: Path, segment: str) -> Mapping[str, str]:
    """The segment value of each visitor; what a first touch is has a test of its own."""
    if segment == "all":
        return EVERYBODY
    rows = run_sql(built, f"select visitor_id, coalesce({segment}, '') as value from dim_visitors").to_pylist()
    found = {row["visitor_id"]: row["value"] for row in rows}
    assert len(set(found.values())) > 1
    return found


def of(built: Path, mart: str, segment: str, unit: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run_sql(
        built, f"from {mart} where segment = '{segment}' and unit = '{unit}'"
    ).to_pylist()
    return rows


def key_of(row: Mapping[str, Any], keys: Sequence[str]) -> tuple[Any, ...]:
    return (row["segment_value"], row["date"], tuple(row[key] for key in keys))


def within(day: date, since: date | None, until: date | None) -> bool:
    return (since is None or day >= since) and (until is None or day < until)


def summed(rows: Rows) -> dict[Any, Counter[str]]:
    found: dict[Any, Counter[str]] = {}
    for (_, _, key), counts in rows.items():
        found.setdefault(key, Counter()).update(counts)
    return found


def summed_times(times: Mapping[Key, Sequence[float]]) -> dict[Any, list[float]]:
    found: dict[Any, list[float]] = {}
    for (_, _, key), some in times.items():
        found.setdefault(key, []).extend(some)
    return {key: sorted(some) for key, some in found.items()}


def exact(times: Sequence[float], *percents: int) -> list[float]:
    """The quantiles that are times themselves, of two the lower."""
    return [times[percent * (len(times) - 1) // 100] for percent in percents]
