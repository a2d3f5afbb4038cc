"""Every benchmark, one after the other; each prints its numbers and appends them to ``results/``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = (
    ["worker.py"],
    ["worker.py", "--per-request", "100"],
    ["backfill.py"],
    ["collector.py"],
    ["spool.py", "--seconds", "60"],
    ["publish.py"],
    ["marts.py"],
)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for script, *options in (*BENCHMARKS, ["coverage.py", folder]):
            with_tests = os.environ | {"PYTHONPATH": str(HERE.parent)}
            subprocess.run([sys.executable, str(HERE / script), *options], check=True, env=with_tests)
