"""A finding as people read it: about whom, since when, how much, who carries it, and what happened just before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from stream.alerts_config import Mark
from stream.alerts_kinds import Kind
from stream.alerts_series import SeriesMinute
from stream.alerts_watch import Carrier, Finding

What = Literal["raised", "joined", "changed", "resolved", "lasting", "ended"]
"""``raised``: something is wrong.  ``joined``: more of the same; recorded, and told where others are hit than the alert
had named.  ``changed``: its kind is known better.  ``resolved``: people say yes again.  ``lasting``: it lasted a week
and is taken for the usual from now on.  ``ended``: it is watched no more, since the agent learnt anew."""

ENDS: frozenset[What] = frozenset({"resolved", "lasting", "ended"})

MARK_WITHIN = timedelta(hours=6)
"""How long before a fall something that was done may still have to do with it."""

_WHAT_HAPPENS: dict[Kind, str] = {
    "drop": "fewer people say yes",
    "slow": "people say yes later",
    "tracking": "no longer counted, though people go on",
    "outage": "nothing is counted any more",
}

_ENDINGS: dict[What, str] = {
    "resolved": "as usual again",
    "lasting": "has lasted a week and is taken for the usual",
    "ended": "is watched no more, since the agent learnt anew,",
}


@dataclass(frozen=True)
class Alert:
    """One row of the table ``alerts``, and one message to people.

    ``notice_id`` is of this message, ``alert_id`` of all messages about the same trouble.  ``minute``: the one that was
    judged.  ``since``: when it most likely began.  ``fall``: the share of yeses that is missing.  ``lost``: yeses, with
    a 95% interval.  ``volume``: usual asks an hour.  ``told``: whether anybody is told; ``quiet``: why not.
    ``series``: yeses of these people by minute, of the hour before; for the table only, since messages stay small.
    """

    notice_id: str
    alert_id: str
    what: What
    ladder: str
    tier: int
    tier_name: str
    step: str
    segment: tuple[tuple[str, str], ...]
    kind: Kind
    minute: datetime
    raised: datetime
    since: datetime
    fall: float
    lost: float
    lost_low: float
    lost_high: float
    volume: float
    sure: bool
    carriers: tuple[Carrier, ...] = ()
    told: bool = True
    quiet: str | None = None
    mark: Mark | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    series: tuple[SeriesMinute, ...] = ()

    @property
    def about(self) -> str:
        """Whom it is about, in words."""
        people = ", ".join(f"{column}={value}" for column, value in self.segment)
        return f"{self.tier_name} / {self.step}" + (f" ({people})" if people else "")

    @property
    def headline(self) -> str:
        """One line."""
        since = f"since {_clock(self.since, self.minute)}"
        happens = _WHAT_HAPPENS[self.kind]
        if self.what in ENDS:
            return f"{self.about}: {_ENDINGS[self.what]} after {_span(self.minute - self.since)} ({happens} {since})"
        size = f" by {self.fall:.0%}" if self.kind == "drop" else ""
        head = {"joined": "also ", "changed": "it is rather this: "}.get(self.what, "")
        return f"{head}{self.about}: {happens}{size} {since}"

    @property
    def text(self) -> str:
        """The headline, and what there is to say about it, a line each."""
        lines = [self.headline]
        if self.kind != "outage":
            lines.append(f"about {max(0.0, self.lost):,.0f} yeses lost so far ({_interval(self)})")
        if self.carriers:
            lines.append("carried by " + "; ".join(map(_carried, self.carriers)))
        if self.mark is not None:
            before = _span(self.since - self.mark.at)
            lines.append(
                f"last mark before it: {self.mark.what} at {_clock(self.mark.at, self.minute)} ({before} before)"
            )
        if not self.sure:
            lines.append("less than two weeks of history: the usual rate is not known well yet")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the webhook, the topic, ``--json``."""
        return {
            "notice_id": self.notice_id,
            "alert_id": self.alert_id,
            "what": self.what,
            "ladder": self.ladder,
            "tier": self.tier,
            "tier_name": self.tier_name,
            "step": self.step,
            "segment": dict(self.segment),
            "kind": self.kind,
            "minute": self.minute.isoformat(),
            "raised": self.raised.isoformat(),
            "since": self.since.isoformat(),
            "fall": round(self.fall, 4),
            "lost": round(self.lost, 1),
            "lost_low": round(self.lost_low, 1),
            "lost_high": round(self.lost_high, 1),
            "asks_an_hour": round(self.volume, 1),
            "sure": self.sure,
            "carried_by": [
                {
                    "column": c.column,
                    "value": c.value,
                    "lost": round(c.lost, 1),
                    "lost_low": round(c.lost_low, 1),
                    "lost_high": round(c.lost_high, 1),
                    "share": round(c.share, 3),
                }
                for c in self.carriers
            ],
            "told": self.told,
            "quiet": self.quiet,
            "mark": None if self.mark is None else {"at": self.mark.at.isoformat(), "what": self.mark.what},
            "links": dict(self.links),
            "headline": self.headline,
            "text": self.text,
        }


