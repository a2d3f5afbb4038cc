"""Leaps, momentum, hesitation and what follows on a yes in the terminal, each a table with what its words mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from answers.numbers import count, counted, interval, percent, seconds
from answers.plain_text import plain
from ladder.tiers import Ladder
from warehouse.asks import AfterYes, Hesitation, Leaps, Momentum

_LEAST_WIDE = 8
"""Letters for a name, however narrow the terminal."""


class LeapsTable:
    """Tier held when asked against tier asked.  ``segment``: by whose values tables are told apart, if any."""

    def __init__(self, found: Leaps, ladder: Ladder, segment: str | None) -> None:
        self._found, self._ladder, self._segment = found, ladder, segment

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        yield Text("Leaps: what people held when they were asked for more", style="bold")
        if not found.leaps:
            yield Text("Nobody was asked for anything.")
            return
        yield plain(_of_the_lost(found))
        for one in found.gradients:
            of = "" if self._segment is None else f" of {self._segment} {one.segment_value or '(none)'}"
            yield plain(f"Gradient{of}: {one.score:.2f} ({one.low:.2f} to {one.high:.2f}).")
        yield ""
        names = ("none", *self._ladder.tiers)
        rows = [
            [
                leap.segment_value,
                names[leap.held_tier],
                names[leap.tier],
                count(leap.asks),
                count(leap.yes),
                percent(leap.yes_rate) if leap.asks else "-",
                interval(leap.yes_rate_low, leap.yes_rate_high) if leap.asks else "none closed",
                count(leap.in_flight),
                count(leap.lost),
            ]
            for leap in found.leaps
        ]
        left = ["held", "asked for"]
        right = ["asks", "yes", "yes-rate", "95% interval", "in flight", "lost"]
        yield from tables(self._segment, left, right, rows)
        yield Text("in flight: their conversion window is still open, so they are in no other column", style="dim")
        yield Text("lost: people below the top whose last ask it was, and who never said yes again", style="dim")
        yield Text("gradient: 1 where every step costs alike, 0 where one cliff carries the whole fall", style="dim")


class MomentumTable:
    """The yes-rate by what came before.  ``segment`` as in ``LeapsTable``."""

    def __init__(self, found: Sequence[Momentum], ladder: Ladder, segment: str | None) -> None:
        self._found, self._ladder, self._segment = found, ladder, segment

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("Momentum: does one yes make the next more likely?", style="bold")
        if not self._found:
            yield Text("No ask whose conversion window has passed.")
            return
        right = ["asks", "yes-rate", "95% interval", "adjusted", "95% interval"]
        for grouped_by, found in groupby(self._found, key=lambda row: row.grouped_by):
            rows = [
                [
                    row.segment_value,
                    self._bucket(row),
                    count(row.asks),
                    percent(row.yes_rate),
                    interval(row.yes_rate_low, row.yes_rate_high),
                    percent(row.adjusted_rate),
                    interval(row.adjusted_rate_low, row.adjusted_rate_high),
                ]
                for row in found
            ]
            yield ""
            yield from tables(self._segment, [grouped_by], right, rows)
        yield ""
        yield Text("adjusted: as if every row had been asked for the same mix of tiers", style="dim")

    def _bucket(self, row: Momentum) -> str:
        return ("none", *self._ladder.tiers)[int(row.bucket)] if row.grouped_by == "tier held" else row.bucket


class HesitationTable:
    """Time from ask to answer, step by step.  ``segment`` as in ``LeapsTable``."""

    def __init__(self, found: Sequence[Hesitation], ladder: Ladder, segment: str | None) -> None:
        self._found, self._ladder, self._segment = found, ladder, segment

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("Hesitation: from the ask to the answer", style="bold")
        if not self._found:
            yield Text("No answer to an ask whose conversion window has passed.")
            return
        rows = [
            [
                row.segment_value,
                self._ladder.tiers[row.tier - 1],
                row.step,
                count(row.answers),
                seconds(row.p10_seconds),
                seconds(row.median_seconds),
                seconds(row.p90_seconds),
                percent(row.unthinking_share),
                percent(row.pondered_share),
            ]
            for row in self._found
        ]
        right = ["answers", "fast", "median", "slow", "unthinking", "pondered"]
        yield from tables(self._segment, ["tier", "step"], right, rows)
        yield Text("fast and slow: a tenth of the answers are faster, a tenth slower", style="dim")
        yield Text("unthinking: in under a second; pondered: after a minute or more", style="dim")


class AfterYesTable:
    """What follows on a yes: its reward, a cheer, the next yes.  ``segment`` as in ``LeapsTable``."""

    def __init__(self, found: Sequence[AfterYes], ladder: Ladder, segment: str | None) -> None:
        self._found, self._ladder, self._segment = found, ladder, segment

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("After a yes: the promised reward, a cheer, the next yes", style="bold")
        if not self._found:
            yield Text("Nobody said yes to anything.")
            return
        rows = [
            [
                row.segment_value,
                self._ladder.tiers[row.tier - 1],
                row.step,
                count(row.yeses),
                percent(row.rewarded_share) if row.has_reward else "-",
                "-" if row.median_reward_seconds is None else seconds(row.median_reward_seconds),
                percent(row.cheered_share) if row.has_cheer else "-",
                percent(row.next_rate_cheered) if row.next_asks_cheered else "-",
                percent(row.next_rate_uncheered) if row.next_asks_uncheered else "-",
            ]
            for row in self._found
        ]
        right = ["yeses", "rewarded", "after", "cheered", "next yes,\ncheered", "next yes,\nnot"]
        yield from tables(self._segment, ["tier", "step"], right, rows)
        yield Text("-: the ladder names no such event for the step, or there is none to count", style="dim")
        yield Text(
            "rewarded and cheered: of the yeses; after: the median; a cheer counts within 10 seconds", style="dim"
        )


def _of_the_lost(found: Leaps) -> str:
    if found.lost == 0:
        return "Nobody is known to be lost."
    long = f"{count(found.lost_on_long_leaps)} ({percent(found.long_leap_share)};"
    was = "was" if found.lost_on_long_leaps == 1 else "were"
    ends = interval(found.long_leap_share_low, found.long_leap_share_high)
    of = counted(found.lost, "person", "people")
    return f"Of {of} lost, {long} {ends}) {was} lost on a leap of more than one tier."


def tables(
    segment: str | None, left: Sequence[str], right: Sequence[str], rows: Iterable[Sequence[str]]
) -> Iterator[RenderableType]:
    """A table for each segment value, which is the first cell of a row; without a segment there is one value."""
    for value, group in groupby(rows, key=lambda row: row[0]):
        if segment is not None:
            yield plain(f"{segment}: {value or '(none)'}")
        cells = [row[1:] for row in group]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for number, name in enumerate(left):
            widest = max(len(row[number]) for row in cells)
            table.add_column(name, overflow="fold", min_width=min(_LEAST_WIDE, widest))
        for name in right:
            table.add_column(name, justify="left" if "interval" in name else "right", no_wrap=True)
        for row in cells:
            table.add_row(*map(plain, row))
        yield table
