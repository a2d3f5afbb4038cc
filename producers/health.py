"""What the collector says of itself at ``/health``, and of its spool in the metrics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ladder.metrics import SPOOL_BYTES, SPOOL_OLDEST, SPOOL_RECORDS, SPOOL_REFUSED
from producers.readiness import Readiness
from producers.refusals import Refused
from producers.spooling import SpoolState


class Health:
    """``is_ready``: whether Kafka can be reached.  ``spool``: how it is, None where there is none.  ``now``: UTC."""

    def __init__(
        self, is_ready: Callable[[], bool], spool: Callable[[], SpoolState] | None, now: Callable[[], datetime]
    ) -> None:
        self._readiness = Readiness(is_ready)
        self._spool = spool
        self._now = now
        if spool is not None:
            SPOOL_RECORDS.set_function(lambda: spool().records)
            SPOOL_BYTES.set_function(lambda: spool().bytes)
            SPOOL_REFUSED.set_function(lambda: spool().refused)
            SPOOL_OLDEST.set_function(lambda: self._age_s(spool()))

    async def check(self) -> dict[str, Any]:
        """What to tell whoever asks.  Raises ``Refused`` when events would not be taken."""
        if self._spool is None:
            if not await self._readiness.check():
                raise Refused("not_ready", "Kafka cannot be reached")
            return {"status": "ok"}
        state = self._spool()
        has_kafka = state.is_direct and await self._readiness.check()
        if state.is_full and not has_kafka:
            raise Refused(
                "not_ready",
                f"Kafka is away, and the spool is full or its disk takes nothing ({state.bytes:,} bytes are in it)",
            )
        told: dict[str, Any] = {"status": "ok"}
        if not has_kafka:
            told = {
                "status": "spooling",
                "records": state.records,
                "bytes": state.bytes,
                "oldest_s": round(self._age_s(state), 1),
            }
        if state.refused:
            told["refused"] = state.refused
        return told

    def _age_s(self, state: SpoolState) -> float:
        return 0.0 if state.oldest is None else max(0.0, (self._now() - state.oldest).total_seconds())
