from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count
from typing import Any

import msgspec
import polars as pl
import pytest

from ladder.events import Event
from ladder.tiers import Ladder, Mark, Role, Rule
from stream.decoding import frame_of
from stream.history import sessionise_history
from stream.session_rows import SESSION_COLUMNS
from stream.sessions import HELD, Sessioniser, Snapshot

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIDE_ROLES: tuple[Role, ...] = ("no", "reward", "cheer", "regret")
LADDER = Ladder(
    name="test",
    tiers=("spark", "micro", "mini"),
    rules=(
        Rule("ask 1", {}, (Mark(1, "ask", "one"),)),
        Rule("yes 1", {}, (Mark(1, "yes", "one"),)),
        Rule("yes 1, ask 3", {}, (Mark(1, "yes", "one"), Mark(3, "ask", "three"))),
        Rule("ask 3", {}, (Mark(3, "ask", "three"),)),
        Rule("yes 3", {}, (Mark(3, "yes", "three"),)),
        Rule("ask 3 and 2", {}, (Mark(3, "ask", "three"), Mark(2, "ask", "two"))),
        *(Rule(role, {}, (Mark(2, role, role),)) for role in SIDE_ROLES),
    ),
    session_gap=timedelta(minutes=30),
    lateness=timedelta(hours=2),
)
MICROSECOND = timedelta(microseconds=1)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


arrivals = count()


def event(at: float | timedelta, event_id: str, visitor: str = "v", **fields: Any) -> Event:
    """An event so long after noon; it arrives years later, in the order of these calls."""
    occurred_at = NOON + (at if isinstance(at, timedelta) else minutes(at))
    arrived = NOON + timedelta(days=1000) + next(arrivals) * MICROSECOND
    plain = Event(event_id=event_id, visitor_id=visitor, occurred_at=occurred_at, received_at=arrived, name="n")
    return msgspec.structs.replace(plain, **fields)


