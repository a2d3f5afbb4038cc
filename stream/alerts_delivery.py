"""Parcels out of the outbox to a sink, in their order, again and again until it takes them.

A sink that is down keeps its own parcels waiting and nobody else's.  One that answers that it never will is told no
more of that alert; what nobody took for a day is given up, since it is no news any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import httpx
import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_before_delay, wait_exponential_jitter

from ladder import metrics
from stream.alerts_config import Sink
from stream.alerts_sinks import request_for

log = logging.getLogger(__name__)

GIVEN_UP_AFTER = timedelta(days=1)
FORGOTTEN_AFTER = timedelta(days=30)
_LOOK_EVERY_S = 1.0
_TIMEOUT_S = 15.0
_LONGEST_PAUSE_S = 300.0
_TRY_FOR_S = 3600.0
_LATER = frozenset({401, 403, 404, 408, 425, 429})
"""What is asked again, as all from 500 on is: a token or an address may just be changing hands."""


class Parcel(Protocol):
    """See ``warehouse.alerts_outbox.Parcel``."""

    @property
    def key(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def added_at(self) -> datetime: ...


class Outbox(Protocol):
    """See ``warehouse.alerts_outbox.Outbox``."""

    def first(self, sink: str) -> Parcel | None: ...
    def tried(self, key: str, said: str) -> None: ...
    def settle(self, key: str, state: str, said: str, *, now: datetime) -> None: ...
    def expire(self, before: datetime, *, now: datetime) -> None: ...
    def forget(self, before: datetime) -> None: ...


class NotTaken(Exception):
    """A sink did not take a parcel this time.  ``after_s``: when it said to come again."""

    def __init__(self, said: str, after_s: float | None = None) -> None:
        super().__init__(said)
        self.after_s = after_s


class Refused(Exception):
    """A sink will never take this parcel."""


Send = Callable[[Parcel], Awaitable[str]]
"""Delivers a parcel and gives the answer.  Raises ``NotTaken`` or ``Refused``."""


@dataclass(frozen=True)
class HttpSink:
    """A sink of ``alerts.toml`` with its address and headers as they are in force."""

    sink: Sink
    url: str
    headers: Mapping[str, str]
    client: httpx.AsyncClient

    async def send(self, parcel: Parcel) -> str:
        """See ``Send``."""
        return await self.post(parcel.key, msgspec.json.decode(parcel.body))

    async def post(self, key: str, alert: Mapping[str, Any]) -> str:
        """One try."""
        request = request_for(self.sink.type, self.url, self.headers, key, alert)
        try:
            answer = await self.client.post(
                request.url, content=request.body, headers=dict(request.headers), timeout=_TIMEOUT_S
            )
        except httpx.InvalidURL as error:
            raise Refused(f"its address is no address: {error}") from None
        except httpx.LocalProtocolError:  # its text may hold a header's value
            raise Refused("its address or its headers make no request of HTTP") from None
        except httpx.HTTPError as error:
            raise NotTaken(f"{type(error).__name__}: {error}".rstrip(": ")) from None
        said = f"{answer.status_code} {answer.text[:200].strip()}".strip()
        if answer.is_success:
            return said
        if answer.status_code in _LATER or answer.status_code >= 500:
            raise NotTaken(said, _retry_after(answer.headers.get("retry-after"), datetime.now(UTC)))
        raise Refused(said)


def tidy(outbox: Outbox, now: datetime) -> None:
    """Give up what a sink that is no more in ``alerts.toml`` has not taken, and forget what was settled long ago."""
    outbox.expire(now - 2 * GIVEN_UP_AFTER, now=now)
    outbox.forget(now - FORGOTTEN_AFTER)


def keep_addresses_out_of_the_log() -> None:
    """httpx logs the address of each request, and a webhook's is a secret."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


async def deliver(
    name: str,
    outbox: Outbox,
    send: Send,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    first_pause_s: float = 1.0,
    once: bool = False,
) -> None:
    """Deliver a sink's parcels for ever; ``once``: until none waits."""
    while True:
        parcel = await asyncio.to_thread(outbox.first, name)
        if parcel is None:
            if once:
                return
            await asyncio.sleep(_LOOK_EVERY_S)
            continue
        if now() - parcel.added_at > GIVEN_UP_AFTER:
            log.error("sink %s: gave up %s, which nobody took for %s", name, parcel.key, GIVEN_UP_AFTER)
            await asyncio.to_thread(outbox.settle, parcel.key, "expired", "nobody took it in time", now=now())
            metrics.ALERT_DELIVERIES.labels(sink=name, outcome="expired").inc()
            continue
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(NotTaken),
                wait=_Pause(first_pause_s),
                stop=stop_before_delay(_TRY_FOR_S),
                reraise=True,
            ):
                with attempt:
                    said = await _try(name, outbox, send, parcel)
        except NotTaken:
            continue
        except Refused as refusal:
            log.error("sink %s refuses %s: %s", name, parcel.key, refusal)
            await asyncio.to_thread(outbox.settle, parcel.key, "refused", str(refusal), now=now())
            metrics.ALERT_DELIVERIES.labels(sink=name, outcome="refused").inc()
        else:
            await asyncio.to_thread(outbox.settle, parcel.key, "delivered", said, now=now())
            metrics.ALERT_DELIVERIES.labels(sink=name, outcome="delivered").inc()


async def _try(name: str, outbox: Outbox, send: Send, parcel: Parcel) -> str:
    try:
        return await send(parcel)
    except NotTaken as error:
        log.warning("sink %s did not take %s: %s", name, parcel.key, error)
        await asyncio.to_thread(outbox.tried, parcel.key, str(error))
        metrics.ALERT_DELIVERIES.labels(sink=name, outcome="retried").inc()
        raise
    except Refused:
        raise
    except Exception as error:  # one parcel that cannot be sent must not end the agent, now and after each restart
        raise Refused(f"it cannot be sent ({type(error).__name__})") from None


class _Pause:
    """As long as the sink asked for, else longer and longer, by chance a little more or less."""

    def __init__(self, first_s: float) -> None:
        self._usual = wait_exponential_jitter(multiplier=first_s, max=_LONGEST_PAUSE_S, jitter=first_s)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome is not None else None
        after_s = getattr(error, "after_s", None)
        usual = self._usual(retry_state)
        return usual if after_s is None else min(max(0.0, after_s), _LONGEST_PAUSE_S)


def _retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds, or a date, as RFC 9110 10.2.3 has it; None where it is neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() - now.timestamp()
