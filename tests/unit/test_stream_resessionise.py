from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from ladder.events import Event
from ladder.tiers import Ladder
from stream.decoding import frame_of
from stream.history import sessionise_history
from stream.resessionise import Repair, repair

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE = "kafka:events"
LADDER = Ladder("test", ("spark",), (), session_gap=timedelta(minutes=30))
LONG_AFTER = 10_000.0


def event(event_id: str, at: float, visitor: str = "v") -> Event:
    """An event so many minutes after noon."""
    occurred_at = NOON + timedelta(minutes=at)
    return Event(event_id=event_id, visitor_id=visitor, occurred_at=occurred_at, received_at=occurred_at, name="n")


def mend(
    on_time: Sequence[Event],
    late: Sequence[Event] = (),
    *,
    surplus: Collection[str] = (),
    surplus_rows: Collection[int] = (),
    gone: Collection[str] = (),
    in_sessions: Sequence[Event] | None = None,
    settled: float | None = LONG_AFTER,
    cut_by: Ladder = LADDER,
    ladder: Ladder = LADDER,
) -> Repair:
    """A repair where the sessions are those of ``in_sessions`` (else of all on time), cut by ``cut_by``.

    ``surplus``: ids of copies, or their rows.  ``gone``: ids of events that are not kept any more.
    ``settled``: until that minute.
    """
    given = [*on_time, *late]
    events = frame_of(given, 0, range(len(given))).with_columns(
        late=pl.Series([False] * len(on_time) + [True] * len(late)),
        is_surplus=pl.col("event_id").is_in(list(surplus)) | pl.int_range(pl.len()).is_in(list(surplus_rows)),
    )
    held = on_time if in_sessions is None else in_sessions
    sessions = pl.DataFrame(sessionise_history(frame_of(held, 0, range(len(held))), cut_by, SOURCE))
    until = {} if settled is None else {0: NOON + timedelta(minutes=settled)}
    return repair(events.filter(~pl.col("event_id").is_in(list(gone))), sessions, ladder, SOURCE, until)


def came(done: Repair) -> list[tuple[float, list[str]]]:
    """The new sessions: the minute they start at, and their events."""
    return sorted(
        ((row["started_at"] - NOON) / timedelta(minutes=1), [entry["event_id"] for entry in row["sequence"]])
        for row in done.come.to_pylist()
    )


def went(done: Repair) -> list[float]:
    """The minutes at which the sessions started that go."""
    us = [int(name.rpartition("@")[2]) for name in done.gone["session_id"]]
    return sorted((datetime.fromtimestamp(at / 1e6, UTC) - NOON) / timedelta(minutes=1) for at in us)


def counts(done: Repair) -> dict[str, int]:
    names = ("visitors", "late", "waiting", "cut_otherwise", "incomplete")
    return {name: getattr(done, name) for name in names if getattr(done, name)}


def test_a_late_event_between_two_sessions_makes_them_one() -> None:
    done = mend([event("a", 0), event("b", 50)], [event("late", 25)])
    assert (went(done), came(done)) == ([0, 50], [(0, ["a", "late", "b"])])
    assert counts(done) == {"visitors": 1, "late": 1}


def test_a_late_event_far_from_all_others_is_a_session_of_its_own_and_touches_none() -> None:
    done = mend([event("a", 0)], [event("late", 300)])
    assert (went(done), came(done)) == ([], [(300, ["late"])])


@pytest.mark.parametrize(("at", "joined"), [(30, True), (30.001, False)])
def test_a_silence_of_exactly_the_gap_joins_and_a_longer_one_does_not(at: float, joined: bool) -> None:
    done = mend([event("a", 0)], [event("late", at)])
    expected: list[tuple[float, list[str]]] = [(0, ["a", "late"])] if joined else [(at, ["late"])]
    assert came(done) == expected
    assert went(done) == ([0] if joined else [])


def test_a_visitor_whose_sessions_hold_all_is_left_as_it_is() -> None:
    late = event("late", 10)
    done = mend([event("a", 0)], [late], in_sessions=[event("a", 0), late])
    assert (len(done.gone), done.come.num_rows, counts(done)) == (0, 0, {})


def test_only_what_ended_more_than_a_gap_before_the_settled_time_is_touched() -> None:
    at_the_edge = mend([event("a", 0)], [event("late", 10)], settled=40)
    assert (went(at_the_edge), came(at_the_edge), counts(at_the_edge)) == ([], [], {"waiting": 1})
    past_it = mend([event("a", 0)], [event("late", 10)], settled=40.001)
    assert (went(past_it), came(past_it)) == ([0], [(0, ["a", "late"])])


