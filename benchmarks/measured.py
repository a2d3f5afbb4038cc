"""What a benchmark says: rates with their spread, ratios, and where it ran."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Result:
    """One benchmark's outcome.  ``rates``: per contender, events/s of each run.  ``ratios``: of the medians."""

    title: str
    conditions: str
    rates: Mapping[str, Sequence[float]]
    ratios: Mapping[str, float]


def machine() -> str:
    """The machine in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}, Python {platform.python_version()}"


def write_result(result: Result, where: str) -> None:
    """Print a result, and append it to ``results/TITLE.md`` with its command."""
    lines = [
        f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"`python {' '.join(['benchmarks/' + Path(sys.argv[0]).name, *sys.argv[1:]])}`  ",
        f"{where}  ",
        result.conditions,
        "",
        "| contender | events/s, median | lowest | highest | runs |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {median(rates):,.0f} | {min(rates):,.0f} | {max(rates):,.0f} | {len(rates)} |"
            for name, rates in result.rates.items()
        ),
        "",
        *(f"- {name}: **{ratio:.2f}**" for name, ratio in result.ratios.items()),
        "",
    ]
    print("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    page = RESULTS / f"{result.title}.md"
    before = page.read_text(encoding="utf-8") if page.exists() else f"# {result.title}\n\n"
    page.write_text(before + "\n".join(lines) + "\n", encoding="utf-8")
