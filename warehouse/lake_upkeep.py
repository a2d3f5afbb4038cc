"""One upkeep at a time: a lock on this machine and, of a lake in a store, a lease among all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from warehouse.lake_logs import Logs
from warehouse.lake_offsets import microseconds, time_of
from warehouse.locks import Locked, upkeep_lock

_LEASE = "upkeep/until"
_LEASE_TABLE = "checkpoints"
_LEASE_FOR = timedelta(minutes=15)
_RENEW_AFTER_S = 120.0


@dataclass
class _Lease:
    """On a store's upkeep.  ``began``: as the caller told the time; ``until``: in microseconds."""

    began: datetime
    _monotonic: float
    until: int = 0
    renewed_at: float = 0.0

    def now(self) -> datetime:
        return self.began + timedelta(seconds=time.monotonic() - self._monotonic)


class Upkeep:
    """Who may take files of one lake away."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._lease: _Lease | None = None

    @contextmanager
    def held(self, now: datetime, *, patience_s: float = 0) -> Iterator[None]:
        """One upkeep at a time, on this machine and, of a lake in a store, on all.

        Raises ``Locked`` where another is at it still after ``patience_s`` seconds.  In a store it is a lease, which
        spares two from working against each other and no more: should one outlive its lease, the commits of both are
        checked all the same.
        """
        with upkeep_lock(self._logs.root.parent, now, patience_s=patience_s):
            if self._logs.store is None:
                yield
                return
            self._lease = lease = _Lease(now, time.monotonic())
            until = time.monotonic() + patience_s
            while True:
                try:
                    self._take_lease(lease)
                    break
                except Locked:
                    if time.monotonic() >= until:
                        self._lease = None
                        raise
                    time.sleep(1)
            try:
                yield
            finally:
                self._lease = None
                self._logs.step(_LEASE_TABLE, _LEASE, lambda was: 0 if was == lease.until else was)

    def _take_lease(self, lease: _Lease) -> None:
        now = lease.now()

        def longer(was: int | None) -> int:
            if was and was != lease.until and was > microseconds(now):
                raise Locked(
                    f"{self._logs.at(_LEASE_TABLE)}: another machine is at its upkeep; wait for that to end, or, should"
                    f" it have died, until {time_of(was):%H:%M:%S} UTC"
                )
            return microseconds(now + _LEASE_FOR)

        lease.until = self._logs.step(_LEASE_TABLE, _LEASE, longer) or 0
        lease.renewed_at = time.monotonic()

    def renew(self) -> None:
        """Keep the lease, should this process hold one; called before each thing that takes files away."""
        if self._lease is not None and time.monotonic() - self._lease.renewed_at > _RENEW_AFTER_S:
            self._take_lease(self._lease)
