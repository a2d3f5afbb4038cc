from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ladder.errors import EventError
from ladder.events import Event, encode
from ladder.rejects import Reject, encode_reject
from ladder.tables import TABLES, Position
from ladder.tiers import Ladder
from stream.checkpoint import Checkpoint, Hold
from stream.rejects import RejectBrake, TooManyRejects
from tests.suites.consumed import CANONICAL, NOON_MS, REJECT, Record
from warehouse.lake import Lake
from warehouse.lake_appending import Fenced
from warehouse.lake_claim import Claim

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LADDER = Ladder("test", ("spark", "micro"), (), timedelta(minutes=30), timedelta(hours=2))


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def hold(lake: Lake, *partitions: int, ladder: Ladder = LADDER, brake: RejectBrake | None = None) -> Hold:
    return Hold(lake, ladder, "events", partitions or (0,), brake or RejectBrake(share=1))


def record(offset: int, *events: tuple[str, float], partition: int = 0) -> Record:
    """A canonical record of events (id, minutes after noon) of one visitor; it is stamped a year later."""
    year = timedelta(days=365)
    lines = [
        encode(
            Event(
                event_id=event_id,
                visitor_id="v",
                occurred_at=NOON + minutes(at),
                received_at=NOON + year,
                name="n",
            )
        )
        for event_id, at in events
    ]
    return Record(b"\n".join(lines), CANONICAL, offset, partition, NOON_MS + int(year.total_seconds() * 1000))


def counts(lake: Lake) -> list[tuple[Any, ...]]:
    columns = [
        "partition",
        "first_offset",
        "next_offset",
        "landed",
        "duplicates",
        "rejected",
        "late",
        "skipped_offsets",
    ]
    return lake.scan("checkpoints").select(columns).sort("partition", "first_offset").collect().rows()


def landed(lake: Lake) -> list[tuple[str, bool]]:
    return lake.scan("events").sort("record_offset", "event_id").select("event_id", "late").collect().rows()


def sessions(lake: Lake) -> list[list[str]]:
    rows = lake.scan("sessions").sort("started_at").collect()["sequence"].to_list()
    return [[mark["event_id"] for mark in sequence] for sequence in rows]


class PowerCut(Exception):
    pass


class CutLake(Lake):
    """A lake whose power goes before a table's commit."""

    def __init__(self, root: Path, before: str) -> None:
        super().__init__(root)
        self.before = before

    def claim(self, source: str, partitions: Any) -> Claim:
        lake = self

        class CutClaim(Claim):
            def commit(self, rows: Mapping[str, pa.Table], positions: Mapping[int, Position], now: datetime) -> None:
                class CutRows(dict[str, pa.Table]):
                    def __getitem__(self, name: str) -> pa.Table:
                        if name == lake.before:
                            raise PowerCut
                        return super().__getitem__(name)

                super().commit(CutRows(rows), positions, now)

        return CutClaim(self, source, partitions)


def test_a_checkpoint_says_what_it_did_and_the_lake_holds_it(lake: Lake) -> None:
    dead = Reject.of(EventError("too_large", "", "told by the collector"), b"?", NOON, "collector")
    done = hold(lake).checkpoint(
        [
            record(0, ("a", 0), ("b", 1)),
            record(1, ("a", 0)),
            Record(b"{", (), 2),
            Record(encode_reject(dead), REJECT, 3),
            record(4, ("c", 500), ("late", 10)),
        ],
        now=NOON,
    )
    assert done == Checkpoint(
        landed=4,
        late=1,
        duplicates=1,
        sessions=1,
        rejects={"not_json": 1, "too_large": 1},
        open_events=1,
        open_sessions=1,
        watermarks={0: NOON + minutes(380)},
    )
    assert counts(lake) == [(0, 0, 5, 4, 1, 2, 1, 0)]
    assert landed(lake) == [("a", False), ("b", False), ("c", False), ("late", True)]
    assert sessions(lake) == [["a", "b"]]
    rejects = lake.scan("rejects").sort("record_offset").select("reason", "stage", "raw", "record_offset").collect()
    assert rejects.rows() == [("not_json", "stream", b"{", 2), ("too_large", "collector", b"?", 3)]
    row = lake.scan("checkpoints").select("watermark", "open_since", "committed_at", "source").collect().row(0)
    assert row == (NOON + minutes(380), NOON + minutes(500), NOON, "kafka:events")


