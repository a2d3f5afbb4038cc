from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ladder.errors import UsageError
from ladder.events import Event
from ladder.rates import wilson
from ladder.tiers import Mark, Rule
from tests.suites.ask_oracle import Asked, Said, asks_of, leap_rows, yeses_of
from tests.suites.seeded_lake import LADDER as SMALL, NOW, land, seeded_events
from warehouse.asks import SEGMENTS, after_yes, hesitation, leaps, momentum
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import run_sql

LADDER = replace(
    SMALL,
    rules=(
        *SMALL.rules,
        Rule("Scrolled", {}, (Mark(2, "reward", "vote"), Mark(4, "cheer", "sign up"))),
        Rule("Mouse Moved", {"paid": True}, (Mark(4, "reward", "sign up"),)),
    ),
)


def events() -> list[Event]:
    return seeded_events(5, visitors=200)


@pytest.fixture(scope="module")
def built(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(tmp_path_factory.mktemp("asks") / "lake")
    land(lake, events(), ladder=LADDER)
    assert build(lake, LADDER, gate=gate, now=NOW).built
    return lake.root.parent


@pytest.fixture(scope="module")
def mature() -> list[Asked]:
    known_until = max(event.occurred_at for event in events())
    return [ask for ask in asks_of(events(), LADDER) if ask.asked_at + LADDER.conversion_window <= known_until]


def test_every_ask_is_what_plain_loops_find(built: Path) -> None:
    columns = ", ".join(Asked._fields)
    rows = run_sql(built, f"select {columns} from fct_asks").to_pylist()
    found = sorted((Asked(**row) for row in rows), key=lambda ask: ask[:4])
    wanted = sorted(asks_of(events(), LADDER), key=lambda ask: ask[:4])
    assert found == wanted
    assert {ask.answer for ask in found} == {"yes", "no", None}
    assert all(any(getattr(ask, name) for ask in found) for name in ("is_first", "is_last", "held_tier"))


def test_leaps_are_what_plain_loops_count(built: Path) -> None:
    names = ("asks", "yes", "no", "silent", "in_flight", "lost")
    sums = ", ".join(f'cast(sum("{name}") as bigint) as "{name}"' for name in names)
    rows = run_sql(
        built, f"select held_tier, tier, {sums} from fct_leaps where segment = 'all' group by held_tier, tier"
    ).to_pylist()
    wanted = {leap: {name: counts[name] for name in names} for leap, counts in leap_rows(events(), LADDER).items()}
    assert {(row.pop("held_tier"), row.pop("tier")): row for row in rows} == wanted
    assert sum(counts["in_flight"] for counts in wanted.values()) > 0


def test_nobody_is_lost_twice_and_segments_sum_to_all(built: Path) -> None:
    lost = run_sql(
        built, "select segment, sum(lost) as lost, sum(asks) as asks from fct_leaps group by segment"
    ).to_pylist()
    assert len({(row["lost"], row["asks"]) for row in lost}) == 1
    assert len(lost) == 7
    (visitors,) = run_sql(built, "select count(*) as n from dim_visitors where asks > 0").to_pylist()
    assert 0 < lost[0]["lost"] <= visitors["n"]


def test_momentum_counts_and_weighs_as_written(built: Path, mature: list[Asked]) -> None:
    def bucket(ask: Asked) -> str:
        return str(ask.earlier_yeses) if ask.earlier_yeses < 3 else "3+"

    asked = Counter((bucket(ask), ask.tier) for ask in mature)
    yes = Counter((bucket(ask), ask.tier) for ask in mature if ask.answer == "yes")
    of_tier = Counter(ask.tier for ask in mature)
    rows = run_sql(
        built, "select * from fct_momentum where segment = 'all' and grouped_by = 'earlier yeses'"
    ).to_pylist()
    assert {row["bucket"] for row in rows} == {"0", "1", "2", "3+"}
    for row in rows:
        tiers = [tier for tier in of_tier if asked[row["bucket"], tier]]
        asks = sum(asked[row["bucket"], tier] for tier in tiers)
        said_yes = sum(yes[row["bucket"], tier] for tier in tiers)
        assert (row["asks"], row["yes"]) == (asks, said_yes)
        assert (row["yes_rate"], row["yes_rate_low"], row["yes_rate_high"]) == pytest.approx(wilson(said_yes, asks))
        share = {tier: of_tier[tier] / sum(of_tier[tier] for tier in tiers) for tier in tiers}
        rate = sum(share[tier] * yes[row["bucket"], tier] / asked[row["bucket"], tier] for tier in tiers)
        assert row["adjusted_rate"] == pytest.approx(rate)


def test_hesitation_has_numpys_quantiles(built: Path, mature: list[Asked]) -> None:
    rows = run_sql(built, "select * from fct_hesitation where segment = 'all'").to_pylist()
    assert len(rows) >= 4
    for row in rows:
        took = [
            (ask.answered_at - ask.asked_at).total_seconds()
            for ask in mature
            if (ask.tier, ask.step) == (row["tier"], row["step"]) and ask.answered_at is not None
        ]
        found = [row["p10_seconds"], row["median_seconds"], row["p90_seconds"]]
        assert found == pytest.approx(np.quantile(took, [0.1, 0.5, 0.9]))
        assert row["unthinking"] == sum(seconds < 1 for seconds in took)
        assert row["pondered"] == sum(seconds >= 60 for seconds in took)


def test_the_commands_functions_say_what_the_marts_say_summed_over_dates(built: Path) -> None:
    counted = leap_rows(events(), LADDER)
    found = leaps(built, LADDER)
    assert [(leap.held_tier, leap.tier) for leap in found.leaps] == sorted(counted)
    for leap in found.leaps:
        counts = counted[leap.held_tier, leap.tier]
        names = ("asks", "yes", "no", "silent", "in_flight", "lost")
        assert [getattr(leap, name) for name in names] == [counts[name] for name in names]
        assert (leap.yes_rate, leap.yes_rate_low, leap.yes_rate_high) == wilson(leap.yes, leap.asks)
    on_long = sum(counts["lost"] for (held, tier), counts in counted.items() if tier - held > 1)
    assert (found.lost, found.lost_on_long_leaps) == (sum(counts["lost"] for counts in counted.values()), on_long)
    assert 0 < on_long < found.lost
    assert found.to_dict()["long_leap_share"] == on_long / found.lost


@pytest.mark.parametrize("segment", SEGMENTS)
def test_every_segment_sums_to_all(built: Path, segment: str) -> None:
    apart, together = leaps(built, LADDER, segment), leaps(built, LADDER)
    assert (apart.lost, apart.lost_on_long_leaps) == (together.lost, together.lost_on_long_leaps)
    assert sum(leap.asks for leap in apart.leaps) == sum(leap.asks for leap in together.leaps)
    assert sum(row.answers for row in hesitation(built, LADDER, segment)) == sum(
        row.answers for row in hesitation(built, LADDER)
    )
    assert sum(row.yes for row in momentum(built, LADDER, segment)) == sum(row.yes for row in momentum(built, LADDER))


def test_buckets_stand_from_least_to_most(built: Path) -> None:
    assert [(row.grouped_by, row.bucket) for row in momentum(built, LADDER)] == [
        *[("earlier yeses", bucket) for bucket in ("0", "1", "2", "3+")],
        ("since the last yes", "under a minute"),
        ("since the last yes", "under an hour"),
        ("since the last yes", "under a day"),
        ("since the last yes", "a day or more"),
        *[("tier held", bucket) for bucket in ("0", "1", "2", "4", "5")],
    ]


def test_a_segment_that_is_none_is_said(built: Path) -> None:
    with pytest.raises(UsageError, match="there is no segment 'moon'; take page_url, referrer"):
        leaps(built, LADDER, "moon")


def test_every_yes_and_what_follows_is_what_plain_loops_find(built: Path) -> None:
    rows = run_sql(built, f"select {', '.join(Said._fields)} from fct_yeses").to_pylist()
    found = sorted((Said(**row) for row in rows), key=lambda yes: yes[:4])
    assert found == sorted(yeses_of(events(), LADDER), key=lambda yes: yes[:4])
    for name in ("rewarded_at", "cheered_at", "next_asked_at"):
        assert 0 < sum(getattr(yes, name) is None for yes in found) < len(found), name


def test_what_follows_a_yes_is_counted_step_by_step(built: Path) -> None:
    known_until = max(event.occurred_at for event in events())
    rows = {(row.tier, row.step): row for row in after_yes(built, LADDER)}
    assert {key: (row.has_reward, row.has_cheer) for key, row in rows.items()} == {
        (1, "read on"): (False, False),
        (2, "vote"): (True, True),
        (4, "sign up"): (True, True),
        (5, "order"): (False, False),
    }
    for key, row in rows.items():
        yeses = [yes for yes in yeses_of(events(), LADDER) if (yes.tier, yes.step) == key]
        took = [(yes.rewarded_at - yes.said_at).total_seconds() for yes in yeses if yes.rewarded_at is not None]
        assert (row.yeses, row.rewarded) == (len(yeses), len(took))
        assert row.median_reward_seconds == (pytest.approx(np.median(took)) if took else None)
        counts: Counter[tuple[bool, str]] = Counter()
        for yes in yeses:
            cheered = yes.cheered_at is not None and (yes.cheered_at - yes.said_at).total_seconds() <= 10
            counts[cheered, "all"] += 1
            if yes.next_asked_at is not None and yes.next_asked_at + LADDER.conversion_window <= known_until:
                counts[cheered, "asks"] += 1
                counts[cheered, "yes"] += bool(yes.next_has_yes)
        assert row.cheered == counts[True, "all"]
        assert (row.next_asks_cheered, row.next_yes_cheered) == (counts[True, "asks"], counts[True, "yes"])
        assert (row.next_asks_uncheered, row.next_yes_uncheered) == (counts[False, "asks"], counts[False, "yes"])
        low_and_high = (row.next_rate_uncheered_low, row.next_rate_uncheered_high)
        assert low_and_high == pytest.approx(wilson(counts[False, "yes"], counts[False, "asks"])[1:])
