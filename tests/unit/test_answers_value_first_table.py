from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from answers.value_first_table import ValueFirstTable
from ladder.rates import wilson
from ladder.tiers import Ladder
from warehouse.counted import Slice
from warehouse.value_first import BUCKETS, KINDS, Given, Reward, Start, Value, ValueFirst

LADDER = Ladder("l", ("spark", "micro"), ())
VALUE = Value(
    100,
    tuple(
        Start(kind, 25, *wilson(25, 100), asks, asks // 2, 0, *wilson(asks // 2, asks), *wilson(1, 4))
        for kind, asks in zip(KINDS, (20, 10, 4, 0), strict=True)
    ),
    tuple(
        Given(given, bucket, 50, *wilson(50, 200), 25, 1, *wilson(25, 50), *wilson(1, 5))
        for given in ("rewards", "gives")
        for bucket in BUCKETS
    ),
    (
        Reward(2, "[b]vote\x1b", True, 40, 30, *wilson(30, 40), 90.0),
        Reward(2, "no promise", False, 40, 0, *wilson(0, 40), None),
    ),
)


def printed(found: ValueFirst) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(ValueFirstTable(found, LADDER))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_starts_gives_and_rewards_stand_with_their_counts_and_intervals() -> None:
    lines = printed(ValueFirst(Slice(), VALUE, {}))
    assert " ".join(lines[1:4]).startswith(
        "Of 100 visitors, 25 (25.0%; 17.5% to 34.3%) were given something first, and of 25 (25.0%; 17.5% to 34.3%)"
    )
    assert "first event  visitors  1st asks  yes-rate  95% interval    adjusted" in lines
    assert "gives              25        20     50.0%  29.9% to 70.1%     25.0%" in lines
    assert "neither            25         0         -  no asks                -" in lines
    assert sum(line.startswith("3+ ") for line in lines) == 2
    assert [line.split() for line in lines if "[b]vote" in line] == [
        ["micro", "[b]vote\ufffd", "40", "75.0%", "59.8%", "to", "85.8%", "1.5", "min"]
    ]
    assert not any("no promise" in line for line in lines)


def test_each_value_of_a_segment_stands_below() -> None:
    lines = printed(ValueFirst(Slice("utm_source", "session"), VALUE, {"": VALUE, "mail": replace(VALUE, rewards=())}))
    assert [line for line in lines if line.startswith("utm_source")] == ["utm_source: (none)", "utm_source: mail"]
    assert sum(line.startswith("first event  sessions") for line in lines) == 3


def test_where_nobody_came_it_is_said() -> None:
    assert printed(ValueFirst(Slice(), Value(0, (), (), ()), {}))[-1] == "No visitor is known."
