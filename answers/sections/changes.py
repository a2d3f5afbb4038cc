"""What changed against the period before, and whether it is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from answers.facts import PeriodFacts, Totals
from answers.numbers import count, counted, percent, utc
from answers.period_words import called, the_one_before
from answers.sections.section import Section, points
from ladder.comparisons import ENOUGH_CLUSTERS
from ladder.tiers import Ladder
from warehouse.changes import DropOffChange
from warehouse.query import Unit

NAMED = 5
"""Changes that are told in sentences; the table has all of them."""

LATE_YES_COUNTS = (
    "Here a visitor counts in the days of their first ask of the tier, and a yes counts however late it came; what "
    "changed is counted within the conversion window, so the two drop-offs may differ."
)
"""What a report on days says at its table of visitors."""


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
            "measured": measured(period.unit),
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
            *(
                (("Within the window", "A yes that came after the conversion window counts as none."),)
                if period.unit == "visitor"
                else ()
            ),
            ("Asked", f"The {period.unit}s asked whose conversion window has passed; the others are not compared."),
            ("People", "Visitors behind them. What one does again and again tells less than what as many people do."),
        ),
    )


def measured(unit: Unit) -> str:
    """What is compared: a session is over with its window, a visitor may say yes after theirs."""
    return "Drop-off within the window" if unit == "visitor" else "Drop-off"


def volume(period: PeriodFacts, now: Totals) -> str:
    """How much there was, which is counted and no estimate."""
    parts = [
        f"{counted(mine, name)} ({_more_or_fewer(mine, theirs)})"
        for name, mine, theirs in (
            ("session", now.sessions, period.totals.sessions),
            ("visitor", now.visitors, period.totals.visitors),
            ("event", now.events, period.totals.events),
        )
    ]
    said = [f"{parts[0]}, {parts[1]} and {parts[2]}, compared with {called(period.before, period.every)}."]
    first = period.first_at
    if first is not None and first >= period.before.ends:
        said = [
            f"{counted(now.sessions, 'session')}, {counted(now.visitors, 'visitor')} and "
            f"{counted(now.events, 'event')}. There is nothing from before {utc(first)} to compare them with."
        ]
    elif first is not None and first >= period.before.begins + timedelta(days=1):
        said.append(f"The first session of all began {utc(first)}, so not all of that time is known.")
    return " ".join((*said, *_ended_early(period, now)))


def _ended_early(period: PeriodFacts, now: Totals) -> tuple[str, ...]:
    """Where sessions came, but none on the last day, nor since; a last day may be quiet for hours."""
    newest = period.known_until
    if now.sessions == 0 or newest is None or newest >= period.days.ends - timedelta(days=1):
        return ()
    return (f"The newest event is of {utc(newest)}: these days may be incomplete.",)


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
        f"The {measured(period.unit).lower()} at {place(row, ladder)} "
        f"{'rose' if row.change.difference.value > 0 else 'fell'} by "
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
    if period.last_begun_at is not None and period.last_begun_at >= period.days.ends:
        return "No session began in these days, though some did later."
    return (
        f"No session began in these days: the newest events are of {utc(period.known_until)}. Does anybody still send?"
    )


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
