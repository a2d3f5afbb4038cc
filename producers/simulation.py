"""What a simulated audience is like: numbers that later have to be found again in the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ladder.errors import UsageError


@dataclass(frozen=True)
class Segment:
    """Visitors of one kind; ``share`` is a weight among all.  ``odds`` multiplies the odds of each of their yeses."""

    name: str
    share: float = 1.0
    odds: float = 1.0
    device_class: str = "desktop"
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    referrer: str | None = None


@dataclass(frozen=True)
class Spike:
    """From ``start`` (inclusive) for ``duration`` the yes-rate is multiplied by ``factor``.

    ``step`` (of the ask) and ``segment`` narrow it down; None: all of them.
    """

    start: datetime
    duration: timedelta
    factor: float = 0.2
    step: str | None = None
    segment: str | None = None


SEGMENTS = (
    Segment("search", 0.45, 1.0, "desktop", "google", "organic", None, "https://search.example/"),
    Segment("ads", 0.35, 0.7, "mobile", "instagram", "cpc", "launch", "https://social.example/"),
    Segment("newsletter", 0.20, 1.6, "desktop", "newsletter", "email", "weekly", None),
)


@dataclass(frozen=True)
class Simulation:
    """Visitors who climb a ladder.  The same values and the same ladder give the same bytes.

    A visit asks one tier after the other.  An ask is answered yes with the odds
    ``odds(yes_rates[tier]) * segment.odds * momentum ** min(yeses before it in the visit, 3) *
    leap_penalty ** (askable tiers leapt over)``, the probability then multiplied by the spikes in force.
    After a yes, and at the start, ``skip_share`` of visits leap over a tier; after anything else ``push_share`` are
    asked the next tier all the same, and the others end.  ``blunt_share`` of visits begin with an ask of ``blunt_tier``
    instead, out of the blue.
    ``no_share`` of refusals are said, the others silent.  Shares are between 0 and 1, where the ladder has such events.

    ``yes_rates``: one per tier of the ladder; None: falling evenly from 0.7 to 0.2.
    ``out_of_order``: share of events that arrive after later ones, within the ladder's lateness; ``late``: beyond it;
    ``duplicates``: that arrive twice; ``malformed``: messages that are no events, as a share of the events.
    Times are UTC.  Raises ``UsageError`` for values that cannot be.
    """

    visitors: int = 2000
    seed: int = 1
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    duration: timedelta = timedelta(days=14)
    visits_per_visitor: float = 1.6
    return_after: timedelta = timedelta(days=2)
    think_time: timedelta = timedelta(seconds=15)
    yes_rates: Sequence[float] | None = None
    momentum: float = 1.3
    leap_penalty: float = 0.5
    skip_share: float = 0.1
    push_share: float = 0.2
    blunt_share: float = 0.0
    blunt_tier: int | None = None
    no_share: float = 0.3
    reward_share: float = 0.9
    cheer_share: float = 0.5
    regret_share: float = 0.02
    regret_after: timedelta = timedelta(days=3)
    segments: tuple[Segment, ...] = SEGMENTS
    spikes: tuple[Spike, ...] = ()
    out_of_order: float = 0.02
    late: float = 0.002
    duplicates: float = 0.01
    malformed: float = 0.002

    def __post_init__(self) -> None:
        for name in ("skip", "push", "blunt", "no", "reward", "cheer", "regret"):
            _between(f"{name}_share", getattr(self, f"{name}_share"))
        for name in ("out_of_order", "late", "duplicates", "malformed"):
            _between(name, getattr(self, name))
        if self.blunt_share > 0 and self.blunt_tier is None:
            raise UsageError("blunt_share needs the blunt_tier that those visits begin with")
        if self.out_of_order + self.late > 1:
            raise UsageError("out_of_order and late cannot be more than 1 together")
        for rate in self.yes_rates or ():
            _between("yes_rates", rate)
        if self.visitors < 0 or self.visits_per_visitor < 1:
            raise UsageError("there are at least 0 visitors and 1 visit of each")
        if self.momentum <= 0 or self.leap_penalty <= 0 or any(segment.odds <= 0 for segment in self.segments):
            raise UsageError("momentum, leap_penalty and the odds of segments are above 0")
        for name in ("duration", "return_after", "think_time", "regret_after"):
            if getattr(self, name) <= timedelta():
                raise UsageError(f"{name} must be longer than 0")
        names = [segment.name for segment in self.segments]
        if not names or len(set(names)) < len(names) or any(segment.share <= 0 for segment in self.segments):
            raise UsageError("there is at least one segment, each with its own name and a share above 0")
        for spike in self.spikes:
            _between("the factor of a spike", spike.factor)
            if spike.segment is not None and spike.segment not in names:
                raise UsageError(f"a spike names the segment {spike.segment!r}; there are {', '.join(names)}")

    def rates(self, tiers: int) -> list[float]:
        """The yes-rate of each tier of a ladder with so many; ``UsageError`` where the numbers differ."""
        if self.yes_rates is None:
            return [0.7 - 0.5 * tier / max(tiers - 1, 1) for tier in range(tiers)]
        if len(self.yes_rates) != tiers:
            raise UsageError(f"yes_rates has {len(self.yes_rates)} numbers, the ladder {tiers} tiers")
        return list(self.yes_rates)


def _between(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is {value}; it has to be between 0 and 1")
