"""The ladder: who was asked and what they answered, tier by tier, against the days before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date

from answers.dashboard.page import Asked, Page
from answers.dashboard.view import View
from answers.leaks import find_leak, headline
from answers.next_steps import next_steps
from answers.sections.section import more_or_less
from answers.sections.standing import standing_section
from ladder.errors import UsageError
from ladder.rates import Rate, difference
from ladder.tiers import Ladder
from warehouse.drop_off import DropOff, step_drop_off, tier_drop_off
from warehouse.periods import EVERY, Every
from warehouse.query import COUNTS, TierRow, tier_row
from warehouse.stands import standing

VALUES_SHOWN = 20
STEPS_SHOWN = 40


@dataclass(frozen=True)
class Change:
    """What became of a tier since the days before.  ``said``: of its settled drop-off; ``is_sure``: not only chance."""

    before: TierRow
    said: str
    is_sure: bool
    is_worse: bool


def page(asked: Asked) -> Page:
    """Raises ``UsageError`` for a trend that there is none of."""
    view, ladder = asked.view, asked.ladder
    every = _every(asked.one("trend"), view)
    of = view.slice()
    found = tier_drop_off(asked.warehouse, ladder, of, every)
    rows = _rows(found, view, ladder)
    earlier = view.before()
    changes: list[Change | None] = [None] * len(rows)
    if earlier is not None:
        before = _rows(tier_drop_off(asked.warehouse, ladder, earlier.slice()), earlier, ladder)
        changes = [_change(now, then) for now, then in zip(rows, before, strict=True)]
    steps = step_drop_off(asked.warehouse, ladder, of)
    shown = [row for row in (steps.rows if view.value is None else steps.by.get(view.value, ())) if row.asked]
    leak = find_leak(rows)
    stands = standing(asked.warehouse, ladder, of)
    here = stands.all if view.value is None else stands.by.get(view.value)
    section = None if here is None else standing_section(here, ladder, view.unit)
    begun = [period.begins for period in found.trend]
    return Page(
        "ladder.html",
        "The ladder",
        {
            "rows": list(zip(rows, changes, strict=True)),
            "earlier": earlier,
            "headline": headline(view.unit, rows),
            "worst": leak.tier if leak is not None and leak.tier.drop_off > 0 else None,
            "advice": next_steps(view.unit, rows, tuple(shown), ladder) if any(row.asked for row in rows) else (),
            "steps": sorted(shown, key=lambda row: (row.tier, -row.asked))[:STEPS_SHOWN],
            "more_steps": max(0, len(shown) - STEPS_SHOWN),
            "by": [] if view.value is not None else list(found.by.items())[:VALUES_SHOWN],
            "more_values": max(0, len(found.by) - VALUES_SHOWN),
            "every": every,
            "begun": begun,
            "trend": _trend(found, view),
            "tier_names": ladder.tiers,
        },
        () if section is None else (section,),
        {"flow": _flow(rows, changes, view), "trend": _lines(found, view, begun)},
        {"trend": asked.one("trend") or ""},
    )


def _every(text: str | None, view: View) -> Every:
    for every in EVERY:
        if text == every:
            return every
    if text is not None:
        raise UsageError(f"trend: {text[:40]!r} is none of {', '.join(EVERY)}")
    return "day" if view.days is not None and view.days <= 31 else "week"


def _rows(found: DropOff[TierRow], view: View, ladder: Ladder) -> tuple[TierRow, ...]:
    if view.value is None:
        return found.rows
    nobody = tuple(tier_row(ladder, tier, (0,) * len(COUNTS)) for tier in range(1, len(ladder.tiers) + 1))
    return found.by.get(view.value, nobody)


def _change(now: TierRow, then: TierRow) -> Change | None:
    if now.matured == 0 or then.matured == 0:
        return None
    found = difference(
        Rate(now.matured_drop_off, now.matured_drop_off_low, now.matured_drop_off_high),
        Rate(then.matured_drop_off, then.matured_drop_off_low, then.matured_drop_off_high),
    )
    return Change(then, more_or_less(found), found.low > 0 or found.high < 0, found.value > 0)


def _trend(found: DropOff[TierRow], view: View) -> list[tuple[date, Sequence[TierRow]]]:
    return [
        (period.begins, period.rows if view.value is None else period.by.get(view.value, ())) for period in found.trend
    ]


def _flow(rows: Sequence[TierRow], changes: Sequence[Change | None], view: View) -> dict[str, object]:
    """What the script draws as a flow."""
    return {
        "unit": view.unit,
        "tiers": [asdict(row) for row in rows],
        "before": [None if change is None else asdict(change.before) for change in changes],
        "links": [
            {outcome: f"/people?{view.query(tier=row.tier, outcome=outcome)}" for outcome in ("yes", "no", "silent")}
            for row in rows
        ],
    }


def _lines(found: DropOff[TierRow], view: View, begun: Sequence[date]) -> dict[str, object]:
    """The settled drop-off of each tier, period by period; None where nobody had settled."""
    names = [row.name for row in found.rows if row.asked]
    lines: dict[str, list[list[float] | None]] = {name: [] for name in names}
    for _, rows in _trend(found, view):
        known = {row.name: row for row in rows}
        for name in names:
            row = known.get(name)
            lines[name].append(
                None
                if row is None or row.matured == 0
                else [row.matured_drop_off, row.matured_drop_off_low, row.matured_drop_off_high]
            )
    return {"periods": [day.isoformat() for day in begun], "lines": [[name, points] for name, points in lines.items()]}
