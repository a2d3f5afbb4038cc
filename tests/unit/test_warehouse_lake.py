from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from ladder.errors import UsageError, YesladderError
from ladder.events import Event
from ladder.tables import CHECKPOINTS, EVENTS, LANDED, REJECTS, SESSIONS, TABLES, TIME_COLUMN, Position
from stream.checkpoint import without_landed
from stream.decoding import frame_of
from tests.suites.object_store import Server
from warehouse.lake import Lake
from warehouse.lake_appending import Fenced
from warehouse.lake_claim import Claim
from warehouse.lake_files import Part
from warehouse.landed import read_commits

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE = "kafka:events"
COLUMNS = ["partition", "visitor_id", "occurred_at", "event_id"]


@pytest.fixture
def in_a_folder(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "a lake's [name] is * and ? at 5%")


@pytest.fixture(params=["folder", "s3", "gs", pytest.param("abfss", marks=pytest.mark.long)])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """One suite for all: whatever a lake promises, it promises in each place."""
    if request.param == "folder":
        found: Lake = request.getfixturevalue("in_a_folder")
        return found
    server: Server = request.getfixturevalue(request.param)
    return server.lake(tmp_path / "the copies of a lake's [name] are * and ? at 5%")


@pytest.mark.parametrize("name", ["100%20 pages", "back\\slash"])
def test_a_folder_that_delta_would_look_for_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Delta cannot name a folder with a backslash or %20"):
        Lake(tmp_path / name / "lake")
    assert list(tmp_path.iterdir()) == []


def event(event_id: str, minutes: float = 0, visitor: str = "v") -> Event:
    at = NOON + timedelta(minutes=minutes)
    return Event(event_id=event_id, visitor_id=visitor, occurred_at=at, received_at=at, name="n")


def events(*rows: tuple[str, float, int], partition: int = 0, late: bool = False, source: str = SOURCE) -> pa.Table:
    """Rows of ``events`` from (id, minute, offset)."""
    frame = frame_of([event(event_id, minutes) for event_id, minutes, _ in rows], partition, [row[2] for row in rows])
    frame = frame.with_columns(late=pl.lit(late), source=pl.lit(source))
    return frame.select(without_landed(EVENTS).names).to_arrow()


def session(started: float, *marks: tuple[str, float], partition: int = 0, source: str = SOURCE) -> dict[str, Any]:
    """A row of ``sessions`` that holds events (id, minute)."""
    unmarked = {"name": "n", "tier": None, "role": None, "step": None}
    sequence = [
        {"offset_us": int((minutes - started) * 60e6), "event_id": event_id} | unmarked for event_id, minutes in marks
    ]
    row = dict.fromkeys(without_landed(SESSIONS).names) | {
        "session_id": f"v@{started}",
        "ladder": "l",
        "visitor_id": "v",
        "started_at": NOON + timedelta(minutes=started),
        "ended_at": NOON + timedelta(minutes=marks[-1][1]),
        "tiers_reached": [],
        "capped": False,
        "sequence": sequence,
        "source": source,
        "partition": partition,
    }
    return row | dict.fromkeys(("events", "asks", "yeses", "noes", "rewards", "cheers", "regrets"), 0)


def rows(*, sessions: Sequence[dict[str, Any]] = (), **tables: pa.Table) -> dict[str, pa.Table]:
    """A checkpoint's tables, empty where not given."""
    empty = {name: without_landed(schema).empty_table() for name, schema in TABLES.items()}
    return empty | tables | {"sessions": pa.Table.from_pylist(list(sessions), schema=without_landed(SESSIONS))}


def at(next_offset: int, newest: float | None = None, settled_until: float | None = None) -> Position:
    """A position; times in minutes after noon."""
    times = [None if time is None else NOON + timedelta(minutes=time) for time in (newest, settled_until)]
    return Position(next_offset, *times)


def ids(lake: Lake) -> list[str]:
    return sorted(lake.scan("events").select("event_id").collect()["event_id"].to_list())