def test_without_records_nothing_is_committed(lake: Lake) -> None:
    owner = hold(lake)
    owner.checkpoint([record(0, ("a", 0))], now=NOON)
    versions = lake.versions()
    assert owner.prepare([], now=NOON) is None
    assert owner.checkpoint([], now=NOON) == Checkpoint()
    assert lake.versions() == versions


def test_the_end_of_input_with_nothing_open_commits_nothing(lake: Lake) -> None:
    owner = hold(lake)
    assert owner.prepare([], now=NOON, finish=True) is None
    owner.checkpoint([record(0, ("a", 0))], now=NOON, finish=True)
    assert sessions(lake) == [["a"]]
    assert owner.prepare([], now=NOON, finish=True) is None


def test_records_without_events_move_the_offset(lake: Lake) -> None:
    hold(lake).checkpoint([Record(None, (), 0), Record(b"[]", (), 1)], now=NOON)
    assert counts(lake) == [(0, 0, 2, 0, 0, 1, 0, 0)]
    assert hold(lake).reached == {0: 2}


def test_a_restart_goes_on_with_the_open_sessions(lake: Lake) -> None:
    hold(lake, 0, 1).checkpoint([record(0, ("a", 0)), record(0, ("b", 7), partition=1)], now=NOON)
    again = hold(lake, 0, 1)
    assert again.reached == {0: 1, 1: 1}
    assert again.sessioniser.open_events() == 2
    again.checkpoint([record(1, ("c", 30))], now=NOON, finish=True)
    assert sorted(sessions(lake)) == [["a", "c"], ["b"]]


def handed_over(lake: Lake, before: Hold, *partitions: int) -> Hold:
    return Hold(lake, LADDER, "events", partitions, RejectBrake(share=1), kept=before)


def test_what_a_worker_keeps_over_a_change_of_owners_is_not_read_again(lake: Lake) -> None:
    before = hold(lake, 0, 1)
    before.checkpoint([record(0, ("a", 0)), record(0, ("b", 7), partition=1)], now=NOON)
    for file in lake.files("events"):
        Path(file).write_bytes(b"cannot be read")
    now = handed_over(lake, before, 1)
    assert (now.stayed, now.reached, now.sessioniser.open_events()) == ([1], {1: 1}, 1)
    now.checkpoint([record(1, ("c", 30), partition=1)], now=NOON, finish=True)
    assert sessions(lake) == [["b", "c"]]


def test_what_another_wrote_in_between_is_read_again_though_it_came_back_to_where_it_was(lake: Lake) -> None:
    before = hold(lake, 0, 1)
    before.checkpoint([record(0, ("a", 0)), record(0, ("b", 7), partition=1)], now=NOON)
    hold(lake, 0).checkpoint([], now=NOON, finish=True)
    now = handed_over(lake, before, 0, 1)
    assert (now.stayed, now.reached, now.sessioniser.open_events()) == ([1], {0: 1, 1: 1}, 1)
    now.checkpoint([record(1, ("late", 0))], now=NOON)
    assert sorted(landed(lake)) == [("a", False), ("b", False), ("late", True)]


def test_what_was_worked_out_and_not_committed_is_forgotten_with_all_that_came_of_it(lake: Lake) -> None:
    before = hold(lake)
    before.checkpoint([record(0, ("a", 0))], now=NOON)
    assert before.prepare([record(1, ("b", 1))], now=NOON) is not None
    now = handed_over(lake, before, 0)
    assert (now.stayed, now.reached, now.sessioniser.open_events()) == ([], {0: 1}, 1)
    before.prepare([record(2, ("c", 2))], now=NOON)
    assert now.sessioniser.open_events() == 1, "who is at work still is at work on something else"


def test_a_checkpoint_of_nothing_is_no_reason_to_read_again(lake: Lake) -> None:
    before = hold(lake)
    before.checkpoint([record(0, ("a", 0))], now=NOON)
    assert before.prepare([], now=NOON) is None
    assert handed_over(lake, before, 0).stayed == [0]


def test_a_restart_knows_the_watermark_although_no_event_is_open(lake: Lake) -> None:
    hold(lake).checkpoint([record(0, ("a", 0))], now=NOON, finish=True)
    hold(lake).checkpoint([record(1, ("b", 0))], now=NOON)
    assert landed(lake) == [("a", False), ("b", True)]


