"""An alert in the words of who gets it: a generic webhook, Slack's webhooks, and Alertmanager's API.  No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from stream.alerts_config import SinkType
from stream.alerts_kinds import Kind
from stream.alerts_notice import ENDS

_COLOURS = {"resolved": "#2eb886", "lasting": "#999999", "ended": "#999999"}
_TROUBLE = "#d33f49"
_LASTS_AT_MOST = timedelta(days=8)
"""Alertmanager takes an alert for resolved at its end; ours are a week old at most."""
TEST = "test"
"""The ``alert_id`` of a message that says it is a test."""
_TEST_LASTS = timedelta(minutes=5)
"""Longer than Alertmanager's ``group_wait`` usually is: what ends before that is told to nobody."""
_SEVERITY: dict[Kind, str] = {"drop": "warning", "slow": "warning", "tracking": "warning", "outage": "critical"}


@dataclass(frozen=True)
class Request:
    """What to POST."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def request_for(kind: SinkType, url: str, headers: Mapping[str, str], key: str, alert: Mapping[str, Any]) -> Request:
    """How a sink is told of an alert (``Alert.to_dict``).

    ``key``: the same whenever this alert is sent to this sink; whoever has seen it may pass it over.
    """
    said = {
        "content-type": "application/json",
        "user-agent": "yesladder-alerts",
        "idempotency-key": key,
        **{name.lower(): value for name, value in headers.items()},
    }
    if kind == "webhook":
        return Request(url, said, _encode(alert))
    if kind == "slack":
        return Request(url, said, _encode(_slack(alert)))
    return Request(_alertmanager_url(url), said, _encode([_alertmanager(alert)]))


def _slack(alert: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.slack.dev/reference/block-kit: ``text`` is what notifications show, the attachment has the rest."""
    icon = {"resolved": ":white_check_mark:", "lasting": ":hourglass:", "ended": ":hourglass:"}.get(
        alert["what"], ":rotating_light:"
    )
    headline, _, rest = alert["text"].partition("\n")
    blocks: list[dict[str, Any]] = [_section(f"*{_escaped(headline)}*")]
    if rest:
        blocks.append(_section(_escaped(rest)))
    links = [f"<{address}|{name}>" for name, address in alert["links"].items()]
    told = [*links, f"alert `{alert['alert_id']}`"]
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": "  ·  ".join(told)}]})
    return {
        "text": f"{icon} {_escaped(headline)}",
        "attachments": [{"color": _COLOURS.get(alert["what"], _TROUBLE), "blocks": blocks}],
    }


def _alertmanager(alert: Mapping[str, Any]) -> dict[str, Any]:
    """One alert of https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml.

    Its labels are the alert's identity and stay the same from raised to resolved; what may change is an annotation.
    """
    minute, raised = datetime.fromisoformat(alert["minute"]), datetime.fromisoformat(alert["raised"])
    is_over = alert["what"] in ENDS
    # Over is what ended in the past, by Alertmanager's own clock.
    ends = minute if is_over else raised + (_TEST_LASTS if alert["alert_id"] == TEST else _LASTS_AT_MOST)
    return {
        "labels": {
            "alertname": "YesRateFell",
            "ladder": alert["ladder"],
            "tier": alert["tier_name"],
            "step": alert["step"],
            "alert_id": alert["alert_id"],
        },
        "annotations": {
            "summary": alert["headline"],
            "description": alert["text"],
            "kind": alert["kind"],
            "severity": _SEVERITY[alert["kind"]],
            "segment": ", ".join(f"{column}={value}" for column, value in alert["segment"].items()),
            **{f"{name}_link": address for name, address in alert["links"].items()},
        },
        "startsAt": alert["since"],
        "endsAt": ends.isoformat(),
        **({"generatorURL": alert["links"]["alert"]} if "alert" in alert["links"] else {}),
    }


def _alertmanager_url(url: str) -> str:
    return url if url.rstrip("/").endswith("/alerts") else f"{url.rstrip('/')}/api/v2/alerts"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:2900]}}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_encode = msgspec.json.Encoder(order="deterministic").encode