def by_duckdb(lake: Lake, name: str, columns: Sequence[str]) -> pa.Table:
    lake.fetch(lake.files(name))
    with duckdb.connect() as connection:
        files = f"read_parquet({lake.files(name)}, hive_partitioning = true)"
        return connection.execute(f"select {', '.join(columns)} from {files} order by 1").to_arrow_table()


def test_a_new_lake_has_empty_tables_with_the_declared_columns(lake: Lake) -> None:
    for name, schema in TABLES.items():
        assert lake.files(name) == []
        assert lake.scan(name).collect().is_empty()
        kept = pa.schema(lake.table(name).schema().to_arrow())
        assert [(field.name, field.nullable) for field in kept] == [(field.name, field.nullable) for field in schema]
        assert lake.table(name).metadata().partition_columns == [LANDED.name]
    claim = lake.claim(SOURCE, [0])
    assert (claim.next_offset(0), claim.newest(0)) == (0, None)
    assert claim.open_events(COLUMNS).is_empty()


def test_opening_an_existing_lake_changes_nothing(lake: Lake) -> None:
    lake.claim(SOURCE, [0]).commit(rows(events=events(("a", 0, 0))), {0: at(1)}, NOON)
    versions = lake.versions()
    assert (
        Lake(lake.root, lake.store).versions()
        == versions
        == {"events": 1, "rejects": 0, "checkpoints": 0, "sessions": 1}
    )


def test_workers_may_make_the_lake_at_the_same_moment_in_a_store(tmp_path: Path, s3: Server) -> None:
    start, store = Barrier(4), s3.store()

    def make(warehouse: Path) -> Lake:
        start.wait()
        return s3.lake(warehouse, store.url)

    with ThreadPoolExecutor(4) as makers:
        made = list(makers.map(make, [tmp_path / str(n) for n in range(4)]))
    made[0].claim(SOURCE, [0]).commit(rows(), {0: at(1)}, NOON)
    assert [one.versions() for one in made] == [{"events": 0, "rejects": 0, "checkpoints": 0, "sessions": 1}] * 4


def test_workers_may_make_the_lake_at_the_same_moment(tmp_path: Path) -> None:
    start = Barrier(4)

    def make(folder: Path) -> None:
        start.wait()
        Lake(folder)

    with ThreadPoolExecutor(4) as makers:
        for attempt in range(40):
            list(makers.map(make, [tmp_path / str(attempt)] * 4))
        Lake(tmp_path / str(attempt)).claim(SOURCE, [0]).commit(rows(), {0: at(1)}, NOON)


def test_a_checkpoint_is_read_back_by_the_next_claim(lake: Lake) -> None:
    lake.claim(SOURCE, [0, 3]).commit(rows(events=events(("a", 0, 4))), {0: at(5, 2, 0), 3: at(9)}, NOON)
    claim = lake.claim(SOURCE, [0, 3, 7])
    assert [claim.next_offset(p) for p in (0, 3, 7)] == [5, 9, 0]
    assert [claim.newest(p) for p in (0, 3, 7)] == [NOON + timedelta(minutes=2), None, None]
    assert lake.claim("kafka:other", [0]).next_offset(0) == 0


def test_times_before_1970_and_offset_zero_are_values_like_any_other(lake: Lake) -> None:
    early = datetime(1969, 1, 1, 0, 0, 0, 7, tzinfo=UTC)
    lake.claim(SOURCE, [0]).commit(rows(), {0: Position(0, early, early)}, NOON)
    claim = lake.claim(SOURCE, [0])
    assert (claim.next_offset(0), claim.newest(0)) == (0, early)
    claim.commit(rows(), {0: at(1)}, NOON)


def test_a_table_without_rows_is_not_committed_and_sessions_always_is(lake: Lake) -> None:
    claim = lake.claim(SOURCE, [0])
    claim.commit(rows(), {0: at(1)}, NOON)
    claim.commit(rows(events=events(("a", 0, 1))), {0: at(2)}, NOON)
    assert lake.versions() == {"events": 1, "rejects": 0, "checkpoints": 0, "sessions": 2}
    assert lake.files("sessions") == []


