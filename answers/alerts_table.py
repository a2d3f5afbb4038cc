"""A replay in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from answers.alerts_replay import Replay
from answers.alerts_threshold import ThresholdAlert
from answers.numbers import count, percent
from answers.plain_text import plain


class AlertsTable:
    """One line per alarm, then what a threshold alert on hourly rates would have done."""

    def __init__(self, found: Replay, thresholds: Sequence[ThresholdAlert]) -> None:
        self._found, self._thresholds = found, thresholds

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        minutes = found.until - found.live_from + 1
        number = len(found.alarms)
        yield Text(
            f"{count(number) if number else 'No'} alarm{'' if number == 1 else 's'} in {count(minutes)} minutes "
            f"of {count(len(self._thresholds))} key{'' if len(self._thresholds) == 1 else 's'}",
            style="bold",
        )
        if number:
            yield self._alarms()
            yield Text(
                "lost: yeses missing when the alarm was raised, with a 95% interval, and when it ended", style="dim"
            )
        if any(not alarm.sure for alarm in found.alarms):
            yield Text("*: the history was shorter than two weeks, so the detector was wider", style="dim")
        yield ""
        yield from self._threshold()

    def _alarms(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("key", overflow="fold")
        for name in ("minute", "since", "kind", "fall", "lost", "resolved", "in all"):
            table.add_column(name, justify="left" if name == "kind" else "right", no_wrap=True)
        for alarm in self._found.alarms:
            falls = alarm.kind in ("drop", "tracking")
            table.add_row(
                plain(alarm.key),
                f"{alarm.minute}{'' if alarm.sure else '*'}",
                str(alarm.change_point),
                alarm.kind,
                percent(max(0.0, alarm.fall)) if falls else "",
                f"{alarm.lost:,.0f} ({alarm.lost_low:,.0f} to {alarm.lost_high:,.0f})",
                "open" if alarm.resolved is None else str(alarm.resolved),
                f"{alarm.lost_in_all:,.0f}",
            )
        return table

    def _threshold(self) -> RenderResult:
        fired = [alert for alert in self._thresholds if alert.fired]
        times = sum(len(alert.fired) for alert in fired)
        yield Text("A threshold alert on hourly rates, set to fire once in 30 days of the history", style="bold")
        if not fired:
            yield Text("would not have fired.")
            return
        yield Text(f"would have fired {count(times)} time{'' if times == 1 else 's'}.")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("key", overflow="fold")
        for name in ("threshold", "times", "first in minute", "last in minute"):
            table.add_column(name, justify="right", no_wrap=True)
        for alert in fired:
            threshold = "" if alert.threshold is None else percent(alert.threshold)
            table.add_row(
                plain(alert.key), threshold, count(len(alert.fired)), str(alert.fired[0]), str(alert.fired[-1])
            )
        yield table
