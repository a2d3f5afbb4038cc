"""Every benchmark, one after the other; each prints its numbers and keeps them in ``results/``.

    python benchmarks/run_all.py [--peers]

``--peers``: only those against the peers.  What is needed is looked for before anything starts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from peers import needs

HERE = Path(__file__).parent
PEERS = ("peers.stream", "peers.batch", "peers.query", "peers.collect", "peers.growth", "peers.chart")
BENCHMARKS = (
    ["worker.py"],
    ["worker.py", "--per-request", "100"],
    ["backfill.py"],
    ["collector.py"],
    ["spool.py", "--seconds", "60"],
    ["publish.py"],
    ["marts.py"],
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="only those against the peers")
    only_peers = parser.parse_args().peers
    needs.check()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
    for module in PEERS:
        subprocess.run([sys.executable, "-P", "-m", module], check=True, env=environment)
    if only_peers:
        return
    with tempfile.TemporaryDirectory() as folder:
        for script, *options in (*BENCHMARKS, ["coverage.py", folder]):
            subprocess.run([sys.executable, str(HERE / script), *options], check=True, env=environment)


if __name__ == "__main__":
    main()
