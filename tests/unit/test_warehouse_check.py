from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ladder.events import encode
from ladder.tables import Position
from stream.checkpoint import Hold
from stream.rejects import RejectBrake
from tests.suites.consumed import CANONICAL, Record
from tests.suites.seeded_lake import LADDER, NOW, event_rows, seeded_events
from warehouse.check import check
from warehouse.compaction import compact
from warehouse.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """What a worker wrote in three checkpoints, one dead letter among it."""
    lake = Lake(tmp_path / "ware house" / "lake")
    hold = Hold(lake, LADDER, "events", [0, 1], RejectBrake(share=1, run=10**6))
    values = [encode(event) for event in seeded_events(3, 20)[:90]]
    values[40] = b"no event"
    for begin in range(0, 90, 30):
        records = [Record(values[n], CANONICAL, n // 2, n % 2, 0) for n in range(begin, begin + 30)]
        hold.checkpoint(records, now=NOW)
    hold.checkpoint([], now=NOW, finish=True)
    return lake


def faults(lake: Lake) -> list[str]:
    return [f"{fault.where.rpartition('/')[0] or fault.where}: {fault.what}" for fault in check(lake)]


def test_a_sound_lake_has_no_faults_before_and_after_compaction(lake: Lake) -> None:
    looked_at: list[int] = []
    assert check(lake, progress=looked_at.append) == []
    assert sum(looked_at) == sum(len(lake.files(table)) for table in lake.versions())
    for table in lake.versions():
        compact(lake, table, lake.logged(table), now=NOW)
    assert check(lake) == []


def test_a_lake_without_rows_has_no_faults(tmp_path: Path) -> None:
    assert check(Lake(tmp_path / "lake")) == []


def first(lake: Lake, table: str = "events") -> Path:
    return Path(lake.files(table)[0])


def test_a_missing_file_is_named_with_what_to_do(lake: Lake) -> None:
    path = first(lake)
    path.unlink()
    (fault,) = check(lake)
    assert fault.where == path.relative_to(lake.root).as_posix()
    assert fault.what == "the log names it and it is not there"
    assert "restore it from a backup" in fault.do


def test_a_file_cut_short_is_found_by_its_size(lake: Lake) -> None:
    path = first(lake)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    assert faults(lake) == [f"events/landed_date=2026-03-01: it has {size - 1:,} bytes and the log says {size:,}"]


def flip_a_bit(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("column", ["event_id", "properties", "record_offset"])
def test_one_flipped_bit_in_any_page_is_found(lake: Lake, column: str) -> None:
    path = first(lake)
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = [group.column(n) for n in range(group.num_columns)]
    (chunk,) = [one for one in columns if one.path_in_schema == column]
    begin = chunk.data_page_offset if chunk.dictionary_page_offset is None else chunk.dictionary_page_offset
    flip_a_bit(path, begin + chunk.total_compressed_size - 1)
    (fault,) = faults(lake)
    assert fault.startswith("events/landed_date=2026-03-01: it cannot be read to its end: ")


def swapped(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """The file with other rows in it, and a log that gives its size as it is now."""
    size = path.stat().st_size
    pq.write_table(change(pq.read_table(path, partitioning=None)), path)
    for entry in (path.parents[1] / "_delta_log").glob("*.json"):
        text = entry.read_text()
        if path.name in text:
            entry.write_text(text.replace(f'"size":{size}', f'"size":{path.stat().st_size}'))


def test_rows_missing_from_a_file_are_found(lake: Lake) -> None:
    swapped(first(lake), lambda rows: rows.slice(1))
    (fault,) = faults(lake)
    assert fault.endswith("29 rows and the log says 30") or fault.endswith("28 rows and the log says 29")


def test_statistics_that_lie_are_found(lake: Lake) -> None:
    def a_day_later(rows: pa.Table) -> pa.Table:
        frame = pl.from_arrow(rows)
        assert isinstance(frame, pl.DataFrame)
        return frame.with_columns(pl.col("occurred_at") + timedelta(days=99)).to_arrow().cast(rows.schema)

    swapped(first(lake), a_day_later)
    (fault,) = faults(lake)
    assert fault.endswith(": readers would skip it")


def test_other_columns_than_the_tables_are_found(lake: Lake) -> None:
    swapped(first(lake), lambda rows: rows.append_column("age", pa.array([1] * rows.num_rows)))
    assert faults(lake) == ["events/landed_date=2026-03-01: its columns are not the table's (age)"]
    swapped(first(lake), lambda rows: rows.drop_columns(["age"]))
    assert faults(lake) == []


def test_rows_that_are_there_twice_are_found_though_each_file_is_sound(lake: Lake) -> None:
    again = lake.scan("events").filter(record_offset=3, partition=0).collect().to_arrow()
    lake.append("events", again, now=NOW)
    assert faults(lake) == ["events: offsets 0 to 14 of kafka:events/0 have 16 rows, and 15 landed"]


def test_a_session_that_is_there_twice_is_found(lake: Lake) -> None:
    again = lake.scan("sessions").sort("session_id").head(1).collect()
    lake.append("sessions", again.to_arrow(), now=NOW)
    (fault,) = faults(lake)
    assert fault.startswith(f"sessions: session {again['session_id'][0]} of kafka:events/")
    assert fault.endswith(" is there 2 times")


def test_checkpoints_that_leave_a_gap_or_overlap_are_found(lake: Lake) -> None:
    claim = lake.claim("kafka:other", [0])
    row = lake.scan("checkpoints").head(1).collect().with_columns(source=pl.lit("kafka:other"), partition=pl.lit(0))
    spans = [(0, 10), (12, 20), (18, 30)]
    rows = pl.concat(row.with_columns(first_offset=pl.lit(a), next_offset=pl.lit(b)).cast(row.schema) for a, b in spans)
    empty = {table: lake.scan(table).head(0).collect().to_arrow() for table in lake.versions()}
    claim.commit(empty | {"checkpoints": rows.to_arrow()}, {0: Position(30)}, NOW)
    assert faults(lake) == [
        "checkpoints: offsets 10 to 11 of kafka:other/0 are in no checkpoint",
        "checkpoints: offsets 18 to 19 of kafka:other/0 are in two checkpoints",
    ]


def test_rows_beyond_the_logs_own_offset_would_be_read_again(lake: Lake) -> None:
    lake.append("events", event_rows(seeded_events(5, 1)[:1], source="kafka:other", first=7), now=NOW)
    assert faults(lake) == ["events: it has offset 7 of kafka:other/0 and the log says 0 is the next to come"]


def test_a_log_that_cannot_be_read_is_told_in_a_line(lake: Lake) -> None:
    (lake.root / "rejects" / "_delta_log" / f"{0:020}.json").write_text("{")
    (fault,) = check(lake)
    assert fault.where == "rejects"
    assert re.fullmatch(r"the log of the table .+/rejects cannot be read: .+", fault.what)
    assert json.dumps(fault.to_dict())
