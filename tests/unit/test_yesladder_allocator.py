from __future__ import annotations

import os
import subprocess
import sys

import pytest

from yesladder.allocator import SETTING, keep_freed_pages


def test_the_allocator_is_told_unless_somebody_has_told_it_already(monkeypatch: pytest.MonkeyPatch) -> None:
    name, value = SETTING
    monkeypatch.setenv(name, "narenas:1")
    keep_freed_pages()
    assert os.environ[name] == "narenas:1"
    monkeypatch.delenv(name)
    keep_freed_pages()
    assert os.environ[name] == value


def test_the_command_line_leaves_polars_for_later_so_that_the_allocator_can_be_told_before() -> None:
    seen = "import sys, yesladder.cli; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", seen], check=False).returncode == 0
