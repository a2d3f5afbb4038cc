"""What changed against the period before, and whether it is more than chance."""

from __future__ import annotations

from collections.abc import Sequence

from answers.facts import PeriodFacts, Totals
from answers.numbers import count, percent, utc
from answers.period_words import called, the_one_before
from answers.sections.section import Section, points
from ladder.comparisons import ENOUGH_CLUSTERS
from ladder.tiers import Ladder
from warehouse.changes import DropOffChange

NAMED = 5
"""Changes that are told in sentences; the table has all of them."""


def changes_section(period: PeriodFacts | None, now: Totals, ladder: Ladder) -> Section | None:
    """None for a report on all days."""
    if period is None:
        return None
    found = period.changes
    return Section(
        "changes",
        f"What changed against {the_one_before(period.every, period.days)}?",
        (volume(period, now), *changes_said(period, ladder, now)),
        {
            "unit": period.unit,
            "before": called(period.before, period.every),
            "rows": [] if found is None else [(place(row, ladder), row, verdict(row)) for row in found.rows],
            "one_sided": 0 if found is None else found.one_sided,
            "reach": reach([] if found is None else found.rows),
        },
        (
            (
                "Change",
                "Of the drop-off, in percentage points, with an interval. The intervals of all rows hold at once with "
                "95%: the more rows, the wider each, so that looking at many finds no more than looking at one "
                "(Bonferroni).",
            ),
            ("Asked", f"The {period.unit}s asked whose conversion window has passed; the others are not compared."),
            ("People", "Visitors behind them. What one does again and again tells less than what as many people do."),
        ),
    )


def volume(period: PeriodFacts, now: Totals) -> str:
    """How much there was, which is counted and no estimate."""
    parts = [
        f"{count(mine)} {name}{'' if mine == 1 else 's'} ({_more_or_fewer(mine, theirs)})"
        for name, mine, theirs in (
            ("session", now.sessions, period.totals.sessions),
            ("visitor", now.visitors, period.totals.visitors),
            ("event", now.events, period.totals.events),
        )
    ]
    return f"{parts[0]}, {parts[1]} and {parts[2]}, compared with {called(period.before, period.every)}."


def _more_or_fewer(now: int, before: int) -> str:
    if now == before:
        return "as many"
    return f"{count(abs(now - before))} {'more' if now > before else 'fewer'}"


def changes_said(period: PeriodFacts, ladder: Ladder, now: Totals) -> tuple[str, ...]:
    """What may be said of the drop-off; a change only where its interval leaves out that there is none."""
    before = called(period.before, period.every)
    if now.sessions == 0:
        return (_nothing(period),)
    if period.changes is None:
        return (
            "The drop-off is not compared: these numbers were counted before the period was over. "
            "Run `yesladder build` and ask again.",
        )
    rows = period.changes.rows
    compared = [row for row in rows if row.change.is_enough]
    if not compared:
        return (
            f"No tier or step was asked of {ENOUGH_CLUSTERS} people or more in both times, so no change of the "
            "drop-off can be told from chance.",
        )
    told = sorted((row for row in compared if row.change.is_told), key=_surest)
    if not told:
        row = max(compared, key=lambda row: max(abs(row.change.difference.low), abs(row.change.difference.high)))
        low, high = row.change.difference.low, row.change.difference.high
        return (
            f"No drop-off changed by more than chance explains, of {_number(compared)} compared with {before}. "
            f"That is not to say that nothing did: at {place(row, ladder)} it may be anything from "
            f"{points(low)} lower to {points(high)} higher.",
        )
    said = [
        f"The drop-off at {place(row, ladder)} {'rose' if row.change.difference.value > 0 else 'fell'} by "
        f"{points(row.change.difference.value)} ({_ends(row)}), from {_share(row.earlier)} {period.unit}s asked in "
        f"{the_one_before(period.every, period.days)} to {_share(row.later)}."
        for row in told[:NAMED]
    ]
    if len(told) > NAMED:
        said.append(f"{count(len(told) - NAMED)} more changed; the table has them.")
    rest = len(compared) - len(told)
    if rest:
        said.append(f"Of {count(rest)} other{'' if rest == 1 else 's'} compared no change can be told from chance.")
    return tuple(said)


def _nothing(period: PeriodFacts) -> str:
    if period.known_until is None:
        return "No session began in these days, nor ever before."
    if period.known_until < period.days.begins:
        return (
            f"No session began in these days: the newest events are of {utc(period.known_until)}. Does anybody still "
            "send?"
        )
    return "No session began in these days, though some did later."


def verdict(row: DropOffChange) -> str:
    """One word or two for the table."""
    if not row.change.is_enough:
        return "too few"
    if not row.change.is_told:
        return "may be chance"
    return "rose" if row.change.difference.value > 0 else "fell"


def place(row: DropOffChange, ladder: Ladder) -> str:
    """Where it is: ``micro``, ``“poll” of micro``, ``micro of ads``."""
    tier = ladder.tiers[row.tier - 1]
    if row.step is not None:
        return f"“{row.step}” of {tier}"
    if row.segment_value is not None:
        return f"{tier}, {f'“{row.segment_value}”' if row.segment_value else 'without a value'}"
    return tier


def reach(rows: Sequence[DropOffChange]) -> float:
    """How far the axis of the changes goes to both sides: the next tenth beyond all intervals of enough people."""
    ends = [max(abs(r.change.difference.low), abs(r.change.difference.high)) for r in rows if r.change.is_enough]
    return min(1.0, max(1, -int(-max(ends, default=0.1) * 10 // 1)) / 10)


def _surest(row: DropOffChange) -> tuple[float, int]:
    """The largest change that there is at least, first."""
    return -min(abs(row.change.difference.low), abs(row.change.difference.high)), row.tier


def _ends(row: DropOffChange) -> str:
    low, high = sorted((abs(100 * row.change.difference.low), abs(100 * row.change.difference.high)))
    return f"{low:.1f} to {high:.1f}"


def _share(side: tuple[int, int, int]) -> str:
    asked, lost, _ = side
    return f"{percent(lost / asked)} of {count(asked)}"


def _number(rows: Sequence[DropOffChange]) -> str:
    return f"{count(len(rows))} tier or step" if len(rows) == 1 else f"{count(len(rows))} tiers and steps"
