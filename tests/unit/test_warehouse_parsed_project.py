from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pytest
from dbt.artifacts.resources.base import FileHash
from dbt.contracts.files import FilePath, SchemaSourceFile
from dbt.contracts.graph.manifest import Manifest

from warehouse.parsed_project import ParsedProject


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "one.sql").write_text("select 1 as one", encoding="utf-8")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "compiled"))
    return folder


def kept(project: Path, profile: str = "duckdb") -> ParsedProject:
    return ParsedProject(project, profile, project.parent / "work")


def parsed() -> Manifest:
    """With a date, as YAML without quotes gives one."""
    manifest = Manifest()
    manifest.metadata.project_name = "kept"
    path = FilePath("models", "_models.yml", 0.0, "project")
    manifest.files["a"] = SchemaSourceFile(path, FileHash.from_contents("x"), dfy={"since": date(2026, 1, 1)})
    return manifest


def test_what_is_kept_is_read(project: Path) -> None:
    assert kept(project).read() is None
    kept(project).keep(parsed())
    assert kept(project).read().metadata.project_name == "kept"


def test_another_profile_has_a_project_of_its_own(project: Path) -> None:
    kept(project).keep(parsed())
    assert kept(project, "spark").read() is None


@pytest.mark.parametrize("name", ["models/one.sql", "models/two.sql", "models/_models.yml", "dbt_project.yml"])
def test_a_project_that_has_changed_is_not_read(project: Path, name: str) -> None:
    kept(project).keep(parsed())
    (project / name).write_text("# changed", encoding="utf-8")
    assert kept(project).read() is None


def test_what_changed_while_it_was_parsed_is_not_kept(project: Path) -> None:
    before = kept(project)
    (project / "models" / "one.sql").write_text("select 2 as one", encoding="utf-8")
    before.keep(parsed())
    assert before.read() is None
    assert kept(project).read() is None


@pytest.mark.parametrize("damage", [b"\xc1", b""])
def test_a_broken_file_counts_as_none(project: Path, tmp_path: Path, damage: bytes) -> None:
    kept(project).keep(parsed())
    (file,) = (tmp_path / "compiled").rglob("parsed-*.msgpack")
    file.write_bytes(file.read_bytes()[:-1] + damage)
    assert kept(project).read() is None


@pytest.mark.parametrize("why", ["told", "in the way"])
def test_where_no_bytecode_can_be_it_is_kept_in_the_work_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "told":
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
    else:
        (tmp_path / "compiled").write_text("a file in the way", encoding="utf-8")
    kept(project).keep(parsed())
    assert not (tmp_path / "compiled").is_dir()
    assert list((tmp_path / "work").glob("parsed-*.msgpack"))
    assert kept(project).read().metadata.project_name == "kept"


def test_where_nothing_can_be_written_is_no_error(project: Path, tmp_path: Path) -> None:
    for name in ("compiled", "work"):
        (tmp_path / name).write_text("a file in the way", encoding="utf-8")
    kept(project).keep(parsed())
    assert kept(project).read() is None
