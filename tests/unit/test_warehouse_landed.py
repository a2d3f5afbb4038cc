from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from warehouse.landed import Change, Commit, change, read_commits, versions_of


def appended(version: int, *files: str) -> Commit:
    return Commit(version, frozenset(files), frozenset(), rearranges=False)


def compacted(version: int, removed: set[str], added: set[str]) -> Commit:
    return Commit(version, frozenset(added), frozenset(removed), rearranges=True)


def deleted(version: int, *files: str) -> Commit:
    return Commit(version, frozenset(), frozenset(files), rearranges=False)


def never() -> Sequence[Commit]:
    raise AssertionError("the log is not needed where no file is gone")


def test_added_files_are_new_and_the_log_is_not_read() -> None:
    assert change({"a"}, {"a", "b", "c"}, never) == Change(frozenset({"b", "c"}), False)


def test_nothing_built_means_everything_is_new() -> None:
    assert change((), {"a", "b"}, never) == Change(frozenset({"a", "b"}), False)


def test_a_compaction_of_built_files_is_no_news() -> None:
    log = [compacted(5, {"a", "b"}, {"ab"}), appended(6, "c")]
    assert change({"a", "b"}, {"ab", "c"}, lambda: log) == Change(frozenset({"c"}), False)


def test_a_compaction_of_built_and_new_files_is_new() -> None:
    log = [appended(5, "b"), compacted(6, {"a", "b"}, {"ab"})]
    assert change({"a"}, {"ab"}, lambda: log) == Change(frozenset({"ab"}), False)


def test_compactions_of_compactions_stay_known() -> None:
    log = [compacted(5, {"a", "b"}, {"ab"}), compacted(6, {"ab", "c"}, {"abc"})]
    assert change({"a", "b", "c"}, {"abc"}, lambda: log) == Change(frozenset(), False)


def test_a_removal_of_built_rows_is_told() -> None:
    assert change({"a", "b"}, {"b"}, lambda: [deleted(5, "a")]) == Change(frozenset(), True)


def test_a_removal_of_a_compacted_file_is_told() -> None:
    log = [compacted(5, {"a"}, {"A"}), deleted(6, "A")]
    assert change({"a"}, set(), lambda: log) == Change(frozenset(), True)


def test_a_removal_of_what_was_never_built_is_not() -> None:
    log = [compacted(5, {"a"}, {"A"}), appended(6, "b"), deleted(7, "b")]
    assert change({"a"}, {"A"}, lambda: log) == Change(frozenset(), False)


def test_a_log_that_forgot_means_starting_over() -> None:
    assert change({"a"}, {"b"}, lambda: None) == Change(frozenset({"b"}), True)


@pytest.fixture
def log() -> dict[int, str]:
    """A table's log of three commits: an append, a compaction, one without files."""
    commits: list[list[dict[str, object]]] = [
        [{"protocol": {}}, {"add": {"path": "landed_date=2026-01-01/a%20b.parquet", "dataChange": True}}],
        [
            {"remove": {"path": "landed_date=2026-01-01/a%20b.parquet", "dataChange": False}},
            {"add": {"path": "landed_date=2026-01-01/c.parquet", "dataChange": False}},
        ],
        [{"commitInfo": {}}],
    ]
    return {n: "\n".join(json.dumps(action) for action in actions) + "\n" for n, actions in enumerate(commits)}


def test_commits_are_read_from_the_log(log: dict[int, str]) -> None:
    assert read_commits(log.get, -1, 2) == [
        appended(0, "landed_date=2026-01-01/a b.parquet"),
        compacted(1, {"landed_date=2026-01-01/a b.parquet"}, {"landed_date=2026-01-01/c.parquet"}),
        Commit(2, frozenset(), frozenset(), rearranges=False),
    ]
    assert read_commits(log.get, 2, 2) == []


def test_a_missing_commit_is_told(log: dict[int, str]) -> None:
    del log[1]
    assert read_commits(log.get, -1, 2) is None
    assert read_commits(log.get, 1, 2) is not None


def test_the_versions_that_brought_files(log: dict[int, str]) -> None:
    both = ["landed_date=2026-01-01/a b.parquet", "landed_date=2026-01-01/c.parquet"]
    assert versions_of(log.get, both, 2) == (0, 1)
    assert versions_of(log.get, both[1:], 2) == (1, 1)
    assert versions_of(log.get, ["elsewhere.parquet"], 2) is None
