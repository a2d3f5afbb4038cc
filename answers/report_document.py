"""The report as a document: what must be read first, then each question with its chart, its numbers and its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import cast

from answers.audit_document import verdict_blocks
from answers.document import Answers, Block, Bullets, Chart, Document, Heading, Heat, Paragraph, Table, Whiskers
from answers.facts import Health, ReportFacts, Totals
from answers.harmless import harmless, one_line
from answers.leaks import asked_when, headline
from answers.next_steps import next_steps, worst_steps
from answers.numbers import count, counted, interval, listing, percent, seconds, signed, utc
from answers.period_words import called
from answers.report import sections_of
from answers.sections.changes import LATE_YES_COUNTS, changes_section, measured, place, verdict
from answers.sections.hesitation import SHOWN as STEPS_PONDERED
from answers.sections.section import Section
from ladder.errors import REASONS, Reason
from ladder.tiers import Ladder
from warehouse.asks import Hesitation, Leaps, Momentum
from warehouse.changes import DropOffChange
from warehouse.query import StepRow, TierRow, Unit

WORST = 3
"""Drops that are named."""


def report_document(facts: ReportFacts) -> Document:
    """All that the page says that fits a letter.  Names may be anything: they come out by ``harmless``."""
    attribution, facts = facts.attribution, _harmless(facts)
    unit, rows = _compared(facts)
    return Document(
        title=_title(facts),
        about=tuple(_about(facts)),
        blocks=tuple(_blocks(facts, unit, rows)),
        notes=tuple(_notes(facts, unit, attribution)),
    )


def title(facts: ReportFacts) -> str:
    """``moodle_edify: where people drop off, April 2018``."""
    return _title(_harmless(facts))


def in_short(facts: ReportFacts) -> tuple[str, ...]:
    """The few sentences to read if nothing else is: what changed, then where most is lost."""
    return tuple(_in_short(_harmless(facts)))


def _harmless(facts: ReportFacts) -> ReportFacts:
    """Without the attribution.  The audit's sentences are harmless as they are, and too long for names."""
    shown = harmless(replace(facts, attribution=None, asks=replace(facts.asks, audit=None)))
    return replace(shown, asks=replace(shown.asks, audit=facts.asks.audit))


def _title(facts: ReportFacts) -> str:
    days = "" if facts.period is None else f", {called(facts.period.days, facts.period.every)}"
    return f"{facts.ladder.name}: where people drop off{days}"


def _in_short(facts: ReportFacts) -> Iterator[str]:
    unit, rows = _compared(facts)
    changes = _changes(facts)
    if changes is not None:
        yield from changes.said[1:4]
    yield f"Per {unit}: {headline(unit, rows, of_days=facts.period is not None)}"


def _compared(facts: ReportFacts) -> tuple[Unit, tuple[TierRow, ...]]:
    unit: Unit = "session" if facts.period is None else facts.period.unit
    return unit, facts.per_session if unit == "session" else facts.per_visitor


def _changes(facts: ReportFacts) -> Section | None:
    return changes_section(facts.period, Totals(facts.events, facts.sessions, facts.visitors), facts.ladder)


def _about(facts: ReportFacts) -> Iterator[str]:
    if facts.first_at is not None and facts.last_at is not None:
        yield f"Events from {utc(facts.first_at)} to {utc(facts.last_at)}"
    elif facts.period is None:
        yield "No events yet."
    else:
        yield "No session began in these days."
    sessions, visitors = counted(facts.sessions, "session"), counted(facts.visitors, "visitor")
    yield f"{counted(facts.events, 'event')} in {sessions} of {visitors}"


