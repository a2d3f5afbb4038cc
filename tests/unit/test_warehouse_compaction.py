from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from ladder.errors import YesladderError
from tests.suites.seeded_lake import NOW, event_rows, land, seeded_events
from warehouse.compaction import compact, groups, shelf_of, standing_on
from warehouse.lake import Lake
from warehouse.lake_reading import LoggedFile
from warehouse.landed import read_commits
from warehouse.standing import noted

DAY = "landed_date=2026-03-01"


def file(name: str, size: int, rows: int = 1, minute: int = 0, day: str = DAY) -> LoggedFile:
    at = NOW + timedelta(minutes=minute)
    return LoggedFile(f"{day}/{name}", size, rows, at, at)


def names(found: list[list[LoggedFile]]) -> list[list[str]]:
    return [[one.path.rpartition("/")[2] for one in group] for group in found]


def alike(path: str) -> str | None:
    return "landed"


def test_small_files_are_put_together_in_the_order_of_their_times_up_to_the_target() -> None:
    files = [file("c", 40, minute=3), file("a", 40, minute=1), file("d", 10, minute=4), file("b", 40, minute=2)]
    assert names(groups(files, alike, target_bytes=100)) == [["a", "b"], ["c", "d"]]


def test_rows_bound_a_file_as_bytes_do() -> None:
    files = [file(name, 1, rows=40, minute=n) for n, name in enumerate("abcd")]
    assert names(groups(files, alike, target_rows=100)) == [["a", "b"], ["c", "d"]]


def test_files_of_half_the_target_and_single_ones_are_left_alone() -> None:
    assert groups([file("a", 50), file("b", 99), file("c", 10)], alike, target_bytes=100) == []
    assert groups([file("a", 1, rows=50), file("b", 1, rows=1)], alike, target_rows=100) == []


def test_days_and_standings_stay_apart() -> None:
    built = [file("a", 1), file("b", 1, day="landed_date=2026-03-02"), file("passed-c", 1)]
    fresh = [file("n", 1), file("passed-n", 1), file("mended-n", 1), file("held-n", 1), file("accepted-n", 1)]
    more = [replace(one, path=f"{one.path}2") for one in fresh]
    shelf = shelf_of("events", {f"events/{one.path}" for one in built}, noted)
    assert names(groups([*built, *fresh], shelf)) == [["a", "passed-c"]]
    found = groups([*built, *fresh, *more], shelf)
    assert sorted(names(found)) == [
        ["a", "passed-c"],
        ["mended-n", "mended-n2"],
        ["n", "n2"],
        ["passed-n", "passed-n2"],
    ]
    made_of = {group[0].path.rpartition("/")[2]: standing_on(str(shelf(group[0].path))) for group in found}
    assert made_of == {"a": "passed", "mended-n": "mended", "n": "", "passed-n": "passed"}


@given(st.lists(st.tuples(st.integers(1, 120), st.integers(1, 120)), max_size=40))
def test_as_few_files_are_left_as_the_rule_says(sizes: list[tuple[int, int]]) -> None:
    files = [file(str(n), size, rows, minute=n) for n, (size, rows) in enumerate(sizes)]
    found = groups(files, alike, target_bytes=100, target_rows=100)
    left = len(files) - sum(len(group) for group in found) + len(found)
    assert left <= 1 + 2 * sum(f.size for f in files) / 100 + 2 * sum(f.rows for f in files) / 100
    assert all(sum(f.size for f in group) <= 100 and sum(f.rows for f in group) <= 100 for group in found)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "ware house" / "lake")
    events = seeded_events(3, 40)
    for begin in range(0, 200, 20):
        land(lake, events[begin : begin + 20], first=begin)
    return lake


def test_compaction_keeps_every_row_sorts_by_visitor_and_time_and_says_that_nothing_changed(lake: Lake) -> None:
    before = {table: lake.scan(table).collect() for table in ("events", "sessions")}
    version = lake.versions()["events"]
    for table, rows in before.items():
        (group,) = groups(lake.logged(table), alike)
        done = compact(lake, table, group, now=NOW)
        assert (done.files_before, done.files_after) == (10, 1)
        (made,) = lake.logged(table)
        assert (made.landed, made.rows, made.size) == (date(2026, 3, 1), len(rows), done.bytes_after)
        assert done.bytes_after < done.bytes_before == sum(one.size for one in group)
        time = "occurred_at" if table == "events" else "started_at"
        now = lake.scan(table).collect()
        assert now.equals(now.sort("visitor_id", time, maintain_order=True))
        key = ["event_id"] if table == "events" else ["session_id"]
        assert now.sort(key).equals(rows.sort(key))
    commits = read_commits(partial(lake.entry, "events"), version, lake.versions()["events"])
    assert commits is not None
    assert [(len(c.removed), len(c.added), c.rearranges) for c in commits] == [(10, 1, True)]


def test_a_compacted_file_has_the_form_of_any_other(lake: Lake) -> None:
    (group,) = groups(lake.logged("events"), alike)
    compact(lake, "events", group, now=NOW)
    written = pq.ParquetFile(lake.files("events")[0]).metadata.row_group(0)
    columns = {written.column(n).path_in_schema: written.column(n) for n in range(written.num_columns)}
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert "RLE_DICTIONARY" not in columns["event_id"].encodings
    assert "RLE_DICTIONARY" in columns["name"].encodings


def test_files_that_do_not_hold_what_the_log_says_are_left_as_they_are(lake: Lake) -> None:
    (group,) = groups(lake.logged("events"), alike)
    other = event_rows(seeded_events(4, 1)).slice(0, 1)
    pq.write_table(other, lake.root / "events" / group[0].path)
    version = lake.versions()
    with pytest.raises(YesladderError, match=r"10 files hold 181 rows and the log says 200; .*`yesladder maintain"):
        compact(lake, "events", group, now=NOW)
    assert lake.versions() == version


def test_text_beyond_the_slices_of_arrow_survives(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    events = seeded_events(5, 900)[:17_000]
    land(lake, events[:9000])
    land(lake, events[9000:])
    (group,) = groups(lake.logged("events"), alike)
    compact(lake, "events", group, now=NOW)
    found = lake.scan("events").select(pl.col("event_id").sort()).collect()["event_id"].to_list()
    assert found == sorted(event.event_id for event in events)


def test_the_removed_files_time_is_that_of_their_removal(lake: Lake) -> None:
    old = lake.files("events")
    (group,) = groups(lake.logged("events"), alike)
    compact(lake, "events", group, now=NOW)
    assert {Path(path).stat().st_mtime for path in old} == {NOW.timestamp()}