class Stream:
    """A sessioniser fed with events of one partition, each batch at once."""

    def __init__(self, ladder: Ladder = LADDER, partition: int = 0) -> None:
        self.sessioniser = Sessioniser(ladder, "kafka:events")
        self.partition = partition
        self.offset = 0

    def add(self, *events: Event, record_time: datetime | None = None) -> pl.DataFrame:
        """What is kept of a batch."""
        frame = frame_of(events, self.partition, range(self.offset, self.offset + len(events)))
        self.offset += len(events)
        if record_time is not None:
            frame = frame.with_columns(record_time=pl.lit(record_time).cast(pl.Datetime("us", "UTC")))
        return self.sessioniser.add(frame).events

    def closed(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.sessioniser.take_closed().to_pylist()
        return sorted(rows, key=lambda row: row["session_id"])

    def rest(self) -> list[dict[str, Any]]:
        self.sessioniser.finish()
        return self.closed()


def contents(sessions: list[dict[str, Any]]) -> list[list[str]]:
    """The ids in each session's sequence."""
    return [[mark["event_id"] for mark in session["sequence"]] for session in sessions]


# --- silences ---


def test_a_silence_of_exactly_the_gap_keeps_the_session_open() -> None:
    stream = Stream()
    stream.add(event(0, "a"), event(30, "b"))
    assert contents(stream.rest()) == [["a", "b"]]


def test_a_silence_of_one_microsecond_more_closes_it() -> None:
    stream = Stream()
    stream.add(event(0, "a"), event(minutes(30) + MICROSECOND, "b"))
    assert contents(stream.rest()) == [["a"], ["b"]]


def test_an_event_between_two_sessions_joins_them_also_when_it_comes_last_and_in_another_batch() -> None:
    stream = Stream()
    stream.add(event(0, "a"))
    stream.add(event(60, "c"))
    assert stream.closed() == []
    stream.add(event(30, "b"))
    assert contents(stream.rest()) == [["a", "b", "c"]]


def test_visitors_are_told_apart() -> None:
    stream = Stream()
    stream.add(event(0, "a", "v"), event(1, "b", "w"), event(2, "c", "v"))
    assert contents(stream.rest()) == [["a", "c"], ["b"]]


def test_one_visitor_in_two_partitions_is_two() -> None:
    sessioniser = Sessioniser(LADDER, "kafka:events")
    sessioniser.add(pl.concat([frame_of([event(0, "a")], 0, [0]), frame_of([event(1, "b")], 1, [0])]))
    sessioniser.finish()
    found = sessioniser.take_closed().to_pylist()
    assert sorted((row["partition"], row["sequence"][0]["event_id"]) for row in found) == [(0, "a"), (1, "b")]


# --- the order within a session ---


def test_events_of_one_instant_stand_in_the_order_of_their_arrival_then_of_their_ids() -> None:
    first, second = event(0, "z"), event(0, "a")
    twins = [
        msgspec.structs.replace(event(0, name), received_at=second.received_at + MICROSECOND) for name in ("c", "b")
    ]
    stream = Stream()
    stream.add(twins[0], second)
    stream.add(twins[1], first)
    assert contents(stream.rest()) == [["z", "a", "b", "c"]]


def test_a_sequence_counts_its_time_from_the_sessions_start_and_an_event_with_two_marks_stands_there_twice() -> None:
    stream = Stream()
    stream.add(event(0, "a"), event(timedelta(seconds=1.5), "b", name="yes 1, ask 3"))
    (session,) = stream.rest()
    assert session["sequence"] == [
        {"offset_us": 0, "event_id": "a", "name": "n", "tier": None, "role": None, "step": None},
        {"offset_us": 1_500_000, "event_id": "b", "name": "yes 1, ask 3", "tier": 1, "role": "yes", "step": "one"},
        {"offset_us": 1_500_000, "event_id": "b", "name": "yes 1, ask 3", "tier": 3, "role": "ask", "step": "three"},
    ]


# --- when sessions are given out ---


def test_a_session_is_given_out_once_the_watermark_has_passed_its_end_plus_the_gap() -> None:
    stream = Stream()
    stream.add(event(0, "a"))
    stream.add(event(150, "b", "w"))
    assert stream.closed() == [], "the watermark stands at the end plus the gap"
    stream.add(event(153, "c", "w"))
    assert stream.closed() == [], "it has passed, by less than a step"
    stream.add(event(154, "d", "w"))
    assert contents(stream.closed()) == [["a"]]
    assert stream.closed() == []


def test_steps_are_an_eighth_of_the_gap_or_a_64th_of_the_lateness() -> None:
    assert Sessioniser(LADDER, "s").step == minutes(3.75)
    assert Sessioniser(replace(LADDER, lateness=timedelta(hours=64)), "s").step == timedelta(hours=1)
    tiny = replace(LADDER, session_gap=5 * MICROSECOND, lateness=timedelta())
    assert Sessioniser(tiny, "s").step == MICROSECOND


def test_an_event_within_the_lateness_still_prolongs_a_session_that_is_over_by_its_silence() -> None:
    stream = Stream()
    stream.add(event(0, "a"), event(140, "x", "w"))
    assert stream.closed() == []
    stream.add(event(29, "b"))
    assert contents(stream.rest()) == [["a", "b"], ["x"]]


def test_a_session_that_goes_on_and_on_keeps_no_piece_of_each_batch_that_came_meanwhile() -> None:
    stream = Stream()
    for n in range(100):
        stream.add(event(10 * n, f"long{n}", "long"), *(event(10 * n, f"{n}.{v}", f"{n}.{v}") for v in range(3)))
        stream.closed()
    (state,) = stream.sessioniser._partitions.values()
    assert state.carried is not None
    assert state.carried.n_chunks() <= 17
    assert [row["events"] for row in stream.rest() if row["visitor_id"] == "long"] == [100]


def test_a_partition_without_events_has_nothing_to_say() -> None:
    sessioniser = Sessioniser(LADDER, "s")
    sessioniser.restore(0, Snapshot(None, frame_of([], 0, []).select(HELD)))
    sessioniser.finish()
    assert sessioniser.take_closed() == SESSION_COLUMNS.empty_table()
    assert (sessioniser.newest(0), sessioniser.watermark(0), sessioniser.open_since(0)) == (None, None, None)
    assert (sessioniser.settled_until(0), sessioniser.open_events(), sessioniser.open_sessions()) == (None, 0, 0)


def test_no_events_change_nothing() -> None:
    stream = Stream()
    kept = stream.add()
    assert kept.is_empty()
    assert kept.schema["late"] == pl.Boolean
    stream.add(event(0, "a"))
    stream.add()
    assert contents(stream.rest()) == [["a"]]


def test_what_is_given_out_has_the_tables_columns_also_when_it_is_nothing() -> None:
    stream = Stream()
    assert stream.sessioniser.take_closed().schema == SESSION_COLUMNS
    stream.add(event(0, "a"))
    stream.sessioniser.finish()
    assert stream.sessioniser.take_closed().schema == SESSION_COLUMNS


# --- late events ---


def test_an_event_exactly_at_the_watermark_is_not_late_and_one_microsecond_before_it_is() -> None:
    stream = Stream()
    stream.add(event(120, "x", "w"))
    kept = stream.add(event(0, "on time"), event(-MICROSECOND, "late"))
    assert kept.select("event_id", "late").rows() == [("on time", False), ("late", True)]
    assert contents(stream.rest()) == [["on time"], ["x"]]


def test_late_events_are_kept_and_stand_in_no_session_whatever_comes_after() -> None:
    stream = Stream()
    stream.add(event(0, "a"), event(200, "x", "w"))
    kept = stream.add(event(10, "late"))
    assert kept.select("event_id", "late").rows() == [("late", True)]
    assert contents(stream.closed()) == [["a"]]
    assert contents(stream.rest()) == [["x"]]


def test_events_ahead_in_the_same_batch_make_late_like_any_others() -> None:
    stream = Stream()
    kept = stream.add(event(0, "a"), event(200, "b"), event(1, "c"))
    assert kept["late"].to_list() == [False, False, True]


def test_another_partitions_events_make_nothing_late() -> None:
    sessioniser = Sessioniser(LADDER, "s")
    sessioniser.add(frame_of([event(1000, "a")], 0, [0]))
    assert not sessioniser.add(frame_of([event(0, "b")], 1, [0])).events["late"].any()


def test_an_event_of_the_future_moves_the_watermark_to_its_records_time_only() -> None:
    stream = Stream()
    stream.add(event(60 * 24 * 365, "future"), record_time=NOON + minutes(10))
    assert stream.sessioniser.newest(0) == NOON + minutes(10)
    kept = stream.add(event(-110, "on time"), event(-111, "late"))
    assert kept["late"].to_list() == [False, True]


def test_a_clock_that_goes_backwards_moves_nothing_backwards() -> None:
    stream = Stream()
    stream.add(event(100, "a"), record_time=NOON + minutes(100))
    stream.add(event(90, "b"), record_time=NOON)
    assert stream.sessioniser.newest(0) == NOON + minutes(100)
    stream.sessioniser.advance(0, NOON)
    assert stream.sessioniser.newest(0) == NOON + minutes(100)


# --- time that passes without events ---


def test_an_idle_partition_can_be_told_that_time_has_come() -> None:
    stream = Stream()
    stream.add(event(0, "a"))
    stream.sessioniser.advance(0, NOON + minutes(153))
    assert stream.closed() == []
    stream.sessioniser.advance(0, NOON + minutes(154))
    assert contents(stream.closed()) == [["a"]]
    assert stream.add(event(30, "late"))["late"].to_list() == [True]


def test_the_end_of_input_closes_every_session_and_makes_late_what_still_comes_for_then() -> None:
    stream = Stream()
    stream.add(event(0, "a"), event(500, "b"))
    assert contents(stream.rest()) == [["a"], ["b"]]
    assert stream.sessioniser.open_events() == 0
    assert stream.add(event(500, "c"), event(900, "d"))["late"].to_list() == [True, False]
    assert contents(stream.rest()) == [["d"]]


def test_the_end_of_input_twice_is_the_end_of_input() -> None:
    stream = Stream()
    stream.add(event(0, "a"))
    assert contents(stream.rest()) == [["a"]]
    newest = stream.sessioniser.newest(0)
    assert stream.rest() == []
    assert stream.sessioniser.newest(0) == newest


def test_the_end_of_some_partitions_leaves_the_others_open() -> None:
    sessioniser = Sessioniser(LADDER, "s")
    sessioniser.add(pl.concat([frame_of([event(0, "a")], 0, [0]), frame_of([event(0, "b")], 1, [0])]))
    sessioniser.finish([1, 7])
    assert contents(sessioniser.take_closed().to_pylist()) == [["b"]]
    assert sessioniser.open_since(0) == NOON


# --- duplicates ---


def test_of_two_events_with_one_id_the_first_to_arrive_counts() -> None:
    stream = Stream()
    stream.add(event(0, "a", name="first"), event(1, "a", name="second"))
    stream.add(event(0, "a", name="third"))
    (session,) = stream.rest()
    assert [mark["name"] for mark in session["sequence"]] == ["first"]


def test_duplicates_are_left_out_of_what_is_kept_and_named_by_their_offset() -> None:
    sessioniser = Sessioniser(LADDER, "s")
    intake = sessioniser.add(frame_of([event(0, "a"), event(0, "a"), event(1, "b")], 3, [7, 8, 9]))
    assert intake.events["record_offset"].to_list() == [7, 9]
    assert intake.duplicates.rows() == [(3, 8)]
    assert "record_time" not in intake.events.columns


def test_the_same_id_in_another_partition_is_another_event() -> None:
    sessioniser = Sessioniser(LADDER, "s")
    sessioniser.add(frame_of([event(0, "a")], 0, [0]))
    assert len(sessioniser.add(frame_of([event(0, "a")], 1, [0])).events) == 1


def test_a_copy_that_comes_late_is_kept_as_late_and_counts_nowhere() -> None:
    stream = Stream()
    stream.add(event(0, "a"), event(200, "x", "w"))
    assert stream.add(event(0, "a"))["late"].to_list() == [True]
    assert contents(stream.rest()) == [["a"], ["x"]]


@pytest.mark.parametrize("take", [False, True])
@pytest.mark.parametrize(("newest", "is_known"), [(150, True), (151, False)])
def test_an_id_is_known_until_the_watermark_has_passed_its_event_by_the_gap_whenever_sessions_are_taken(
    take: bool, newest: int, is_known: bool
) -> None:
    stream = Stream()
    stream.add(event(0, "a"), event(newest, "x", "w"))
    if take:
        stream.closed()
    assert stream.add(event(60, "a")).is_empty() == is_known


@pytest.mark.parametrize("take", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_an_id_is_known_as_long_when_a_cap_has_cut_its_session_off(take: bool, restart: bool) -> None:
    ladder = replace(LADDER, max_session_events=2)
    stream = Stream(ladder)
    stream.add(event(0, "a"), event(1, "b"), event(2, "c"), event(130, "x", "w"))
    if take:
        stream.closed()
    if restart:
        snapshot = stream.sessioniser.snapshot(0)
        stream = Stream(ladder)
        stream.sessioniser.restore(0, snapshot)
    assert stream.add(event(11, "a")).is_empty()
    assert not stream.add(event(150, "y", "w"), event(160, "z", "w"), event(45, "a")).is_empty()
    assert ["a"] in contents(stream.rest())


def test_copies_are_known_after_a_restart() -> None:
    stream, again = Stream(), Stream()
    stream.add(event(0, "a"))
    again.sessioniser.restore(0, stream.sessioniser.snapshot(0))
    assert again.add(event(0, "a")).is_empty()


# --- caps ---


def test_a_session_of_more_events_than_the_cap_is_cut_flagged_and_nothing_is_lost() -> None:
    stream = Stream(replace(LADDER, max_session_events=3))
    stream.add(*(event(n, f"e{n}") for n in range(7)))
    found = stream.rest()
    assert contents(found) == [["e0", "e1", "e2"], ["e3", "e4", "e5"], ["e6"]]
    assert [session["capped"] for session in found] == [True, True, False]
    assert len({session["session_id"] for session in found}) == 3


def test_a_session_longer_than_the_cap_is_cut_and_flagged() -> None:
    stream = Stream(replace(LADDER, max_session_length=minutes(40)))
    stream.add(*(event(n * 20, f"e{n}") for n in range(4)))
    found = stream.rest()
    assert contents(found) == [["e0", "e1", "e2"], ["e3"]]
    assert [session["capped"] for session in found] == [True, False]


def test_what_a_cap_cut_off_is_given_out_as_late_as_any_session_and_the_rest_stays_open() -> None:
    stream = Stream(replace(LADDER, max_session_events=2))
    stream.add(*(event(n * 20, f"e{n}") for n in range(3)), event(160, "x", "w"))
    assert stream.closed() == []
    stream.add(event(178, "y", "w"))
    (session,) = stream.closed()
    assert (contents([session]), session["capped"]) == ([["e0", "e1"]], True)
    assert contents(stream.rest()) == [["e2"], ["x", "y"]]


def test_caps_cut_the_same_places_after_a_restart() -> None:
    ladder = replace(LADDER, max_session_events=2)
    stream, again = Stream(ladder), Stream(ladder)
    stream.add(*(event(n * 20, f"e{n}") for n in range(3)), event(178, "x", "w"))
    first = stream.closed()
    assert contents(first) == [["e0", "e1"]]
    again.sessioniser.restore(0, stream.sessioniser.snapshot(0))
    again.add(event(60, "e3"), event(61, "e4"))
    assert contents(first + again.rest()) == [["e0", "e1"], ["e2", "e3"], ["e4"], ["x"]]


def test_more_events_of_one_instant_than_the_cap_stay_together_so_that_ids_differ() -> None:
    stream = Stream(replace(LADDER, max_session_events=2))
    stream.add(*(event(0, f"e{n}") for n in range(4)), event(1, "f"))
    found = stream.rest()
    assert [(len(session["sequence"]), session["capped"]) for session in found] == [(4, True), (1, False)]
    assert len({session["session_id"] for session in found}) == 2


# --- what a session row says ---


def test_a_session_row_in_full() -> None:
    stream = Stream(partition=3)
    stream.add(
        event(0, "a", name="ask 1", user_id="u1"),
        event(1, "b", name="yes 1", page_url="/p", utm_source="s"),
        event(
            2, "c", user_id="u2", page_url="/q", referrer="r", utm_medium="m", utm_campaign="c", device_class="tablet"
        ),
        event(3, "d", name="regret"),
    )
    (session,) = stream.rest()
    sequence = session.pop("sequence")
    assert [mark["event_id"] for mark in sequence] == ["a", "b", "c", "d"]
    assert session == {
        "session_id": f"v@{int(NOON.timestamp()) * 1_000_000}",
        "ladder": "test",
        "visitor_id": "v",
        "user_id": "u2",
        "started_at": NOON,
        "ended_at": NOON + minutes(3),
        "events": 4,
        "asks": 1,
        "yeses": 1,
        "noes": 0,
        "rewards": 0,
        "cheers": 0,
        "regrets": 1,
        "highest_tier": 1,
        "tiers_reached": [1],
        "first_ask_tier": 1,
        "largest_leap": 1,
        "capped": False,
        "page_url": "/p",
        "referrer": "r",
        "utm_source": "s",
        "utm_medium": "m",
        "utm_campaign": "c",
        "device_class": "tablet",
        "source": "kafka:events",
        "partition": 3,
    }


@pytest.mark.parametrize(
    ("names", "first_ask_tier", "largest_leap"),
    [
        (["n"], None, None),
        (["yes 3"], None, None),
        (["ask 1"], 1, 1),
        (["ask 3"], 3, 3),
        (["ask 3 and 2"], 2, 3),
        (["ask 1", "ask 3"], 1, 3),
        (["yes 1", "ask 3"], 3, 2),
        (["ask 3", "yes 1", "ask 3"], 3, 3),
        (["yes 1, ask 3"], 3, 2),
        (["yes 3", "ask 1"], 1, -2),
        (["yes 3", "yes 1", "ask 3"], 3, 0),
    ],
)
def test_the_first_ask_is_its_lowest_tier_and_the_leap_counts_from_the_highest_tier_held(
    names: list[str], first_ask_tier: int | None, largest_leap: int | None
) -> None:
    stream = Stream()
    stream.add(*(event(n, f"e{n}", name=name) for n, name in enumerate(names)))
    (session,) = stream.rest()
    assert (session["first_ask_tier"], session["largest_leap"]) == (first_ask_tier, largest_leap)


def test_what_one_session_holds_says_nothing_of_the_next() -> None:
    stream = Stream()
    stream.add(event(0, "a", name="yes 3", user_id="u"), event(60, "b", name="ask 1"))
    first, second = stream.rest()
    assert (first["highest_tier"], first["tiers_reached"], first["user_id"]) == (3, [3], "u")
    assert (second["highest_tier"], second["tiers_reached"], second["user_id"], second["largest_leap"]) == (
        None,
        [],
        None,
        1,
    )


def test_the_tiers_reached_are_those_said_yes_to_lowest_first_each_once() -> None:
    stream = Stream()
    stream.add(*(event(n, f"e{n}", name=name) for n, name in enumerate(["yes 3", "yes 1", "yes 3", "ask 3", "no"])))
    (session,) = stream.rest()
    assert (session["tiers_reached"], session["highest_tier"], session["yeses"]) == ([1, 3], 3, 3)


@pytest.mark.parametrize(
    ("role", "column"),
    [("no", "noes"), ("reward", "rewards"), ("cheer", "cheers"), ("regret", "regrets")],
)
def test_each_role_has_its_count(role: Role, column: str) -> None:
    stream = Stream()
    stream.add(event(0, "a", name=role), event(1, "b", name=role))
    (session,) = stream.rest()
    counts = ("asks", "yeses", "noes", "rewards", "cheers", "regrets")
    assert {name: session[name] for name in counts} == dict.fromkeys(counts, 0) | {column: 2}


def test_32_tiers_are_told_apart() -> None:
    tiers = tuple(f"t{n}" for n in range(1, 33))
    rules = tuple(Rule(f"yes {n}", {}, (Mark(n, "yes", "s"),)) for n in range(1, 33))
    stream = Stream(Ladder("tall", tiers, rules))
    stream.add(*(event(n / 10, f"e{n}", name=f"yes {n}") for n in range(1, 33)))
    (session,) = stream.rest()
    assert (session["tiers_reached"], session["highest_tier"]) == (list(range(1, 33)), 32)


@pytest.mark.parametrize("visitor", ["v" * 256, "𝄞" * 256, "a@b@1", "line\nbreak", "\x00", "ann@1772366400000000"])
def test_visitors_of_any_name_keep_it(visitor: str) -> None:
    stream = Stream()
    stream.add(event(0, "a", visitor), event(1, "b", visitor))
    (session,) = stream.rest()
    assert session["visitor_id"] == visitor
    assert session["session_id"] == f"{visitor}@{int(NOON.timestamp()) * 1_000_000}"


# --- restarts ---


def test_a_snapshot_goes_on_elsewhere_as_if_nothing_had_happened() -> None:
    whole, first, second = Stream(), Stream(), Stream()
    before = [event(0, "a"), event(200, "x", "w"), event(100, "b"), event(120, "c")]
    after = [event(140, "d"), event(99, "late?"), event(500, "y", "w")]
    whole.add(*before, *after)
    first.add(*before)
    given = first.closed()
    second.sessioniser.restore(0, first.sessioniser.snapshot(0))
    second.add(*after)
    assert given + second.rest() == whole.rest()
    assert second.sessioniser.newest(0) == whole.sessioniser.newest(0)


def test_a_snapshot_may_be_restored_in_any_order_of_its_events() -> None:
    stream, again = Stream(), Stream()
    stream.add(event(0, "a"), event(10, "b"), event(20, "c"))
    snapshot = stream.sessioniser.snapshot(0)
    again.sessioniser.restore(0, Snapshot(snapshot.newest, snapshot.events.reverse()))
    assert again.rest() == stream.rest()


def test_frames_with_columns_of_nothing_but_null_and_others_go_together() -> None:
    stream, again = Stream(), Stream()
    stream.add(event(0, "a"))
    bare = pl.read_parquet(parquet(stream.sessioniser.snapshot(0).events))
    again.sessioniser.restore(0, Snapshot(NOON, bare))
    again.add(event(1, "b", user_id="u", utm_source="s"))
    (session,) = again.rest()
    assert (session["user_id"], session["utm_source"], session["page_url"]) == ("u", "s", None)


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


# --- what is open ---


def test_open_counts_and_times_follow_what_is_held() -> None:
    stream = Stream()
    stream.add(event(0, "a"), event(5, "b", "w"), event(100, "c"))
    sessioniser = stream.sessioniser
    assert (sessioniser.open_events(), sessioniser.open_sessions()) == (3, 2)
    assert (sessioniser.open_since(0), sessioniser.watermark(0)) == (NOON, NOON - minutes(20))
    assert sessioniser.settled_until(0) == NOON - minutes(20)
    stream.add(event(300, "d"))
    stream.closed()
    assert (sessioniser.open_events(), sessioniser.open_since(0)) == (1, NOON + minutes(300))
    assert sessioniser.settled_until(0) == NOON + minutes(180)
    stream.add(event(180, "e", "w"), event(209, "f", "w"), event(330, "g"))
    stream.closed()
    assert (sessioniser.open_since(0), sessioniser.settled_until(0)) == (NOON + minutes(180), NOON + minutes(180))


def test_thousands_of_small_batches_are_held_in_few_frames() -> None:
    stream = Stream()
    for n in range(400):
        stream.add(event(n / 100, f"e{n}"))
    assert stream.sessioniser.open_events() == 400
    assert len(stream.sessioniser.snapshot(0).events.rechunk()) == 400
    assert sum(len(frames) for frames in stream.sessioniser._partitions[0].slots.values()) < 40
    assert contents(stream.rest()) == [[f"e{n}" for n in range(400)]]


# --- history ---


def test_history_is_cut_as_a_stream_in_order_would_be_whatever_its_own_order() -> None:
    events = [event(n * 17 % 1000, f"e{n}", f"v{n % 3}") for n in range(200)]
    stream = Stream()
    stream.add(*sorted(events, key=lambda one: one.occurred_at))
    rows = sessionise_history(frame_of(events, 0, range(200)), LADDER, "kafka:events").to_pylist()
    assert sorted(rows, key=lambda row: row["session_id"]) == stream.rest()


def test_a_history_of_nothing_has_no_sessions() -> None:
    assert sessionise_history(frame_of([], 0, []), LADDER, "s") == SESSION_COLUMNS.empty_table()