def test_partitions_may_come_together_in_one_checkpoint_in_any_mixture(lake: Lake) -> None:
    owner = hold(lake, 0, 1, 2)
    owner.checkpoint(
        [record(0, ("a", 0), partition=1), record(0, ("b", 0)), record(1, ("c", 1), partition=1)], now=NOON
    )
    assert counts(lake) == [(0, 0, 1, 1, 0, 0, 0, 0), (1, 0, 2, 2, 0, 0, 0, 0)]
    assert hold(lake, 0, 1, 2).reached == {0: 1, 1: 2, 2: 0}


def test_offsets_that_the_broker_has_lost_are_counted_wherever_they_are_missing(lake: Lake) -> None:
    owner = hold(lake)
    done = owner.checkpoint([record(10, ("a", 0)), record(11, ("b", 1)), record(15, ("c", 2))], now=NOON)
    assert done.skipped_offsets == 13
    assert owner.checkpoint([record(17, ("d", 3))], now=NOON).skipped_offsets == 1
    assert [row[-1] for row in counts(lake)] == [13, 1]


def test_too_many_rejects_stop_before_anything_is_committed(lake: Lake) -> None:
    owner = hold(lake, brake=RejectBrake(share=0.5, window=2))
    with pytest.raises(TooManyRejects, match="2 of 3 events were refused"):
        owner.checkpoint([record(0, ("a", 0)), Record(b"{", (), 1), Record(b"{", (), 2)], now=NOON)
    assert lake.versions() == dict.fromkeys(TABLES, 0)
    assert hold(lake).reached == {0: 0}


def test_idle_time_closes_sessions_and_is_remembered(lake: Lake) -> None:
    owner = hold(lake, 0, 1)
    owner.checkpoint([record(0, ("a", 0)), record(0, ("b", 0), partition=1)], now=NOON)
    owner.checkpoint([], now=NOON, idle_until={1: NOON + minutes(500)})
    assert sessions(lake) == [["b"]]
    assert counts(lake) == [(0, 0, 1, 1, 0, 0, 0, 0), (1, 0, 1, 1, 0, 0, 0, 0)]
    hold(lake, 0, 1).checkpoint([record(1, ("c", 1)), record(1, ("d", 1), partition=1)], now=NOON)
    assert lake.scan("events").filter(late=True).collect()["event_id"].to_list() == ["d"]


def test_a_claim_at_the_same_offset_is_fenced_when_the_other_let_time_pass(lake: Lake) -> None:
    hold(lake).checkpoint([record(0, ("a", 0))], now=NOON)
    stale, fresh = hold(lake), hold(lake)
    fresh.checkpoint([], now=NOON, idle_until={0: NOON + minutes(500)})
    with pytest.raises(Fenced):
        stale.checkpoint([], now=NOON, idle_until={0: NOON + minutes(500)})
    assert sessions(lake) == [["a"]]


def test_the_next_checkpoint_may_be_worked_out_before_the_one_before_is_committed(lake: Lake) -> None:
    owner = hold(lake)
    first = owner.prepare([record(0, ("a", 0))], now=NOON)
    second = owner.prepare([record(1, ("a", 0), ("b", 400))], now=NOON)
    assert first is not None
    assert second is not None
    assert owner.commit(first).landed == 1
    assert hold(lake).reached == {0: 1}
    assert owner.commit(second).duplicates == 1
    assert counts(lake) == [(0, 0, 1, 1, 0, 0, 0, 0), (0, 1, 2, 1, 1, 0, 0, 0)]
    assert sessions(lake) == [["a"]]


@pytest.mark.parametrize("before", TABLES)
def test_a_crash_between_the_tables_counts_nothing_twice_though_the_batches_differ_then(
    tmp_path: Path, before: str
) -> None:
    records = [record(0, ("a", 0)), Record(b"{", (), 1), record(2, ("a", 0), ("b", 500)), record(5, ("late", 0))]
    with pytest.raises(PowerCut):
        hold(CutLake(tmp_path, before)).checkpoint(records, now=NOON, finish=True)
    lake = Lake(tmp_path)
    assert hold(lake).reached == {0: 0}
    for one in records:
        hold(lake).checkpoint([one], now=NOON)
    hold(lake).checkpoint([], now=NOON, finish=True)
    assert landed(lake) == [("a", False), ("b", False), ("late", True)]
    assert lake.scan("rejects").collect().height == 1
    totals = [sum(row[column] for row in counts(lake)) for column in range(3, 8)]
    assert totals == [3, 1, 1, 1, 2], "landed, duplicates, rejected, late, skipped"
    firsts, nexts = [row[1] for row in counts(lake)], [row[2] for row in counts(lake)]
    assert [0, *nexts] == [*firsts, 6]
    assert sessions(lake) == [["a"], ["b"]]


