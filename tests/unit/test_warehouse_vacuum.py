from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ladder.errors import YesladderError
from tests.suites.seeded_lake import event_rows, land, seeded_events
from warehouse.compaction import compact
from warehouse.lake import Lake
from warehouse.lake_files import Part
from warehouse.vacuum import Vacuumed, vacuum

NOW = datetime(2036, 3, 1, tzinfo=UTC)
"""Far from the time these tests run at: what they write is old already."""
DAY = timedelta(days=1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    events = seeded_events(3, 20)
    for begin in range(0, 60, 20):
        land(lake, events[begin : begin + 20], now=NOW)
    return lake


def on_disk(lake: Lake, table: str) -> set[str]:
    return {str(path) for path in (lake.root / table).glob("landed_date=*/*.parquet")}


def test_what_was_replaced_is_deleted_after_the_grace_and_not_before(lake: Lake) -> None:
    old = lake.files("events")
    size = sum(Path(path).stat().st_size for path in old)
    compact(lake, "events", lake.logged("events"), now=NOW)
    assert vacuum(lake, (), keep=DAY, now=NOW + DAY - timedelta(seconds=1)) == Vacuumed(0, 0, 3)
    assert set(old) < on_disk(lake, "events")
    assert vacuum(lake, (), keep=DAY, now=NOW + DAY) == Vacuumed(3, size, 0)
    assert on_disk(lake, "events") == set(lake.files("events"))
    assert on_disk(lake, "sessions") == set(lake.files("sessions"))


def test_what_a_dead_commit_left_goes_and_a_young_one_stays(lake: Lake) -> None:
    leftover, young = (lake.root / "events" / "landed_date=2026-01-01" / f"{name}.parquet" for name in ("a", "b"))
    leftover.parent.mkdir()
    leftover.write_bytes(b"half a f")
    young.write_bytes(b"half a f")
    os.utime(young, (NOW.timestamp(), NOW.timestamp()))
    assert vacuum(lake, (), keep=DAY, now=NOW) == Vacuumed(1, 8, 1)
    assert (leftover.exists(), young.exists()) == (False, True)
    vacuum(lake, (), keep=timedelta(0), now=NOW)
    assert not young.parent.exists(), "a day without files"


def test_the_logs_own_parquet_is_left_alone(lake: Lake) -> None:
    lake.sum_up("events")
    summed_up = set(lake.root.glob("events/_delta_log/*"))
    assert any(path.suffix == ".parquet" for path in summed_up)
    vacuum(lake, (), keep=timedelta(0), now=NOW)
    assert set(lake.root.glob("events/_delta_log/*")) == summed_up


def test_what_the_marts_name_is_never_deleted(lake: Lake) -> None:
    old = lake.files("events")
    compact(lake, "events", lake.logged("events"), now=NOW)
    needed = {Path(old[0]).relative_to(lake.root).as_posix()}
    assert vacuum(lake, needed, keep=timedelta(0), now=NOW).kept == 1
    assert on_disk(lake, "events") == {old[0], *lake.files("events")}


def test_a_file_written_and_not_committed_yet_is_never_deleted(lake: Lake) -> None:
    """A writer that takes its time between the two; a leftover beside it shows when the vacuum got through."""
    written, go_on = threading.Event(), threading.Event()
    leftover = lake.root / "events" / "landed_date=2026-01-01" / "a.parquet"
    leftover.parent.mkdir()
    leftover.write_bytes(b"")

    def parts() -> Iterator[Part]:
        yield Part(NOW.date(), event_rows(seeded_events(4, 2)))
        written.set()
        go_on.wait(30)

    writer = threading.Thread(target=lambda: lake.replace("events", [], parts(), rearranges=False, now=NOW))
    cleaner = threading.Thread(target=lambda: vacuum(lake, (), keep=timedelta(0), now=NOW))
    writer.start()
    assert written.wait(30)
    cleaner.start()
    cleaner.join(0.3)
    assert len(on_disk(lake, "events") - set(lake.files("events"))) == 2
    go_on.set()
    cleaner.join()
    writer.join()
    assert on_disk(lake, "events") == set(lake.files("events"))
    assert len(lake.files("events")) == 4


def test_a_writer_that_never_comes_to_its_commit_is_told_of(lake: Lake) -> None:
    with (
        lake.writing(),
        pytest.raises(YesladderError, match="between writing a file and committing it for 0 s; no file was deleted"),
        lake.nobody_writing(patience_s=0),
    ):
        pass
