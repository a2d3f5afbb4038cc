"""The end of an alert of which nothing is known any more but its row in the table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from stream.alerts_config import SEGMENTS
from stream.alerts_notice import Alert, identity

_PAIR = re.compile(rf"(?:^|, )({'|'.join(SEGMENTS)})=")


def ended(row: Mapping[str, Any], dashboard: str | None = None, *, now: datetime) -> Alert:
    """Nobody watches any more what this row of the table ``alerts`` began: since the minute of ``now``."""
    alert_id: str = row["alert_id"]
    parts = _PAIR.split(row["segment"])[1:]  # values may hold commas
    same = (
        "ladder", "tier", "tier_name", "step", "kind", "raised", "since", "fall", "lost", "lost_low",
        "lost_high", "sure",
    )  # fmt: skip
    return Alert(
        notice_id=ended_id(alert_id),
        alert_id=alert_id,
        what="ended",
        segment=tuple(zip(parts[::2], parts[1::2], strict=True)),
        minute=max(row["minute"], now.replace(second=0, microsecond=0)),
        volume=row["asks_an_hour"],
        links={} if dashboard is None else {"alert": f"{dashboard}/alerts/{alert_id}"},
        **{name: row[name] for name in same},
    )


def ended_id(alert_id: str) -> str:
    """The id of that notice, the same whenever it is made."""
    return identity(alert_id, "ended")
