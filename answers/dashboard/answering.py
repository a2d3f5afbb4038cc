"""Answers from threads: so many at a time, each kind apart, none for ever, and each remembered until the next build."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Literal, TypeVar, get_args

import duckdb

from ladder.errors import UsageError, YesladderError
from warehouse.opened import Identity, KeptMarts, Reading, identity_of

T = TypeVar("T")

Lane = Literal["quick", "live", "kept", "slow"]
"""Where a question waits: with those the marts answer at once, those about what changes between builds, funnels that
are saved, or the rest."""

AT_ONCE = 2
"""Questions of each lane: as many as there are cores on a small machine, and none waits for those of another."""
WAITING = 64
PATIENCE_S = 30.0
PATIENCE_UNSEEN = 4
"""So many times as long for who is told meanwhile that the answer is being found."""
REMEMBERED_BYTES = 64 << 20


class BusyError(YesladderError):
    """Too much is being asked at once, or it took too long; ask again later."""


class StillLookingError(YesladderError):
    """The answer is not there yet and will be: ask again.  ``seconds``: for how long it has been looked for."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"this has been looked for for {seconds:.0f} s")
        self.seconds = seconds


class NoNumbersError(UsageError):
    """Nothing was built yet; the next build will change that."""


class Desk:
    """Answers questions to one warehouse.  ``close`` it in the end."""

    def __init__(self, warehouse: Path, *, patience_s: float = PATIENCE_S, most_bytes: int = REMEMBERED_BYTES) -> None:
        self._warehouse = warehouse
        self._patience_s = patience_s
        self._kept = KeptMarts(warehouse)
        self._lanes: dict[Lane, ThreadPoolExecutor] = {
            lane: ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"{lane} answer") for lane in get_args(Lane)
        }
        self._waiting = 0
        self._memory = Memory(most_bytes)
        self._looking: OrderedDict[Hashable, tuple[float, asyncio.Task[bytes]]] = OrderedDict()

    def warm_up(self) -> None:
        """Load beside everything else what takes a second to load, so that nobody's first page of live ones does."""
        self._lanes["live"].submit(import_module, "deltalake")
        self._lanes["live"].submit(import_module, "polars")

    async def ask(
        self, question: Hashable, find: Callable[[], bytes], *, lane: Lane, at_once_s: float | None = None
    ) -> bytes:
        """The answer to a question, remembered for as long as the marts stay the same.

        ``find`` runs in a thread in which all questions go to the same marts.  ``at_once_s``: raises
        ``StillLookingError`` after so long, and goes on; who asks again gets the answer to the same look.
        Raises what ``find`` raises, ``NoNumbersError`` and ``BusyError``.
        """
        identity = identity_of(self._warehouse)
        if identity is None:
            raise NoNumbersError(
                f"Nothing has been built in {self._warehouse} yet. Send events to the collector (`yesladder up` runs "
                "one) or read a file with `yesladder backfill FILE`; then run `yesladder build`. `yesladder up` builds "
                "by itself, once the first sessions are over. The page Data health says what has landed. This page "
                "looks again by itself."
            )
        remembered = self._memory.recall(identity, question)
        if remembered is not None:
            return remembered
        asked: list[Reading] = []

        def answer() -> bytes:
            with self._kept.reading() as reading:
                asked.append(reading)
                found = find()
                self._memory.remember(reading.marts.identity, question, found)
                return found

        if at_once_s is None:
            return await self._run(answer, asked, lane)
        key = (identity, question)
        known = self._looking.get(key)
        if known is None:
            looking = asyncio.create_task(self._run(answer, asked, lane, self._patience_s * PATIENCE_UNSEEN))
            known = self._looking[key] = time.monotonic(), looking
        # Found by who comes meanwhile, too: two who ask at the same moment have one answer looked for.
        self._looking.move_to_end(key)
        while len(self._looking) > WAITING:
            _, (_, forgotten) = self._looking.popitem(last=False)
            forgotten.cancel()
        began, looking = known
        done, _ = await asyncio.wait([looking], timeout=at_once_s)
        if done:
            if self._looking.get(key) is known:
                del self._looking[key]
            if looking.cancelled():
                raise BusyError("too many questions are being asked at once; try again in a moment")
            return looking.result()
        raise StillLookingError(time.monotonic() - began)

    async def ask_anew(self, find: Callable[[], T], *, lane: Lane) -> T:
        """The same of what changes between builds: nothing is remembered, and there need be no marts."""
        asked: list[Reading] = []

        def answer() -> T:
            with ExitStack() as stack:
                if identity_of(self._warehouse) is not None:
                    asked.append(stack.enter_context(self._kept.reading()))
                return find()

        return await self._run(answer, asked, lane)

    async def _run(
        self, answer: Callable[[], T], asked: list[Reading], lane: Lane, patience_s: float | None = None
    ) -> T:
        patience_s = self._patience_s if patience_s is None else patience_s
        if self._waiting >= WAITING:
            raise BusyError("too many questions are being asked at once; try again in a moment")
        self._waiting += 1
        begun: list[bool] = []

        def begin() -> T:
            begun.append(True)
            return answer()

        try:
            running = asyncio.get_running_loop().run_in_executor(self._lanes[lane], begin)
            return await asyncio.wait_for(running, patience_s)
        except asyncio.CancelledError:  # whoever asked has gone, or the process ends
            _interrupt(asked)
            raise
        except (TimeoutError, duckdb.InterruptException):
            _interrupt(asked)
            if not begun:
                raise BusyError("others were asked first and took too long; try again in a moment") from None
            raise BusyError(f"this took longer than {patience_s:.0f} s and was given up; ask for fewer days") from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        for pool in self._lanes.values():
            pool.shutdown(wait=False, cancel_futures=True)
        self._kept.close()


def _interrupt(readings: Sequence[Reading]) -> None:
    for reading in readings:
        reading.interrupt()


class Memory:
    """The answers to the last questions to the same marts, up to so many bytes; those asked longest ago go first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = Lock()
        self._identity: Identity | None = None
        self._found: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0

    def recall(self, identity: Identity | None, question: Hashable) -> bytes | None:
        """None where it is not known, or only of other marts; these are forgotten, since an erasure may have been."""
        with self._lock:
            self._turn_to(identity)
            found = self._found.get(question)
            if found is not None:
                self._found.move_to_end(question)
            return found

    def remember(self, identity: Identity | None, question: Hashable, found: bytes) -> None:
        with self._lock:
            if identity != self._identity or question in self._found:
                return
            self._found[question] = found
            self._bytes += len(found)
            while self._bytes > self._most_bytes:
                _, oldest = self._found.popitem(last=False)
                self._bytes -= len(oldest)

    def _turn_to(self, identity: Identity | None) -> None:
        if identity != self._identity:
            self._identity, self._bytes = identity, 0
            self._found.clear()
