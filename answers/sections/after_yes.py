"""L7 and L15: what follows on a yes: its reward, a cheer, and the next yes."""

from __future__ import annotations

from collections.abc import Sequence

from answers.numbers import counted, interval, percent
from answers.sections.section import Section, more_or_less
from ladder.comparisons import Compared
from ladder.rates import wilson
from ladder.tiers import Ladder
from warehouse.asks import AfterYes


def after_yes_section(found: Sequence[AfterYes], effect: Compared | None, ladder: Ladder) -> Section | None:
    """``effect``: of a cheer; None where nothing can be compared.  None where nobody said yes to anything."""
    if not found:
        return None
    return Section(
        "after_yes",
        "Do we keep our word, and celebrate?",
        (*_rewards(found), *_cheers(found), *_next(effect)),
        {"rows": [(ladder.tiers[row.tier - 1], row) for row in found]},
        (
            ("Rewarded", "The reward of the step arrived before the next yes to it; the time is the median."),
            ("Cheered", "The yes was acknowledged within 10 seconds."),
            ("Next yes", "Answers to the next ask after it whose conversion window has passed."),
        ),
    )


def _rewards(found: Sequence[AfterYes]) -> tuple[str, ...]:
    promised = [row for row in found if row.has_reward]
    yeses, rewarded = sum(row.yeses for row in promised), sum(row.rewarded for row in promised)
    if not promised:
        return ("The ladder names no event for a reward.",)
    share = wilson(rewarded, yeses)
    return (
        f"Of {counted(yeses, 'yes', 'yeses')} that a reward was promised for, {percent(share.value)} got it "
        f"({interval(share.low, share.high)}).",
    )


def _cheers(found: Sequence[AfterYes]) -> tuple[str, ...]:
    cheering = [row for row in found if row.has_cheer]
    yeses, cheered = sum(row.yeses for row in cheering), sum(row.cheered for row in cheering)
    if not cheering:
        return ("The ladder names no event for a cheer.",)
    share = wilson(cheered, yeses)
    ends = interval(share.low, share.high)
    return (
        f"Of {counted(yeses, 'yes', 'yeses')} that may be cheered, {percent(share.value)} were within "
        f"10 seconds ({ends}).",
    )


def _next(effect: Compared | None) -> tuple[str, ...]:
    if effect is None:
        return ()
    return (
        f"After a cheer people said yes to {percent(effect.one.value)} of what they were asked next, without one to "
        f"{percent(effect.other.value)}, step by step: {more_or_less(effect.difference)}.",
    )
