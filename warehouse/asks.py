"""Questions to the marts of asks and yeses: leaps, momentum, hesitation, and what follows on a yes.

Each raises ``UsageError`` for a segment that the marts do not know, and where no marts were built with this ladder.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ladder.errors import UsageError
from ladder.rates import wilson
from ladder.tiers import Ladder
from warehouse.query import open_marts

SEGMENTS = ("page_url", "referrer", "utm_source", "utm_medium", "utm_campaign", "device_class")
"""By which visitors can be told apart, each as it was at their first touch."""


@dataclass(frozen=True)
class Leap:
    """Asks of ``tier`` to people who held ``held_tier`` (0: none); the rate with the ends of its 95 % interval.

    ``asks``, and all that is counted of them, are those whose conversion window has passed.  ``lost``: people
    below the top whose last ask it was and who never said yes again.
    """

    segment_value: str
    held_tier: int
    tier: int
    asks: int
    yes: int
    no: int
    silent: int
    in_flight: int
    lost: int
    yes_rate: float
    yes_rate_low: float
    yes_rate_high: float


@dataclass(frozen=True)
class Momentum:
    """The yes-rate of asks in one ``bucket``, as it is and with every tier asked weighing alike in all buckets."""

    segment_value: str
    grouped_by: str
    bucket: str
    asks: int
    yes: int
    yes_rate: float
    yes_rate_low: float
    yes_rate_high: float
    adjusted_rate: float
    adjusted_rate_low: float
    adjusted_rate_high: float


@dataclass(frozen=True)
class Hesitation:
    """How long people take from the ask of a step to their answer; shares with the ends of their 95 % interval."""

    segment_value: str
    tier: int
    step: str
    answers: int
    p10_seconds: float
    median_seconds: float
    p90_seconds: float
    unthinking: int
    unthinking_share: float
    unthinking_share_low: float
    unthinking_share_high: float
    pondered: int
    pondered_share: float
    pondered_share_low: float
    pondered_share_high: float


@dataclass(frozen=True)
class AfterYes:
    """What follows on the yeses of a step: its reward, a cheer within 10 seconds, and the answer to the next ask.

    ``has_reward`` and ``has_cheer``: whether the ladder names an event for it.  Shares and rates with the ends of their
    95 % intervals; rates are of next asks whose conversion window has passed.
    """

    segment_value: str
    tier: int
    step: str
    has_reward: bool
    has_cheer: bool
    yeses: int
    rewarded: int
    rewarded_share: float
    rewarded_share_low: float
    rewarded_share_high: float
    median_reward_seconds: float | None
    cheered: int
    cheered_share: float
    cheered_share_low: float
    cheered_share_high: float
    next_asks_cheered: int
    next_yes_cheered: int
    next_rate_cheered: float
    next_rate_cheered_low: float
    next_rate_cheered_high: float
    next_asks_uncheered: int
    next_yes_uncheered: int
    next_rate_uncheered: float
    next_rate_uncheered_low: float
    next_rate_uncheered_high: float


@dataclass(frozen=True)
class Leaps:
    """All leaps, and what share of the people lost was lost on those of more than one tier."""

    leaps: tuple[Leap, ...]
    lost: int
    lost_on_long_leaps: int
    long_leap_share: float
    long_leap_share_low: float
    long_leap_share_high: float

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def leaps(warehouse: Path, ladder: Ladder, segment: str | None = None) -> Leaps:
    """By segment value, tier held and tier asked, over all dates."""
    rows = _rows(
        warehouse,
        ladder,
        "select segment_value, held_tier, tier, sum(asks)::bigint, sum(yes)::bigint, sum(no)::bigint,"
        " sum(silent)::bigint, sum(in_flight)::bigint, sum(lost)::bigint from main.fct_leaps where segment = ?"
        " group by segment_value, held_tier, tier order by segment_value, held_tier, tier",
        segment,
    )
    found = tuple(Leap(*(*row, *wilson(row[4], row[3]))) for row in rows)
    lost = sum(leap.lost for leap in found)
    on_long = sum(leap.lost for leap in found if leap.tier - leap.held_tier > 1)
    return Leaps(found, lost, on_long, *wilson(on_long, lost))


def momentum(warehouse: Path, ladder: Ladder, segment: str | None = None) -> tuple[Momentum, ...]:
    """By what is grouped by, segment value and bucket; buckets of time from the shortest to the longest."""
    rows = _rows(
        warehouse,
        ladder,
        "select segment_value, grouped_by, bucket, asks, yes, yes_rate, yes_rate_low, yes_rate_high, adjusted_rate,"
        " adjusted_rate_low, adjusted_rate_high from main.fct_momentum where segment = ?"
        " order by grouped_by, segment_value, list_position(['under a minute', 'under an hour', 'under a day',"
        " 'a day or more'], bucket), try_cast(bucket as integer) nulls last, bucket",
        segment,
    )
    return tuple(Momentum(*row) for row in rows)


def hesitation(warehouse: Path, ladder: Ladder, segment: str | None = None) -> tuple[Hesitation, ...]:
    """By segment value, tier and step; a step that nobody answered has no row."""
    columns = ", ".join(field.name for field in fields(Hesitation))
    query = f"select {columns} from main.fct_hesitation where segment = ? order by segment_value, tier, step"
    return tuple(Hesitation(*row) for row in _rows(warehouse, ladder, query, segment))


def after_yes(warehouse: Path, ladder: Ladder, segment: str | None = None) -> tuple[AfterYes, ...]:
    """By segment value, tier and step; a step that nobody said yes to has no row."""
    columns = ", ".join(field.name for field in fields(AfterYes))
    query = f"select {columns} from main.fct_after_yes where segment = ? order by segment_value, tier, step"
    return tuple(AfterYes(*row) for row in _rows(warehouse, ladder, query, segment))


def _rows(warehouse: Path, ladder: Ladder, query: str, segment: str | None) -> list[tuple[Any, ...]]:
    if segment is not None and segment not in SEGMENTS:
        raise UsageError(f"there is no segment {segment!r}; take {', '.join(SEGMENTS)}")
    with open_marts(warehouse, ladder) as marts:
        return marts.execute(query, ["all" if segment is None else f"first_{segment}"]).fetchall()
