from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import polars as pl
from rich.console import Console

from answers.alerts_list import AlertsList, ListedAlert, alerts_of

NOON = datetime(2026, 1, 4, 12, tzinfo=UTC)
MOBILE = "device_class=mobile"


def row(what: str, minutes: int, *, alert: str = "a1", segment: str = MOBILE, told: bool = True, **other: Any) -> Any:
    return {
        "alert_id": alert, "what": what, "ladder": "shop", "tier_name": "mini", "step": "add to cart",
        "segment": segment, "kind": "drop", "minute": NOON + timedelta(minutes=minutes), "raised": NOON,
        "since": NOON - timedelta(minutes=5), "fall": 0.4, "lost": 10.0 * minutes, "told": told, "quiet": None, **other,
    }  # fmt: skip


def listed(*rows: Any, only_open: bool = False) -> list[ListedAlert]:
    return alerts_of(pl.DataFrame(list(rows), infer_schema_length=None), only_open=only_open)


def shown(alerts: Sequence[ListedAlert]) -> list[str]:
    console = Console(file=StringIO(), width=150)
    console.print(AlertsList(alerts))
    text = console.file
    assert isinstance(text, StringIO)
    return [" ".join(line.split()) for line in text.getvalue().splitlines()]


def test_all_notices_of_an_alert_are_one_line_that_says_when_it_was_resolved() -> None:
    rows = [
        row("raised", 1),
        row("joined", 9, segment="", told=False),
        row("changed", 15, kind="slow"),
        row("resolved", 50, told=False, kind="slow"),
        row("resolved", 60, segment="", kind="slow"),
    ]
    [alert] = listed(*rows)
    assert (alert.raised, alert.resolved, alert.kind, alert.notices) == (NOON, NOON + timedelta(minutes=60), "slow", 5)
    assert (alert.step, alert.segment, alert.lost, alert.told) == ("add to cart", MOBILE, 500.0, True)
    assert listed(*rows, only_open=True) == []


def test_an_alert_is_open_until_its_end_was_told_or_all_of_it_is_over() -> None:
    joined = [row("raised", 1), row("joined", 9, segment="", told=False), row("resolved", 50, told=False)]
    assert [alert.resolved for alert in listed(*joined, only_open=True)] == [None]
    muted = [row("raised", 1, told=False, quiet="known"), row("resolved", 50, told=False)]
    [alert] = listed(*muted)
    assert (alert.resolved, alert.told, alert.quiet) == (NOON + timedelta(minutes=50), False, "known")


def test_the_terminal_shows_a_line_for_each_from_the_oldest_on() -> None:
    later: dict[str, Any] = {"raised": NOON + timedelta(hours=1), "since": NOON + timedelta(minutes=55)}
    lines = shown(
        listed(
            row("raised", 61, alert="a2", told=False, quiet="known", step="pay [bold]", kind="outage", **later),
            row("raised", 1),
            row("resolved", 30),
        )
    )
    assert lines == [
        "raised (UTC) since resolved kind fall lost about",
        "2026-01-04 12:00 11:55 12:30 drop 40.0% 300 mini / add to cart (device_class=mobile)",
        "2026-01-04 13:00 12:55 open outage 610 mini / pay [bold] (device_class=mobile) [not told: known]",
    ]
    assert shown([]) == ["No alerts."]