def test_the_later_of_two_claims_takes_the_partition_over_and_the_earlier_is_fenced(lake: Lake) -> None:
    stale, fresh = lake.claim(SOURCE, [0]), lake.claim(SOURCE, [0])
    fresh.commit(rows(events=events(("a", 0, 0))), {0: at(1)}, NOON)
    with pytest.raises(Fenced, match=r"kafka:events/0 of table sessions was committed by another worker"):
        stale.commit(rows(events=events(("b", 0, 0))), {0: at(1)}, NOON)
    assert ids(lake) == ["a"]
    with pytest.raises(Fenced):
        stale.commit(rows(), {0: at(1)}, NOON)
    assert lake.claim(SOURCE, [0]).next_offset(0) == 1


def test_once_fenced_stays_fenced_however_often_it_tries(lake: Lake) -> None:
    stale, fresh = lake.claim(SOURCE, [0]), lake.claim(SOURCE, [0])
    fresh.commit(rows(), {0: at(1)}, NOON)
    for offset in range(1, 4):
        with pytest.raises(Fenced):
            stale.commit(rows(), {0: at(offset)}, NOON)
    fresh.commit(rows(), {0: at(2)}, NOON)


def test_a_claim_is_fenced_also_where_the_other_only_let_time_pass(lake: Lake) -> None:
    lake.claim(SOURCE, [0]).commit(rows(events=events(("a", 0, 0))), {0: at(1, 0, 0)}, NOON)
    stale, fresh = lake.claim(SOURCE, [0]), lake.claim(SOURCE, [0])
    fresh.commit(rows(sessions=[session(0, ("a", 0))]), {0: at(1, 100, 90)}, NOON)
    with pytest.raises(Fenced):
        stale.commit(rows(sessions=[session(0, ("a", 0))]), {0: at(1, 100, 90)}, NOON)
    assert lake.scan("sessions").collect().height == 1


