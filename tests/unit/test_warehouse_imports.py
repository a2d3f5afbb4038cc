from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from warehouse.imports import needed_later, not_needed


@pytest.fixture
def heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package ``heavy_package`` that notes in the file ``ran`` which of its modules have run."""
    folder = tmp_path / "heavy_package"
    folder.mkdir()
    note = f"open({str(tmp_path / 'ran')!r}, 'a').write(__name__ + ' ')\nvalue = 1\n"
    for name in ("__init__", "part"):
        (folder / f"{name}.py").write_text(note, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("heavy_package", "heavy_package.part"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path / "ran"


def test_a_module_needed_later_runs_when_something_in_it_is_asked_for(heavy: Path) -> None:
    needed_later("heavy_package.part")
    package = importlib.import_module("heavy_package")
    part = importlib.import_module("heavy_package.part")
    assert package.part is part
    assert heavy.read_text().split() == ["heavy_package"]
    assert part.value == 1
    assert heavy.read_text().split() == ["heavy_package", "heavy_package.part"]


def test_a_module_that_is_there_already_stays_as_it_is(heavy: Path) -> None:
    part = importlib.import_module("heavy_package.part")
    needed_later("heavy_package.part")
    assert sys.modules["heavy_package.part"] is part


def test_a_module_that_is_not_installed_is_an_error_when_something_in_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "heavy_package_that_nobody_has", raising=False)
    needed_later("heavy_package_that_nobody_has")
    module = importlib.import_module("heavy_package_that_nobody_has")
    with pytest.raises(ModuleNotFoundError):
        _ = module.value


def test_a_module_not_needed_cannot_be_imported(heavy: Path) -> None:
    not_needed("heavy_package")
    with pytest.raises(ImportError):
        importlib.import_module("heavy_package")
    assert not heavy.exists()