def test_where_nothing_is_settled_nothing_is_touched() -> None:
    assert counts(mend([event("a", 0)], [event("late", 10)], settled=None)) == {"waiting": 1}


def test_open_events_keep_the_late_one_beside_them_waiting_and_no_other() -> None:
    """The worker still holds `open`: it is in no session, and its time is not settled."""
    on_time = [event("a", 0), event("open", 100)]
    done = mend(on_time, [event("early", 10), event("beside", 80)], in_sessions=[event("a", 0)], settled=100)
    assert (went(done), came(done)) == ([0], [(0, ["a", "early"])])
    assert counts(done) == {"visitors": 1, "late": 1, "waiting": 1}


def test_a_surplus_copy_leaves_its_session_which_may_fall_apart() -> None:
    done = mend([event("a", 0), event("copy", 25), event("b", 50)], surplus=["copy"])
    assert (went(done), came(done)) == ([0], [(0, ["a"]), (50, ["b"])])
    assert done.surplus["event_id"].to_list() == ["copy"]
    assert counts(done) == {"visitors": 1}


def test_a_session_of_nothing_but_a_surplus_copy_goes_and_none_comes() -> None:
    done = mend([event("copy", 0)], surplus=["copy"])
    assert (went(done), came(done), len(done.surplus)) == ([0], [], 1)


def test_a_late_copy_that_was_in_no_session_only_goes() -> None:
    done = mend([event("a", 0)], [event("copy", 300)], surplus=["copy"])
    assert (went(done), came(done), done.surplus["event_id"].to_list()) == ([], [], ["copy"])


def test_a_late_copy_of_an_event_on_time_leaves_its_session_alone() -> None:
    done = mend([event("a", 0)], [event("a", 0)], surplus_rows=[1])
    assert (went(done), came(done), len(done.surplus)) == ([], [], 1)


def test_a_late_copy_that_counted_until_an_earlier_one_came_has_its_session_cut_again() -> None:
    """What the session says of it may not be what the one that counts says."""
    done = mend([], [event("a", 0), event("a", 0)], surplus_rows=[0], in_sessions=[event("a", 0)])
    assert (went(done), came(done), len(done.surplus)) == ([0], [(0, ["a"])], 1)


def test_a_chain_that_a_cap_cut_is_cut_again_as_a_whole() -> None:
    capped = replace(LADDER, max_session_events=2)
    on_time = [event(f"e{n}", 10 * n) for n in range(1, 6)]
    done = mend(on_time, [event("late", 5)], ladder=capped, cut_by=capped)
    assert went(done) == [10, 30, 50]
    assert came(done) == [(5, ["late", "e1"]), (20, ["e2", "e3"]), (40, ["e4", "e5"])]
    assert done.come["capped"].to_pylist().count(True) == 2


def test_sessions_of_another_ladder_are_left_alone() -> None:
    other = replace(LADDER, name="other")
    done = mend([event("a", 0)], [event("late", 10), event("far", 300)], cut_by=other)
    assert (went(done), came(done)) == ([], [(300, ["far"])])
    assert counts(done) == {"visitors": 1, "late": 1, "cut_otherwise": 1}


def test_a_session_that_another_gap_cut_stays_one_run() -> None:
    wide = replace(LADDER, session_gap=timedelta(hours=2))
    done = mend([event("a", 0), event("b", 100)], [event("late", 90)], cut_by=wide)
    assert (went(done), came(done)) == ([0], [(0, ["a"]), (90, ["late", "b"])])


def test_a_session_of_which_an_event_is_not_kept_any_more_is_left_as_it_is() -> None:
    done = mend([event("a", 0), event("b", 10)], [event("late", 20)], gone=["a"])
    assert (went(done), came(done), counts(done)) == ([], [], {"incomplete": 1})


def test_visitors_and_partitions_are_apart() -> None:
    def at(partition: int, *events: Event, late: bool) -> pl.DataFrame:
        frame = frame_of(events, partition, range(len(events)))
        return frame.with_columns(late=pl.lit(late), is_surplus=pl.lit(False))

    on_time = [at(0, event("a", 0), event("b", 0, "w"), late=False), at(1, event("c", 0), late=False)]
    sessions = pl.DataFrame(sessionise_history(pl.concat(on_time), LADDER, SOURCE))
    until: dict[int, Any] = dict.fromkeys((0, 1), NOON + timedelta(days=9))
    done = repair(pl.concat([*on_time, at(1, event("late", 10), late=True)]), sessions, LADDER, SOURCE, until)
    assert done.gone.rows() == [(1, done.come["session_id"][0].as_py())]
    assert came(done) == [(0, ["c", "late"])]
