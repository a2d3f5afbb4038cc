from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stream.alerts_config import Mark
from stream.alerts_notice import Alert, What, alert_of
from stream.alerts_watch import Carrier, Finding
from tests.suites.alert_findings import MINUTE, MOBILE, TIERS, finding

NOON = datetime(2026, 1, 4, 12, tzinfo=UTC)
SINCE = NOON - timedelta(minutes=5)
CARRIER = Carrier("device_class", "mobile", 118.0, 90.0, 146.0, 0.98)


def alert(found: Finding, what: What = "raised", marks: tuple[Mark, ...] = (), dashboard: str | None = None) -> Alert:
    return alert_of(found, what, "a1", ladder="shop", tiers=TIERS, marks=marks, dashboard=dashboard)


def test_an_alert_says_who_how_much_since_when_and_what_came_before() -> None:
    marks = (
        Mark(SINCE - timedelta(hours=7), "long ago"),
        Mark(SINCE - timedelta(hours=1), "deploy 4.1"),
        Mark(SINCE - timedelta(minutes=4), "deploy 4.2"),
        Mark(SINCE + timedelta(minutes=2), "rollback"),
    )
    made = alert(finding("alarm", MOBILE, carriers=(CARRIER,), sure=False), marks=marks)
    assert made.text.splitlines() == [
        "mini / add to cart (device_class=mobile): fewer people say yes by 41% since 11:55 UTC",
        "about 120 yeses lost so far (95 %: 90 to 150)",
        "carried by device_class=mobile, 98% of it (118 yeses, 95 %: 90 to 146)",
        "last mark before it: deploy 4.2 at 11:51 UTC (4 min before)",
        "less than two weeks of history: the usual rate is not known well yet",
    ]


def test_times_are_utc_and_the_same_finding_has_the_same_id() -> None:
    made = alert(finding("alarm", MOBILE))
    assert (made.minute, made.raised, made.since) == (NOON, NOON, SINCE)
    assert made.notice_id == alert(finding("alarm", MOBILE, volume=1.0)).notice_id
    others = [
        alert(finding("alarm")),
        alert(finding("alarm", MOBILE, minute=MINUTE + 1, raised=MINUTE + 1)),
        alert(finding("alarm", MOBILE), "joined"),
        alert(finding("alarm", MOBILE, step="pay")),
    ]
    assert len({made.notice_id, *(other.notice_id for other in others)}) == 5


@pytest.mark.parametrize(
    ("what", "headline"),
    [
        ("resolved", "mini / add to cart: as usual again after 35 min (fewer people say yes since 11:55 UTC)"),
        ("joined", "also mini / add to cart: fewer people say yes by 41% since 11:55 UTC"),
        ("changed", "it is rather this: mini / add to cart: fewer people say yes by 41% since 11:55 UTC"),
        (
            "lasting",
            "mini / add to cart: has lasted a week and is taken for the usual after 35 min "
            "(fewer people say yes since 11:55 UTC)",
        ),
    ],
)
def test_each_notice_has_words_of_its_own(what: What, headline: str) -> None:
    assert alert(finding(minute=MINUTE + 30), what).headline == headline


def test_an_outage_has_no_rate_that_fell() -> None:
    assert alert(finding(kind="outage")).text == "mini / add to cart: nothing is counted any more since 11:55 UTC"


def test_links_lead_to_the_alert_and_to_its_people() -> None:
    assert alert(finding("alarm", MOBILE)).links == {}
    assert alert(finding("alarm", MOBILE), dashboard="https://yes.example").links == {
        "alert": "https://yes.example/alerts/a1",
        "people": "https://yes.example/ladder?tier=mini&step=add+to+cart&device_class=mobile"
        "&since=2026-01-04T11%3A55%3A00Z&until=2026-01-04T12%3A01%3A00Z",
    }
