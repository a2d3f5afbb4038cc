from __future__ import annotations

import pytest

from producers.devices import DeviceClass, device_class

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
IPAD = "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
PIXEL = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"
GALAXY_TAB = "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"


@pytest.mark.parametrize(
    ("device_type", "model", "user_agent", "library", "env", "expected"),
    [
        (None, None, CHROME, "analytics.js", None, "desktop"),
        (None, None, IPHONE, "analytics.js", None, "mobile"),
        (None, None, IPAD, "analytics.js", None, "tablet"),
        (None, None, PIXEL, None, None, "mobile"),
        (None, None, GALAXY_TAB, None, None, "tablet"),
        ("ios", "iPhone15,2", None, "analytics-ios", None, "mobile"),
        ("ios", "iPad13,4", None, "analytics-ios", None, "tablet"),
        ("Android", "Pixel 9", None, None, None, "mobile"),
        ("tablet", None, CHROME, None, None, "tablet"),
        ("fridge", None, CHROME, None, None, "desktop"),
        (None, None, None, "analytics-python", None, "server"),
        (None, None, None, "@segment/analytics-node", None, "server"),
        (None, None, None, "@jitsu/js", "node", "server"),
        (None, None, None, "@jitsu/js", "browser", None),
        (None, None, IPHONE, "analytics-python", None, "mobile"),
        (None, None, "curl/8.5", "analytics-python", None, "server"),
        (None, None, "curl/8.5", None, None, None),
        (None, "iPad13,4", None, None, None, None),
        ("", None, "", "", "", None),
    ],
)
def test_the_device_speaks_before_the_user_agent_and_that_before_the_library(
    device_type: str | None,
    model: str | None,
    user_agent: str | None,
    library: str | None,
    env: str | None,
    expected: DeviceClass | None,
) -> None:
    assert device_class(device_type, model, user_agent, library, env) == expected
