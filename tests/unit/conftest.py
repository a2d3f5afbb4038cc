from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from yesladder.cli import main
from yesladder.settings import PREFIX, Settings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in an empty folder; gives exit code, output and error output."""
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)

    def command_line(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["yesladder", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, said.out, said.err

    return command_line