@pytest.mark.parametrize("options", [{"finish": True}, {"idle_until": {0: NOON + minutes(900)}}])
def test_what_a_crash_left_landed_on_time_does_not_become_late_by_time_that_passes_before_it_is_reached(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    records = [record(0, ("a", 0)), record(1, ("b", 20)), record(2, ("c", 40))]
    with pytest.raises(PowerCut):
        hold(CutLake(tmp_path, "rejects")).checkpoint([*records, Record(b"{", (), 3)], now=NOON)
    lake = Lake(tmp_path)
    owner = hold(lake)
    owner.checkpoint(records[:1], now=NOON, **options)
    assert sessions(lake) == [], "there is more to come"
    owner.checkpoint(records[1:], now=NOON, **options)
    owner = hold(lake)
    owner.checkpoint([Record(b"{", (), 3)], now=NOON, finish=True)
    assert landed(lake) == [("a", False), ("b", False), ("c", False)]
    assert sessions(lake) == [["a", "b", "c"]]


def test_a_duplicate_that_a_crash_left_counted_is_not_landed_as_late_by_time_that_passes_then(tmp_path: Path) -> None:
    """Nothing of its batch was landed, so that only the table of checkpoints is ahead."""
    hold(Lake(tmp_path)).checkpoint([record(0, ("a", 0))], now=NOON)
    with pytest.raises(PowerCut):
        hold(CutLake(tmp_path, "sessions")).checkpoint([record(1, ("a", 0))], now=NOON)
    lake = Lake(tmp_path)
    again = hold(lake)
    again.checkpoint([], now=NOON, idle_until={0: NOON + minutes(600)})
    again.checkpoint([record(1, ("a", 0))], now=NOON)
    assert landed(lake) == [("a", False)]
    assert [row[3:5] for row in counts(lake)] == [(1, 0), (0, 1)]


def test_a_crash_at_the_end_of_input_loses_no_open_session_though_the_end_was_not_the_end(tmp_path: Path) -> None:
    with pytest.raises(PowerCut):
        hold(CutLake(tmp_path, "sessions")).checkpoint([record(0, ("a", 0))], now=NOON, finish=True)
    lake = Lake(tmp_path)
    hold(lake).checkpoint([record(0, ("a", 0))], now=NOON)
    again = hold(lake)
    assert again.sessioniser.open_events() == 1
    again.checkpoint([record(1, ("b", 10))], now=NOON, finish=True)
    assert sessions(lake) == [["a", "b"]]


def test_an_id_used_twice_is_not_lost_by_a_restart(lake: Lake) -> None:
    owner = hold(lake)
    owner.checkpoint([record(0, ("twice", 0)), record(1, ("other", 200)), record(2, ("twice", 210))], now=NOON)
    assert sessions(lake) == [["twice"]]
    hold(lake).checkpoint([], now=NOON, finish=True)
    assert sessions(lake) == [["twice"], ["other", "twice"]]


def test_a_shorter_gap_after_a_restart_gives_out_what_it_closes(lake: Lake) -> None:
    hold(lake).checkpoint([record(0, ("a", 0)), record(1, ("b", 125))], now=NOON)
    assert sessions(lake) == []
    hold(lake, ladder=replace(LADDER, lateness=minutes(10))).checkpoint([], now=NOON)
    assert sessions(lake) == [["a"]]
    hold(lake).checkpoint([], now=NOON, finish=True)
    assert sessions(lake) == [["a"], ["b"]]


def test_topics_of_different_names_do_not_meet(lake: Lake) -> None:
    Hold(lake, LADDER, "one", [0], RejectBrake()).checkpoint([record(0, ("a", 0))], now=NOON)
    other = Hold(lake, LADDER, "two", [0], RejectBrake())
    assert (other.reached, other.sessioniser.open_events()) == ({0: 0}, 0)
    other.checkpoint([record(0, ("a", 0))], now=NOON, finish=True)
    assert counts(lake) == [(0, 0, 1, 1, 0, 0, 0, 0)] * 2
    assert lake.scan("sessions").collect()["source"].to_list() == ["kafka:two"]
