"""`yesladder up`: everything in one place, and everything gone again after one Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.suites.command_line import Service, free_ports, run, run_json
from warehouse.built import MARTS
from warehouse.lake import Lake

LADDER = """
name = "two steps"
tiers = ["look", "buy"]
[[on]]
event = "Offer Shown"
is = [{ tier = "look", role = "yes" }, { tier = "buy", role = "ask" }]
[[on]]
event = "Bought"
is = [{ tier = "buy", role = "yes" }]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ladder.toml").write_text(LADDER, encoding="utf-8")
    return tmp_path


@pytest.fixture
def built(folder: Path) -> Path:
    """A folder whose first build need not be made ready for."""
    (folder / "warehouse-data").mkdir()
    (folder / "warehouse-data" / MARTS).touch()
    return folder


def up(folder: Path, log: str, *arguments: object, dashboard: bool = False, **settings: str) -> Service:
    quick = {"worker_port": "0", "alerts_port": "0", "dashboard_port": "0", "checkpoint_interval": "200ms"} | settings
    command = ["up", "--port", 0, "--kafka-port", free_ports(1)[0], *arguments]
    if not dashboard:
        command.append("--no-dashboard")
    return Service(*command, cwd=folder, log=folder / log, settings=quick)


def address(service: Service) -> str:
    """Where its collector takes requests, once it does."""
    service.until(lambda: "Ctrl-C stops all of it." in service.words())
    found = re.search(r"^collector +(http://\S+)", service.words(), re.MULTILINE)
    assert found is not None, service.words()
    return found[1]


def send(url: str, *names: str, visitor: str = "ann", ago: Sequence[timedelta] = ()) -> None:
    """Events of one visitor, of now or of so long ago."""
    batch = [{"type": "track", "messageId": uuid4().hex, "anonymousId": visitor, "event": name} for name in names]
    for event, before in zip(batch, ago, strict=False):
        event["timestamp"] = (datetime.now(UTC) - before).isoformat()
    answer = httpx.post(f"{url}/v1/batch", json={"batch": batch}, timeout=30)
    assert (answer.status_code, answer.json()["accepted"]) == (200, len(names))