def test_a_claim_is_fenced_by_a_commit_that_came_after_its_last_look(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale, fresh = lake.claim(SOURCE, [0]), lake.claim(SOURCE, [0])
    write = DeltaTable.create_write_transaction

    def overtaken(*arguments: Any, **options: Any) -> None:
        monkeypatch.undo()
        fresh.commit(rows(), {0: at(1)}, NOON)
        write(*arguments, **options)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", overtaken)
    with pytest.raises(Fenced, match="table sessions was committed by another worker"):
        stale.commit(rows(), {0: at(1)}, NOON)
    assert lake.versions()["sessions"] == 1


def test_files_that_upkeep_takes_away_at_the_moment_of_a_commit_fence_nobody(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = lake.claim(SOURCE, [0])
    claim.commit(rows(events=events(("a", 0, 0)), sessions=[session(0, ("a", 0))]), {0: at(1)}, NOON)
    write = DeltaTable.create_write_transaction

    def taken_away(*arguments: Any, **options: Any) -> None:
        monkeypatch.undo()
        lake.replace("events", lake.files("events"), [], rearranges=False, now=NOON)
        write(*arguments, **options)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", taken_away)
    claim.commit(rows(events=events(("b", 0, 1))), {0: at(2)}, NOON)
    claim.commit(rows(events=events(("c", 0, 2))), {0: at(3)}, NOON)
    assert ids(lake) == ["b", "c"]
    assert lake.claim(SOURCE, [0]).next_offset(0) == 3


def test_whoever_was_overtaken_leaves_nothing_behind_in_any_table(lake: Lake) -> None:
    stale = lake.claim(SOURCE, [0])
    lake.claim(SOURCE, [0]).commit(rows(), {0: at(0, 500)}, NOON)
    with pytest.raises(Fenced, match="of table sessions was committed by another worker"):
        stale.commit(rows(events=events(("a", 0, 0))), {0: at(1)}, NOON)
    assert ids(lake) == []


def test_a_stale_claim_is_fenced_though_the_log_has_grown_by_just_one_commit_of_each(lake: Lake) -> None:
    stale = lake.claim(SOURCE, [0])
    stale.commit(rows(), {0: at(1)}, NOON)
    lake.claim(SOURCE, [0]).commit(rows(), {0: at(2)}, NOON)
    with pytest.raises(Fenced):
        stale.commit(rows(), {0: at(3)}, NOON)


def test_claims_on_different_partitions_and_sources_do_not_disturb_each_other(lake: Lake) -> None:
    claims = [lake.claim(SOURCE, [0]), lake.claim(SOURCE, [1]), lake.claim("kafka:other", [0])]
    for n in range(3):
        for c, claim in enumerate(claims):
            partition, source = (1, SOURCE) if c == 1 else (0, SOURCE if c == 0 else "kafka:other")
            landed = events((f"{c} {n}", n, n), partition=partition, source=source)
            claim.commit(rows(events=landed), {partition: at(n + 1, n)}, NOON)
    assert ids(lake) == [f"{c} {n}" for c in range(3) for n in range(3)]


def test_one_partition_of_several_taken_by_another_fences_the_whole_checkpoint(lake: Lake) -> None:
    stale = lake.claim(SOURCE, [0, 1])
    lake.claim(SOURCE, [1]).commit(rows(), {1: at(1)}, NOON)
    with pytest.raises(Fenced, match="kafka:events/1"):
        stale.commit(rows(events=events(("a", 0, 0))), {0: at(1), 1: at(1)}, NOON)
    stale.commit(rows(events=events(("a", 0, 0))), {0: at(1)}, NOON)
    assert ids(lake) == ["a"]


def test_a_claim_read_while_another_commits_is_fenced_and_never_mixes_an_old_table_with_new_offsets(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = lake.claim(SOURCE, [0])
    opened = Lake.table

    def table(self: Lake, name: str) -> DeltaTable:
        handle = opened(self, name)
        if name == "sessions":
            monkeypatch.undo()
            other.commit(rows(events=events(("a", 0, 0))), {0: at(1, 0, 0)}, NOON)
        return handle

    monkeypatch.setattr(Lake, "table", table)
    torn = lake.claim(SOURCE, [0])
    assert (torn.next_offset(0), torn.next_offset_of("events", 0)) == (0, 1)
    with pytest.raises(Fenced):
        torn.commit(rows(), {0: at(1)}, NOON)


def test_after_a_crash_between_the_tables_nothing_is_landed_twice(lake: Lake) -> None:
    class Crash(Exception):
        pass

    class Crashing(dict[str, pa.Table]):
        def __getitem__(self, name: str) -> pa.Table:
            if name == "sessions":
                raise Crash
            return super().__getitem__(name)

    first = rows(events=events(("a", 0, 0), ("b", 1, 1), ("c", 2, 2)))
    with pytest.raises(Crash):
        lake.claim(SOURCE, [0]).commit(Crashing(first), {0: at(3, 2)}, NOON)
    claim = lake.claim(SOURCE, [0])
    assert (claim.next_offset(0), claim.next_offset_of("events", 0)) == (0, 3)
    assert claim.open_events(COLUMNS).is_empty()
    claim.commit(rows(events=events(("a", 0, 0), ("b", 1, 1))), {0: at(2, 1, 0)}, NOON)
    claim.commit(rows(events=events(("c", 2, 2), ("d", 3, 3))), {0: at(4, 3, 0)}, NOON)
    assert ids(lake) == ["a", "b", "c", "d"]
    assert lake.claim(SOURCE, [0]).next_offset(0) == 4


def test_open_events_are_those_landed_and_not_late_and_in_no_session(lake: Lake) -> None:
    claim = lake.claim(SOURCE, [0, 1])
    landed = pa.concat_tables(
        [
            events(("closed", 0, 0), ("open", 50, 1), ("open too", 60, 2)),
            events(("late", 55, 3), late=True),
            events(("other partition", 50, 0), partition=1),
        ]
    )
    claim.commit(rows(events=landed, sessions=[session(0, ("closed", 0))]), {0: at(4, 60, 50), 1: at(1, 50, 50)}, NOON)
    found = lake.claim(SOURCE, [0, 1]).open_events(COLUMNS).sort("partition", "occurred_at")
    assert found.columns == COLUMNS
    assert found["event_id"].to_list() == ["open", "open too", "other partition"]
    assert lake.claim(SOURCE, [1]).open_events(COLUMNS)["event_id"].to_list() == ["other partition"]
    assert lake.claim("kafka:other", [0]).open_events(COLUMNS).is_empty()


def test_events_landed_beyond_the_next_offset_are_not_open_yet(lake: Lake) -> None:
    lake.claim(SOURCE, [0]).commit(rows(events=events(("a", 0, 0), ("b", 1, 7))), {0: at(5, 1, 0)}, NOON)
    assert lake.claim(SOURCE, [0]).open_events(COLUMNS)["event_id"].to_list() == ["a"]


def test_an_event_whose_ids_first_bearer_is_in_a_session_is_open_all_the_same(lake: Lake) -> None:
    landed = events(("twice", 0, 0), ("twice", 300, 1))
    lake.claim(SOURCE, [0]).commit(rows(events=landed, sessions=[session(0, ("twice", 0))]), {0: at(2, 300, 0)}, NOON)
    found = lake.claim(SOURCE, [0]).open_events(COLUMNS)
    assert found["occurred_at"].to_list() == [NOON + timedelta(minutes=300)]


@pytest.mark.parametrize(
    ("partitions", "found", "files_read"), [([0], ["open"], 1), ([0, 1], ["open"], 1), ([1], [], 0)]
)
def test_what_is_settled_is_not_read_again_also_beside_a_partition_that_is_new(
    partitions: list[int], found: list[str], files_read: int, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = lake.claim(SOURCE, [0])
    claim.commit(rows(events=events(("old", 0, 0)), sessions=[session(0, ("old", 0))]), {0: at(1, 0, 0)}, NOON)
    claim.commit(rows(events=events(("open", 500, 1))), {0: at(2, 500, 400)}, NOON)
    read: list[list[str]] = []
    scanned = pl.scan_parquet

    def scan_parquet(files: list[str], **options: Any) -> pl.LazyFrame:
        read.append(files)
        return scanned(files, **options)

    monkeypatch.setattr(pl, "scan_parquet", scan_parquet)
    assert lake.claim(SOURCE, partitions).open_events(COLUMNS)["event_id"].to_list() == found
    assert sum(len(files) for files in read) == files_read


def test_the_position_survives_the_summing_up_and_the_cleaning_of_the_log(in_a_folder: Lake) -> None:
    lake = in_a_folder
    lake.claim(SOURCE, [3]).commit(rows(), {3: at(7, 1, 1)}, NOON)
    stale, resting = lake.claim(SOURCE, [0]), lake.claim(SOURCE, [3])
    claim = lake.claim(SOURCE, [0])
    log = lake.root / "sessions" / "_delta_log"
    for n in range(205):
        if n == 150:
            for entry in log.iterdir():
                os.utime(entry, (NOON.timestamp() - 10**8,) * 2)
        landed = rows(events=events((f"{n:03}", n, n))) if n % 100 == 0 else rows()
        claim.commit(landed, {0: at(n + 1, n, n)}, NOON)
    assert not (log / f"{5:020}.json").exists(), "old entries are cleaned up"
    assert list(log.glob("*.checkpoint.parquet"))
    again = lake.claim(SOURCE, [0])
    assert (again.next_offset(0), again.newest(0)) == (205, NOON + timedelta(minutes=204))
    assert ids(lake) == ["000", "100", "200"]
    with pytest.raises(Fenced):
        stale.commit(rows(), {0: at(1)}, NOON)
    again.commit(rows(), {0: at(206)}, NOON)
    with pytest.raises(Fenced):
        claim.commit(rows(), {0: at(206)}, NOON)
    resting.commit(rows(), {3: at(8)}, NOON)


def test_tables_are_partitioned_by_the_utc_day_of_the_commit(lake: Lake) -> None:
    claim = lake.claim(SOURCE, [0])
    claim.commit(rows(events=events(("a", 0, 0))), {0: at(1)}, datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC))
    elsewhere = datetime.fromisoformat("2026-03-02T01:30:00+02:00")
    claim.commit(rows(events=events(("b", 0, 1))), {0: at(2)}, elsewhere)
    claim.commit(rows(events=events(("c", 0, 2))), {0: at(3)}, datetime(2026, 3, 2, tzinfo=UTC))
    found = by_duckdb(lake, "events", ["event_id", "landed_date"]).to_pylist()
    found = [(row["event_id"], row["landed_date"]) for row in found]
    assert found == [("a", date(2026, 3, 1)), ("b", date(2026, 3, 1)), ("c", date(2026, 3, 2))]


def full_checkpoint(claim: Claim) -> None:
    reject = dict(
        zip(without_landed(REJECTS).names, ["not_json", "", "?", b"\xff", NOON, "stream", SOURCE, 0, 1], strict=True)
    )
    count = dict(
        zip(without_landed(CHECKPOINTS).names, [SOURCE, 0, 0, 2, 1, 0, 1, 0, 0, NOON, None, NOON], strict=True)
    )
    claim.commit(
        rows(
            events=events(("a", 0, 0)),
            rejects=pa.Table.from_pylist([reject], schema=without_landed(REJECTS)),
            checkpoints=pa.Table.from_pylist([count], schema=without_landed(CHECKPOINTS)),
            sessions=[session(0, ("a", 0), ("a", 1.5))],
        ),
        {0: at(2, 0, 0)},
        NOON,
    )


def test_every_reader_sees_the_same_rows_with_the_declared_types(lake: Lake) -> None:
    full_checkpoint(lake.claim(SOURCE, [0]))
    for name, schema in TABLES.items():
        by_delta = lake.table(name).to_pyarrow_table().cast(schema)
        duck = by_duckdb(lake, name, schema.names)
        by_polars = lake.scan(name).collect().to_arrow()
        assert duck.cast(schema).to_pylist() == by_delta.to_pylist()
        assert by_polars.cast(without_landed(schema)).to_pylist() == by_delta.drop_columns(LANDED.name).to_pylist()
        assert pq.read_schema(lake.files(name)[0]) == without_landed(schema)
        assert by_delta.num_rows == 1


def test_a_files_statistics_are_right_and_never_cut_a_row_off(lake: Lake) -> None:
    landed = events(("a", 0, 0), ("b", 10, 1))
    odd = pa.array([NOON + timedelta(microseconds=us) for us in (1, 600_000_999)], pa.timestamp("us", "UTC"))
    landed = landed.set_column(landed.schema.get_field_index("occurred_at"), "occurred_at", odd)
    claim = lake.claim(SOURCE, [0])
    claim.commit(rows(events=landed, sessions=[session(0, ("a", 0), ("b", 10))]), {0: at(2)}, NOON)
    (action,) = pa.table(lake.table("events").get_add_actions(flatten=True)).to_pylist()
    assert action["num_records"] == 2
    lake.fetch(lake.files("events"))
    assert action["size_bytes"] == Path(lake.files("events")[0]).stat().st_size
    assert action["min.occurred_at"] == NOON
    assert action["max.occurred_at"] == NOON + timedelta(minutes=10, milliseconds=1)
    (action,) = pa.table(lake.table("sessions").get_add_actions(flatten=True)).to_pylist()
    assert (action["min.started_at"], action["min.ended_at"]) == (NOON, NOON + timedelta(minutes=10))
    assert action["max.ended_at"] == NOON + timedelta(minutes=10, milliseconds=1)
    later = [("occurred_at", ">=", NOON + timedelta(minutes=10, microseconds=998))]
    assert lake.table("events").to_pyarrow_table(filters=later)["event_id"].to_pylist() == ["b"]


@pytest.mark.parametrize("name", TABLES)
def test_statistics_are_kept_for_the_tables_time(lake: Lake, name: str) -> None:
    full_checkpoint(lake.claim(SOURCE, [0]))
    stats = pa.table(lake.table(name).get_add_actions(flatten=True))
    assert stats[f"min.{TIME_COLUMN[name]}"].to_pylist() == [NOON]
    assert stats[f"max.{TIME_COLUMN[name]}"].to_pylist() == [NOON + timedelta(milliseconds=1)]


def test_only_finished_files_are_named_by_the_log_and_what_a_crash_leaves_is_not_read(lake: Lake) -> None:
    lake.claim(SOURCE, [0]).commit(rows(events=events(("a", 0, 0))), {0: at(1)}, NOON)
    (file,) = lake.files("events")
    if lake.store is not None:
        lake.store.put(f"events/landed_date={NOON.date()}/left-by-a-crash.parquet", b"PAR1")
    else:
        (Path(file).parent / "left-by-a-crash.parquet").write_bytes(b"PAR1")
    assert lake.files("events") == [file]
    assert ids(lake) == ["a"]
    entry = json.loads((lake.entry("events", 1) or "").splitlines()[0])
    assert entry.keys() & {"add", "txn", "commitInfo"}


def test_rows_that_lack_a_value_are_refused_before_anything_is_written(lake: Lake) -> None:
    broken = events(("a", 0, 0)).to_pylist()[0] | {"name": None}
    landed = pa.Table.from_pylist(
        [broken], schema=pa.schema([field.with_nullable(True) for field in without_landed(EVENTS)])
    )
    with pytest.raises(ValueError, match="name"):
        lake.claim(SOURCE, [0]).commit(rows(events=landed), {0: at(1)}, NOON)
    assert lake.versions() == dict.fromkeys(TABLES, 0)


def test_rows_that_come_from_no_offset_can_be_added(lake: Lake) -> None:
    claim = lake.claim(SOURCE, [0])
    lake.append("events", events(("a", 0, 0), source="file:x"), now=NOON)
    claim.commit(rows(events=events(("b", 0, 0))), {0: at(1)}, NOON)
    assert ids(lake) == ["a", "b"]


def test_files_are_replaced_in_one_commit_while_a_worker_goes_on(lake: Lake) -> None:
    """A worker whose claim is older than the replacement commits before, between and after, and is not fenced."""
    claim = lake.claim(SOURCE, [0])
    for n in range(3):
        claim.commit(rows(events=events((f"e{n}", n, n))), {0: at(n + 1)}, NOON)
    old = lake.files("events")
    kept = lake.scan("events").collect().to_arrow()
    days = [Part(date(2026, 3, 1), kept.slice(0, 2)), Part(date(2026, 2, 1), kept.slice(2))]
    lake.replace("events", old, days, rearranges=True, now=NOON)
    claim.commit(rows(events=events(("e3", 3, 3))), {0: at(4)}, NOON)
    assert ids(lake) == ["e0", "e1", "e2", "e3"]
    assert not set(old) & set(lake.files("events"))
    (lake.fetch if lake.store is not None else list)(old)
    assert all(Path(file).exists() for file in old)
    landed = [Path(file).parent.name for file in lake.files("events")]
    assert sorted(landed) == ["landed_date=2026-02-01", "landed_date=2026-03-01", "landed_date=2026-03-01"]
    assert lake.claim(SOURCE, [0]).next_offset(0) == 4


@pytest.mark.parametrize("rearranges", [True, False])
def test_the_log_says_whether_a_replacement_changed_rows(lake: Lake, rearranges: bool) -> None:
    lake.append("events", events(("a", 0, 0)), now=NOON)
    kept = lake.scan("events").collect().to_arrow()
    before = lake.versions()["events"]
    lake.replace("events", lake.files("events"), [Part(NOON.date(), kept)], rearranges=rearranges, now=NOON)
    commits = read_commits(partial(lake.entry, "events"), before, before + 1)
    assert commits is not None
    assert (len(commits[0].added), len(commits[0].removed), commits[0].rearranges) == (1, 1, rearranges)


def test_a_replacement_of_files_that_are_gone_changes_nothing(lake: Lake) -> None:
    lake.append("events", events(("a", 0, 0)), now=NOON)
    old = lake.files("events")
    lake.replace("events", old, [], rearranges=False, now=NOON)
    lake.append("events", events(("b", 0, 1)), now=NOON)
    with pytest.raises(YesladderError, match="is no file of the table events any more"):
        lake.replace("events", [*lake.files("events"), *old], [], rearranges=False, now=NOON)
    assert ids(lake) == ["b"]
