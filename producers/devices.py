"""What kind of device an event came from, told from its Segment context by a few simple rules."""

from __future__ import annotations

from typing import Literal

DeviceClass = Literal["desktop", "mobile", "tablet", "server"]

_BY_TYPE: dict[str, DeviceClass] = {
    "desktop": "desktop",
    "mobile": "mobile",
    "tablet": "tablet",
    "server": "server",
    "phone": "mobile",
    "smartphone": "mobile",
    "android": "mobile",
    "ios": "mobile",
    "ipados": "tablet",
}

_SERVER_LIBRARIES = frozenset(
    {
        "analytics-python",  # Rudder's Python SDK gives this name too
        "@segment/analytics-node",
        "@rudderstack/rudder-sdk-node",
        "analytics-node",
        "analytics-go",
        "analytics-java",
        "analytics-php",
        "analytics-ruby",
        "Analytics.NET",
    }
)


def device_class(
    device_type: str | None,
    device_model: str | None,
    user_agent: str | None,
    library: str | None,
    library_env: str | None,
) -> DeviceClass | None:
    """The device's own word first, then the user agent, then the library that sent it; None where none tells."""
    if device_type:
        if device_model is not None and device_model.startswith("iPad"):
            return "tablet"
        if known := _BY_TYPE.get(device_type.lower()):
            return known
    if user_agent and (known := _of_user_agent(user_agent)):
        return known
    if library in _SERVER_LIBRARIES or library_env == "node":
        return "server"
    return None


def _of_user_agent(text: str) -> DeviceClass | None:
    """Android's tablets leave out the word `Mobile`; a browser that is neither phone nor tablet stands on a desk."""
    if "iPad" in text or "Tablet" in text:
        return "tablet"
    if "Android" in text:
        return "mobile" if "Mobile" in text else "tablet"
    if "Mobi" in text or "iPhone" in text:
        return "mobile"
    return "desktop" if text.startswith("Mozilla/") else None
