"""The alert agent put together: its desk on this warehouse, its sinks with their secrets, its app."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from ladder.errors import UsageError
from stream.alerts_app import AgentSettings, create_app, run_agent
from stream.alerts_config import AlertsConfig, Sink, wrong_with_header
from stream.alerts_delivery import HttpSink, NotTaken, Refused, keep_addresses_out_of_the_log
from stream.alerts_desk import Desk, Places
from stream.alerts_notice import Alert, identity
from stream.alerts_sinks import TEST
from stream.alerts_watch import Watched
from warehouse.alerts_marks import Notes
from warehouse.alerts_outbox import Outbox
from warehouse.alerts_snapshots import Snapshots
from warehouse.alerts_table import AlertsTable
from warehouse.built import ladder_hash
from yesladder.alerts_history import read_past
from yesladder.ports import check_port
from yesladder.settings import Settings, secret

SinkInForce = tuple[Sink, str, Mapping[str, str]]
"""A sink, its address and its headers."""


def folder_of(warehouse: Path) -> Path:
    """Where the agent keeps its snapshots, notes and outbox."""
    return warehouse / "alerts"


def notes_of(warehouse: Path) -> Notes:
    """Marks and mutes of this warehouse."""
    return Notes(folder_of(warehouse) / "marks")


def run_alerts(settings: Settings, say: Callable[[Alert], None], *, loglevel: str = "WARN") -> None:
    """Run the agent until it is stopped.  Raises ``UsageError`` for what is wrong before it starts."""
    from producers.topics import ensure_step_minutes, ensure_topic

    if not settings.step_minutes:
        raise UsageError("--step-minutes is empty: workers count nothing, so there is nothing to read")
    ladder, config = settings.load_ladder(), settings.load_alerts()
    connection = settings.connection()
    sinks = sinks_in_force(config)
    if settings.alerts_port != 0:
        check_port(settings.alerts_host, settings.alerts_port, "--alerts-port")
    lake = settings.open_lake()
    outbox = Outbox(folder_of(settings.warehouse) / "deliveries.sqlite")
    watched = Watched(
        ladder=ladder.name,
        ladder_hash=ladder_hash(ladder),
        source=f"kafka:{settings.topic}",
        topic=settings.step_minutes,
        segments=config.segments,
        grace=config.grace,
    )
    places = Places(
        table=lambda: AlertsTable(lake, ladder.name),
        outbox=outbox,
        snapshots=Snapshots(folder_of(settings.warehouse)),
        notes=notes_of(settings.warehouse),
        past=lambda: read_past(lake, ladder, config.segments, watched.source),
    )
    ensure_step_minutes(connection, settings.step_minutes, settings.replication)
    ensure_topic(connection, settings.alerts_topic, 1, settings.replication)
    app = create_app(
        AgentSettings(
            connection=connection,
            topic=settings.step_minutes,
            alerts_topic=settings.alerts_topic,
            group=settings.alerts_group,
            session_timeout=settings.session_timeout,
            web_host=settings.alerts_host,
            web_port=settings.alerts_port,
            data_dir=folder_of(settings.warehouse),
        ),
        Desk(watched, config, ladder, places, say=say),
        outbox,
        sinks,
    )
    run_agent(app, loglevel=loglevel)


def sinks_in_force(config: AlertsConfig) -> dict[str, SinkInForce]:
    """The sinks by name, with what the environment says of them.  Raises ``UsageError``."""
    found: dict[str, SinkInForce] = {}
    for sink in config.sinks:
        whose = f"the sink {sink.name}"
        url = sink.url if sink.url_env is None else secret(sink.url_env, f"{whose}, url_env,")
        headers = dict(sink.headers)
        for header, variable in sink.header_env.items():
            headers[header] = secret(variable, f"{whose}, header_env,")
            if (wrong := wrong_with_header(header, headers[header])) is not None:
                raise UsageError(f"{whose}, header_env, {variable}: {wrong}")
        if url is None or not url.startswith(("https://", "http://")):
            raise UsageError(f"{whose}: its address does not begin with https:// or http://")
        found[sink.name] = (sink, url, headers)
    return found


def try_sinks(settings: Settings, now: datetime) -> list[dict[str, Any]]:
    """Send each sink a message that says it is a test; what came of it, sink by sink."""
    config, ladder = settings.load_alerts(), settings.load_ladder()
    keep_addresses_out_of_the_log()
    alert = _test_alert(ladder.name, ladder.tiers[0], config.dashboard, now)

    async def send_all() -> list[dict[str, Any]]:
        async with httpx.AsyncClient() as client:
            return [await _sent(HttpSink(*in_force, client), alert) for in_force in sinks_in_force(config).values()]

    return asyncio.run(send_all())


def log_as_json() -> None:
    """Have the log's lines be JSON objects."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


async def _sent(sink: HttpSink, alert: Alert) -> dict[str, Any]:
    try:
        said = await sink.post(f"{alert.notice_id}-{sink.sink.name}", alert.to_dict())
    except (NotTaken, Refused) as error:
        return {"sink": sink.sink.name, "ok": False, "said": str(error)}
    return {"sink": sink.sink.name, "ok": True, "said": said}


def _test_alert(ladder: str, tier: str, dashboard: str | None, now: datetime) -> Alert:
    minute = now.replace(second=0, microsecond=0)
    return Alert(
        notice_id=identity("test", now.isoformat()),
        alert_id=TEST,
        what="raised",
        ladder=ladder,
        tier=1,
        tier_name=tier,
        step="this is a test, nothing has happened",
        segment=(),
        kind="drop",
        minute=minute,
        raised=minute,
        since=minute,
        fall=0.4,
        lost=0.0,
        lost_low=0.0,
        lost_high=0.0,
        volume=0.0,
        sure=True,
        links={} if dashboard is None else {"alert": f"{dashboard}/alerts/test"},
    )
