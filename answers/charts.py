"""The charts of a document as pictures, for mail and PDF, where no script runs.

Letters are drawn as shapes, so that a name in a picture is never markup nor wants a font of the reader's.
"""

from __future__ import annotations

import io
import logging
import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from answers.document import Answers, Drawn, Heat, Whiskers
from answers.harmless import one_line
from answers.numbers import count, percent, seconds

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

YES, NO, SILENT, INK, MUTED, LINE = "#0072b2", "#d55e00", "#cdd2d9", "#1d2127", "#59626d", "#dddad3"
WIDTH = 7.2
"""Inches; a page's text is about as wide."""
PIXELS_PER_INCH = 160
_LABEL = 24
"""Letters of a name in one of its at most two lines."""
_FASTEST_S = 0.1

_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "svg.fonttype": "path",
    "svg.hashsalt": "yesladder",
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "text.parse_math": False,
}


def picture(drawn: Drawn, kind: Literal["svg", "png"]) -> bytes:
    """The chart as SVG, or as PNG of 1,152 pixels' width.  The same chart gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # It would say of each letter that no font has, such as an emoji, that it is shown as a box.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with mpl.rc_context(_STYLE), _without_warnings():
        figure = Figure(figsize=(WIDTH, 1), layout="constrained")
        match drawn:
            case Answers():
                _answers(figure, drawn)
            case Whiskers():
                _whiskers(figure, drawn)
            case Heat():
                _heat(figure, drawn)
        out = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        figure.savefig(out, format=kind, dpi=PIXELS_PER_INCH, metadata=metadata)
    # In its comments it writes the letters that it draws.
    return out.getvalue() if kind == "png" else re.sub(rb"<!--.*?-->", b"", out.getvalue(), flags=re.DOTALL)


def _answers(figure: Figure, drawn: Answers) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    axes = _axes(figure, [f"{row[0]}" for row in drawn.rows], more=0.75)
    for at, (_, yes, no, silent, low, high) in enumerate(drawn.rows):
        asked = yes + no + silent
        left = 0.0
        for part, colour in ((yes, YES), (no, NO), (silent, SILENT)):
            axes.barh(at, part / asked, left=left, height=0.62, color=colour, linewidth=0)
            left += part / asked
        axes.plot([low, high], [at, at], color=INK, linewidth=1.3, marker="|", markersize=7)
        axes.text(1.015, at, f"{percent(yes / asked)} of {count(asked)}", va="center", color=INK)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    keys: list[Artist] = [Rectangle((0, 0), 1, 1, facecolor=colour) for colour in (YES, NO, SILENT)]
    keys.append(Line2D([], [], color=INK, linewidth=1.3, marker="|", markersize=7))
    names = ["said yes", "said no", "silent", "95% interval"]
    figure.legend(keys, names, loc="outside upper left", ncols=4, frameon=False)


def _whiskers(figure: Figure, drawn: Whiskers) -> None:
    axes = _axes(figure, [row[0] for row in drawn.rows], more=0.45)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    for at, (_, value, low, high) in enumerate(drawn.rows):
        if value is None:
            continue
        if drawn.scale == "seconds":
            value, low, high = (max(time, _FASTEST_S) for time in (value, low, high))
        axes.plot([low, high], [at, at], color=YES, linewidth=2.2, solid_capstyle="round")
        axes.plot([value], [at], marker="o", markersize=6, color=YES, markeredgecolor="white")
    if drawn.scale == "share":
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    elif drawn.scale == "difference":
        reach = max([0.05, *(1.08 * abs(end) for row in drawn.rows for end in row[2:])])
        axes.set_xlim(-reach, reach)
        axes.axvline(0, color=INK, linewidth=0.9)
        axes.xaxis.set_major_formatter(lambda share, _: "0" if share == 0 else f"{100 * share:+.0f}".replace("-", "−"))
        axes.set_xlabel("points of drop-off: fewer lost to the left, more to the right")
    else:
        axes.set_xscale("log")
        slowest = max([10.0, *(row[3] for row in drawn.rows)])
        axes.set_xlim(0.08, 2 * slowest)
        ticks = [time for time in (_FASTEST_S, 1, 10, 60, 600, 3600, 36_000, 86_400, 864_000) if time < 2 * slowest]
        axes.set_xticks(ticks, [_time(time) for time in ticks])
        axes.minorticks_off()


def _time(time_s: float) -> str:
    number, unit = seconds(time_s).split()
    return f"{'≤ ' if time_s <= _FASTEST_S else ''}{number.removesuffix('.0')} {unit}"


def _heat(figure: Figure, drawn: Heat) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    axes = _axes(figure, drawn.rows, more=0.75)
    colours = LinearSegmentedColormap.from_list("yes", ["#f1f5f9", YES])
    for down, cells in enumerate(drawn.cells):
        for across, cell in enumerate(cells):
            if cell is None:
                continue
            share, words = cell
            axes.add_patch(Rectangle((across - 0.48, down - 0.46), 0.96, 0.92, facecolor=colours(share), linewidth=0))
            axes.text(across, down, words, ha="center", va="center", color="white" if share > 0.7 else INK)
    axes.set_xlim(-0.5, len(drawn.columns) - 0.5)
    axes.set_xticks(range(len(drawn.columns)), [_label(name, 12) for name in drawn.columns])
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(drawn.across)
    axes.set_ylabel(drawn.down, color=MUTED)


def _axes(figure: Figure, names: Sequence[str], more: float) -> Axes:
    """Axes with a row per name, the first on top; ``more``: inches above and below them."""
    labels = [_label(name, _LABEL) for name in names]
    figure.set_size_inches(WIDTH, more + sum(0.42 if "\n" in label else 0.34 for label in labels))
    axes = figure.subplots()
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), labels)
    axes.tick_params(length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    return axes


def _label(name: str, wide: int) -> str:
    """At most two lines."""
    return "\n".join(textwrap.wrap(one_line(name), wide, max_lines=2, placeholder="…"))


def _without_warnings() -> Any:
    import warnings

    return warnings.catch_warnings(action="ignore", category=UserWarning)
