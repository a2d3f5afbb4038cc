from __future__ import annotations

import io

from rich.console import Console, RenderableType

from answers.asks_tables import AfterYesTable, HesitationTable, LeapsTable, MomentumTable
from ladder.rates import wilson
from ladder.tiers import Ladder
from warehouse.asks import AfterYes, GradientScore, Hesitation, Leap, Leaps, Momentum

LADDER = Ladder("l", ("spark", "micro", "mini"), ())


def printed(table: RenderableType) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=100, color_system=None).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def leap(held: int, tier: int, asks: int, yes: int, *, lost: int = 0, value: str = "") -> Leap:
    return Leap(value, held, tier, asks, yes, 0, asks - yes, 2, lost, *wilson(yes, asks))


def test_leaps_name_the_tiers_and_say_how_many_were_lost_on_long_ones() -> None:
    found = Leaps(
        (leap(0, 1, 1000, 600, lost=30), leap(0, 3, 0, 0), leap(1, 3, 50, 5, lost=10)),
        *(40, 10, *wilson(10, 40)),
        (GradientScore("", 0.5, 0.25, 0.755),),
    )
    assert printed(LeapsTable(found, LADDER, None))[1:8] == [
        "Of 40 people lost, 10 (25.0%; 14.2% to 40.2%) were lost on a leap of more than one tier.",
        "Gradient: 0.50 (0.25 to 0.76).",
        "",
        "held   asked for   asks  yes  yes-rate  95% interval    in flight  lost",
        "none   spark      1,000  600     60.0%  56.9% to 63.0%          2    30",
        "none   mini           0    0         -  none closed             2     0",
        "spark  mini          50    5     10.0%  4.3% to 21.4%           2    10",
    ]


def test_one_person_lost_is_one_person() -> None:
    found = Leaps((leap(1, 3, 50, 49, lost=1),), 1, 1, *wilson(1, 1), (GradientScore("", 0.5, 0.25, 0.755),))
    said = printed(LeapsTable(found, LADDER, None))[1]
    assert said.startswith("Of 1 person lost, 1 (100%; ")
    assert said.endswith(" was lost on a leap of more than one tier.")


def test_with_a_segment_each_value_has_its_table_and_names_do_nothing_to_the_terminal() -> None:
    asked = (leap(0, 1, 4, 2, value="[red]\x1b[0m"), leap(0, 1, 4, 2))
    found = Leaps(asked, 0, 0, *wilson(0, 0), (GradientScore("", 1, 1, 1),))
    lines = printed(LeapsTable(found, LADDER, "utm_source"))
    assert "Nobody is known to be lost." in lines
    assert "Gradient of utm_source (none): 1.00 (1.00 to 1.00)." in lines
    assert [line for line in lines if line.startswith("utm_source")] == [
        "utm_source: [red]\ufffd[0m",
        "utm_source: (none)",
    ]
    assert sum("spark" in line for line in lines) == 2


def test_momentum_has_a_table_for_each_grouping_and_names_the_tiers_held() -> None:
    rates = (*wilson(40, 100), *wilson(50, 100))
    found = [Momentum("", "earlier yeses", "3+", 100, 40, *rates), Momentum("", "tier held", "0", 100, 40, *rates)]
    lines = printed(MomentumTable(found, LADDER, None))
    assert "earlier yeses  asks  yes-rate  95% interval    adjusted  95% interval" in lines
    assert "3+              100     40.0%  30.9% to 49.8%     50.0%  40.4% to 59.6%" in lines
    assert any(line.startswith("none ") for line in lines)


def test_hesitation_is_in_units_that_people_read() -> None:
    row = Hesitation("", 2, "vote", 80, 0.44, 12.3, 7200, 20, *wilson(20, 80), 40, *wilson(40, 80))
    lines = printed(HesitationTable([row], LADDER, None))
    assert "micro  vote       80  0.4 s    12 s  2.0 h       25.0%     50.0%" in lines


def after(*, promised: bool, rewarded: int) -> AfterYes:
    took = 90.0 if rewarded else None
    arrived, cheered, next_yes, nothing = wilson(rewarded, 80), wilson(40, 80), wilson(30, 40), wilson(0, 0)
    return AfterYes(
        "", 1, "read", promised, promised, 80, rewarded, *arrived, took, 40, *cheered, 40, 30, *next_yes, 0, 0, *nothing
    )


def test_what_follows_a_yes_is_a_dash_where_nothing_was_promised_and_a_zero_where_it_did_not_come() -> None:
    lines = printed(AfterYesTable([after(promised=True, rewarded=20)], LADDER, None))
    assert "spark  read     80     25.0%  1.5 min    50.0%      75.0%          -" in lines
    assert "spark  read     80        0%      -    50.0%      75.0%          -" in printed(
        AfterYesTable([after(promised=True, rewarded=0)], LADDER, None)
    )
    assert "spark  read     80         -      -        -      75.0%          -" in printed(
        AfterYesTable([after(promised=False, rewarded=0)], LADDER, None)
    )


def test_nothing_to_show_is_said() -> None:
    assert "Nobody was asked for anything." in printed(LeapsTable(Leaps((), 0, 0, *wilson(0, 0), ()), LADDER, None))
    assert "No ask whose conversion window has passed." in printed(MomentumTable([], LADDER, None))
    assert "No answer to an ask whose conversion window has passed." in printed(HesitationTable([], LADDER, None))
    assert "Nobody said yes to anything." in printed(AfterYesTable([], LADDER, None))
