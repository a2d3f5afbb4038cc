"""Whether Kafka can be reached, asked seldom enough that anybody may ask."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

_GOOD_FOR_S = 1.0


class Readiness:
    """Asks ``is_ready`` in a thread, one at a time, and remembers the answer for a second."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready
        self._asking: asyncio.Task[bool] | None = None
        self._asked_at = -math.inf

    async def check(self) -> bool:
        loop = asyncio.get_running_loop()
        if self._asking is None or (self._asking.done() and loop.time() - self._asked_at > _GOOD_FOR_S):
            self._asking = loop.create_task(asyncio.to_thread(self._is_ready))
            self._asked_at = loop.time()
        return await asyncio.shield(self._asking)
