"""The chart of the README: events per CPU second of all contenders, as an SVG that is readable on light and on dark.

    PYTHONPATH=.:benchmarks python -m peers.chart

draws ``benchmarks/results/peers.svg`` from what was measured last.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from measured import RESULTS
from peers.report import Part, Row, kept

CHART = RESULTS / "peers.svg"
_TITLES = {"stream": "Stream: Kafka to sessions", "batch": "Batch: a file to sessions", "query": "Query: a funnel"}
_OURS, _OTHERS, _FLOOR, _INK = "#0e8a6d", "#8b97a6", "#8b97a666", "#768390"
"""Seen on white and on GitHub's dark page alike."""


def draw(parts: dict[str, Part], path: Path = CHART) -> None:
    """Bars by part, fastest first; what finds no answer is a floor, and paler."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "peers"
    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["font.family"] = ["DejaVu Sans", "sans-serif"]
    shown = {name: _rows(name, parts[name]) for name in _TITLES if name in parts}
    figure, axes = plt.subplots(
        len(shown), 1, figsize=(8.2, 0.9 + sum(0.75 + 0.33 * len(rows) for rows in shown.values())),
        gridspec_kw={"height_ratios": [1 + len(rows) for rows in shown.values()]}, squeeze=False,
    )  # fmt: skip
    for axis, (name, rows) in zip(axes[:, 0], shown.items(), strict=True):
        _bars(axis, _TITLES[name], rows)
    figure.text(
        0.01, 0.005, "Events per CPU second of all of a contender's processes: more is better.", color=_INK, fontsize=8
    )
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(path, transparent=True, metadata={"Date": None})
    plt.close(figure)


def _rows(name: str, part: Part) -> list[Row]:
    rows = [row for row in part.rows if name != "batch" or row.name.endswith((": sessions", ": backfill"))]
    return sorted(rows, key=lambda row: median(row.per_cpu_s))


def _bars(axis: Any, title: str, rows: Sequence[Row]) -> None:
    rates = [median(row.per_cpu_s) for row in rows]
    colours = [_OURS if "Yesladder" in row.name else _OTHERS if row.same is not None else _FLOOR for row in rows]
    axis.barh([row.name for row in rows], rates, color=colours, height=0.68)
    axis.set_xlim(0, max(rates) * 1.25)
    for n, (row, rate) in enumerate(zip(rows, rates, strict=True)):
        weight = "bold" if "Yesladder" in row.name else "normal"
        axis.text(rate + max(rates) * 0.01, n, f"{rate:,.0f}", va="center", color=_INK, fontsize=9, fontweight=weight)
    axis.set_title(title, loc="left", color=_INK, fontsize=11, fontweight="bold")
    axis.tick_params(colors=_INK, labelsize=9, length=0)
    axis.xaxis.set_visible(False)
    for side in axis.spines.values():
        side.set_visible(False)


if __name__ == "__main__":
    draw(kept())
