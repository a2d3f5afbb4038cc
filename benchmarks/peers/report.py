"""What was measured, kept as one JSON file a part, and shown as the page ``benchmarks/results/peers.md``.

    PYTHONPATH=.:benchmarks python -m peers.report

writes the page anew from the files; the notes at its end are written by hand and stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec
from measured import RESULTS, machine

PAGE = RESULTS / "peers.md"
FILES = RESULTS / "peers"
NOTES = "<!-- Below this line the page is written by hand. -->"
PARTS = ("stream", "batch", "query", "collector", "growth")


class Row(msgspec.Struct):
    """A contender's runs.  Rates are events per CPU second of all its processes and per second of time.

    ``is_ours``: what the others are compared with.  ``same``: whether the answer was the expected one; None where it
    has none to compare.  ``note``: how it differs, or what must be known.
    """

    name: str
    events: int
    per_cpu_s: list[float]
    per_s: list[float]
    is_ours: bool = False
    start_cpu_s: float | None = None
    same: bool | None = None
    note: str = ""


class Part(msgspec.Struct):
    """One table.  ``facts``: lines below it.  ``extra``: of another shape, with its heads."""

    part: str
    title: str
    command: str
    when: str
    where: str
    versions: dict[str, str]
    conditions: str
    rows: list[Row] = []
    facts: list[str] = []
    heads: list[str] = []
    extra: list[list[str]] = []


def now_and_here() -> tuple[str, str]:
    """When and where a part is measured."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", machine()


def keep(part: Part, folder: Path = FILES) -> None:
    """Keep what was measured, print it, and write the page anew where it is the project's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part.part}.json").write_bytes(msgspec.json.format(msgspec.json.encode(part)) + b"\n")
    print("\n".join(_shown(part)))
    if folder == FILES:
        write_page()


def kept(folder: Path = FILES) -> dict[str, Part]:
    """All parts that were measured."""
    paths = {name: folder / f"{name}.json" for name in PARTS}
    return {name: msgspec.json.decode(path.read_bytes(), type=Part) for name, path in paths.items() if path.exists()}


def write_page() -> None:
    """The page from what is kept; its hand-written end stays."""
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    notes = before.partition(NOTES)[2].strip("\n")
    lines = [
        "# Yesladder and its peers",
        "",
        "Made by `make bench` (`benchmarks/peers`). Events per CPU second of a contender's processes is the figure to",
        "compare: it depends least on what else a machine does. The runs' lowest and highest are in brackets.",
        "",
        "![Events per CPU second](peers.svg)",
        "",
    ]
    for part in kept().values():
        lines += [*_shown(part), ""]
    PAGE.write_text("\n".join([*lines, NOTES, "", notes, ""]).rstrip("\n") + "\n", encoding="utf-8")


def _shown(part: Part) -> Iterator[str]:
    yield from (f"## {part.title}", "", f"{part.when}, {part.where}  ", f"`{part.command}`  ", part.conditions, "")
    if part.rows:
        ours = next((row for row in part.rows if row.is_ours), None)
        yield "| contender | events/CPU s | events/s | ours / this | CPU s to start | measured on | answer |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
        for row in sorted(part.rows, key=lambda row: -median(row.per_cpu_s)):
            ratio = "" if ours is None or row is ours else f"{median(ours.per_cpu_s) / median(row.per_cpu_s):.2f}"
            start = "" if row.start_cpu_s is None else f"{row.start_cpu_s:.1f}"
            same = {None: "none", True: "same", False: "differs"}[row.same]
            name = f"**{row.name}**" if row.is_ours else row.name
            yield (
                f"| {name} | {_range(row.per_cpu_s)} | {_range(row.per_s)} | {ratio} | {start} | {row.events:,} |"
                f" {same}{': ' + row.note if row.note else ''} |"
            )
        yield ""
    if part.heads:
        yield f"| {' | '.join(part.heads)} |"
        yield f"| --- | {' | '.join('---:' for _ in part.heads[1:])} |"
        yield from (f"| {' | '.join(cells)} |" for cells in part.extra)
        yield ""
    yield from (f"- {fact}" for fact in part.facts)
    if part.versions:
        yield from ("", "Versions: " + ", ".join(f"{name} {version}" for name, version in part.versions.items()) + ".")


def _range(values: Sequence[float]) -> str:
    middle = f"{median(values):,.0f}"
    return middle if len(values) < 2 else f"{middle} ({min(values):,.0f} to {max(values):,.0f})"


if __name__ == "__main__":
    write_page()
