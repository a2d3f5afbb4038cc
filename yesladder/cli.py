"""The command line: `yesladder COMMAND`.  Heavy libraries are imported by the commands that need them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console

from ladder.errors import UsageError, YesladderError
from yesladder.alerting import alerts
from yesladder.allocator import keep_freed_pages
from yesladder.asking import after_yes, hesitation, leaps, momentum, too_soon
from yesladder.auditing import audit
from yesladder.climbing import standing, tiers, value_first
from yesladder.dashboarding import dashboard
from yesladder.options import (
    json_option as _json_option,
    log_level_option,
    print_json as _print_json,
    settings_options,
)
from yesladder.ports import check_port
from yesladder.progress import bars, progress_bar, status
from yesladder.reporting import report
from yesladder.scheduling import schedule
from yesladder.settings import Settings, read_settings
from yesladder.walking import walk

if TYPE_CHECKING:
    from producers.columns import ColumnMap
    from producers.publisher import Publisher
    from warehouse.erased import Mode
    from warehouse.lake import Lake


def main() -> None:
    """Run the command line; leaves with 0, 1 (it failed), 2 (wrong usage or configuration) or 130 (Ctrl-C)."""
    try:
        code = cli.main(prog_name="yesladder", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        command = "yesladder" if error.ctx is None else error.ctx.command_path
        _leave(f"{error.format_message().rstrip('.')}; see `{command} --help`", error.exit_code)
    except click.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except YesladderError as error:
        _leave(str(error), error.exit_code)
    except BrokenPipeError:  # who reads our output has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a folder that cannot be written, a full disk: the machine's, and it says which
        _leave(str(error), 1)
    sys.exit(code if isinstance(code, int) else 0)


def _leave(message: str, code: int) -> NoReturn:
    click.echo(f"yesladder: {message}", err=True)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="yesladder")
def cli() -> None:
    """Where do people drop off on the ladder of small yeses?

    \b
    yesladder demo       see it work, on real data
    yesladder up         run all of it here
    yesladder dashboard  look at it
    yesladder doctor     what is wrong with this installation, and the fix
    """


_FUNNELS = Path("funnels.toml")
_funnels_option = click.option(
    "--funnels",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_FUNNELS,
    show_default=True,
    help="The file of saved funnels.",
)

_CONNECTION = ("brokers", "topic", "partitions", "replication", "security_protocol", "sasl_mechanism", "username")


@cli.command()
@click.option(
    "--events", type=click.IntRange(min=1), help="Use this many events only.  [default: all; 20000 simulated]"
)
@click.option(
    "--dataset", default="moodle_edify", show_default=True, help="moodle_edify, snowplow_web, otto_mini or simulated."
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-data"),
    show_default=True,
    help="Where the demo keeps its data; a former demo there is replaced.",
)
@click.option("--lake", metavar="URL", help="Keep its lake below this address, such as s3://BUCKET/FOLDER.")
@_json_option
def demo(events: int | None, dataset: str, folder: Path, lake: str | None, as_json: bool) -> None:
    """The whole road on real data: HTTP, Kafka, worker, lake, SQL, tier table, report.  Ends by itself.

    Example: yesladder demo --dataset simulated --events 20000
    """
    from yesladder.demo import run_demo

    result = run_demo(dataset, events, folder, lake=lake, quiet=as_json)
    if as_json:
        _print_json(result)


@cli.command()
@settings_options(
    "warehouse", "lake", "ladder", "brokers", "topic", "host", "port", "write_keys", "spool", "spool_bytes",
    "build_every", "step_minutes", "alerts",
    "dashboard_host", "dashboard_port",
)  # fmt: skip
@click.option(
    "--kafka-port", type=click.IntRange(1, 65535), default=9092, show_default=True, help="Port of the embedded broker."
)
@click.option("--no-dashboard", is_flag=True, help="Without the dashboard.")
def up(kafka_port: int, no_dashboard: bool, **options: Any) -> None:
    """Collector, worker, dashboard, alerts (where there is an alerts.toml), scheduled builds and upkeep.

    Ctrl-C stops all of it.

    Example: yesladder up --ladder ladders/shop.toml --write-keys my-site
    """
    from yesladder.up import run_up

    run_up(read_settings(**options), kafka_port, with_dashboard=not no_dashboard)


@cli.command()
@settings_options(*_CONNECTION, "host", "port", "write_keys", "warehouse", "spool", "spool_bytes")
def collect(**options: Any) -> None:
    """Take events from Segment, Rudder and Jitsu clients over HTTP and put them onto Kafka.

    While Kafka is away they wait in a spool on the local disk, of which each collector needs one of its own.

    Example: yesladder collect --brokers localhost:9092 --write-keys my-site
    """
    from producers.collector import create_app
    from producers.serving import serve
    from producers.topics import is_reachable
    from yesladder.collecting import collecting
    from yesladder.processes import COLLECTING_AT

    settings = read_settings(**options)
    connection = settings.connection()
    with collecting(settings) as (publisher, spool):
        app = create_app(
            publisher,
            write_keys=settings.known_keys(),
            is_ready=lambda: is_reachable(connection),
            spool=spool,
        )
        serve(app, settings.host, settings.port, on_ready=lambda url: click.echo(f"{COLLECTING_AT}{url}"))


@cli.command()
@settings_options(
    "warehouse", "lake", "ladder", *_CONNECTION, "group", "checkpoint_interval", "checkpoint_events", "idle_after",
    "session_timeout", "instance", "max_reject_share", "max_reject_run", "step_minutes", "alerts", "worker_host",
    "worker_port",
)  # fmt: skip
@click.option("--drain", is_flag=True, help="When stopped, close the sessions still open (for replays of history).")
@log_level_option
def worker(drain: bool, log_level: str, **options: Any) -> None:
    """Turn events on Kafka into sessions in the lake, each exactly once.  Several share the partitions: docs/scale.md.

    It serves /health and /metrics.  Exit code 3: start it again; 4: look at its last words first.

    Example: yesladder worker --brokers localhost:9092 --ladder ladders/shop.toml
    """
    keep_freed_pages()

    from producers.topics import ensure_step_minutes, ensure_topic
    from stream.app import WorkerSettings, run_worker

    settings = read_settings(**options)
    connection = settings.connection()
    ladder = settings.load_ladder()
    if settings.worker_port != 0:
        check_port(settings.worker_host, settings.worker_port, "--worker-port")
    lake = _lake(settings)
    ensure_topic(connection, settings.topic, settings.partitions, settings.replication)
    segments = settings.load_alerts().segments if settings.step_minutes else ()
    if settings.step_minutes:
        ensure_step_minutes(connection, settings.step_minutes, settings.replication)
    run_worker(
        WorkerSettings(
            connection=connection,
            topic=settings.topic,
            group=settings.group,
            checkpoint_interval=settings.checkpoint_interval,
            checkpoint_events=settings.checkpoint_events,
            idle_after=settings.idle_after or None,
            drain=drain,
            step_minutes=settings.step_minutes or None,
            segments=segments,
            max_reject_share=settings.max_reject_share,
            max_reject_run=settings.max_reject_run,
            session_timeout=settings.session_timeout,
            instance=settings.instance or None,
            web_host=settings.worker_host,
            web_port=settings.worker_port,
            data_dir=settings.warehouse / "worker",
        ),
        ladder,
        lake,
        loglevel=log_level,
    )


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@settings_options("warehouse", "lake", "ladder")
@click.option(
    "--map", "mapping", help="Columns of csv and parquet files: visitor=COL,event=COL,time=COL[,user=COL,id=COL]."
)
@_json_option
def backfill(files: tuple[Path, ...], mapping: str | None, as_json: bool, **options: Any) -> None:
    """Files straight into the lake, without Kafka: ndjson (Segment spec), csv, parquet, each also as .gz.

    Give all files that belong together at once: sessions are cut over all of them.  The same files again add nothing.

    Example: yesladder backfill events.csv.gz --map visitor=uid,event=action,time=ts
    """
    from yesladder.backfill import backfill as run

    settings = read_settings(**options)
    ladder, columns = settings.load_ladder(), _columns(mapping)
    notes: list[str] = []
    with progress_bar("reading", sum(path.stat().st_size for path in files), quiet=as_json) as advance:
        done = run(
            files, _lake(settings), ladder, now=datetime.now(UTC), columns=columns, progress=advance, say=notes.append
        )
    if as_json:
        _print_json(done.to_dict())
    else:
        for note in notes:
            click.echo(note, err=True)
        click.echo(
            f"read {done.read:,} events: {done.landed:,} landed "
            f"({done.visitors:,} visitors, {done.sessions:,} sessions), "
            f"{done.duplicates:,} known already, {done.rejected:,} refused"
        )


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@settings_options(*_CONNECTION)
@click.option(
    "--map", "mapping", help="Columns of csv and parquet files: visitor=COL,event=COL,time=COL[,user=COL,id=COL]."
)
@click.option("--speed", help="Pace of event time, such as 60x.  [default: as fast as Kafka takes it]")
@_json_option
def replay(files: tuple[Path, ...], mapping: str | None, speed: str | None, as_json: bool, **options: Any) -> None:
    """Files onto Kafka, in their order.

    Example: yesladder replay day.ndjson.gz --brokers localhost:9092 --speed 60x
    """
    from producers.replay import parse_speed, replay as run

    settings = read_settings(**options)
    total = sum(path.stat().st_size for path in files)
    pace, columns = None if speed is None else parse_speed(speed), _columns(mapping)
    notes: list[str] = []
    with _publisher(settings) as publisher, progress_bar("replaying", total, quiet=as_json) as advance:
        done = run(files, publisher, columns=columns, speed=pace, progress=advance, say=notes.append)
    if as_json:
        _print_json({"read": done.read, "published": done.published, "rejected": done.rejected})
    else:
        for note in notes:
            click.echo(note, err=True)
        click.echo(
            f"read {done.read:,} events: {done.published:,} published, {done.rejected:,} refused (as dead letters)"
        )


@cli.command()
@settings_options("ladder", *_CONNECTION)
@click.option("--visitors", type=click.IntRange(min=1), default=2000, show_default=True, help="How many there are.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--start", type=click.DateTime(), default="2026-01-05", show_default=True, help="When it begins, UTC.")
@click.option("--duration", default="14d", show_default=True, help="How long it goes on.")
@click.option("--yes-rates", help="The yes-rate of each tier, such as 0.7,0.5,0.4,0.3,0.2.")
@click.option(
    "--spike",
    multiple=True,
    help="A drop-off spike: at=TIME,for=1h,factor=0.2[,step=STEP][,segment=search|ads|newsletter]",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="A file (.ndjson or .ndjson.gz), not Kafka."
)
@click.option(
    "--truth", type=click.Path(dir_okay=False, path_type=Path), help="File for the truth.  [default: beside --out]"
)
@_json_option
def simulate(
    visitors: int,
    seed: int,
    start: datetime,
    duration: str,
    yes_rates: str | None,
    spike: tuple[str, ...],
    out: Path | None,
    truth: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Imaginary visitors on your ladder, with the truth about them, onto Kafka or into a file.

    Momentum, leaps, segments, out-of-order, late, doubled and malformed events are all in it, and counted.

    Example: yesladder simulate --ladder ladders/shop.toml --visitors 5000 --out shop.ndjson.gz
    """
    from producers.simulate import publish_simulated, simulate as draw, write_simulated, write_truth
    from yesladder.simulated import simulation

    settings = read_settings(**options)
    simulated = draw(
        simulation(visitors, seed, start.replace(tzinfo=UTC), duration, yes_rates, spike), settings.load_ladder()
    )
    with progress_bar("simulating", len(simulated), quiet=as_json) as advance:
        if out is not None:
            beside = write_simulated(simulated, out, progress=advance)
            truth = beside if truth is None else write_truth(simulated, truth)
        else:
            with _publisher(settings) as publisher:
                publish_simulated(simulated, publisher, progress=advance)
            if truth is not None:
                write_truth(simulated, truth)
    result = {"items": len(simulated), "out": out and str(out), "truth": truth and str(truth)}
    if as_json:
        _print_json(result)
    else:
        click.echo(f"{len(simulated):,} events {'on ' + settings.topic if out is None else 'in ' + str(out)}")
        click.echo(f"the truth: {truth}" if truth else "(--truth FILE writes down what is true of them)")


