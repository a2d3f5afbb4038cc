"""Too much too soon in the terminal: asked too soon against asked in order, the worst steps, the first asks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from answers.asks_tables import tables
from answers.numbers import count, interval, percent, seconds
from answers.plain_text import plain
from ladder.tiers import Ladder
from warehouse.too_soon import Asked, TooSoon

_MOST = 10


class TooSoonTable:
    """``segment``: by whose values tables are told apart, if any."""

    def __init__(self, found: Sequence[TooSoon], ladder: Ladder, segment: str | None) -> None:
        self._found, self._ladder, self._segment = found, ladder, segment

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("Too much too soon: asks more than one tier above what people held", style="bold")
        if not self._found:
            yield Text("Nobody was asked for anything.")
            return
        for of in self._found:
            if self._segment is not None:
                yield plain(f"{self._segment}: {of.segment_value or '(none)'}")
            yield from self._one(of)
        yield Text("lost: people below the top whose last ask it was, and who never said yes again", style="dim")
        yield Text(
            "after landing: from the session's first event, the median; with its fastest and slowest tenth", style="dim"
        )

    def _one(self, of: TooSoon) -> RenderResult:
        right = ["asks", "yes-rate", "95% interval", "lost", "share", "95% interval"]
        yield from tables(
            None, ["asked"], right, [["", "too soon", *_cells(of.too_soon)], ["", "in order", *_cells(of.in_order)]]
        )
        if of.too_soon.asks and of.in_order.asks:
            yes = _points(of.yes_rate_difference, of.yes_rate_difference_low, of.yes_rate_difference_high)
            lost = _points(of.lost_share_difference, of.lost_share_difference_low, of.lost_share_difference_high)
            yield plain(f"Asked too soon against in order: yes-rate {yes}, share lost {lost}.")
        worst = [
            [
                "",
                self._ladder.tiers[step.tier - 1],
                step.step,
                count(step.asks),
                percent(step.yes_rate) if step.asks else "-",
                count(step.lost),
            ]
            for step in of.worst[:_MOST]
        ]
        if worst:
            yield ""
            yield from tables(None, ["tier", "step too soon"], ["asks", "yes-rate", "lost"], worst)
        yield ""
        first = [
            [
                "",
                self._ladder.tiers[ask.asked.tier - 1],
                ask.asked.step,
                count(ask.asked.asks),
                "-" if ask.median_seconds is None else seconds(ask.median_seconds),
                "-"
                if ask.p10_seconds is None or ask.p90_seconds is None
                else f"{seconds(ask.p10_seconds)} to {seconds(ask.p90_seconds)}",
                percent(ask.asked.yes_rate) if ask.asked.asks else "-",
                count(ask.asked.lost),
            ]
            for ask in of.first[:_MOST]
        ]
        right = ["asks", "after landing", "spread", "yes-rate", "lost"]
        yield from tables(None, ["tier", "step asked first"], right, first)


def _cells(asked: Asked) -> list[str]:
    if not asked.asks:
        return ["0", "-", "none closed", "0", "-", "none closed"]
    return [
        count(asked.asks),
        percent(asked.yes_rate),
        interval(asked.yes_rate_low, asked.yes_rate_high),
        count(asked.lost),
        percent(asked.lost_share),
        interval(asked.lost_share_low, asked.lost_share_high),
    ]


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
