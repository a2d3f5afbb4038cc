"""`make fuzz`: looks for inputs that break a promise, led by what code they reach (atheris), target by target.

What it finds it writes to ``tests/fuzz/findings/TARGET/``, where the tests try it in every run from then on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many in all")
    parser.add_argument("--target", help="only this one, in this process")
    options = parser.parse_args()
    if options.target is not None:
        fuzz(options.target, options.inputs)
        return
    from tests.fuzz.targets import TARGETS

    each, failed = options.inputs // len(TARGETS), []
    for name in TARGETS:
        began = time.monotonic()
        command = [sys.executable, "-m", "tests.fuzz.run", "--target", name, "--inputs", str(each)]
        found = subprocess.run(command, stderr=subprocess.PIPE, check=False)
        words = found.stderr.decode(errors="replace").splitlines()
        state = "ok" if found.returncode == 0 else "FOUND"
        covered = next((line.split("cov: ")[1].split()[0] for line in reversed(words) if "cov: " in line), "?")
        print(
            f"{name:12} {each:>9,} inputs, {covered} edges covered, {time.monotonic() - began:6.0f} s  {state}",
            flush=True,
        )
        if found.returncode != 0:
            failed.append(name)
            print("\n".join(words[-40:]))
    sys.exit(1 if failed else 0)


def fuzz(name: str, inputs: int) -> None:
    """Ends the process: 0, or the fuzzer's code once a promise is broken."""
    import atheris

    with atheris.instrument_imports(include=["ladder", "producers", "stream", "yesladder"]):
        from tests.fuzz.targets import TARGETS

    kept = HERE / "findings" / name
    kept.mkdir(parents=True, exist_ok=True)
    # What takes too long or too much memory ends the process from without; the fuzzer keeps it.
    limits = ["-max_len=4096", "-rss_limit_mb=4096", "-timeout=60", f"-artifact_prefix={kept}/"]
    atheris.Setup([sys.argv[0], f"-atheris_runs={inputs}", *limits], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
