"""Every benchmark, one after the other; each prints its ratios and appends them to ``results/``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = (
    ["worker.py"],
    ["worker.py", "--per-request", "100"],
    ["backfill.py"],
    ["collector.py"],
    ["spool.py", "--seconds", "60"],
    ["publish.py"],
)

if __name__ == "__main__":
    for script, *options in BENCHMARKS:
        subprocess.run([sys.executable, str(HERE / script), *options], check=True)
