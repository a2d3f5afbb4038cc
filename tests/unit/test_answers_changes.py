"""What a report says has changed: never more than the intervals carry."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from answers.facts import Totals
from answers.period_words import called, the_one_before
from answers.sections.changes import NAMED, changes_section, place, reach, verdict
from ladder.tiers import Ladder
from tests.suites.period_facts import Sides, changes, week_facts
from warehouse.periods import Days, Every
from warehouse.query import Unit

LADDER = Ladder("trial", ("spark", "micro", "mini"), ())
NOW = Totals(1000, 280, 120)


def said(*rows: Sides, unit: Unit = "session") -> tuple[str, ...]:
    section = changes_section(week_facts(changes(rows), unit=unit), NOW, LADDER)
    assert section is not None
    return section.said[1:]


def test_of_all_days_there_is_nothing_to_compare_with() -> None:
    assert changes_section(None, NOW, LADDER) is None


def test_how_much_there_was_is_counted() -> None:
    section = changes_section(week_facts(changes([])), NOW, LADDER)
    assert section is not None
    assert section.title == "What changed against the week before?"
    assert section.said[0] == (
        "280 sessions (20 fewer), 120 visitors (as many) and 1,000 events (100 more), compared with week 10 of 2026 "
        "(2 to 8 March)."
    )


def test_a_change_that_its_interval_carries_is_told_with_its_direction() -> None:
    assert said((2, None, None, (1000, 500), (1000, 600))) == (
        "The drop-off at micro rose by 10.0 points (5.6 to 14.3), from 50.0% of 1,000 sessions asked in the week "
        "before to 60.0% of 1,000.",
    )
    (sentence,) = said((2, "poll", None, (1000, 600), (1000, 500)))
    assert sentence.startswith("The drop-off at “poll” of micro fell by 10.0 points (5.6 to 14.3), from 60.0%")


def test_of_visitors_the_drop_off_compared_is_called_that_of_the_window() -> None:
    """Another one than that of the ladder's table, where a yes counts however late."""
    (sentence,) = said((2, None, None, (1000, 500), (1000, 600)), unit="visitor")
    assert sentence.startswith("The drop-off within the window at micro rose by 10.0 points")
    section = changes_section(week_facts(changes([]), unit="visitor"), NOW, LADDER)
    assert section is not None
    assert section.facts["measured"] == "Drop-off within the window"
    assert dict(section.terms)["Within the window"] == "A yes that came after the conversion window counts as none."
    of_sessions = changes_section(week_facts(changes([])), NOW, LADDER)
    assert of_sessions is not None
    assert (of_sessions.facts["measured"], "Within the window" in dict(of_sessions.terms)) == ("Drop-off", False)


@pytest.mark.parametrize(
    ("first_at", "known_until", "words"),
    [
        (datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC),
         "(2 to 8 March). The first session of all began 3 Mar 2026, 00:00 UTC, so not all of that time is known."),
        (datetime(2026, 3, 2, 23, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC), "(2 to 8 March)."),
        (datetime(2026, 3, 2, 23, tzinfo=UTC), datetime(2026, 3, 14, 23, 59, tzinfo=UTC),
         "(2 to 8 March). The newest event is of 14 Mar 2026, 23:59 UTC: these days may be incomplete."),
    ],
)  # fmt: skip
def test_data_that_began_late_or_stopped_early_is_said_to(
    first_at: datetime, known_until: datetime, words: str
) -> None:
    section = changes_section(week_facts(changes([]), known_until, first_at=first_at), NOW, LADDER)
    assert section is not None
    assert section.said[0].endswith(words)


def test_the_first_week_of_all_is_compared_with_nothing() -> None:
    first = week_facts(changes([]), first_at=datetime(2026, 3, 9, 7, tzinfo=UTC), before=Totals(0, 0, 0))
    section = changes_section(first, Totals(8, 1, 1), LADDER)
    assert section is not None
    assert section.said[0] == (
        "1 session, 1 visitor and 8 events. There is nothing from before 9 Mar 2026, 07:00 UTC to compare them with."
    )


