from __future__ import annotations

import pytest

from stream.alerts_ended import ended
from tests.suites.alert_findings import alert_row


@pytest.mark.parametrize(
    ("written", "segment"),
    [
        ("", ()),
        ("device_class=mobile", (("device_class", "mobile"),)),
        ("page_url=/a, b=c, utm_source=x, y", (("page_url", "/a, b=c"), ("utm_source", "x, y"))),
    ],
)
def test_an_end_is_about_those_whom_the_row_names(written: str, segment: tuple[tuple[str, str], ...]) -> None:
    end = ended(alert_row(1, segment=written), "https://shop")
    assert (end.what, end.alert_id, end.told, end.segment, end.volume) == ("ended", "a1", True, segment, 60.0)
    assert end.links == {"alert": "https://shop/alerts/a1"}
    assert "is watched no more" in end.headline
    assert end.notice_id == ended(alert_row(2)).notice_id != ended(alert_row(1, alert_id="a2")).notice_id
