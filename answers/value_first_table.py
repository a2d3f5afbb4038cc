"""Whether value comes first, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from answers.numbers import count, interval, percent, seconds
from answers.plain_text import plain
from ladder.tiers import Ladder
from warehouse.value_first import Given, Start, Value, ValueFirst

VALUES_SHOWN = 10

_GIVEN = {
    "rewards": "Rewards before each ask",
    "gives": "Rewards and content before each ask",
}


class ValueFirstTable:
    """How units start, what was given before each ask, and whether rewards arrived; then for each segment value."""

    def __init__(self, found: ValueFirst, ladder: Ladder) -> None:
        self._found, self._ladder = found, ladder

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found, of = self._found, self._found.of
        yield Text("Value first? What comes before we ask", style="bold")
        if found.all.units == 0:
            yield Text(f"No {of.unit} is known.")
            return
        yield plain(self._sentence(found.all))
        yield from self._value(found.all)
        for value, one in list(found.by.items())[:VALUES_SHOWN]:
            yield ""
            yield plain(f"{of.segment}: {value or '(none)'}")
            yield from self._value(one)
        if len(found.by) > VALUES_SHOWN:
            yield Text(f"the {VALUES_SHOWN} largest values of {count(len(found.by))}; --json has all", style="dim")
        lowest = self._ladder.tiers[0]
        yield ""
        yield plain(f"gives: a reward, or content ({lowest}); takes: an ask, yes or no of a tier above {lowest}")
        yield plain(f"ask: one above {lowest} whose conversion window has passed; those in flight are in no rate")
        yield Text("adjusted: as if every row had been asked for the same mix of tiers", style="dim")

    def _sentence(self, value: Value) -> str:
        """How many start by taking, and by giving."""
        starts = {start.start: start for start in value.starts}
        unit = f"{self._found.of.unit}{'' if value.units == 1 else 's'}"
        takes, gives = starts["takes"], starts["gives"]
        return (
            f"Of {count(value.units)} {unit}, {count(gives.units)} ({percent(gives.share)}; "
            f"{interval(gives.share_low, gives.share_high)}) were given something first, and of {count(takes.units)} "
            f"({percent(takes.share)}; {interval(takes.share_low, takes.share_high)}) something was wanted first."
        )

    def _value(self, value: Value) -> Iterator[RenderableType]:
        yield ""
        table = _table("first event", f"{self._found.of.unit}s", "1st asks")
        for start in value.starts:
            table.add_row(start.start, count(start.units), count(start.asks), *_rates(start))
        yield table
        for given, title in _GIVEN.items():
            yield ""
            table = _table(title, "asks", "of all")
            for row in value.gives:
                if row.given == given:
                    table.add_row(row.bucket, count(row.asks), percent(row.share) if row.asks else "-", *_rates(row))
            yield table
        if any(reward.has_reward for reward in value.rewards):
            yield ""
            yield self._rewards(value)

    def _rewards(self, value: Value) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("tier", "Did the reward arrive?"):
            table.add_column(name, overflow="fold", min_width=5)
        _right(table, ["yeses", "rewarded"])
        table.add_column("95% interval", no_wrap=True)
        _right(table, ["after"])
        for row in value.rewards:
            if row.has_reward:
                table.add_row(
                    plain(self._ladder.tiers[row.tier - 1]),
                    plain(row.step),
                    count(row.yeses),
                    percent(row.rewarded_share),
                    interval(row.rewarded_share_low, row.rewarded_share_high),
                    "-" if row.median_reward_seconds is None else seconds(row.median_reward_seconds),
                )
        return table


def _table(first: str, *counts: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, overflow="fold", max_width=19)
    _right(table, [*counts, "yes-rate"])
    table.add_column("95% interval", no_wrap=True)
    _right(table, ["adjusted"])
    return table


def _right(table: Table, names: Sequence[str]) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)


def _rates(row: Start | Given) -> list[str]:
    if row.asks == 0:
        return ["-", "no asks", "-"]
    return [percent(row.yes_rate), interval(row.yes_rate_low, row.yes_rate_high), percent(row.adjusted_rate)]
