from __future__ import annotations

import io

from rich.console import Console

from answers.too_soon_table import TooSoonTable
from ladder.rates import difference, wilson
from ladder.tiers import Ladder
from warehouse.too_soon import Asked, AskedStep, FirstAsk, TooSoon

LADDER = Ladder("l", ("spark", "micro", "mini"), ())


def printed(found: list[TooSoon], segment: str | None = None) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=110, color_system=None).print(TooSoonTable(found, LADDER, segment))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def asked(asks: int, yes: int, lost: int) -> Asked:
    return Asked(asks, yes, lost, 1, *wilson(yes, asks), *wilson(lost, asks))


def of(value: str, soon: Asked, in_order: Asked) -> TooSoon:
    step = AskedStep(3, "[red]demo", 40, 4, 0, 36, 1, 20, *wilson(4, 40), *wilson(20, 40))
    yes = difference(wilson(soon.yes, soon.asks), wilson(in_order.yes, in_order.asks))
    lost = difference(wilson(soon.lost, soon.asks), wilson(in_order.lost, in_order.asks))
    first = (FirstAsk(step, 0.4, 12.3, 7200.0), FirstAsk(step, None, None, None))
    return TooSoon(value, soon, in_order, *yes, *lost, (step,), first)


def test_too_soon_stands_beside_in_order_with_their_difference_and_the_steps() -> None:
    lines = printed([of("", asked(56, 5, 28), asked(100, 60, 10))])
    assert "asked     asks  yes-rate  95% interval    lost  share  95% interval" in lines
    assert "too soon    56      8.9%  3.9% to 19.3%     28  50.0%  37.3% to 62.7%" in lines
    assert any(line.startswith("Asked too soon against in order: yes-rate -51.1 points (-61.") for line in lines)
    assert "mini  [red]demo        40     10.0%    20" in lines
    first = [
        line.split() for line in lines[lines.index("mini  [red]demo        40     10.0%    20") + 1 :] if "demo" in line
    ]
    assert first == [
        ["mini", "[red]demo", "40", "12", "s", "0.4", "s", "to", "2.0", "h", "10.0%", "20"],
        ["mini", "[red]demo", "40", "-", "-", "10.0%", "20"],
    ]


def test_without_a_closed_ask_there_is_nothing_to_compare() -> None:
    lines = printed(
        [of("", asked(0, 0, 0), asked(100, 60, 10)), of("mail", asked(4, 0, 0), asked(8, 0, 0))], "utm_source"
    )
    assert sum("against in order" in line for line in lines) == 1
    assert any(line.startswith("too soon     0         -  none closed") for line in lines)
    assert [line for line in lines if line.startswith("utm_source")] == ["utm_source: (none)", "utm_source: mail"]
    assert "Nobody was asked for anything." in printed([])
