"""A funnel in the terminal and as CSV: readable in 80 columns, without colour, and with ASCII alone."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from answers.csv_text import as_csv as csv_of
from answers.funnel import SCHEMA, table_of
from answers.funnel_answer import EDGES_S, Answer, StepResult
from answers.numbers import count, interval, percent, seconds
from answers.plain_text import plain
from ladder.durations import format_duration

VALUES_SHOWN = 20
STEPS_ABREAST = 5
IDS_SHOWN = 1000

_ORDERS = {
    "ordered": "in this order",
    "strict": "in this order with nothing between",
    "unordered": "in any order",
}


class FunnelTable:
    """Prints as a headline, one line per step, then each value of a breakdown, and what else was asked for.

    ``console.print(FunnelTable(answer))``.
    """

    def __init__(self, found: Answer, *, histogram: bool = False) -> None:
        self._found, self._histogram = found, histogram

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        question = found.question
        yield Text(f"Funnel per {_unit(question.unit)}", style="bold")
        yield plain(f"Steps {_ORDERS[question.order]}, within {format_duration(question.window)} of the first.")
        yield plain(headline(found))
        yield ""
        yield _table(found.steps, question.optional, question.unit)
        if question.optional:
            yield Text("?: optional; its share, and that of the step after it, is of the last step that is not")
        if self._histogram:
            yield from _histograms(found.steps)
        if found.by:
            yield ""
            yield _values(found)
            yield plain(_about_values(found))
        if found.trend:
            yield ""
            yield _trend(found)
            yield plain(
                "Shares are of those whose window has passed by the newest event; the others are still on their way."
            )
        for step in found.steps:
            if step.units is not None:
                yield ""
                yield Text(f"At step {step.step}: {count(len(step.units))}", style="bold")
                for unit in step.units[:IDS_SHOWN]:
                    yield plain(unit)
                if len(step.units) > IDS_SHOWN:
                    yield Text(f"(the first {count(IDS_SHOWN)}; --json has all)", style="dim")


def headline(found: Answer) -> str:
    """The sentence to remember: how many went all the way, and where most are lost."""
    steps = [step for step in found.steps if step.step not in found.question.optional]
    unit = _unit(found.question.unit)
    first, last = steps[0], steps[-1]
    if first.count == 0:
        return f"No {unit} began it: nobody did {first.name!r}, as far as the marts of the last build know."
    began = f"{count(first.count)} {unit}{'' if first.count == 1 else 's'} began"
    if len(steps) == 1:
        return f"{began}."
    share = f"{percent(last.from_first.value)}, 95% interval {interval(last.from_first.low, last.from_first.high)}"
    said = f"{began}, {count(last.count)} went all the way ({share})."
    worst = min(steps[1:], key=lambda step: (step.from_previous.value, step.step))
    if worst.from_previous.value < 1:
        lost = found.steps[worst.previous - 1].count - worst.count
        share = percent(1 - worst.from_previous.value)
        said += f" The largest share of a step is lost before {worst.name!r}: {count(lost)}, {share}."
    return said


def as_csv(found: Answer) -> str:
    """The rows of ``table_of`` as CSV.

    Text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    return csv_of(SCHEMA.names, (list(row.values()) for row in table_of(found).to_pylist()))


def _table(steps: Sequence[StepResult], optional: Sequence[int], unit: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", justify="right")
    table.add_column("step", overflow="fold")
    table.add_column(f"{_unit(unit)}s", justify="right", no_wrap=True)
    table.add_column("of prev.", justify="right", no_wrap=True)
    table.add_column("95% interval", no_wrap=True)
    table.add_column("of 1st", justify="right", no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("p90", justify="right", no_wrap=True)
    for step in steps:
        share = step.from_previous
        table.add_row(
            f"{step.step}{'?' if step.step in optional else ''}",
            plain(step.name),
            count(step.count),
            percent(share.value) if step.previous else "",
            interval(share.low, share.high) if step.previous else "",
            percent(step.from_first.value),
            _time(step.median_seconds) if step.previous else "",
            _time(step.p90_seconds) if step.previous else "",
        )
    return table


def _values(found: Answer) -> Table:
    """One line per value: the counts of each step (of many steps: the first and the last), and how many got through."""
    last = max(step.step for step in found.steps if step.step not in found.question.optional)
    shown = [step.step for step in found.steps] if len(found.steps) <= STEPS_ABREAST else [1, last]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(plain(found.question.by or ""), overflow="fold")
    for step in shown:
        table.add_column(f"step {step}", justify="right", no_wrap=True)
    table.add_column(f"1 to {last}", justify="right", no_wrap=True)
    table.add_column("95% interval", no_wrap=True)
    for value, steps in list(found.by.items())[:VALUES_SHOWN]:
        through = steps[last - 1].from_first
        counts = [count(steps[step - 1].count) for step in shown]
        table.add_row(plain(value), *counts, percent(through.value), interval(through.low, through.high))
    return table


def _histograms(steps: Sequence[StepResult]) -> RenderResult:
    for step in steps[1:]:
        yield ""
        yield Text.assemble(("How long to ", "bold"), plain(step.name), (", from the step before", "bold"))
        most = max(step.histogram)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        for begin, end, number in zip(EDGES_S, [*EDGES_S[1:], None], step.histogram, strict=True):
            label = f"{seconds(begin)} or more" if end is None else f"{seconds(begin)} to {seconds(end)}"
            table.add_row(label, Text(count(number), justify="right"), "#" * (-(-30 * number // most) if most else 0))
        yield table


def _trend(found: Answer) -> Table:
    last = max(step.step for step in found.steps if step.step not in found.question.optional)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(f"{found.question.trend} of entry", no_wrap=True)
    table.add_column("matured", justify="right", no_wrap=True)
    table.add_column(f"step {last}", justify="right", no_wrap=True)
    table.add_column(f"1 to {last}", justify="right", no_wrap=True)
    table.add_column("95% interval", no_wrap=True)
    table.add_column("in flight", justify="right", no_wrap=True)
    table.add_column("")
    for period in found.trend:
        through = period.steps[last - 1].from_first
        table.add_row(
            period.begins.isoformat(),
            count(period.steps[0].count),
            count(period.steps[last - 1].count),
            percent(through.value),
            interval(through.low, through.high),
            count(period.in_flight[0]),
            "" if period.is_mature else "immature",
        )
    return table


def _about_values(found: Answer) -> str:
    question = found.question
    unit = _unit(question.unit)
    if question.attribution == "all":
        said = (
            f"All steps share the value of {question.by}; a {unit} counts in each value that it has steps of, so the "
            "values need not add up to the total."
        )
    else:
        which = f"at step {question.attributed_step}" if question.attributed_step else f"{question.attribution} one"
        said = f"Each {unit} counts in one value of {question.by} ({which}); the values add up to the total."
    if len(found.by) > VALUES_SHOWN:
        said += f" The {VALUES_SHOWN} most frequent of {count(len(found.by))} values are shown; --json has all."
    return said


def _time(duration: float | None) -> str:
    return "-" if duration is None else seconds(duration)


def _unit(unit: str) -> str:
    return unit if unit in ("visitor", "user", "session") else f"{unit} value"
