from __future__ import annotations

import json
from typing import Any

from stream.alerts_config import SinkType
from stream.alerts_notice import What, alert_of
from stream.alerts_sinks import request_for
from stream.alerts_watch import Carrier
from tests.suites.alert_findings import MINUTE, TIERS, finding

CARRIER = Carrier("device_class", "mobile", 118.0, 90.0, 146.0, 0.98)


def sent(kind: SinkType, what: What = "raised", url: str = "http://sink.example", step: str = "add to cart") -> Any:
    made = alert_of(
        finding(minute=MINUTE + 30 * (what != "raised"), carriers=(CARRIER,), step=step),
        what, "a1", ladder="shop", tiers=TIERS, dashboard="https://yes.example",
    )  # fmt: skip
    request = request_for(kind, url, {"Authorization": "Bearer x"}, "n1-ops", made.to_dict())
    assert request.headers["idempotency-key"] == "n1-ops"
    assert request.headers["authorization"] == "Bearer x"
    assert request.headers["content-type"] == "application/json"
    return request.url, json.loads(request.body)


def test_a_webhook_gets_all_that_is_known() -> None:
    url, body = sent("webhook")
    assert url == "http://sink.example"
    links = body.pop("links")
    assert set(links) == {"alert", "people"}
    text = body.pop("text")
    assert text.startswith(body.pop("headline"))
    assert len(body.pop("notice_id")) == 24
    assert body == {
        "alert_id": "a1",
        "what": "raised",
        "ladder": "shop",
        "tier": 3,
        "tier_name": "mini",
        "step": "add to cart",
        "segment": {},
        "kind": "drop",
        "minute": "2026-01-04T12:00:00+00:00",
        "raised": "2026-01-04T12:00:00+00:00",
        "since": "2026-01-04T11:55:00+00:00",
        "fall": 0.41,
        "lost": 120.0,
        "lost_low": 90.0,
        "lost_high": 150.0,
        "asks_an_hour": 6000.0,
        "sure": True,
        "carried_by": [
            {
                "column": "device_class",
                "value": "mobile",
                "lost": 118.0,
                "lost_low": 90.0,
                "lost_high": 146.0,
                "share": 0.98,
            }
        ],
        "told": True,
        "quiet": None,
        "mark": None,
    }


def test_slack_gets_text_for_its_notifications_and_blocks_without_markup_of_ours() -> None:
    _, body = sent("slack", step="<add> & pay")
    assert body["text"] == (
        ":rotating_light: mini / &lt;add&gt; &amp; pay: fewer people say yes by 41% since 11:55 UTC"
    )
    [attachment] = body["attachments"]
    headline, rest, context = attachment["blocks"]
    assert headline["text"] == {
        "type": "mrkdwn",
        "text": "*mini / &lt;add&gt; &amp; pay: fewer people say yes by 41% since 11:55 UTC*",
    }
    assert rest["text"]["text"].splitlines()[0] == "about 120 yeses lost so far (95 %: 90 to 150)"
    assert "<https://yes.example/alerts/a1|alert>" in context["elements"][0]["text"]
    assert sent("slack", "resolved")[1]["text"].startswith(":white_check_mark: ")


def test_alertmanager_gets_the_same_labels_at_the_begin_and_an_end_in_the_past_at_the_end() -> None:
    url, [raised] = sent("alertmanager", url="http://alertmanager:9093/")
    _, [resolved] = sent("alertmanager", "resolved")
    assert url == "http://alertmanager:9093/api/v2/alerts"
    assert raised["labels"] == resolved["labels"] == {
        "alertname": "YesRateFell",
        "ladder": "shop",
        "tier": "mini",
        "step": "add to cart",
        "alert_id": "a1",
    }  # fmt: skip
    assert (raised["startsAt"], raised["endsAt"]) == ("2026-01-04T11:55:00+00:00", "2026-01-12T12:00:00+00:00")
    assert (resolved["startsAt"], resolved["endsAt"]) == ("2026-01-04T11:55:00+00:00", "2026-01-04T12:30:00+00:00")
    assert raised["annotations"]["summary"].startswith("mini / add to cart: fewer people say yes")
    assert raised["generatorURL"] == "https://yes.example/alerts/a1"
    assert sent("alertmanager", url="https://a/api/v2/alerts")[0] == "https://a/api/v2/alerts"
