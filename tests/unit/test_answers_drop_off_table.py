from __future__ import annotations

import io
from datetime import date

from rich.console import Console

from answers.drop_off_table import VALUES_SHOWN, DropOffTable
from ladder.tiers import Ladder
from tests.suites.counted_rows import counted_step, counted_tier
from warehouse.counted import Slice
from warehouse.drop_off import DropOff, Period
from warehouse.query import StepRow, TierRow

LADDER = Ladder("l", ("spark", "micro"), ())


def printed(found: DropOff[TierRow] | DropOff[StepRow]) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(DropOffTable(found, LADDER))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_visitors_who_may_still_say_yes_stand_beside_the_rate_of_those_who_have_matured() -> None:
    rows = (counted_tier(1, "spark", 100, 50, in_flight=20, matured=70, matured_yes=42), counted_tier(2, "micro", 0, 0))
    lines = printed(DropOff(Slice(since=date(2026, 1, 1), until=date(2026, 2, 1)), None, rows, {}, ()))
    assert lines == [
        "Drop-off per visitor, since 2026-01-01, before 2026-02-01",
        "tier   asked  matured  yes in time  drop-off  95% interval    in flight",
        "spark    100       70           42     40.0%  29.3% to 51.7%         20",
        "micro      0        0            0         -  nobody asked            0",
        "",
        "matured: asked, and their conversion window has passed; drop-off is of these",
        "in flight: without a yes so far, and the window is still open",
    ]


def test_sessions_are_over_and_so_nothing_is_said_of_maturing() -> None:
    rows = (counted_step(1, "a step of quite some length", 100, 50),)
    assert printed(DropOff(Slice(unit="session"), None, rows, {}, ())) == [
        "Drop-off per session",
        "tier   step                         asked  yes  drop-off  95% interval",
        "spark  a step of quite some length    100   50     50.0%  40.4% to 59.6%",
    ]


def test_each_value_has_its_table_and_each_tier_its_way_through_time() -> None:
    young = (counted_tier(1, "spark", 5, 0, in_flight=5),)
    rows = (counted_tier(1, "spark", 100, 50),)
    trend = (Period(date(2026, 1, 5), rows, {"mail": rows}), Period(date(2026, 1, 12), young, {}))
    lines = printed(DropOff(Slice("utm_source"), "week", rows, {"mail": rows, "": rows}, trend))
    assert [line for line in lines if line.startswith(("utm_source", "tier 1"))] == [
        "utm_source: mail",
        "utm_source: (none)",
        "tier 1, spark, utm_source mail, by the week",
    ]
    at = lines.index("tier 1, spark, utm_source mail, by the week")
    assert lines[at + 2 : at + 4] == [
        "2026-01-05    100      100           50     50.0%  40.4% to 59.6%          0",
        "2026-01-12",
    ]
    lines = printed(DropOff(Slice(), "week", rows, {}, trend))
    assert "2026-01-12      5        0            0         -  none matured            5" in lines


def test_of_many_values_the_first_ones_are_shown_and_it_is_said() -> None:
    rows = (counted_tier(1, "spark", 1, 1),)
    values = {f"v{n}": rows for n in range(VALUES_SHOWN + 1)}
    lines = printed(DropOff(Slice("page_url", "session"), None, rows, values, ()))
    assert f"page_url: v{VALUES_SHOWN - 1}" in lines
    assert f"page_url: v{VALUES_SHOWN}" not in lines
    assert "the 20 values most asked of 21; --json has all" in lines
