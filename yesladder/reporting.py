"""The command `yesladder report`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import click

from ladder.errors import UsageError, YesladderError
from ladder.tiers import Ladder
from yesladder.datasets import ATTRIBUTION
from yesladder.options import json_option, print_json, settings_options
from yesladder.settings import read_settings
from yesladder.slices import days_options

if TYPE_CHECKING:
    from answers.facts import ReportFacts
    from answers.gather import Asked
    from answers.report_formats import Format
    from answers.sending import Carriers
    from answers.targets import Target


@click.command()
@settings_options("warehouse", "ladder")
@click.option(
    "--period",
    type=click.Choice(["day", "week", "month"]),
    help="On the last such period (UTC; weeks from Monday) that is over, and what changed against the one before.  "
    "[default: all days]",
)
@days_options
@click.option(
    "--unit", type=click.Choice(["session", "visitor"]), help="Of what the change is counted.  [default: session]"
)
@click.option(
    "--segment",
    metavar="COLUMN",
    help="Compare also by first touch: page_url, referrer, utm_source, utm_medium, utm_campaign or device_class.",
)
@click.option(
    "--format",
    "how",
    type=click.Choice(["html", "md", "pdf"]),
    help="[default: as the file's name ends, else html]",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file.  [default: WAREHOUSE/reports/report.html]"
)
@click.option(
    "--send",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="Also send it: mailto:ann@shop.example,ben@..., slack+https://..., https://..., s3://BUCKET/KEY or a path.",
)
@json_option
def report(
    period: str | None,
    since: datetime | None,
    until: datetime | None,
    unit: str | None,
    segment: str | None,
    how: str | None,
    out: Path | None,
    targets: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """One self-contained file: what changed, the ladder, its leaks, and the state of the data.

    With --period, --since or --until it is on these days alone and compares them with as much before.  --period week
    --until 2026-03-18 is on the last week that was over on that day.  docs/reports.md tells of sending and scheduling.

    Example: yesladder report --period week --format pdf --out friday.pdf
    """
    from answers.page import write_page
    from answers.report_formats import rendered
    from answers.targets import parse_target

    settings = read_settings(**options)
    now = datetime.now(UTC)
    asked = asked_of(period, since and since.date(), until and until.date(), unit, segment, today=now.date())
    chosen = _format(cast("Format | None", how), out)
    path = out or settings.warehouse / "reports" / f"report.{chosen}"
    wanted = [target for text in targets for target in parse_target(text)]
    by = settings.carriers()
    facts = facts_of(settings.warehouse, settings.load_ladder(), now=now, out=path, asked=asked)
    is_written = out is not None or not wanted
    if is_written:
        write_page(rendered(facts, chosen), path)
    sent, faults = _send_all(facts, chosen, wanted, by)
    if as_json:
        print_json({"report": str(path) if is_written else None, "sent": sent, "faults": faults, **told(facts)})
    else:
        for line in [*([str(path)] if is_written else []), *(f"sent to {name}" for name in sent)]:
            click.echo(line)
    if faults:
        raise YesladderError("; ".join(faults))


def _send_all(facts: ReportFacts, how: Format, targets: Sequence[Target], by: Carriers) -> tuple[list[str], list[str]]:
    """The names of the targets that got it, and what went wrong with the others."""
    from answers.letter import letter
    from answers.sending import SendingError, send

    sent: list[str] = []
    faults: list[str] = []
    if not targets:
        return sent, faults
    written = letter("report", facts, how, sender=uuid4().hex)
    for target in targets:
        try:
            send(written, target, by, say=lambda words: click.echo(words, err=True))
            sent.append(target.name)
        except YesladderError as error:
            is_unsure = isinstance(error, SendingError) and error.is_unsure
            faults.append(f"{error}; it may have arrived all the same" if is_unsure else str(error))
    return sent, faults


def facts_of(warehouse: Path, ladder: Ladder, *, now: datetime, out: Path, asked: Asked | None) -> ReportFacts:
    """What a report of this warehouse says, with whose data it is where that must be said."""
    from answers.gather import gather

    whose = warehouse / ATTRIBUTION
    return gather(
        warehouse,
        ladder,
        now=now,
        out=out,
        attribution=whose.read_text(encoding="utf-8") if whose.exists() else None,
        asked=asked,
    )


def told(facts: ReportFacts) -> dict[str, Any]:
    """For ``--json``: of which days it is, and what changed."""
    period = facts.period
    if period is None:
        return {}
    return {
        "since": period.days.since.isoformat(),
        "until": period.days.until.isoformat(),
        "before": period.before.since.isoformat(),
        "unit": period.unit,
        **({} if period.changes is None else period.changes.to_dict()),
    }


def asked_of(
    period: str | None, since: date | None, until: date | None, unit: str | None, segment: str | None, *, today: date
) -> Asked | None:
    """Which days the options ask for; None for all.  Raises ``UsageError`` for what does not go together."""
    from answers.gather import Asked
    from warehouse.periods import Days, Every, last_finished

    if period is None and since is None and until is None:
        if unit is not None or segment is not None:
            raise UsageError("--unit and --segment say what is compared with the time before; give --period or --since")
        return None
    if period is not None:
        if since is not None:
            raise UsageError("--since: --period says already when it begins; give --until, or leave --period out")
        every = cast("Every", period)
        days = last_finished(every, min(today, until or today))
        return Asked(days, every, unit or "session", segment)
    if since is None:
        raise UsageError("--until: give --period or --since with it")
    if since >= (until or today):
        raise UsageError(f"--since {since}: must be before --until {until or today}")
    if since > today:
        raise UsageError(f"--since {since}: these days are still to come; today is {today}, by UTC")
    return Asked(Days(since, until or today), None, unit or "session", segment)


def _format(how: Format | None, out: Path | None) -> Format:
    """As asked, else as the file's name ends.  Raises ``UsageError`` where the two do not agree."""
    from answers.report_formats import MEDIA_TYPES

    ending = "" if out is None else out.suffix.lower().removeprefix(".")
    other: dict[str, Format] = {"htm": "html", "markdown": "md"}
    of_name = other.get(ending) or next((one for one in MEDIA_TYPES if one == ending), None)
    if how is not None and of_name not in (None, how):
        raise UsageError(f"--format {how} and --out {out} do not agree; leave --format out, or name the file *.{how}")
    if how is None and of_name is None and ending:
        raise UsageError(
            f"--out {out}: no report ends in .{ending}; take {', '.join(f'.{one}' for one in MEDIA_TYPES)}"
        )
    return how or of_name or "html"
