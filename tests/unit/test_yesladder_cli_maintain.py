"""`yesladder maintain` and `yesladder maintain --check`: what they say and the codes they leave with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.suites.seeded_lake import land, seeded_events
from warehouse.lake import Lake

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "here" / "lake")
    events = seeded_events(3, 20)
    for begin in range(0, 60, 20):
        land(lake, events[begin : begin + 20], first=begin)
    return lake


def test_a_pass_says_what_it_did_and_its_json_the_same(lake: Lake, run: Run) -> None:
    code, out, _ = run("maintain", "--warehouse", str(lake.root.parent), "--keep", "30d")
    assert code == 0
    assert out.splitlines()[0].startswith("events: 3 files became 1 (")
    assert out.splitlines()[-1] == "files now: events 1, rejects 0, checkpoints 0, sessions 1"
    assert len(lake.files("events")) == 1
    code, out, _ = run("maintain", "--warehouse", str(lake.root.parent), "--keep", "0s", "--json")
    done = json.loads(out)
    assert (code, done["vacuumed"]["files"], done["vacuumed"]["kept"]) == (0, 6, 0)
    assert done["files"] == {"events": 1, "rejects": 0, "checkpoints": 0, "sessions": 1}


def test_what_was_too_old_is_told_in_rows(lake: Lake, run: Run) -> None:
    sessions = lake.scan("sessions").collect().height
    code, out, _ = run("maintain", "--warehouse", str(lake.root.parent), "--retain", "1d")
    assert code == 0
    assert out.splitlines()[0] == f"{sessions} rows of sessions were older than is kept"
    assert lake.files("sessions") == []


def test_a_check_of_a_sound_lake_changes_nothing_and_leaves_with_0(run: Run, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    before = lake.versions()
    code, out, _ = run("maintain", "--check", "--warehouse", str(tmp_path))
    assert (code, out) == (0, "0 files looked at: all is as the log says\n")
    code, out, _ = run("maintain", "--check", "--warehouse", str(tmp_path), "--json")
    assert (code, json.loads(out)) == (0, {"ok": True, "files": 0, "faults": []})
    assert lake.versions() == before


def test_a_check_names_the_file_that_is_not_what_the_log_says_and_leaves_with_1(lake: Lake, run: Run) -> None:
    spoilt = Path(lake.files("events")[0])
    spoilt.write_bytes(spoilt.read_bytes()[:-9])
    code, out, _ = run("maintain", "--check", "--warehouse", str(lake.root.parent))
    assert code == 1
    assert out.startswith(f"events/{spoilt.parent.name}/{spoilt.name}: it has ")
    assert out.splitlines()[-1] == "6 files looked at: 1 faults"
    code, out, _ = run("maintain", "--check", "--warehouse", str(lake.root.parent), "--json")
    said = json.loads(out)
    assert (code, said["ok"], said["files"], len(said["faults"])) == (1, False, 6, 1)
    assert len(lake.files("events")) == 3


def test_a_check_tells_of_a_log_that_cannot_be_read_and_all_else_of_it_in_a_line(lake: Lake, run: Run) -> None:
    (lake.root / "events" / "_delta_log" / f"{lake.versions()['events']:020}.json").write_text('{"add":{"pa')
    code, out, _ = run("maintain", "--check", "--warehouse", str(lake.root.parent))
    assert code == 1
    assert out.startswith(f"events: the log of the table {lake.root / 'events'} cannot be read: ")
    assert out.splitlines()[-1] == "3 files looked at: 1 faults"
    for command in ("maintain", "resessionise", "build"):
        code, _, err = run(command, "--warehouse", str(lake.root.parent))
        assert code == 1
        assert f"yesladder: the log of the table {lake.root / 'events'} cannot be read: " in err


@pytest.mark.parametrize("more", [[], ["--check"]])
def test_a_warehouse_without_a_lake_is_wrong_usage(more: list[str], run: Run, tmp_path: Path) -> None:
    code, out, err = run("maintain", *more, "--warehouse", str(tmp_path / "nothing"))
    assert (code, out) == (2, "")
    assert "holds no lake yet" in err
    assert not (tmp_path / "nothing").exists()


def test_what_is_no_duration_is_wrong_usage(lake: Lake, run: Run) -> None:
    code, _, err = run("maintain", "--warehouse", str(lake.root.parent), "--keep", "soon")
    assert code == 2
    assert "--keep" in err
