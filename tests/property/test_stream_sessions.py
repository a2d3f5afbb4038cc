from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import polars as pl
from hypothesis import given, settings, strategies as st

from ladder.events import Event
from stream.sessions import Intake, Sessioniser
from tests.suites.event_strategies import LADDER, LATENESS, PARTITIONS, START, arriving, events, instants, partitions
from tests.suites.examples_tried import tried
from tests.suites.session_oracle import MICROSECOND, Arrival, by_id, fates, sessions_of

unhurried = settings(deadline=None, max_examples=tried(50))
SOURCE = "kafka:events"


@st.composite
def journeys(draw: st.DrawFn, arrivals: Sequence[Arrival]) -> list[tuple[list[Arrival], bool, bool]]:
    """Batches, with whether sessions are taken after each, and whether all partitions then move to a new process."""
    ends = sorted({*draw(st.lists(st.integers(0, len(arrivals)), max_size=8)), len(arrivals)})
    return [
        (list(arrivals[begin:end]), draw(st.booleans()), draw(st.booleans()))
        for begin, end in zip([0, *ends], ends, strict=False)
    ]


def frame(arrivals: Sequence[Arrival], first_offset: int = 0) -> pl.DataFrame:
    """A batch as the sessioniser takes it."""
    rows = [
        msgspec.structs.asdict(arrival.event)
        | {"partition": arrival.partition, "record_offset": first_offset + i, "record_time": arrival.record_time}
        for i, arrival in enumerate(arrivals)
    ]
    times = dict.fromkeys(("occurred_at", "received_at", "record_time"), pl.Datetime("us", "UTC"))
    numbers = {"partition": pl.Int32(), "record_offset": pl.Int64()}
    schema = {name: pl.String() for name in Event.__struct_fields__} | times | numbers
    return pl.DataFrame(
        rows, schema={name: schema[name] for name in [*Event.__struct_fields__, *numbers, "record_time"]}
    )


def travelled(journey: list[tuple[list[Arrival], bool, bool]]) -> tuple[list[dict[str, Any]], pl.DataFrame]:
    """All session rows of a journey, and its kept events with the column ``late``."""
    sessioniser = Sessioniser(LADDER, SOURCE)
    rows: list[dict[str, Any]] = []
    intakes: list[Intake] = []
    offset = 0
    for batch, take, move in journey:
        intakes.append(sessioniser.add(frame(batch, offset)))
        offset += len(batch)
        if take or move:
            rows += sessioniser.take_closed().to_pylist()
        if move:
            moved = Sessioniser(LADDER, SOURCE)
            for partition in range(PARTITIONS):
                if sessioniser.newest(partition) is not None:
                    moved.restore(partition, sessioniser.snapshot(partition))
            sessioniser = moved
    sessioniser.finish()
    rows += sessioniser.take_closed().to_pylist()
    assert sessioniser.open_events() == 0
    return sorted(rows, key=by_id), pl.concat([intake.events for intake in intakes])


@unhurried
@given(st.data())
def test_any_order_within_the_lateness_any_batching_and_any_restart_give_the_oracles_sessions(
    data: st.DataObject,
) -> None:
    drawn = data.draw(events())
    partition_of = data.draw(partitions)
    delays = data.draw(st.lists(st.integers(0, LATENESS), min_size=len(drawn), max_size=len(drawn)))
    due = [event.occurred_at + delay * MICROSECOND for event, delay in zip(drawn, delays, strict=True)]
    arrivals = arriving([drawn[i] for i in sorted(range(len(drawn)), key=due.__getitem__)], partition_of)
    rows, kept = travelled(data.draw(journeys(arrivals)))
    assert rows == sessions_of(arrivals, LADDER, SOURCE)
    assert kept["late"].sum() == 0
    assert sorted(kept["event_id"].to_list()) == sorted(event.event_id for event in drawn)


@unhurried
@given(st.data())
def test_what_is_late_depends_on_the_order_of_the_records_alone_and_the_rest_makes_the_sessions(
    data: st.DataObject,
) -> None:
    arrivals = arriving(data.draw(events()), data.draw(partitions))
    if data.draw(st.booleans()):
        clocks = st.integers(0, 1500).map(lambda us: START + us * MICROSECOND)
        arrivals = [replace(arrival, record_time=data.draw(clocks)) for arrival in arrivals]
    verdicts = fates(arrivals, LADDER)
    rows, kept = travelled(data.draw(journeys(arrivals)))
    assert rows == sessions_of(
        [arrival for arrival, fate in zip(arrivals, verdicts, strict=True) if fate == "kept"], LADDER, SOURCE
    )
    late = {arrival.event.event_id for arrival, fate in zip(arrivals, verdicts, strict=True) if fate == "late"}
    assert set(kept.filter(pl.col("late"))["event_id"].to_list()) == late


@unhurried
@given(st.data())
def test_copies_never_count_twice_whenever_they_arrive(data: st.DataObject) -> None:
    originals = data.draw(events(min_size=1, max_size=15))
    again = data.draw(st.lists(st.sampled_from(originals), max_size=15))
    order = data.draw(st.permutations([*originals, *again]))
    arrivals = arriving(order, data.draw(partitions))
    verdicts = fates(arrivals, LADDER)
    rows, kept = travelled(data.draw(journeys(arrivals)))
    counted = [mark["event_id"] for row in rows for mark in row["sequence"]]
    assert rows == sessions_of(
        [arrival for arrival, fate in zip(arrivals, verdicts, strict=True) if fate == "kept"], LADDER, SOURCE
    )
    assert sum(row["events"] for row in rows) == len(set(counted))
    assert len(kept) == sum(fate != "duplicate" for fate in verdicts)


@unhurried
@given(st.data())
def test_a_copy_with_another_time_counts_at_most_once_per_session_and_never_by_the_batching(
    data: st.DataObject,
) -> None:
    originals = data.draw(events(min_size=1, max_size=12))
    again = [
        msgspec.structs.replace(event, occurred_at=START + data.draw(instants) * MICROSECOND, name="view")
        for event in data.draw(st.lists(st.sampled_from(originals), max_size=12))
    ]
    arrivals = arriving(data.draw(st.permutations([*originals, *again])), data.draw(partitions))
    verdicts = fates(arrivals, LADDER)
    rows, kept = travelled(data.draw(journeys(arrivals)))
    assert rows == sessions_of(
        [arrival for arrival, fate in zip(arrivals, verdicts, strict=True) if fate == "kept"], LADDER, SOURCE
    )
    assert len(kept) == sum(fate != "duplicate" for fate in verdicts)


@unhurried
@given(st.data())
def test_how_visitors_are_spread_over_partitions_changes_nothing_but_the_partition(data: st.DataObject) -> None:
    drawn = sorted(data.draw(events()), key=lambda event: event.occurred_at)

    def rows_of(partition_of: dict[str, int]) -> list[dict[str, Any]]:
        rows, _ = travelled(data.draw(journeys(arriving(drawn, partition_of))))
        return [{name: value for name, value in row.items() if name != "partition"} for row in rows]

    assert rows_of(data.draw(partitions)) == rows_of(data.draw(partitions))


@unhurried
@given(st.data())
def test_session_ids_are_unique(data: st.DataObject) -> None:
    rows, _ = travelled(data.draw(journeys(arriving(data.draw(events()), data.draw(partitions)))))
    ids = [row["session_id"] for row in rows]
    assert len(ids) == len(set(ids))
