from __future__ import annotations

import io

from rich.console import Console

from answers.standing_table import VALUES_SHOWN, StandingTable
from ladder.rates import wilson
from ladder.tiers import STAGES
from warehouse.counted import Slice
from warehouse.stands import StageStand, Standing, Stands, TierStand


def stands(none: int, spark: int, *, with_stages: bool = True) -> Stands:
    units = none + spark
    return Stands(
        units,
        (
            TierStand(0, "none", "curious", none, *wilson(none, units), units, *wilson(units, units)),
            TierStand(1, "[b]spark\x1b", "aware", spark, *wilson(spark, units), spark, *wilson(spark, units)),
        ),
        tuple(StageStand(stage, 0, *wilson(0, units)) for stage in STAGES) if with_stages else (),
    )


def printed(found: Standing) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(StandingTable(found))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_each_tier_and_each_stage_has_its_count_share_and_interval() -> None:
    lines = printed(Standing(Slice(), stands(60, 40), {}))
    assert lines[:4] == [
        "Where visitors stand: the highest tier they said yes to",
        "tier       visitors  share  95% interval    or higher  share",
        "none             60  60.0%  50.2% to 69.1%        100   100%",
        "[b]spark\ufffd        40  40.0%  30.9% to 49.8%         40  40.0%",
    ]
    assert "evaluating         0     0%  0% to 3.7%" in lines
    assert "committed: a yes of the top tier" in lines


def test_sessions_have_no_identity() -> None:
    lines = printed(Standing(Slice(unit="session"), stands(60, 40, with_stages=False), {}))
    assert not any(stage in line for line in lines for stage in STAGES)


def test_of_many_values_the_largest_are_shown_and_it_is_said() -> None:
    values = {"": stands(1, 1), **{f"v{n}": stands(1, 1) for n in range(VALUES_SHOWN)}}
    lines = printed(Standing(Slice("utm_source"), stands(60, 40), values))
    assert "utm_source: (none)" in lines
    assert f"utm_source: v{VALUES_SHOWN - 2}" in lines
    assert f"utm_source: v{VALUES_SHOWN - 1}" not in lines
    assert f"the {VALUES_SHOWN} largest values of {VALUES_SHOWN + 1}; --json has all" in lines


def test_where_nobody_came_it_is_said() -> None:
    assert printed(Standing(Slice(), stands(0, 0), {})) == [
        "Where visitors stand: the highest tier they said yes to",
        "No visitor is known.",
    ]
