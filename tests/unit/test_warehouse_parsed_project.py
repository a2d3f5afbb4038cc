from __future__ import annotations

import sys
from pathlib import Path

import pytest
from dbt.contracts.graph.manifest import Manifest

from warehouse.parsed_project import keep_parsed, read_parsed


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "one.sql").write_text("select 1 as one", encoding="utf-8")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "compiled"))
    return folder


def parsed() -> Manifest:
    manifest = Manifest()
    manifest.metadata.project_name = "kept"
    return manifest


def test_what_is_kept_is_read(project: Path) -> None:
    assert read_parsed(project, "duckdb") is None
    keep_parsed(parsed(), project, "duckdb")
    assert read_parsed(project, "duckdb").metadata.project_name == "kept"


def test_another_profile_has_a_project_of_its_own(project: Path) -> None:
    keep_parsed(parsed(), project, "duckdb")
    assert read_parsed(project, "spark") is None


@pytest.mark.parametrize("name", ["models/one.sql", "models/two.sql", "models/_models.yml", "dbt_project.yml"])
def test_a_project_that_has_changed_is_not_read(project: Path, name: str) -> None:
    keep_parsed(parsed(), project, "duckdb")
    (project / name).write_text("# changed", encoding="utf-8")
    assert read_parsed(project, "duckdb") is None


def test_a_broken_file_counts_as_none(project: Path, tmp_path: Path) -> None:
    keep_parsed(parsed(), project, "duckdb")
    (kept,) = (tmp_path / "compiled").rglob("parsed-*.msgpack")
    key, _, _ = kept.read_bytes().partition(b"\n")
    kept.write_bytes(key + b"\n\xc1")
    assert read_parsed(project, "duckdb") is None


def test_where_bytecode_is_not_written_nothing_is(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    keep_parsed(parsed(), project, "duckdb")
    assert not (tmp_path / "compiled").exists()


def test_where_nothing_can_be_written_is_no_error(project: Path, tmp_path: Path) -> None:
    (tmp_path / "compiled").write_text("a file in the way", encoding="utf-8")
    keep_parsed(parsed(), project, "duckdb")
    assert read_parsed(project, "duckdb") is None