def test_the_same_change_among_many_comparisons_may_be_chance() -> None:
    """58 of 100 against 43 of 100: told where it is all one looks at, not where it is one of twenty."""
    row: Sides = (2, None, None, (100, 43), (100, 58))
    assert "rose by 15.0 points" in said(row)[0]
    others: list[Sides] = [(1, f"step {n}", None, (100, 50), (100, 50)) for n in range(19)]
    (sentence,) = said(row, *others)
    assert sentence.startswith("No drop-off changed by more than chance explains, of 20 tiers and steps compared")
    assert "at micro it may be anything from 6.1 points lower to 34.4 points higher." in sentence


def test_few_people_carry_no_change_however_large() -> None:
    assert said((1, None, None, (9, 0), (9, 9))) == (
        "No tier or step was asked of 10 people or more in both times, so no change of the drop-off can be told from "
        "chance.",
    )


def test_the_surest_changes_come_first_and_the_others_are_counted() -> None:
    rows: list[Sides] = [(1, f"step {n}", None, (4000, 1000), (4000, 1500 + 100 * n)) for n in range(7)]
    found = said(*rows, (2, None, None, (100, 50), (100, 50)))
    assert [sentence.split("”")[0] for sentence in found[:NAMED]] == [
        f"The drop-off at “step {n}" for n in range(6, 1, -1)
    ]
    assert found[NAMED:] == (
        "2 more changed; the table has them.",
        "Of 1 other compared no change can be told from chance.",
    )


def test_days_that_were_not_over_are_not_compared() -> None:
    section = changes_section(week_facts(None), NOW, LADDER)
    assert section is not None
    assert section.said[1].startswith(
        "The drop-off is not compared: these numbers were counted before the period was over"
    )


@pytest.mark.parametrize(
    ("known_until", "words"),
    [
        (None, "No session began in these days, nor ever before."),
        (
            datetime(2026, 3, 1, 7, tzinfo=UTC),
            "newest events are of 1 Mar 2026, 07:00 UTC. Does anybody still send?",
        ),
        (datetime(2026, 4, 1, tzinfo=UTC), "No session began in these days, though some did later."),
        (
            datetime(2026, 3, 9, 0, 10, tzinfo=UTC),
            "newest events are of 9 Mar 2026, 00:10 UTC. Does anybody still send?",
        ),
    ],
)
def test_of_days_without_anybody_it_says_since_when(known_until: datetime | None, words: str) -> None:
    begun = None if known_until is None else known_until - timedelta(minutes=30)
    section = changes_section(week_facts(changes([]), known_until, last_begun_at=begun), Totals(0, 0, 0), LADDER)
    assert section is not None
    assert section.said[1].endswith(words)


def test_a_row_says_where_it_is_and_what_may_be_said() -> None:
    found = changes(
        [
            (1, None, None, (1000, 500), (1000, 600)),
            (2, "poll", None, (1000, 600), (1000, 500)),
            (3, None, "ads", (100, 50), (100, 51)),
            (3, None, "", (5, 0), (5, 5)),
        ]
    ).rows
    assert [(place(row, LADDER), verdict(row)) for row in found] == [
        ("spark", "rose"),
        ("“poll” of micro", "fell"),
        ("mini, “ads”", "may be chance"),
        ("mini, without a value", "too few"),
    ]
    assert reach(found) == 0.2
    assert reach(found[3:]) == 0.1


@pytest.mark.parametrize(
    ("since", "until", "every", "words", "other"),
    [
        ("2026-03-09", "2026-03-10", "day", "9 March 2026", "the day before"),
        ("2026-03-09", "2026-03-16", "week", "week 11 of 2026 (9 to 15 March)", "the week before"),
        ("2025-12-29", "2026-01-05", "week", "week 1 of 2026 (29 December 2025 to 4 January 2026)", "the week before"),
        ("2026-02-01", "2026-03-01", "month", "February 2026", "the month before"),
        ("2026-03-09", "2026-04-02", None, "9 March to 1 April 2026", "the 24 days before"),
        ("2026-03-09", "2026-03-10", None, "9 March 2026", "the day before"),
    ],
)
def test_days_are_called_as_people_call_them(
    since: str, until: str, every: Every | None, words: str, other: str
) -> None:
    days = Days(date.fromisoformat(since), date.fromisoformat(until))
    assert (called(days, every), the_one_before(every, days)) == (words, other)