def _blocks(facts: ReportFacts, unit: Unit, rows: Sequence[TierRow]) -> Iterator[Block]:
    yield Heading("In short")
    for sentence in _in_short(facts):
        yield Paragraph(sentence, is_lead=True)
    changes = _changes(facts)
    if changes is not None and facts.period is not None:
        yield Heading(changes.title)
        yield from map(Paragraph, changes.said)
        if facts.period.changes is not None and facts.period.changes.rows:
            yield from _change_blocks(facts.period.changes.rows, facts.ladder, unit)
        yield from _terms(changes)
    yield Heading(f"The ladder per {unit}")
    if changes is not None and unit == "visitor":
        yield Paragraph(LATE_YES_COUNTS)
    yield from _ladder_blocks(rows, unit)
    yield from _worst_blocks(facts, unit)
    yield Heading("What to look at next")
    yield Bullets(next_steps(unit, rows, facts.steps, facts.ladder, of_days=facts.period is not None))
    for section in sections_of(facts):
        yield Heading(section.title)
        yield from map(Paragraph, section.said)
        yield from _of_section(section, facts)
    yield Heading("Can these numbers be trusted?")
    yield from _health_blocks(facts)


def _of_section(section: Section, facts: ReportFacts) -> Iterator[Block]:
    """The chart and the numbers of the sections that have some in a letter; the page has those of all."""
    asks = facts.asks
    if section.name == "audit" and asks.audit is not None:
        yield from verdict_blocks(asks.audit)
    elif section.name == "leaps" and asks.leaps is not None:
        yield from _leap_blocks(asks.leaps, facts.ladder)
    elif section.name == "momentum":
        yield from _momentum_blocks(asks.momentum, facts.ladder)
    elif section.name == "hesitation":
        yield from _hesitation_blocks(asks.hesitation, facts.ladder)


def _terms(section: Section) -> Iterator[Block]:
    yield Bullets(tuple(f"{word}: {meaning}" for word, meaning in section.terms))


def _change_blocks(rows: Sequence[DropOffChange], ladder: Ladder, unit: Unit) -> Iterator[Block]:
    drawn = [row for row in rows if row.change.is_enough]
    if drawn:
        yield Chart(
            "changes",
            f"The change of the {measured(unit).lower()} per {unit} of each tier and step with its interval, "
            "in percentage points.",
            Whiskers(tuple((place(row, ladder), *row.change.difference) for row in drawn), "difference"),
        )
    yield Table(
        (
            ("Tier or step", "left"),
            ("Asked before", "right"),
            ("Drop-off before", "right"),
            ("Asked now", "right"),
            ("Drop-off now", "right"),
            ("Change, points", "right"),
            ("Its interval", "right"),
            ("Verdict", "left"),
        ),
        tuple(
            (
                place(row, ladder),
                count(row.earlier[0]),
                percent(row.change.earlier.value),
                count(row.later[0]),
                percent(row.change.later.value),
                *(_points(row) if row.change.is_enough else ("–", "–")),
                verdict(row),
            )
            for row in rows
        ),
        f"{measured(unit)} per {unit} asked, with the interval of its change",
    )


def _points(row: DropOffChange) -> tuple[str, str]:
    value, low, high = map(signed, row.change.difference)
    return value, f"{low} to {high}"


def _ladder_blocks(rows: Sequence[TierRow], unit: Unit) -> Iterator[Block]:
    asked = [row for row in rows if row.asked > 0]
    if asked:
        yield Chart(
            "ladder",
            f"Of the {unit}s asked at each tier, the share that said yes with its 95% interval, said no, was silent.",
            Answers(
                tuple(
                    (row.name, row.yes, row.no, row.silent, 1 - row.drop_off_high, 1 - row.drop_off_low)
                    for row in asked
                )
            ),
        )
    yield Table(
        (
            ("", "right"),
            ("Tier", "left"),
            ("Asked", "right"),
            ("Yes", "right"),
            ("No", "right"),
            ("Silent", "right"),
            ("Drop-off", "right"),
            ("95% interval", "right"),
            ("Yes, never asked", "right"),
            ("Reached", "right"),
        ),
        tuple(
            (
                str(row.tier),
                row.name,
                *map(count, (row.asked, row.yes, row.no, row.silent)),
                *_drop_off(row),
                count(row.implicit),
                count(row.reached),
            )
            for row in rows
        ),
    )


