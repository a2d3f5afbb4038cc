from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from warehouse.locks import Locked, build_lock, upkeep_lock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

HOLD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from warehouse.locks import LOCK_lock

with LOCK_lock(Path(sys.argv[1]), datetime(2026, 3, 1, 11, tzinfo=UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""

Lock = Callable[[Path, datetime], AbstractContextManager[None]]
both = pytest.mark.parametrize("lock", [build_lock, upkeep_lock])


@both
def test_the_second_is_told_who_holds_the_lock(tmp_path: Path, lock: Lock) -> None:
    name = "build" if lock is build_lock else "upkeep"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD.replace("LOCK", name), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(Locked, match=rf"process {holder.pid} on .+, since 2026-03-01T11:00:00"),
            lock(tmp_path, NOW),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()
    with lock(tmp_path, NOW):
        assert '"since": "2026-03-01T12:00:00' in (tmp_path / f"{name}.lock").read_text()


def test_work_that_fails_lets_the_lock_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), build_lock(tmp_path, NOW):
        raise ZeroDivisionError
    with build_lock(tmp_path, NOW):
        pass


@both
def test_the_lock_holds_within_one_process_too(tmp_path: Path, lock: Lock) -> None:
    with lock(tmp_path, NOW), pytest.raises(Locked), lock(tmp_path, NOW):
        pass


def test_building_and_upkeep_do_not_keep_each_other_waiting(tmp_path: Path) -> None:
    with upkeep_lock(tmp_path, NOW), build_lock(tmp_path, NOW):
        pass


def test_who_has_patience_gets_the_lock_when_it_is_let_go(tmp_path: Path) -> None:
    let_go = threading.Event()
    with build_lock(tmp_path, NOW):
        got = []

        def wait() -> None:
            with build_lock(tmp_path, NOW, patience_s=30):
                got.append(let_go.is_set())

        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        let_go.set()
    waiting.join()
    assert got == [True]
