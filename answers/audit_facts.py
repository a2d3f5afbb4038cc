"""What the audit is made from, and what it says, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from answers.audit_verdict import Verdict
from ladder.comparisons import Compared
from ladder.tiers import Stage
from warehouse.asks import AfterYes
from warehouse.stands import Stands
from warehouse.too_soon import TooSoon
from warehouse.value_first import Value
from warehouse.ways import Came, Surprised, Way

Question = Literal["big_ask", "value_first", "each_step", "celebrated"]


@dataclass(frozen=True)
class AuditFacts:
    """Of the visitors of one segment value, or of all; empty (or None) where there is nothing.

    ``visitors``: who were about on the days it is on, new or not.
    """

    visitors: int = 0
    ways: tuple[Way, ...] = ()
    came: tuple[Came, ...] = ()
    surprised: Surprised | None = None
    too_soon: TooSoon | None = None
    value: Value | None = None
    of_a_gift: Compared | None = None
    after_yes: tuple[AfterYes, ...] = ()
    of_a_cheer: Compared | None = None
    stands: Stands | None = None
    witnesses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """``counted`` of ``of``, as a share with the ends of its 95 % interval (0, 0 to 1 of none)."""

    what: str
    counted: int
    of: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Answer:
    """One question of the checklist.  ``wanted``: the verdict of a ladder as it should be.

    ``said``: sentences that follow from the evidence.  ``sessions``: ids that `yesladder walk` takes.
    """

    question: Question
    title: str
    wanted: Verdict
    verdict: Verdict
    said: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    sessions: tuple[str, ...]


@dataclass(frozen=True)
class Transition:
    """From one rung to the next, and the identity stage that a yes there makes.

    ``came``: visitors who were asked for ``tier`` while they held less; ``in_order`` of them held the tier right below
    when they first were.  ``asked``: visitors asked for it at any time while they held ``held_tier``; ``yes`` of them
    said yes.  Shares and rates with the ends of their 95 % intervals.  ``verdict``: whether this step follows from the
    one before.
    """

    held_tier: int
    held: str
    held_stage: Stage
    tier: int
    name: str
    stage: Stage
    visitors_at_stage: int
    came: int
    in_order: int
    in_order_share: float
    in_order_share_low: float
    in_order_share_high: float
    asked: int
    yes: int
    yes_rate: float
    yes_rate_low: float
    yes_rate_high: float
    verdict: Verdict


@dataclass(frozen=True)
class Friction:
    """A leap that loses more people than its neighbours.

    ``kind``: a name of ``audit_kinds.toml``, or leap.  ``odds_times_lower``: than ``compared_with`` lets expect, which
    is ``expected_rate``; its interval is adjusted for all comparisons of the audit.  ``there``: steps of the ladder
    that would lead up to it; ``bridged`` of the asked had done one before.  ``lost``: never said yes again.
    """

    kind: str
    title: str
    held_tier: int
    held: str
    tier: int
    name: str
    step: str
    asked: int
    yes: int
    yes_rate: float
    yes_rate_low: float
    yes_rate_high: float
    lost: int
    compared_with: str
    expected_rate: float
    odds_times_lower: float
    odds_times_lower_low: float
    odds_times_lower_high: float
    lacks: str
    there: tuple[str, ...]
    bridged: int
    said: str
    sessions: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """The four answers, in the order of the checklist.  ``frictions``: the surest first.  ``visitors``: see the facts.

    ``compared``: leaps that were compared, ``family`` of them in all audits made at once.  ``not_compared``: leaps
    that could not be.
    """

    visitors: int
    answers: tuple[Answer, ...]
    transitions: tuple[Transition, ...]
    frictions: tuple[Friction, ...]
    compared: int
    family: int
    not_compared: int
