from __future__ import annotations

import resource
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from warehouse.batches import KEPT, Batch, Batches, Failure

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAILURE = Failure("events", "kind is one of track, page", 3, 1200, ({"file": "events/x.parquet", "row_id": "e1"},))
HELD = Batch(
    name="20260301T120000-abcdef",
    looked_at=AT,
    state="held",
    files={"events": ("events/x.parquet", "events/y.parquet"), "sessions": ("sessions/z.parquet",)},
    rows={"events": 1200, "sessions": 7},
    failures=(FAILURE,),
    versions={"events": (4, 9), "sessions": (3, 3)},
)


def passed(n: int) -> Batch:
    at = AT + timedelta(minutes=n)
    return Batch(f"b{n:03d}", at, "passed", {"events": (f"events/{n}.parquet",)}, {"events": 1})


def test_a_held_batch_is_described_with_its_commits_its_rules_and_a_row() -> None:
    assert HELD.describe().splitlines() == [
        "batch 20260301T120000-abcdef (events: 2 files, versions 4 to 9; sessions: 1 file, version 3) is held back:",
        "  events: kind is one of track, page: broken by 3 of 1,200 rows, such as file events/x.parquet, row_id e1",
    ]


def test_a_rule_that_could_not_be_looked_at_says_why() -> None:
    odd = replace(HELD, failures=(replace(FAILURE, error="no such column"),), versions={})
    assert odd.describe().splitlines() == [
        "batch 20260301T120000-abcdef (events: 2 files; sessions: 1 file) is held back:",
        "  events: kind is one of track, page: could not be looked at: no such column",
    ]


def test_verdicts_survive_the_process(tmp_path: Path) -> None:
    Batches(tmp_path).record(HELD)
    Batches(tmp_path).record(passed(1))
    again = Batches(tmp_path)
    assert again.of_state("held") == [HELD]
    assert again.latest() == passed(1)
    assert again.files("held") == {"events/x.parquet", "events/y.parquet", "sessions/z.parquet"}
    page = (tmp_path / "index.html").read_text()
    assert page.index("b001") < page.index(HELD.name)


def test_a_verdict_that_the_disk_has_no_room_for_leaves_the_one_before(tmp_path: Path) -> None:
    Batches(tmp_path).record(HELD)
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, allowed[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            Batches(tmp_path).accept_held()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert Batches(tmp_path).of_state("held") == [HELD]


def test_a_batch_that_a_build_forgets_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(2):
        Batches(tmp_path).record(passed(n))
    names: list[Path] = []
    read = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        names.append(path)
        if len(names) == 1:
            path.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert len(Batches(tmp_path).of_state("passed")) == 1


def test_accepting_lets_everything_in_that_is_held(tmp_path: Path) -> None:
    batches = Batches(tmp_path)
    batches.record(HELD)
    batches.accept_held()
    assert Batches(tmp_path).of_state("held") == []
    assert (
        Batches(tmp_path).files("accepted")
        == batches.files("accepted")
        == {
            "events/x.parquet",
            "events/y.parquet",
            "sessions/z.parquet",
        }
    )


def test_a_hold_lasts_until_one_of_its_files_is_gone(tmp_path: Path) -> None:
    batches = Batches(tmp_path)
    batches.record(HELD)
    batches.give_up_replaced(frozenset({"events/x.parquet", "events/y.parquet", "sessions/z.parquet", "other"}))
    assert batches.of_state("held") == [HELD]
    batches.give_up_replaced(frozenset({"events/x.parquet", "sessions/z.parquet"}))
    assert batches.of_state("held") == []
    assert batches.of_state("replaced") == [replace(HELD, state="replaced")]


def test_old_passes_are_cleared_away_and_holds_are_not(tmp_path: Path) -> None:
    batches = Batches(tmp_path)
    batches.record(HELD)
    for n in range(1, KEPT + 4):
        batches.record(passed(n))
    assert [batch.name for batch in batches.of_state("passed")][-1] == "b004"
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == KEPT + 1
    assert batches.of_state("held") == [HELD]
