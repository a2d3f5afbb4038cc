"""Running `yesladder` as its users do: a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

YESLADDER = [sys.executable, "-P", "-m", "yesladder"]
"""``-P``: what is tested is what is installed (or on PYTHONPATH), wherever the tests are started."""


def environment(**settings: str) -> dict[str, str]:
    """Ours, for any folder, without the machine's settings and with these: ``port="0"`` is YESLADDER_PORT=0."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("YESLADDER_")}
    if "PYTHONPATH" in inherited:
        paths = [str(Path(path).absolute()) for path in inherited["PYTHONPATH"].split(os.pathsep)]
        inherited["PYTHONPATH"] = os.pathsep.join(paths)
    return inherited | {f"YESLADDER_{name.upper()}": value for name, value in settings.items()}


def run(*arguments: object, cwd: Path, settings: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*YESLADDER, *map(str, arguments)],
        cwd=cwd,
        env=environment(**(settings or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def run_json(*arguments: object, cwd: Path) -> Any:
    """The result of a command with ``--json``; it must succeed and print nothing else."""
    done = run(*arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
