"""A sender of numbered events that repeats what was not answered, and the record of what was."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

LATENESS = timedelta(minutes=90)
GAP = timedelta(minutes=10)
LADDER = """
name = "chaos"
tiers = ["look", "click", "join"]
session_gap = "{gap}"
lateness = "{lateness}"

[[on]]
event = "Page Shown"
is = [{{ tier = "look", role = "ask", step = "read on" }}, {{ tier = "click", role = "ask", step = "vote" }}]

[[on]]
event = "Page Read"
is = [{{ tier = "look", role = "yes", step = "read on" }}]

[[on]]
event = "Voted"
is = [{{ tier = "click", role = "yes", step = "vote" }}, {{ tier = "join", role = "ask", step = "sign up" }}]

[[on]]
event = "Vote Closed"
is = [{{ tier = "click", role = "no", step = "vote" }}]

[[on]]
event = "Signed Up"
where = {{ paid = true }}
is = [{{ tier = "join", role = "yes", step = "sign up" }}]
"""

_NAMES = ("Page Shown", "Page Read", "Voted", "Vote Closed", "Signed Up", "Scrolled")
_BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Pace:
    """How event time runs: ``speed`` times ours, from ``begin`` (None: from now)."""

    speed: float
    begin: datetime | None
    gap: timedelta
    lateness: timedelta

    @property
    def ladder(self) -> str:
        return LADDER.format(gap=f"{self.gap.total_seconds():g}s", lateness=f"{self.lateness.total_seconds():g}s")


LIVE = Pace(1, None, timedelta(seconds=1), timedelta(seconds=8))
HISTORY = Pace(720, _BEGIN, GAP, LATENESS)
"""Twelve minutes a second: a session ends when its visitor is silent for one second, and is final ten later."""


@dataclass
class Ledger:
    """What is known of every message by its id.

    ``good`` and ``bad``: whether it is an event.  ``answered``: the collector said 200 to a request that held it.
    ``given_up``: sent, never answered, and not sent again.  ``attempts``: how often it was sent.  ``taken``: from when
    until when (seconds, monotonic) each request that was answered with 200 was under way.
    """

    good: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    attempts: Counter[str] = field(default_factory=Counter)
    taken: list[tuple[float, float]] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    wrong_answers: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def taken_within(self, since: float, until: float) -> int:
        """How many requests were begun and answered with 200 in that time."""
        with self.lock:
            return sum(since < began and answered < until for began, answered in self.taken)


class Sender:
    """Some threads that send until told that it is enough, and then until everything is answered."""

    def __init__(self, url: str, seed: int, pace: Pace, *, threads: int = 2, visitors: int = 60) -> None:
        self.ledger = Ledger()
        self._url = f"{url}/v1/batch"
        self._seed = seed
        self._pace = pace
        self._visitors = visitors
        self._begin = datetime.now(UTC)
        self._enough = threading.Event()
        self._now_or_never = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"sender-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def enough(self) -> None:
        """Begin no new request."""
        self._enough.set()

    def finish(self, patience_s: float) -> None:
        """Wait until all is answered.  Raises ``TimeoutError``."""
        self.enough()
        until = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            self._now_or_never.set()
            raise TimeoutError(f"the collector did not take everything within {patience_s:g} s: {self.ledger.refused}")

    def _run(self, thread: int) -> None:
        chance = random.Random(f"sender {self._seed} {thread}")
        made = _Messages(chance, f"m{self._seed}-{thread}", self._now, self._pace, self._visitors)
        with httpx.Client(timeout=5) as client:
            while not self._enough.wait(chance.uniform(0.03, 0.2)):
                batch = made.batch(chance.randint(1, 60))
                with self.ledger.lock:
                    for message_id, is_good in batch.ids:
                        (self.ledger.good if is_good else self.ledger.bad).add(message_id)
                self._deliver(client, chance, batch)

    def _deliver(self, client: httpx.Client, chance: random.Random, batch: Batch) -> None:
        """Until it is answered with 200; now and then a client goes away instead of asking again."""
        gives_up = chance.random() < 0.02
        body = batch.body()
        while not self._now_or_never.is_set():
            why = self._ask(client, body, chance.choice([0.5, 3.0, 12.0]), batch)
            if why is None:
                return
            with self.ledger.lock:
                self.ledger.refused[why] = self.ledger.refused.get(why, 0) + 1
                if gives_up:
                    self.ledger.given_up.update(message_id for message_id, _ in batch.ids)
                    return
            time.sleep(chance.uniform(0.1, 0.5))
            if chance.random() < 0.7:  # most clients say anew when they send
                body = batch.body()

    def _ask(self, client: httpx.Client, body: bytes, timeout_s: float, batch: Batch) -> str | None:
        """Why it has to be sent again; None when it was taken."""
        began = time.monotonic()
        with self.ledger.lock:
            self.ledger.attempts.update(message_id for message_id, _ in batch.ids)
        try:
            answer = client.post(self._url, content=body, timeout=timeout_s)
        except httpx.TransportError as error:
            return type(error).__name__
        if answer.status_code != 200:
            return str(answer.status_code)
        good = sum(is_good for _, is_good in batch.ids)
        told = answer.json()
        with self.ledger.lock:
            self.ledger.taken.append((began, time.monotonic()))
            self.ledger.answered.update(message_id for message_id, _ in batch.ids)
            if (told["accepted"], told["rejected"]) != (good, len(batch.ids) - good):
                self.ledger.wrong_answers.append(f"{told} to {good} events and {len(batch.ids) - good} others")
        return None

    def _now(self) -> datetime:
        """Event time."""
        return (self._pace.begin or self._begin) + (datetime.now(UTC) - self._begin) * self._pace.speed


@dataclass(frozen=True)
class Batch:
    """``ids``: of each message, and whether it is an event."""

    messages: list[Any]
    ids: list[tuple[str, bool]]

    def body(self) -> bytes:
        return json.dumps({"batch": self.messages, "sentAt": _text(datetime.now(UTC))}).encode()


class _Messages:
    """Makes messages: visitors that come back, out of order, late, some again, some of them no events."""

    def __init__(
        self, chance: random.Random, prefix: str, now: Callable[[], datetime], pace: Pace, visitors: int
    ) -> None:
        self._chance = chance
        self._prefix = prefix
        self._now = now
        self._pace = pace
        self._visitors = visitors
        self._made = 0
        self._recent: list[tuple[str, Any]] = []
        self._busy = self._someone()

    def batch(self, size: int) -> Batch:
        messages: list[Any] = []
        ids: list[tuple[str, bool]] = []
        for _ in range(size):
            if self._recent and self._chance.random() < 0.03:
                message_id, message = self._chance.choice(self._recent)
                is_good = True
            else:
                message_id, message, is_good = self._message()
            messages.append(message)
            ids.append((message_id, is_good))
        return Batch(messages, ids)

    def _someone(self) -> list[str]:
        """Who is active for a while; the others are silent, and their sessions end."""
        return [f"v{self._chance.randrange(self._visitors)}" for _ in range(8)]

    def _message(self) -> tuple[str, Any, bool]:
        self._made += 1
        message_id = f"{self._prefix}-{self._made}"
        chance, lateness = self._chance, self._pace.lateness
        if chance.random() < 0.02:
            self._busy = self._someone()
        behind = chance.random()
        if behind < 0.7:
            age = self._pace.gap * chance.random() / 4
        elif behind < 0.95:
            age = lateness * chance.random() * 0.8
        else:
            age = lateness * chance.uniform(1.1, 3)
        message: Any = {
            "type": "track",
            "event": chance.choice(_NAMES),
            "messageId": message_id,
            "anonymousId": chance.choice(self._busy),
            "timestamp": _text(self._now() - age),
            "properties": {"paid": chance.random() < 0.5},
        }
        if chance.random() < 0.02:
            return message_id, self._spoiled(message, message_id), False
        self._recent = [*self._recent[-300:], (message_id, message)]
        return message_id, message, True

    def _spoiled(self, message: dict[str, Any], message_id: str) -> Any:
        how = self._chance.randrange(3)
        if how == 0:
            return message | {"event": "n" * 300}
        if how == 1:
            return message | {"timestamp": "yesterday"}
        return f"no message but {message_id}"


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
