from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from warehouse.durable import forget_drafts, write


def test_two_threads_that_write_one_file_at_a_time_leave_one_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_have_written, synced = threading.Barrier(2), os.fsync
    waited = threading.local()

    def sync_once_both_have_written(descriptor: int) -> None:
        if not hasattr(waited, "once"):
            waited.once = True
            both_have_written.wait(10)
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", sync_once_both_have_written)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda data: write(tmp_path / "copy", data), [b"a" * 1000, b"b" * 10]))
    assert (tmp_path / "copy").read_bytes() in (b"a" * 1000, b"b" * 10)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_drafts_of_the_killed_go_once_they_are_old_and_nothing_else_does(tmp_path: Path) -> None:
    folder = tmp_path / "day"
    folder.mkdir()
    names = ["a.parquet.17-3.new", "b.parquet.18-3.new", "c.parquet"]
    for name, minutes in zip(names, (61, 59, 6000), strict=True):
        (folder / name).touch()
        at = time.time() - 60 * minutes
        os.utime(folder / name, (at, at))
    forget_drafts(tmp_path, older_than=timedelta(hours=1))
    assert sorted(path.name for path in folder.iterdir()) == names[1:]