def parts(folder: Path) -> dict[int, str]:
    """Processes that were started in this folder: number and command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if (entry / "cwd").readlink() == folder:
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found


def has_said(service: Service, words: str) -> bool:
    return words in service.words()


def until_none_is_left(folder: Path) -> None:
    end = time.monotonic() + 10
    while left := parts(folder):
        assert time.monotonic() < end, left
        time.sleep(0.05)


def part(folder: Path, name: str) -> int:
    """Its process; one that has just begun is known by its command only after a moment."""
    end = time.monotonic() + 10
    while True:
        found = [number for number, command in parts(folder).items() if f" {name} --brokers " in command]
        if len(found) == 1:
            return found[0]
        assert time.monotonic() < end, found
        time.sleep(0.02)


def count(folder: Path, table: str) -> int:
    return Lake(folder / "warehouse-data" / "lake").scan(table).collect().height


def test_what_it_took_is_in_the_lake_after_control_c_and_nothing_runs_on(folder: Path) -> None:
    with up(folder, "first.log", dashboard=True) as service:
        url = address(service)
        page = re.search(r"^dashboard +(http://\S+)", service.words(), re.MULTILINE)
        assert page is not None
        assert "No numbers yet" in httpx.get(f"{page[1]}/ladder", timeout=30).text
        send(url, "Offer Shown", "Offer Shown", visitor="bea", ago=[timedelta(hours=3), timedelta(hours=1)])
        service.until(
            lambda: re.search(r"<dd>2<small>events", httpx.get(f"{page[1]}/health", timeout=30).text) is not None
        )
        # Built as soon as there was a session that is over.
        service.until(lambda: "marts are up to date" in service.words(), patience_s=120)
        assert "No numbers yet" not in httpx.get(f"{page[1]}/ladder", timeout=30).text
        send(url, "Offer Shown", "Bought")
        assert service.stop(signal.SIGINT) == 0
    assert (count(folder, "events"), count(folder, "sessions")) == (4, 3)
    until_none_is_left(folder)
    said = service.words()
    assert "Traceback" not in said
    assert said.rstrip().endswith("stopping: collector, worker, dashboard, broker")

    (folder / "schedules.toml").write_text(
        '[weekly]\nperiod = "week"\nat = "mon 08:00"\ntargets = ["out/"]\n', encoding="utf-8"
    )
    # Its broker has forgotten all of it; a second life goes on in the same lake, and builds the marts now and then.
    with up(folder, "second.log", "--ladder", folder / "ladder.toml", build_every="1s", upkeep_every="3s") as service:
        send(address(service), "Offer Shown", visitor="ben")
        service.until(lambda: "marts are up to date" in service.words(), patience_s=120)
        service.until(lambda: "  maintain: files now: events " in service.words(), patience_s=120)
        assert "  resessionise: " in service.words()
        assert "reports    sent by schedules.toml" in service.words()
        scheduler = folder / "warehouse-data" / "logs" / "scheduler.log"
        assert scheduler.read_text(encoding="utf-8") == "sending by schedules.toml: weekly\n"
        assert service.stop(signal.SIGTERM) == 0
    assert (count(folder, "events"), count(folder, "sessions")) == (5, 4)
    until_none_is_left(folder)
    built = run_json("sql", "select visitor_id, yeses from fct_sessions order by started_at", cwd=folder)
    assert built["rows"] == [["bea", 1], ["bea", 1], ["ann", 2]], "ben's session was open when the marts were built"


def test_parts_that_are_killed_are_started_again_and_nothing_is_lost(built: Path) -> None:
    folder = built
    (folder / "alerts.toml").write_text('segments = ["device_class"]\n', encoding="utf-8")
    with up(folder, "up.log") as service:
        url = address(service)
        send(url, "Offer Shown")
        # Dead letters are records of their own, here several in one of Kafka's batches.
        answer = httpx.post(f"{url}/v1/batch", json={"batch": [{}] * 7}, timeout=30)
        assert (answer.status_code, answer.json()["rejected"]) == (200, 7)
        service.until(lambda: count(folder, "rejects") == 7)
        for name, command in (("alert agent", "alerts"), ("worker", "worker"), ("collector", "collect")):
            first = part(folder, command)
            os.kill(first, signal.SIGKILL)
            service.until(partial(has_said, service, f"the {name} died and was started again"))
            assert part(folder, command) != first
        log = folder / "warehouse-data" / "logs" / "collector.log"
        service.until(lambda: log.read_text(encoding="utf-8").count("collecting at ") == 2)
        url = log.read_text(encoding="utf-8").rpartition("collecting at ")[2].strip()
        send(url, "Bought")
        assert service.stop(signal.SIGINT) == 0
    assert (count(folder, "events"), count(folder, "rejects"), count(folder, "sessions")) == (2, 7, 1)
    until_none_is_left(folder)


def test_when_it_is_killed_itself_its_parts_end_too(built: Path) -> None:
    folder = built
    with up(folder, "up.log") as service:
        send(address(service), "Offer Shown")
        assert len(parts(folder)) >= 4
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    end = time.monotonic() + 30
    while left := parts(folder):
        assert time.monotonic() < end, left
        time.sleep(0.1)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        yield port


TAKEN: dict[str, Callable[[int], tuple[list[object], int, str]]] = {
    "the collector's": lambda port: (
        ["--port", port, "--kafka-port", free_ports(1)[0], "--dashboard-port", 0],
        1,
        r"yesladder: the collector did not start: "
        rf"yesladder: cannot listen on 127\.0\.0\.1:{port} .*; choose another address or port",
    ),
    "the broker's": lambda port: (
        ["--port", 0, "--kafka-port", port],
        2,
        rf"yesladder: .* 127\.0\.0\.1:{port}: the port is taken; take another with --kafka-port, or give --brokers",
    ),
}


@pytest.mark.parametrize("whose", TAKEN)
def test_a_port_that_is_taken_is_told_at_once_and_nothing_is_left_running(whose: str, taken: int, folder: Path) -> None:
    arguments, code, words = TAKEN[whose](taken)
    done = run("up", *arguments, cwd=folder, settings={"worker_port": "0"})
    assert done.returncode == code
    assert re.fullmatch(words, done.stderr.strip().splitlines()[-1].partition(" (all of it")[0])
    assert "Traceback" not in done.stderr
    until_none_is_left(folder)


def test_a_wrong_ladder_is_told_before_anything_starts(folder: Path) -> None:
    (folder / "ladder.toml").write_text("name = 'x'\ntiers = ['one']\n", encoding="utf-8")
    done = run("up", cwd=folder)
    assert done.returncode == 2
    assert re.fullmatch(r"yesladder: ladder\.toml, line 2, tiers: .*\n", done.stderr)
    assert not (folder / "warehouse-data").exists()
