"""All that the report page says, as one value: gathered in one place, rendered in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from answers.audit_facts import Audit
from ladder.comparisons import Compared
from ladder.tiers import Ladder
from warehouse.asks import AfterYes, Hesitation, Leaps, Momentum
from warehouse.changes import Changes
from warehouse.drop_off import DropOff
from warehouse.periods import Days, Every
from warehouse.query import StepRow, TierRow, Unit
from warehouse.stands import Stands
from warehouse.too_soon import TooSoon
from warehouse.value_first import Value


@dataclass(frozen=True)
class Quality:
    """What the quality gate said.  ``checked_at``: its last look.

    ``held``: names of the batches that it holds back now.  ``accepted``: of those that failed and were let in by hand.
    ``page``: address of its own pages, relative to the report's file.
    """

    checked_at: datetime
    held: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    page: str | None = None


@dataclass(frozen=True)
class Health:
    """What came in and what became of it, up to the build that the other numbers come from.

    ``landed``: distinct events.  ``duplicates``: further copies of them.  ``rejected``: by reason code.
    ``late``: those of the landed that came late and are in no session; ``late_repaired``: that are in one by now.
    ``sent``: events handed in, where the sender counted them.
    ``unbuilt_files``: files that landed since the build.  Times are None where nothing happened yet.
    """

    landed: int
    duplicates: int
    rejected: Mapping[str, int]
    late: int
    late_repaired: int = 0
    sent: int | None = None
    landed_at: datetime | None = None
    built_at: datetime | None = None
    unbuilt_files: int = 0
    quality: Quality | None = None

    @property
    def unaccounted(self) -> int | None:
        """Events sent that neither landed nor were refused or seen before; None where nobody counted the sent."""
        if self.sent is None:
            return None
        return self.sent - self.landed - self.duplicates - sum(self.rejected.values())


@dataclass(frozen=True)
class AskFacts:
    """What the marts of the ladder answer, over all visitors' lives or of some days; empty (or None) where nothing is.

    ``drop_off``: its trend may reach back further than the days.
    """

    audit: Audit | None = None
    standing: Stands | None = None
    drop_off: DropOff[TierRow] | None = None
    leaps: Leaps | None = None
    momentum: tuple[Momentum, ...] = ()
    of_an_earlier_yes: Compared | None = None
    too_soon: TooSoon | None = None
    value: Value | None = None
    of_a_gift: Compared | None = None
    after_yes: tuple[AfterYes, ...] = ()
    of_a_cheer: Compared | None = None
    hesitation: tuple[Hesitation, ...] = ()


@dataclass(frozen=True)
class Totals:
    """Events in sessions (each once), sessions, and visitors who had one."""

    events: int
    sessions: int
    visitors: int


@dataclass(frozen=True)
class PeriodFacts:
    """What a report on some days compares.

    ``every``: the kind of calendar period, None for other days.  ``unit`` and ``segment``: what is compared, and by
    which first touch apart.  ``totals``: of ``before``.  ``first_at``: when the first session that there is began,
    ``last_begun_at``: when the newest did, ``known_until``: when the last of them ended; None without any, whenever.
    ``changes``: None where the days were not over when the marts
    were built, so that they would be compared as if they were whole.
    """

    days: Days
    before: Days
    every: Every | None
    unit: Unit
    segment: str | None
    totals: Totals
    first_at: datetime | None
    last_begun_at: datetime | None
    known_until: datetime | None
    changes: Changes | None


@dataclass(frozen=True)
class ReportFacts:
    """What ``render_report`` says.  ``first_at`` and ``last_at``: of the events, None where there are none.

    ``events``, ``sessions`` and ``visitors`` are those in sessions, each counted once.
    ``per_session`` and ``per_visitor`` hold one row for each tier of the ladder, from the first up.
    ``attribution``: whose data this is and under which licence, where it must be said.
    ``period``: None for a report on all days; else all numbers are of its days.
    """

    ladder: Ladder
    written_at: datetime
    first_at: datetime | None
    last_at: datetime | None
    events: int
    sessions: int
    visitors: int
    per_session: tuple[TierRow, ...]
    per_visitor: tuple[TierRow, ...]
    steps: tuple[StepRow, ...]
    health: Health
    asks: AskFacts = AskFacts()
    attribution: str | None = None
    period: PeriodFacts | None = None
