from __future__ import annotations

import logging
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ladder.errors import UsageError
from producers.records import Record
from producers.spool import DAMAGED, FILE, Contents, Spool, SpoolError, footprint, look_into

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
RECORDS = [
    Record(b"ann", b'{"a":1}\n{"a":2}', 3, (("yesladder", b"canonical"), ("empty", b""))),
    Record(None, b"", 0, ()),
    Record(b"", "ü\n\x00".encode(), None, (("x", b"\xff"),)),
]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool")
    yield spool
    spool.close()


def put(spool: Spool, *records: Record, at: datetime = AT) -> list[int]:
    return spool.append([(record, 4) for record in records], at)


def waiting(spool: Spool) -> list[Record]:
    return [row.record for row in spool.first(10**9)]


def damage(path: Path, where: int, how: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(where)
        file.write(how)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk is to SQLite: a write that fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_records_come_out_as_they_went_in_and_in_their_order_also_after_reopening(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a" / "b")
    put(spool, *RECORDS)
    put(spool, RECORDS[0], at=AT + timedelta(seconds=5))
    spool.close()

    again = Spool(tmp_path / "a" / "b")
    rows = again.first(10**9)
    assert [row.record for row in rows] == [*RECORDS, RECORDS[0]]
    assert [(row.packed_for, row.fault) for row in rows] == [(4, None)] * 4
    assert (again.records, again.bytes) == (4, sum(map(footprint, [*RECORDS, RECORDS[0]])))
    assert again.oldest() == AT
    assert put(again, RECORDS[1])[0] > rows[-1].id
    again.close()


def test_what_is_removed_is_gone_and_counted_off(spool: Spool) -> None:
    ids = put(spool, *RECORDS)
    spool.remove([ids[0], ids[2], 99])
    assert waiting(spool) == [RECORDS[1]]
    assert (spool.records, spool.bytes) == (1, footprint(RECORDS[1]))
    spool.remove(ids)
    assert (waiting(spool), spool.records, spool.bytes, spool.oldest()) == ([], 0, 0, None)


def test_the_first_are_as_many_as_fit_but_one_at_least_and_without_those_named(spool: Spool) -> None:
    records = [Record(None, b"%d" % n * 1000, 0, ()) for n in range(5)]
    ids = put(spool, *records)
    two = 2 * footprint(records[0])
    assert [row.id for row in spool.first(two)] == ids[:2]
    assert [row.id for row in spool.first(two - 1)] == ids[:1]
    assert [row.id for row in spool.first(1)] == ids[:1]
    assert [row.id for row in spool.first(two, without={ids[0], ids[2]})] == [ids[1], ids[3]]


def test_one_kept_aside_is_out_of_the_way_and_tried_again_by_the_next_process(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    ids = put(spool, *RECORDS)
    spool.set_aside(ids[0], "too large")
    assert waiting(spool) == RECORDS[1:]
    assert (spool.records, spool.refused) == (3, 1)
    assert look_into(tmp_path) == Contents(3, sum(map(footprint, RECORDS)), 1, AT, 0)
    spool.remove(ids[1:])
    assert (spool.records, spool.refused, spool.oldest()) == (1, 1, None)
    spool.close()

    again = Spool(tmp_path)
    assert waiting(again) == RECORDS[:1]
    assert (again.records, again.refused) == (1, 0)
    again.close()


def test_it_knows_the_partitions_after_reopening(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.partitions is None
    spool.remember(4)
    spool.remember(12)
    spool.close()
    again = Spool(tmp_path)
    assert again.partitions == 12
    again.close()


def test_an_emptied_file_gives_its_room_back(spool: Spool, tmp_path: Path) -> None:
    ids = put(spool, *(Record(None, bytes(500_000), 0, ()) for _ in range(50)))
    spool.remove(ids)
    assert sum(file.stat().st_size for file in spool.folder.iterdir()) < 100_000
    spool.remember(4)
    put(spool, *RECORDS)
    assert waiting(spool) == RECORDS


def test_a_folder_belongs_to_one_collector_at_a_time(spool: Spool) -> None:
    with pytest.raises(UsageError, match=f"another collector runs with the spool in {spool.folder}; .*--spool"):
        Spool(spool.folder)
    spool.close()
    Spool(spool.folder).close()


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot spool in .*file/spool.*File exists.*--spool-bytes 0"):
        Spool(tmp_path / "file" / "spool")


def test_a_file_of_another_release_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("PRAGMA user_version = 2")
    other.close()
    for _ in range(2):
        with pytest.raises(UsageError, match="made by another release"):
            Spool(tmp_path)


def test_a_file_that_is_no_database_is_set_aside_and_an_empty_one_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(b"something else\n" * 1000)
    spool = Spool(tmp_path)
    put(spool, *RECORDS)
    assert waiting(spool) == RECORDS
    spool.close()
    (kept,) = tmp_path.glob(DAMAGED)
    assert kept.read_bytes() == b"something else\n" * 1000
    assert "is damaged (file is not a database)" in caplog.text
    assert kept.name in caplog.text
    found = look_into(tmp_path)
    assert found is not None
    assert (found.records, found.damaged) == (3, 1)


def test_damage_found_while_it_runs_sets_the_file_aside_and_what_comes_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path)
    spool.remember(4)
    before = put(spool, *(Record(None, bytes(30_000), 0, ()) for _ in range(200)))
    spool.close()
    spool = Spool(tmp_path)
    size = (tmp_path / FILE).stat().st_size
    damage(tmp_path / FILE, 8192, b"\xff" * (size - 8192))
    assert waiting(spool) == []
    assert (spool.records, spool.bytes, spool.refused) == (0, 0, 0)
    with caplog.at_level(logging.ERROR):
        assert put(spool, *RECORDS)[0] > before[-1]
    spool.remove(before)
    assert waiting(spool) == RECORDS
    spool.close()
    assert [path.stat().st_size for path in tmp_path.glob(DAMAGED)] == [size]
    again = Spool(tmp_path)
    assert (again.partitions, waiting(again)) == (4, RECORDS)
    again.close()


def test_a_record_that_is_gone_with_a_damaged_file_is_not_counted_as_kept_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    *_, last = put(spool, *(Record(None, bytes(30_000), 0, ()) for _ in range(200)))
    spool.close()
    spool = Spool(tmp_path)
    damage(tmp_path / FILE, 8192, b"\xff" * ((tmp_path / FILE).stat().st_size - 8192))
    spool.set_aside(last, "too large")
    assert (spool.records, spool.refused) == (0, 0)
    spool.close()


def test_a_flipped_bit_in_a_value_is_told_with_the_record(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, Record(None, b"needle-needle", 0, ()), RECORDS[0])
    spool.close()
    where = (tmp_path / FILE).read_bytes().index(b"needle-needle")
    damage(tmp_path / FILE, where, b"N")
    spool = Spool(tmp_path)
    bad, good = spool.first(10**9)
    assert (bad.fault, bad.record.value) == ("its checksum is wrong", b"Needle-needle")
    assert (good.fault, good.record) == (None, RECORDS[0])
    spool.close()


def test_a_full_disk_takes_nothing_of_a_group_and_loses_nothing_of_those_before(spool: Spool) -> None:
    put(spool, *RECORDS)
    with files_of_at_most(200_000), pytest.raises(SpoolError, match="disk"):
        put(spool, RECORDS[0], Record(None, bytes(900_000), 0, ()))
    assert (waiting(spool), spool.records) == (RECORDS, 3)
    put(spool, RECORDS[1])
    assert waiting(spool) == [*RECORDS, RECORDS[1]]


def test_a_look_into_a_folder_changes_nothing_and_works_beside_its_collector(spool: Spool, tmp_path: Path) -> None:
    assert look_into(tmp_path / "nowhere") is None
    put(spool, *RECORDS)
    assert look_into(spool.folder) == Contents(3, sum(map(footprint, RECORDS)), 0, AT, 0)
    put(spool, RECORDS[0])
    assert len(waiting(spool)) == 4
    spool.close()
    assert look_into(spool.folder) == Contents(4, sum(map(footprint, [*RECORDS, RECORDS[0]])), 0, AT, 0)
    (spool.folder / FILE).write_bytes(b"x" * 10_000)
    with pytest.raises(SpoolError, match="not a database"):
        look_into(spool.folder)


def flip(path: Path, column: str, as_type: str, value: object) -> None:
    """What a flipped bit in a row's header makes of a column."""
    with sqlite3.connect(path / FILE) as other:
        other.execute(f"UPDATE records SET {column} = CAST(? AS {as_type}) WHERE id = 1", (value,))
    other.close()


@pytest.mark.parametrize(
    ("column", "as_type", "value"),
    [
        ("value", "TEXT", b"needle"),
        ("value", "TEXT", b"\xff\xfe"),
        ("key", "TEXT", b"\xff"),
        ("headers", "TEXT", b"\xff"),
        ("size", "BLOB", b"\xff"),
        ("packed_for", "BLOB", b"\xff"),
        ("partition", "TEXT", b"\xff"),
        ("checksum", "BLOB", b"\xff"),
        ("spooled_at", "BLOB", b"9" * 17),
    ],
)
def test_a_flipped_bit_that_makes_another_type_of_a_column_holds_nothing_up(
    spool: Spool, column: str, as_type: str, value: object
) -> None:
    ids = put(spool, Record(b"k", b"needle", 0, (("x", b"y"),)), RECORDS[1])
    flip(spool.folder, column, as_type, value)
    first, second = spool.first(10**9)
    assert (second.fault, second.record) == (None, RECORDS[1])
    is_harmless = column in ("size", "packed_for", "spooled_at", "partition") or value == b"needle"
    assert first.fault == (None if is_harmless else "its checksum is wrong")
    spool.oldest()
    spool.remove(ids)
    assert (spool.records, waiting(spool)) == (0, [])


def test_a_damaged_file_that_cannot_be_put_away_is_a_trouble_of_the_disk_until_it_can(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.remember(4)
    put(spool, *(Record(None, bytes(30_000), 0, ()) for _ in range(200)))
    spool.close()
    spool = Spool(spool.folder)

    def fails(self: Path, target: Path) -> Path:
        raise OSError(5, "Input/output error")

    damage(spool.folder / FILE, 8192, b"\xff" * ((spool.folder / FILE).stat().st_size - 8192))
    with monkeypatch.context() as broken:
        broken.setattr(Path, "rename", fails)
        for _ in range(2):
            with pytest.raises(SpoolError, match="Input/output error"):
                waiting(spool)
    put(spool, RECORDS[0])
    assert (waiting(spool), spool.records, spool.partitions) == ([RECORDS[0]], 1, 4)
    spool.close()


def test_a_trouble_of_the_disk_at_the_start_is_no_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fails)
        with pytest.raises(SpoolError, match=r"cannot spool in .*Input/output error") as caught:
            Spool(tmp_path / "new")
        assert caught.value.exit_code == 1
    with files_of_at_most(1), pytest.raises(SpoolError):
        Spool(tmp_path / "full")


def test_it_is_fsynced_at_each_commit(spool: Spool) -> None:
    assert spool._sqlite.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert spool._sqlite.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_folder_that_can_have_no_write_ahead_log_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def without_shared_memory(path: Path, **options: Any) -> Any:
        return connect(f"{path.absolute().as_uri()}?vfs=unix-dotfile", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", without_shared_memory)
    with pytest.raises(UsageError, match=r"cannot have a write-ahead log \(its journal is 'delete' only\)"):
        Spool(tmp_path)
