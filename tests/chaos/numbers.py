"""What a campaign counted, as numbers that can be added up and told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

CHECKED = {
    "answered": "messages answered with 200",
    "events": "events landed",
    "late": "of them late",
    "dead_letters": "dead letters landed",
    "copies": "copies of events on the topic",
    "late_copies": "of them landed as late, taken out by `resessionise`",
    "beyond": "of them dated beyond the horizon, taken out by `resessionise`",
    "sessions": "sessions compared",
    "lost": "**lost**",
    "doubled": "**doubled**",
}
REFUSED = "commits refused"
CONNECTED_ANEW = "collectors that connected anew"
SIGNS = {
    REFUSED: ("was committed by another worker", "Concurrent transaction failed"),
    "workers that ended by themselves": ("worker stops:",),
    CONNECTED_ANEW: ("connecting anew after",),
    "times a collector spooled": ("spooling in ",),
}
"""What the logs say of it."""


@dataclass
class Numbers:
    """``failed``: seeds.  ``exact``: how many of them were.  ``planned``: faults.  ``faults``: that happened, by kind.

    ``checked``: by the names of ``CHECKED``.
    """

    seeds: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    exact: int = 0
    marts: int = 0
    planned: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    signs: Counter[str] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, other: Numbers) -> None:
        self.seeds += other.seeds
        self.failed += other.failed
        self.exact += other.exact
        self.marts += other.marts
        self.planned += other.planned
        self.faults.update(other.faults)
        self.signs.update(other.signs)
        self.restarts.update(other.restarts)
        self.checked.update(other.checked)
        self.seconds += other.seconds

    def to_json(self) -> str:
        return json.dumps(self.__dict__, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        told: dict[str, Any] = json.loads(text)
        for name in ("faults", "signs", "restarts", "checked"):
            told[name] = Counter(told[name])
        return cls(**told)

    def markdown(self) -> str:
        """Tables for people."""
        words = f"{len(self.seeds)} seeds, {self.exact} of them exact; {self.faults.total()} faults of {self.planned} "
        words += f"planned; {self.seconds / 60:.0f} minutes; "
        words += f"marts built and compared for {self.marts} of them; failed: {self.failed or 'none'}"
        return "\n\n".join(
            [
                words,
                _table("checked", ((CHECKED[name], self.checked[name]) for name in CHECKED)),
                _table("fault", sorted(self.faults.items())),
                _table(
                    "what came of it",
                    [*self.signs.items(), *((f"{who} restarts", n) for who, n in self.restarts.items())],
                ),
            ]
        )


def signs_in(words: str) -> Counter[str]:
    """How often the logs speak of each of ``SIGNS``."""
    return Counter({sign: sum(words.count(one) for one in said) for sign, said in SIGNS.items()})


def _table(head: str, rows: Iterable[tuple[str, int]]) -> str:
    return "\n".join([f"| {head} | count |", "| --- | ---: |", *(f"| {name} | {count:,} |" for name, count in rows)])
