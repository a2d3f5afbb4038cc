"""The benchmark against the peers, on a workload of a few thousand events: it runs, and it knows wrong answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def of_benchmarks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Their modules can be imported, and keep what they make in a folder of the test."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_worker_the_floor_and_plain_faust_run_and_find_the_same_sessions(tmp_path: Path) -> None:
    """Kept to what needs neither Java nor another environment."""
    results = tmp_path / "results"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "peers.stream", "--events", "3000", "--runs", "1", "--broker", "embedded",
         "--only", "yesladder,floor,faust", "--results", str(results)],
        env=os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(BENCHMARKS)]),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        },
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    part: dict[str, Any] = json.loads((results / "stream.json").read_bytes())
    rows = {row["name"]: row for row in part["rows"]}
    assert {name: (row["events"], row["same"], row["note"]) for name, row in rows.items()} == {
        "Yesladder": (3000, True, ""),
        "fetch + decode (floor)": (3000, None, ""),
        "plain Faust": (3000, True, ""),
    }, done.stderr
    assert all(rate > 0 for row in rows.values() for rate in (*row["per_cpu_s"], *row["per_s"]))


@pytest.mark.usefixtures("of_benchmarks")
def test_a_contender_that_finds_other_sessions_is_told_apart(tmp_path: Path) -> None:
    from peers.stream import differences
    from peers.workload import workload

    work = workload(300, full=300)
    found = tmp_path / "found.csv"
    lines = [",".join(map(str, session)) for session in sorted(work.sessions)]

    found.write_text("\n".join([*lines, "last-of-a-partition-1,1,1,1"]) + "\n")
    assert differences(work, found) is None

    visitor, first, last, count = max(work.sessions, key=lambda session: session[3])
    found.write_text("\n".join([*lines, f"{visitor},{first},{last},{count}"]) + "\n")
    assert (differences(work, found) or "").startswith(f"0 of {len(lines)} sessions are missing, 1 are wrong")

    lines.remove(f"{visitor},{first},{last},{count}")
    found.write_text("\n".join([*lines, f"{visitor},{first},{last},{count - 1}"]) + "\n")
    assert (differences(work, found) or "").startswith(f"1 of {len(lines) + 1} sessions are missing, 1 are wrong")


@pytest.mark.usefixtures("of_benchmarks")
def test_a_silence_of_exactly_the_gap_is_within_a_session() -> None:
    from peers.workload import sessions_of

    events = [("b", 10), ("a", 0), ("a", 150), ("a", 50), ("b", 111)]
    assert list(sessions_of(events, gap_ms=100)) == [("a", 0, 150, 3), ("b", 10, 10, 1), ("b", 111, 111, 1)]