def _drop_off(row: TierRow | StepRow) -> tuple[str, str]:
    if row.asked == 0:
        return "–", "nobody asked"
    return percent(row.drop_off), interval(row.drop_off_low, row.drop_off_high)


def _worst_blocks(facts: ReportFacts, unit: Unit) -> Iterator[Block]:
    worst = [row for row in worst_steps(unit, facts.steps, facts.ladder) if row.asked > row.yes][:WORST]
    asked = asked_when(unit, of_days=facts.period is not None)
    yield Heading("The surest drops" if len(worst) < WORST else "The three surest drops")
    if not worst:
        yield Paragraph(f"No step lost anybody: every {unit} {asked} went on to a yes, or none was asked.")
        return
    yield Bullets(
        tuple(
            f"“{row.step}” of {facts.ladder.tiers[row.tier - 1]}: {count(row.asked - row.yes)} of "
            f"{counted(row.asked, unit)} {asked} did not go on to a yes, {percent(row.drop_off)} "
            f"({interval(row.drop_off_low, row.drop_off_high)})."
            for row in worst
        )
    )


def _leap_blocks(found: Leaps, ladder: Ladder) -> Iterator[Block]:
    names = ("nothing", *ladder.tiers)
    known = [leap for leap in found.leaps if leap.asks > 0]
    held, asked = sorted({leap.held_tier for leap in known}), sorted({leap.tier for leap in known})
    by_place = {(leap.held_tier, leap.tier): leap for leap in known}
    if known:
        yield Chart(
            "leaps",
            "The yes-rate of each leap, from the tier held to the tier asked for.",
            Heat(
                tuple(names[tier] for tier in held),
                tuple(names[tier] for tier in asked),
                tuple(
                    tuple(
                        (leap.yes_rate, percent(leap.yes_rate)) if (leap := by_place.get((row, tier))) else None
                        for tier in asked
                    )
                    for row in held
                ),
                "asked for",
                "held",
            ),
        )
    yield Table(
        (
            ("Held", "left"),
            ("Asked for", "left"),
            ("Asks", "right"),
            ("Yes-rate", "right"),
            ("95% interval", "right"),
            ("Lost", "right"),
            ("In flight", "right"),
        ),
        tuple(
            (
                names[leap.held_tier],
                names[leap.tier],
                count(leap.asks),
                percent(leap.yes_rate) if leap.asks else "–",
                interval(leap.yes_rate_low, leap.yes_rate_high) if leap.asks else "–",
                count(leap.lost),
                count(leap.in_flight),
            )
            for leap in found.leaps
        ),
    )


def _momentum_blocks(found: Sequence[Momentum], ladder: Ladder) -> Iterator[Block]:
    names = ("nothing", *ladder.tiers)
    for grouped_by, group in groupby(found, key=lambda row: row.grouped_by):
        rows = [(names[int(row.bucket)] if grouped_by == "tier held" else row.bucket, row) for row in group]
        if grouped_by == "earlier yeses":
            yield Chart(
                "momentum",
                "The adjusted yes-rate by how many yeses came before, with its 95% interval.",
                Whiskers(
                    tuple(
                        (_yeses(name), row.adjusted_rate, row.adjusted_rate_low, row.adjusted_rate_high)
                        for name, row in rows
                    ),
                    "share",
                ),
            )
        yield Table(
            (
                (grouped_by[:1].upper() + grouped_by[1:], "left"),
                ("Asks", "right"),
                ("Yes-rate", "right"),
                ("Adjusted", "right"),
                ("95% interval of it", "right"),
            ),
            tuple(
                (
                    name,
                    count(row.asks),
                    percent(row.yes_rate),
                    percent(row.adjusted_rate),
                    interval(row.adjusted_rate_low, row.adjusted_rate_high),
                )
                for name, row in rows
            ),
        )


def _yeses(bucket: str) -> str:
    return f"{bucket} yes" if bucket == "1" else f"{bucket} yeses"


