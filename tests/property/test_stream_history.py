from __future__ import annotations

from datetime import timedelta

import polars as pl
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from ladder.events import Event
from stream.decoding import frame_of
from stream.history import sessionise_history
from stream.sessions import Sessioniser, Snapshot
from tests.suites.event_strategies import LADDER, START, events, partitions


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events of which many are one visitor's in one instant, and which may arrive in one, too."""
    made = draw(events(max_size=20))
    instants = draw(st.lists(st.integers(0, 3), min_size=len(made), max_size=len(made)))
    ids = draw(st.permutations([f"{name}{n}" for n in range(10) for name in ("é", "Z")]))
    return [
        replace(event, event_id=id_, occurred_at=START + timedelta(microseconds=100 * at)) if at < 3 else event
        for event, at, id_ in zip(made, instants, ids, strict=False)
    ]


@settings(deadline=None, max_examples=150)
@given(histories(), partitions, st.booleans())
def test_history_cut_at_once_is_history_cut_by_the_stream(
    made: list[Event], partition_of: dict[str, int], in_pieces: bool
) -> None:
    frame = frame_of(made, 0, range(len(made))).with_columns(
        partition=pl.col("visitor_id").replace_strict(partition_of, return_dtype=pl.Int32)
    )
    if in_pieces and made:
        frame = pl.concat([frame[:3], frame[3:]])
    stream = Sessioniser(LADDER, "file:a")
    for (number,), own in frame.partition_by("partition", as_dict=True).items():
        stream.restore(int(number), Snapshot(None, own))
    stream.finish()
    assert sessionise_history(frame, LADDER, "file:a").equals(stream.take_closed())
