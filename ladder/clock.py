"""Time as it goes on, for work that takes long enough for its beginning to be the wrong time at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

Clock = Callable[[], datetime]
"""Gives the time as it is when asked."""


def going_on_from(now: datetime) -> Clock:
    """A clock that shows ``now`` at once and goes on from there, whatever happens to the machine's own clock."""
    began = time.monotonic()
    return lambda: now + timedelta(seconds=time.monotonic() - began)
