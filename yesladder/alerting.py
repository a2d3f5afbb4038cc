"""`yesladder alerts`: the commands about alerts on drop-off spikes."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from yesladder.options import json_option, print_json


@click.group()
def alerts() -> None:
    """Alerts when the yes-rate of a step falls: docs/alerts.md says how they come about.

    Example: yesladder alerts backtest counts.parquet --json
    """


@alerts.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--live-from",
    type=int,
    metavar="MINUTE",
    help="The history ends before this minute.  [default: half of the file, four weeks at most]",
)
@click.option(
    "--arl",
    type=click.FloatRange(min=10),
    default=43_200.0,
    show_default=True,
    metavar="MINUTES",
    help="Average run length: minutes to a false alarm of one key, at least.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="ALARMS",
    help="At most so many false alarms in 30 days over all keys together, instead of --arl.",
)
@click.option(
    "--window",
    type=click.IntRange(5, 1440),
    default=60,
    show_default=True,
    metavar="MINUTES",
    help="A yes that takes longer is none.",
)
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write a page with a chart of each alarm."
)
@json_option
def backtest(
    file: Path, live_from: int | None, arl: float, budget: float | None, window: int, html: Path | None, as_json: bool
) -> None:
    """Replay a file of counts: which alarms would have been raised, and when.

    FILE is csv or parquet with the columns key (text), ask_minute (whole number), delay_minutes (whole number, empty
    for the asks themselves) and count: asks made in that minute, and yeses that arrived at ask_minute +
    delay_minutes.  Day and week are told from ask_minute, which counts from any midnight.

    Example: yesladder alerts backtest counts.parquet --live-from 40320 --json
    """
    from answers.alerts_file import read_counts
    from answers.alerts_page import write_alerts_page
    from answers.alerts_replay import replay
    from answers.alerts_table import AlertsTable
    from answers.alerts_threshold import threshold_alerts
    from stream.alerts import MINUTES_A_MONTH, Rules

    counts = read_counts(file)
    rules = Rules(patience=arl) if budget is None else Rules(patience=MINUTES_A_MONTH / budget, together=True)
    found = replay(counts, live_from, rules, window)
    if html is not None:
        write_alerts_page(counts, found, threshold_alerts(counts, found.live_from), html)
    if as_json:
        alarms = [
            {"key": a.key, "minute": a.minute, "change_point": a.change_point, "lost": round(a.lost, 1), "kind": a.kind}
            for a in found.alarms
        ]
        print_json({"alarms": alarms})
    else:
        Console().print(AlertsTable(found, threshold_alerts(counts, found.live_from)))
