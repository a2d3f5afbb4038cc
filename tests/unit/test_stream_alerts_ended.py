from __future__ import annotations

from datetime import timedelta

import pytest

from stream.alerts_ended import ended
from tests.suites.alert_findings import NOON, alert_row

LATER = NOON + timedelta(minutes=30, seconds=7)


@pytest.mark.parametrize(
    ("written", "segment"),
    [
        ("", ()),
        ("device_class=mobile", (("device_class", "mobile"),)),
        ("page_url=/a, b=c, utm_source=x, y", (("page_url", "/a, b=c"), ("utm_source", "x, y"))),
    ],
)
def test_an_end_is_about_those_whom_the_row_names(written: str, segment: tuple[tuple[str, str], ...]) -> None:
    end = ended(alert_row(1, segment=written), "https://shop", now=LATER)
    assert (end.what, end.alert_id, end.told, end.segment, end.volume) == ("ended", "a1", True, segment, 60.0)
    assert end.links == {"alert": "https://shop/alerts/a1"}
    assert "is watched no more" in end.headline


def test_an_end_has_the_minute_it_is_told_in_and_one_id_whenever_that_is() -> None:
    end = ended(alert_row(1), now=LATER)
    assert end.minute == NOON + timedelta(minutes=30)
    before = ended(alert_row(2), now=NOON - timedelta(hours=1))
    assert before.minute == NOON
    assert end.notice_id == before.notice_id != ended(alert_row(1, alert_id="a2"), now=LATER).notice_id
