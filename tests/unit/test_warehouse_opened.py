from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import pytest

from ladder.errors import UsageError
from warehouse.built import MARTS
from warehouse.opened import KeptMarts, now_reading
from warehouse.query import open_marts


def build(warehouse: Path, number: int) -> None:
    """Marts that hold one number, put in the place of what is there as a build does it."""
    draft = warehouse / "draft"
    with duckdb.connect(str(draft)) as connection:
        connection.execute(
            "create table meta_builds as select 1 as build, 'lake' as lake, 'l' as ladder, 'h' as ladder_hash"
        )
        connection.execute(f"create table fct as select {number} as number")
    draft.replace(warehouse / MARTS)


def asked(warehouse: Path) -> int:
    with open_marts(warehouse) as marts:
        ((number,),) = marts.execute("select number from main.fct").fetchall()
    return int(number)


@pytest.fixture
def kept(tmp_path: Path) -> KeptMarts:
    build(tmp_path, 1)
    return KeptMarts(tmp_path)


def test_a_reader_keeps_what_it_opened_and_the_next_one_sees_what_was_built(tmp_path: Path, kept: KeptMarts) -> None:
    with kept.reading():
        assert asked(tmp_path) == 1
        build(tmp_path, 2)
        assert asked(tmp_path) == 1
        with kept.reading():
            assert asked(tmp_path) == 2
        assert asked(tmp_path) == 1
    with kept.reading():
        assert asked(tmp_path) == 2
    assert asked(tmp_path) == 2


def test_the_same_marts_are_opened_once(kept: KeptMarts) -> None:
    with kept.reading() as one, kept.reading() as other:
        assert one.marts is other.marts
    with kept.reading() as later:
        assert later.marts is one.marts


def test_another_thread_and_another_warehouse_are_not_meant(tmp_path: Path, kept: KeptMarts) -> None:
    seen: list[object] = []
    with kept.reading():
        thread = threading.Thread(target=lambda: seen.append(now_reading(tmp_path)))
        thread.start()
        thread.join()
        assert now_reading(tmp_path / "other") is None
        assert now_reading(tmp_path) is not None
    assert seen == [None]
    assert now_reading(tmp_path) is None


def test_connections_of_a_reading_are_in_utc_and_read_only(tmp_path: Path, kept: KeptMarts) -> None:
    with kept.reading(), open_marts(tmp_path) as marts:
        assert marts.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]
        for statement in ("create table main.t (a int)", f"attach '{tmp_path / 'x'}'", "set threads = 1"):
            with pytest.raises(duckdb.Error):
                marts.execute(statement)
        with pytest.raises(duckdb.Error):
            marts.execute("select * from read_csv('/etc/passwd')")


def test_a_question_that_is_given_up_ends(tmp_path: Path, kept: KeptMarts) -> None:
    with kept.reading() as reading:
        timer = threading.Timer(0.3, reading.interrupt)
        timer.start()
        with open_marts(tmp_path) as marts, pytest.raises(duckdb.InterruptException):
            marts.execute("select sum(a.range * b.range) from range(1000000) a, range(1000000) b").fetchall()
        with pytest.raises(UsageError, match="given up"):
            asked(tmp_path)


def test_before_the_first_build_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no marts yet"), KeptMarts(tmp_path).reading():
        pass