@cli.command()
@settings_options("warehouse", "lake", "ladder", "engine", "spark_conf")
@click.option("--full", is_flag=True, help="Build every mart from scratch.")
@click.option("--accept", is_flag=True, help="Let in what the quality gate holds back.")
@click.option("--wait", is_flag=True, help="Load everything, then begin as soon as there are sessions.")
@_funnels_option
@_json_option
def build(full: bool, accept: bool, wait: bool, funnels: Path, as_json: bool, **options: Any) -> None:
    """Check what has landed (Great Expectations), then bring the marts (dbt) and the saved funnels up to date.

    With `--engine spark` the same SQL runs on Spark (docs/scale.md), and the marts end where DuckDB leaves them.

    Example: yesladder build --full
    """
    from answers.funnel_file import load_funnels
    from answers.funnel_kept import SavedFunnels
    from warehouse.build import build as run
    from warehouse.dbt_runs import prepare
    from warehouse.locks import build_lock
    from warehouse.quality import Gate
    from yesladder.landing import wait_for

    settings = read_settings(**options)
    lake, ladder = _lake(settings, must_exist=not wait), settings.load_ladder()
    saved = load_funnels(funnels) if funnels.exists() or funnels != _FUNNELS else {}
    with status("building the marts", quiet=as_json) as say, ExitStack() as stack:
        gate: Gate | None = None
        if wait:
            say("waiting for the first sessions")
            gate = stack.enter_context(Gate())
            with build_lock(settings.warehouse, datetime.now(UTC), patience_s=math.inf):
                prepare(lake.root.parent / "dbt")
            wait_for(lambda: bool(lake.files("sessions")), patience_s=math.inf)
        done = run(
            lake,
            ladder,
            full=full,
            accept=accept,
            gate=gate,
            progress=say,
            now=datetime.now(UTC),
            kept=SavedFunnels(saved, ladder),
            spark=settings.spark(),
        )
    if as_json:
        _print_json(done.to_dict())
    else:
        click.echo(done.summary())
    if done.held_back:
        raise YesladderError(done.held_back_message())