def _hesitation_blocks(found: Sequence[Hesitation], ladder: Ladder) -> Iterator[Block]:
    rows = sorted(sorted(found, key=lambda row: -row.answers)[:STEPS_PONDERED], key=lambda row: (row.tier, row.step))
    yield Chart(
        "hesitation",
        "From the ask to the answer of each step: the median, and from the fastest tenth to the slowest tenth.",
        Whiskers(tuple((row.step, row.median_seconds, row.p10_seconds, row.p90_seconds) for row in rows), "seconds"),
    )
    yield Table(
        (
            ("Step", "left"),
            ("Tier", "left"),
            ("Answers", "right"),
            ("Fastest tenth", "right"),
            ("Median", "right"),
            ("Slowest tenth", "right"),
            ("Under a second", "right"),
            ("Over a minute", "right"),
        ),
        tuple(
            (
                row.step,
                ladder.tiers[row.tier - 1],
                count(row.answers),
                *(seconds(time) for time in (row.p10_seconds, row.median_seconds, row.p90_seconds)),
                percent(row.unthinking_share),
                percent(row.pondered_share),
            )
            for row in rows
        ),
        "" if len(rows) == len(found) else f"The {len(rows)} steps with the most answers of {len(found)}",
    )


def _health_blocks(facts: ReportFacts) -> Iterator[Block]:
    health = facts.health
    if facts.period is not None:
        yield Paragraph(
            "Landed, late and duplicates are of events that happened in these days; rejected ones arrived in them."
        )
    yield Table(
        (("Events", "left"), ("", "right"), ("Meaning", "left")),
        tuple(
            row
            for row in (
                None if health.sent is None else ("Sent", count(health.sent), "handed in by the sender"),
                ("Landed", count(health.landed), "distinct events in the lake"),
                ("Duplicates", count(health.duplicates), "further copies, left out"),
                ("Rejected", count(sum(health.rejected.values())), "kept aside with the reason"),
                ("Late", count(health.late), "landed, in no session"),
                ("Mended", count(health.late_repaired), "came late and were put into their sessions"),
            )
            if row is not None and (row[0] != "Mended" or health.late_repaired)
        ),
    )
    if any(health.rejected.values()):
        yield Table(
            (("Rejected because", "left"), ("Events", "right"), ("Meaning", "left")),
            tuple(
                (reason, count(number), REASONS.get(cast(Reason, reason), ""))
                for reason, number in sorted(health.rejected.items(), key=lambda item: -item[1])
                if number
            ),
        )
    yield Paragraph(" ".join(_health_said(health, facts)))


def _health_said(health: Health, facts: ReportFacts) -> Iterator[str]:
    landed = "Nothing has landed yet" if health.landed_at is None else f"The last events landed {utc(health.landed_at)}"
    built = "" if health.built_at is None else f"; the tables were built {utc(health.built_at)}"
    yield f"{landed}{built}; this was written {utc(facts.written_at)}."
    if health.unbuilt_files:
        files = f"{count(health.unbuilt_files)} file{'' if health.unbuilt_files == 1 else 's'}"
        yield f"{files} landed since the build and {'is' if health.unbuilt_files == 1 else 'are'} not in these numbers."
    quality = health.quality
    if quality is None:
        yield "No quality check has run yet."
        return
    if quality.held:
        held = listing([f"batch {name}" for name in quality.held])
        yield f"The quality check holds back {held}: what landed with it is not in these numbers."
    if quality.accepted:
        yield f"The quality check failed {listing([f'batch {name}' for name in quality.accepted])}, let in by hand."
    if not quality.held and not quality.accepted:
        yield "All that is in these numbers passed the quality check."
    yield f"It last looked {utc(quality.checked_at)}."


def _notes(facts: ReportFacts, unit: Unit, attribution: str | None) -> Iterator[str]:
    yield (
        "Drop-off is 1 − yes / asked; a yes counts at or after the first ask of its tier. Intervals are 95% (Wilson) "
        f"and take {unit}s as independent; the change against the time before takes people as independent. All times "
        "are UTC."
    )
    if attribution is not None:
        yield f"Data: {one_line(' '.join(attribution.split()))}"