def alert_of(
    finding: Finding,
    what: What,
    alert_id: str,
    *,
    ladder: str,
    tiers: Sequence[str],
    marks: Sequence[Mark] = (),
    dashboard: str | None = None,
) -> Alert:
    """A finding in words, of the alert ``alert_id``.  ``tiers``: the ladder's names of them."""
    notice = finding.notice
    since = _time(notice.change_point)
    before = [mark for mark in marks if since - MARK_WITHIN <= mark.at <= since + timedelta(minutes=1)]
    alert = Alert(
        notice_id=identity(ladder, unit(finding), finding.raised, what, notice.minute),
        alert_id=alert_id,
        what=what,
        ladder=ladder,
        tier=finding.tier,
        tier_name=tiers[finding.tier - 1],
        step=finding.step,
        segment=finding.segment,
        kind=notice.kind,
        minute=_time(notice.minute),
        raised=_time(finding.raised),
        since=since,
        fall=notice.fall,
        lost=notice.lost,
        lost_low=notice.lost_low,
        lost_high=notice.lost_high,
        volume=finding.volume,
        sure=notice.sure,
        carriers=finding.carriers,
        mark=max(before, key=lambda mark: mark.at, default=None),
        series=finding.series,
    )
    return alert if dashboard is None else replace(alert, links=_links(alert, dashboard))


def unit(finding: Finding) -> str:
    """The name of what an alarm is about; at any moment there is one alarm of it at most."""
    return "/".join([str(finding.tier), finding.step, *(f"{c}={v}" for c, v in finding.segment)])


def identity(*parts: object) -> str:
    """The same for the same parts, wherever and whenever."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]


def _links(alert: Alert, dashboard: str) -> dict[str, str]:
    until = alert.minute + timedelta(minutes=1)
    asked = {
        "tier": alert.tier_name,
        "step": alert.step,
        **dict(alert.segment),
        "since": f"{alert.since:%Y-%m-%dT%H:%M:%SZ}",
        "until": f"{until:%Y-%m-%dT%H:%M:%SZ}",
    }
    return {"alert": f"{dashboard}/alerts/{alert.alert_id}", "people": f"{dashboard}/ladder?{urlencode(asked)}"}


def _time(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


def _clock(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M} UTC" if now - at < timedelta(hours=20) else f"{at:%Y-%m-%d %H:%M} UTC"


def _span(span: timedelta) -> str:
    minutes = max(0, round(span.total_seconds() / 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes < 2880 else f"{minutes / 1440:.0f} days"


def _interval(alert: Alert) -> str:
    return f"95 %: {max(0.0, alert.lost_low):,.0f} to {max(0.0, alert.lost_high):,.0f}"


def _carried(carrier: Carrier) -> str:
    interval = f"{max(0.0, carrier.lost_low):,.0f} to {max(0.0, carrier.lost_high):,.0f}"
    return f"{carrier.column}={carrier.value}, {carrier.share:.0%} of it ({carrier.lost:,.0f} yeses, 95 %: {interval})"
