from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from warehouse.build_lock import BuildRunning, build_lock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

HOLD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from warehouse.build_lock import build_lock

with build_lock(Path(sys.argv[1]), datetime(2026, 3, 1, 11, tzinfo=UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_build_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
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
            pytest.raises(BuildRunning, match=rf"process {holder.pid} on .+, since 2026-03-01T11:00:00"),
            build_lock(tmp_path, NOW),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()
    with build_lock(tmp_path, NOW):
        assert '"since": "2026-03-01T12:00:00' in (tmp_path / "build.lock").read_text()


def test_a_build_that_fails_lets_the_lock_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), build_lock(tmp_path, NOW):
        raise ZeroDivisionError
    with build_lock(tmp_path, NOW):
        pass


def test_the_lock_holds_within_one_process_too(tmp_path: Path) -> None:
    with build_lock(tmp_path, NOW), pytest.raises(BuildRunning), build_lock(tmp_path, NOW):
        pass
