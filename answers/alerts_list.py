"""The alerts of a warehouse, one line each, out of the notices in its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from answers.numbers import percent
from answers.plain_text import plain

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class ListedAlert:
    """All notices of one ``alert_id`` together.

    ``tier``, ``step`` and ``segment`` are those it was raised for, ``kind`` is the one told last, ``lost`` the number
    told last.  ``resolved``: None while it is open; ``told``: whether any sink was told; ``quiet``: why not.
    """

    alert_id: str
    ladder: str
    tier: str
    step: str
    segment: str
    kind: str
    raised: datetime
    since: datetime
    resolved: datetime | None
    fall: float
    lost: float
    told: bool
    quiet: str | None
    notices: int

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }


def alerts_of(notices: pl.DataFrame, *, only_open: bool = False) -> list[ListedAlert]:
    """Alerts from the oldest to the newest.  ``notices``: the table's rows in their order."""
    by_alert: dict[str, list[dict[str, Any]]] = {}
    for row in notices.iter_rows(named=True):
        by_alert.setdefault(row["alert_id"], []).append(row)
    found = []
    for alert_id, rows in by_alert.items():
        told = [row for row in rows if row["told"]]
        lead = next((row for row in told or rows if row["what"] == "raised"), (told or rows)[0])
        own = [row for row in rows if (row["step"], row["segment"]) == (lead["step"], lead["segment"])]
        ends = [row for row in rows if row["what"] in ("resolved", "lasting", "ended")]
        raised = {(row["step"], row["segment"]) for row in rows if row["what"] in ("raised", "joined")}
        over = {(row["step"], row["segment"]) for row in ends}
        ended = any(row["told"] for row in ends) or (bool(raised) and raised <= over)
        if ended and only_open:
            continue
        found.append(
            ListedAlert(
                alert_id=alert_id,
                ladder=lead["ladder"],
                tier=lead["tier_name"],
                step=lead["step"],
                segment=lead["segment"],
                kind=own[-1]["kind"],
                raised=lead["raised"],
                since=lead["since"],
                resolved=ends[-1]["minute"] if ended else None,
                fall=lead["fall"],
                lost=own[-1]["lost"],
                told=bool(told),
                quiet=None if told else lead["quiet"],
                notices=len(rows),
            )
        )
    return sorted(found, key=lambda alert: (alert.raised, alert.alert_id))


class AlertsList:
    """For the terminal."""

    def __init__(self, alerts: Sequence[ListedAlert]) -> None:
        self._alerts = alerts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self._alerts:
            yield Text("No alerts.")
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in ("raised (UTC)", "since", "resolved", "kind", "fall", "lost"):
            table.add_column(name, no_wrap=True, justify="right" if name in ("fall", "lost") else "left")
        table.add_column("about", overflow="fold")
        for alert in self._alerts:
            people = f" ({alert.segment})" if alert.segment else ""
            quiet = "" if alert.told else f"  [not told: {alert.quiet}]"
            table.add_row(
                f"{alert.raised:%Y-%m-%d %H:%M}",
                f"{alert.since:%H:%M}",
                "open" if alert.resolved is None else f"{alert.resolved:%H:%M}",
                alert.kind,
                percent(alert.fall) if alert.kind == "drop" else "",
                f"{max(0.0, alert.lost):,.0f}",
                plain(f"{alert.tier} / {alert.step}{people}{quiet}"),
            )
        yield table