@cli.command()
@settings_options("warehouse", "lake", "ladder")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Only for what landed on this day (UTC) or later.  [default: all that is pending]",
)
@_json_option
def resessionise(since: datetime | None, as_json: bool, **options: Any) -> None:
    """Put late events into their sessions and take out copies that the stream could not know, beside the workers.

    Sessions that may still grow are left for the next pass.  Schedule it, once a night, before a build.

    Example: yesladder resessionise --since 2026-03-01
    """
    from yesladder.resessionise import resessionise as run

    settings = read_settings(**options)
    with status("looking at late events", quiet=as_json) as say:
        done = run(
            _lake(settings, must_exist=True),
            settings.load_ladder(),
            now=datetime.now(UTC),
            since=None if since is None else since.date(),
            progress=say,
        )
    if as_json:
        _print_json(done.to_dict())
    else:
        click.echo(done.summary())


@cli.command()
@settings_options("warehouse", "lake", "keep", "retain")
@click.option("--check", is_flag=True, help="Change nothing; read every file to its end and compare it with the log.")
@_json_option
def maintain(check: bool, as_json: bool, **options: Any) -> None:
    """Keep the lake small and quick: compact small files, delete replaced ones, sum up the logs.

    Workers and builds go on meanwhile.  Schedule it, once a day, after `resessionise` and before a build.

    Example: yesladder maintain --retain 400d
    """
    settings = read_settings(**options)
    lake = _lake(settings, must_exist=True)
    if check:
        _check(lake, as_json)
        return
    from warehouse.maintain import maintain as run

    with bars(quiet=as_json) as progress:
        tasks: dict[str, Any] = {}

        def tell(table: str, done: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = progress.add_task(f"compacting {table}", total=total, note="")
            progress.update(tasks[table], completed=done, total=total)

        done = run(lake, keep=settings.keep, retain=settings.retain, progress=tell, now=datetime.now(UTC))
    if as_json:
        _print_json(done.to_dict())
    else:
        click.echo(done.summary())


@cli.command()
@click.argument("visitors", nargs=-1, metavar="[VISITOR]...")
@settings_options("warehouse", "lake", "ladder")
@click.option("--anonymise", is_flag=True, help="Keep what happened and the counts, under new random ids.")
@click.option("--dry-run", is_flag=True, help="Say whom and what it would be, and change nothing.")
@click.option("--linked", type=click.IntRange(min=1), help="Needed for more than 20 visitors: how many they are.")
@_json_option
def erase(
    visitors: tuple[str, ...], anonymise: bool, dry_run: bool, linked: int | None, as_json: bool, **options: Any
) -> None:
    """Remove a person: events, sessions, dead letters, marts and pages; at once, and for good.

    VISITOR: any visitor or user id of theirs; ids that were seen together with it are theirs, too.  Without one, an
    erasure that was cut short is ended.

    Example: yesladder erase 97980cfea0067 --dry-run
    """
    from warehouse.erased import unfinished
    from warehouse.erasure import erase as run, find, resume

    def clock() -> datetime:
        return datetime.now(UTC)

    settings = read_settings(**options)
    lake, ladder = _lake(settings, must_exist=True), settings.load_ladder()
    mode: Mode = "anonymise" if anonymise else "erase"
    if dry_run and visitors:
        found = find(lake, visitors)
        if as_json:
            _print_json(found.to_dict())
        else:
            click.echo(found.summary())
        return
    left_over = unfinished(settings.warehouse)
    if not visitors and (dry_run or not left_over):
        raise UsageError("give the id of a visitor or user" + "; no erasure was cut short" * (not left_over))
    wanted = set(visitors)
    for begun in left_over.values():
        if wanted & set(begun["ids"]) and begun["mode"] != mode:
            raise UsageError(
                f"this was begun as {begun['mode']} and cut short: `yesladder erase` without an id ends it"
            )
        wanted -= set(begun["ids"])
    if wanted:
        find(lake, wanted)
    with status("erasing", quiet=as_json) as say:
        receipts = [resume(lake, ladder, name, linked=linked, progress=say, clock=clock) for name in left_over]
        if wanted:
            receipts.append(run(lake, ladder, wanted, mode=mode, linked=linked, progress=say, clock=clock))
    if as_json:
        _print_json([receipt.to_dict() for receipt in receipts])
    else:
        for receipt in receipts:
            click.echo(receipt.summary())


def _check(lake: Lake, as_json: bool) -> None:
    """Leave with 1 where the lake is not what its log says."""
    from warehouse.check import check, files_to_look_at

    with lake.upkeep(datetime.now(UTC)):
        total = files_to_look_at(lake)
        with progress_bar("checking", total, quiet=as_json) as advance:
            faults = check(lake, progress=advance)
    if as_json:
        _print_json({"ok": not faults, "files": total, "faults": [fault.to_dict() for fault in faults]})
    else:
        for fault in faults:
            click.echo(fault.line())
        click.echo(f"{total:,} files looked at: {f'{len(faults):,} faults' if faults else 'all is as the log says'}")
    if faults:
        sys.exit(1)


class _StepsCommand(click.Command):
    """Takes ``--steps A B C`` for ``--steps A --steps B --steps C``; the next option ends them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        in_steps = False
        for argument in args:
            if argument.startswith("--"):
                in_steps = argument == "--steps"
            if argument == "--steps":
                continue
            spread += ["--steps", argument] if in_steps else [argument]
        return super().parse_args(ctx, spread)


_A_STEP = click.IntRange(min=1)
_A_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@cli.command(cls=_StepsCommand)
@click.option(
    "--steps",
    multiple=True,
    metavar="STEP...",
    help="Names of events, or tier:NAME[:ROLE] and step:NAME[:ROLE] of the ladder (role yes where none is named).",
)
@click.option("--saved", metavar="NAME", help="A funnel from the file of saved funnels; then no other question.")
@_funnels_option
@click.option(
    "--order",
    type=click.Choice(["ordered", "strict", "unordered"]),
    help="strict: no other event of the unit between.  [default: ordered]",
)
@click.option("--window", help="How long an attempt may take, from its first step, inclusive.  [default: 14d]")
@click.option("--step-window", multiple=True, metavar="N:1h", help="How long step N may take from the step before.")
@click.option("--unit", metavar="UNIT", help="visitor, user, session or a property.  [default: visitor]")
@click.option(
    "--exclude", multiple=True, metavar="X[:1:2]", help="What must not happen after step 1 and before step 2."
)
@click.option("--where", metavar="EXPR", help="Only events of which this is true: plan = 'pro' and seats >= 5")
@click.option("--step-where", multiple=True, metavar="N:EXPR", help="The same for step N alone.")
@click.option("--optional", type=_A_STEP, multiple=True, metavar="N", help="Step N is counted and drops no one.")
@click.option(
    "--first-ever", type=_A_STEP, multiple=True, metavar="N", help="Step N: the unit's first such event ever."
)
@click.option("--first-matching", type=_A_STEP, multiple=True, metavar="N", help="... the first that fits the filters.")
@click.option("--by", metavar="PROPERTY", help="Break down by the values of a property.")
@click.option("--attribution", metavar="WHICH", help="Which value: first, last, step:N or all.  [default: first]")
@click.option("--hold", metavar="PROPERTY", help="All steps of an attempt share one value of it.")
@click.option("--since", type=_A_TIME, metavar="TIME", help="Attempts that begin then or later: 2026-03-01, UTC.")
@click.option("--until", type=_A_TIME, metavar="TIME", help="Attempts that begin before then; later steps may follow.")
@click.option(
    "--trend",
    type=click.Choice(["day", "week", "month"]),
    help="Also by when they began, those still on their way apart.",
)
@click.option("--list", "listed", type=_A_STEP, metavar="N", help="Also the ids of those who got to step N.")
@click.option("--histogram", is_flag=True, help="Also how the times are spread, step by step.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the steps as CSV.")
@settings_options("warehouse", "ladder")
@_json_option
def funnel(
    saved: str | None, funnels: Path, listed: int | None, histogram: bool, as_csv: bool, as_json: bool, **options: Any
) -> None:
    """How many go from step to step, how surely and how fast.  docs/funnel.md has the rules.

    Example: yesladder funnel --steps "Product Viewed" "Product Added" tier:macro --window 7d --by device_class
    """
    from answers.funnel import answer_question
    from answers.funnel_file import chosen
    from answers.funnel_kept import kept_answer
    from answers.funnel_table import FunnelTable, as_csv as csv_of

    if as_csv and (as_json or listed is not None or histogram or options["trend"] is not None):
        raise UsageError("--csv: has the steps alone; for --list, --histogram and --trend take --json instead")
    settings = read_settings(warehouse=options.pop("warehouse"), ladder=options.pop("ladder"))
    question = chosen(options, saved, funnels)
    if listed is not None and listed > len(question.steps):
        raise UsageError(f"--list: {listed} is no step; there are 1 to {len(question.steps)}")
    ladder = settings.load_ladder()
    found = None if saved is None else kept_answer(settings.warehouse, ladder, saved, question, listed=listed)
    if found is None:
        found = answer_question(settings.warehouse, ladder, question, listed=listed)
    if as_json:
        _print_json(found.to_dict(histogram=histogram))
    elif as_csv:
        click.echo(csv_of(found), nl=False)
    else:
        Console().print(FunnelTable(found, histogram=histogram))


@cli.command()
@click.argument("statement")
@settings_options("warehouse")
@click.option("--most", type=click.IntRange(1), default=1_000_000, show_default=True, help="Read so many rows at most.")
@_json_option
def sql(statement: str, most: int, as_json: bool, **options: Any) -> None:
    """A read-only query over the marts and the lake.

    Example: yesladder sql "select tier_name, asked, yes from fct_tier_totals where unit = 'session'"
    """
    from answers.result_table import ResultTable
    from warehouse.query import run_sql

    found = run_sql(read_settings(**options).warehouse, statement, most=most + 1)
    rows = found.slice(0, most)
    cut = f"only the first {most:,} rows were read; there are more (--most)" if found.num_rows > most else None
    if as_json:
        columns = [column.to_pylist() for column in rows.columns]
        _print_json({"columns": rows.column_names, "rows": list(zip(*columns, strict=True)), "cut": cut})
    else:
        Console().print(ResultTable(rows))
        if cut is not None:
            click.echo(cut, err=True)


@cli.command()
@settings_options("warehouse", "lake", "ladder", *_CONNECTION)
@_json_option
def doctor(as_json: bool, **options: Any) -> None:
    """What is wrong with this installation, and the fix.

    Example: yesladder doctor --brokers localhost:9092
    """
    from yesladder.doctor import examine

    findings = examine(options, now=datetime.now(UTC))
    if as_json:
        _print_json({"ok": all(f.level != "problem" for f in findings), "findings": [f.to_dict() for f in findings]})
    else:
        for finding in findings:
            click.echo(finding.line())
    if any(finding.level == "problem" for finding in findings):
        sys.exit(1)


def _lake(settings: Settings, *, must_exist: bool = False) -> Lake:
    if must_exist and not settings.has_lake():
        raise UsageError(
            f"{settings.warehouse} holds no lake yet; `yesladder backfill`, `yesladder up` or a worker makes one "
            "(or point --warehouse at another folder)"
        )
    return settings.open_lake()


@contextmanager
def _publisher(settings: Settings) -> Iterator[Publisher]:
    """A publisher to the settings' topic, which is made where it is missing."""
    from producers.kafka_publisher import KafkaPublisher
    from producers.topics import ensure_topic

    connection = settings.connection()
    ensure_topic(connection, settings.topic, settings.partitions, settings.replication)
    publisher = KafkaPublisher(connection, settings.topic)
    try:
        yield publisher
    finally:
        publisher.close(timeout_s=10)


def _columns(mapping: str | None) -> ColumnMap | None:
    from producers.columns import parse_columns

    return None if mapping is None else parse_columns(mapping)


for _command in (
    after_yes,
    alerts,
    audit,
    dashboard,
    hesitation,
    leaps,
    momentum,
    report,
    schedule,
    standing,
    tiers,
    too_soon,
    value_first,
    walk,
):
    cli.add_command(_command)
