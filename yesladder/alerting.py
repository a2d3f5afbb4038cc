"""`yesladder alerts`: the agent, and the commands about alerts on drop-off spikes."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from ladder.durations import parse_duration
from ladder.errors import UsageError
from yesladder.options import json_option, log_level_option, print_json, settings_options
from yesladder.settings import Settings, read_settings

if TYPE_CHECKING:
    from answers.alerts_file import MinuteCounts
    from stream.alerts_notice import Alert
    from warehouse.lake import Lake


@click.group(invoke_without_command=True)
@settings_options(
    "warehouse", "lake", "ladder", "alerts", "brokers", "topic", "step_minutes", "alerts_topic", "replication",
    "security_protocol", "sasl_mechanism", "username", "alerts_group", "session_timeout", "alerts_host", "alerts_port",
)  # fmt: skip
@log_level_option
@click.option("--json", "as_json", is_flag=True, help="Print alerts as JSON, one a line, and the log too.")
@click.pass_context
def alerts(context: click.Context, /, log_level: str, as_json: bool, **options: Any) -> None:
    """Alerts when the yes-rate of a step falls: docs/alerts.md says how they come about.

    Without a command: the agent that watches what workers count, and tells the sinks of alerts.toml.  Of several one is
    at work, the others stand by.  It serves /health and /metrics.  Exit code 3: start it again; 4: look at its last
    words first.

    Example: yesladder alerts --brokers localhost:9092 --alerts alerts.toml
    """
    if context.invoked_subcommand is not None:
        return
    from yesladder.alerts_running import log_as_json, run_alerts

    settings = read_settings(**options)
    if as_json:
        log_as_json()
    run_alerts(settings, _print_line if as_json else _print, loglevel=log_level)


def _print(alert: Alert) -> None:
    at = f"{alert.minute:%Y-%m-%d %H:%M} UTC"
    quiet = "" if alert.told else f" [not told: {alert.quiet}]"
    click.echo(f"{at}  {alert.what}{quiet}: {alert.text}".replace("\n", "\n    "))
    sys.stdout.flush()


def _print_line(alert: Alert) -> None:
    print_json({"at": datetime.now(UTC).isoformat(), "alert": alert.to_dict()})
    sys.stdout.flush()


@alerts.command("list")
@settings_options("warehouse")
@click.option("--open", "only_open", is_flag=True, help="Only those that are not resolved.")
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="How many, the newest.")
@json_option
def list_(only_open: bool, last: int, as_json: bool, **options: Any) -> None:
    """The alerts of this warehouse, each with all that was told of it.

    Example: yesladder alerts list --open
    """
    from answers.alerts_list import AlertsList, alerts_of
    from warehouse.alerts_table import read_alerts

    settings = read_settings(**options)
    found = alerts_of(read_alerts(_lake(settings)), only_open=only_open)[-last:]
    if as_json:
        print_json({"alerts": [alert.to_dict() for alert in found]})
    else:
        Console().print(AlertsList(found))


@alerts.command()
@click.argument("what")
@click.option("--at", type=click.DateTime(), help="When it was, UTC.  [default: now]")
@settings_options("warehouse")
@json_option
def mark(what: str, at: datetime | None, as_json: bool, **options: Any) -> None:
    """Note that something was done, such as a deploy; alerts that follow point to it.

    Example: yesladder alerts mark "deploy 4.2"
    """
    from yesladder.alerts_running import notes_of

    when = datetime.now(UTC) if at is None else at.replace(tzinfo=UTC)
    if not what.strip():
        raise UsageError('WHAT is empty; write what was done, such as "deploy 4.2"')
    note = {"at": when.isoformat(), "what": what.strip()}
    notes_of(read_settings(**options).warehouse).add(note)
    if as_json:
        print_json(note)
    else:
        click.echo(f"marked {when:%Y-%m-%d %H:%M} UTC: {what.strip()}")


@alerts.command()
@click.argument("step")
@click.option("--for", "span", required=True, metavar="DURATION", help="How long from now, such as 2h.")
@click.option("--tier", help="Only of the tier of this name.")
@click.option("--segment", metavar="COLUMN=VALUE", help="Only of these people.")
@click.option(
    "--reason", default="muted by hand", show_default=True, help="Stands in the table beside what was not told."
)
@settings_options("warehouse", "ladder", "alerts")
@json_option
def mute(
    step: str, span: str, tier: str | None, segment: str | None, reason: str, as_json: bool, **options: Any
) -> None:
    """Tell nobody of alerts about a step for a while.  They are still written into the table.

    Example: yesladder alerts mute "add to cart" --for 2h --reason "known, being fixed"
    """
    from yesladder.alerts_running import notes_of

    settings = read_settings(**options)
    ladder = settings.load_ladder()
    steps = {m.step for rule in ladder.rules for m in rule.marks}
    if steps and step not in steps and settings.ladder is not None:
        raise UsageError(f"the ladder {ladder.name} has no step {step!r}; it has {', '.join(sorted(steps))}")
    if tier is not None and tier not in ladder.tiers:
        raise UsageError(f"--tier {tier}: the ladder {ladder.name} has {', '.join(ladder.tiers)}")
    if segment is not None:
        _check_segment(segment, settings)
    try:
        length = parse_duration(span)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None
    now = datetime.now(UTC)
    note: dict[str, Any] = {"at": now.isoformat(), "step": step, "until": (now + length).isoformat(), "reason": reason}
    note |= {key: value for key, value in (("tier", tier), ("segment", segment)) if value is not None}
    notes_of(settings.warehouse).add(note)
    if as_json:
        print_json(note)
    else:
        click.echo(f"nobody is told of {step} until {now + length:%Y-%m-%d %H:%M} UTC")


def _check_segment(segment: str, settings: Settings) -> None:
    """Raises ``UsageError`` for a segment that no alert is about."""
    from stream.alerts_config import SEGMENTS

    column, _, value = segment.partition("=")
    if not value:
        raise UsageError(f"--segment {segment}: write it as COLUMN=VALUE, such as device_class=mobile")
    watched = settings.load_alerts().segments
    if column not in (watched or SEGMENTS):
        by = ", by `segments` of alerts.toml" if watched else ""
        raise UsageError(f"--segment {segment}: the columns are {', '.join(watched or SEGMENTS)}{by}")


@alerts.command("test")
@settings_options("ladder", "alerts")
@json_option
def test_(as_json: bool, **options: Any) -> None:
    """Send every sink of alerts.toml a message that says it is a test.

    Example: yesladder alerts test --alerts alerts.toml
    """
    from yesladder.alerts_running import try_sinks

    settings = read_settings(**options)
    if not settings.load_alerts().sinks:
        raise UsageError("there are no sinks: alerts.toml has no [[sink]], or was not found (--alerts FILE)")
    answers = try_sinks(settings, datetime.now(UTC))
    if as_json:
        print_json({"ok": all(answer["ok"] for answer in answers), "sinks": answers})
    else:
        for answer in answers:
            click.echo(f"{answer['sink']}: {'ok' if answer['ok'] else 'FAILED'} ({answer['said']})")
    if not all(answer["ok"] for answer in answers):
        sys.exit(1)


def _lake(settings: Settings) -> Lake:
    if not settings.has_lake():
        raise UsageError(f"{settings.warehouse} holds no lake yet (or point --warehouse at another folder)")
    return settings.open_lake()


@alerts.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@settings_options("warehouse", "ladder", "alerts", "topic")
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
    file: Path | None,
    live_from: int | None,
    arl: float,
    budget: float | None,
    window: int,
    html: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Replay counts: which alarms would have been raised, and when.

    Without FILE the last four weeks of the lake, by the segments of alerts.toml; minutes are then since 1970, UTC.

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

    counts = read_counts(file) if file is not None else _lake_counts(read_settings(**options))
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


def _lake_counts(settings: Settings) -> MinuteCounts:
    from answers.alerts_file import MinuteCounts
    from yesladder.alerts_history import read_past

    config, ladder = settings.load_alerts(), settings.load_ladder()
    past = read_past(_lake(settings), ladder, config.segments, f"kafka:{settings.topic}")
    if not len(past.asks):
        raise UsageError(f"the lake of {settings.warehouse} holds no asks of the ladder {ladder.name}")
    return MinuteCounts.of_past(past, ladder.tiers, config.segments)
