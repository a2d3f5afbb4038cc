"""`yesladder schedule` and `report --send` as processes, between a mail server and a web server that fail at times."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.suites.command_line import YESLADDER, Service, environment
from tests.suites.mail_server import Mailbox
from tests.suites.reported_warehouse import reported_warehouse
from tests.suites.web_server import Web
from warehouse.quality import Gate
from yesladder.cli import main


@pytest.fixture(scope="module")
def built(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported_warehouse(gate, tmp_path_factory)


class Office:
    """A warehouse with a schedule of which a report was due a minute ago."""

    def __init__(self, built: Path, folder: Path, box: Mailbox, web: Web) -> None:
        self.folder = folder
        self.warehouse = built
        for path in built.glob("schedules*"):
            path.unlink()
        due = datetime.now(UTC) - timedelta(minutes=1)
        targets = ["mailto:ann@shop.example", web.url, f"slack+{web.url}", f"{folder}/out/"]
        self.file = folder / "schedules.toml"
        self.file.write_text(
            f'[daily]\nperiod = "day"\nat = "{due:%H:%M}"\nformat = "md"\ntargets = {json.dumps(targets)}\n',
            encoding="utf-8",
        )
        self.settings = {
            "warehouse": str(built),
            "ladder": str(built / "ladder.toml"),
            "smtp_host": "127.0.0.1",
            "smtp_port": str(box.port),
            "smtp_security": "none",
            "smtp_from": "reports@shop.example",
        }

    def begin(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*YESLADDER, "schedule", "run", "--once", "--json"],
            cwd=self.folder,
            env=environment(**self.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def once(self) -> tuple[int, list[dict[str, Any]]]:
        process = self.begin()
        out, _ = process.communicate(timeout=120)
        return process.returncode, json.loads(out)["reports"]


@pytest.fixture
def office(built: Path, tmp_path: Path, box: Mailbox, web: Web) -> Office:
    return Office(built, tmp_path, box, web)


Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """A command in this process and the office's folder: its exit code, output and error output."""
    monkeypatch.chdir(office.folder)
    for name, value in office.settings.items():
        monkeypatch.setenv(f"YESLADDER_{name.upper()}", value)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["yesladder", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, said.out, said.err

    return command


def wait_for(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 150
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_between_sending_and_noting_nothing_comes_twice_that_cannot_be_told(
    office: Office, box: Mailbox, web: Web, here: Here
) -> None:
    """The mail server, the webhook and the chat each hang with the report in their hands when the process is killed."""
    box.faults = ["hang"]
    process = office.begin()
    wait_for(lambda: len(box.arrived) == 1)
    process.kill()
    process.communicate()
    web.faults = ["hang"]
    process = office.begin()
    wait_for(lambda: len(web.calls) == 1)
    process.kill()
    process.communicate()
    web.faults = [200, "hang"]
    process = office.begin()
    wait_for(lambda: len(web.calls) == 3)
    process.kill()
    process.communicate()
    code, (report,) = office.once()
    assert code == 1
    assert [fault.split()[0] for fault in report["faults"]] == ["mail", "slack"]
    assert all("may have got it or not, and is not sent it again" in fault for fault in report["faults"])
    keys = [call.key for call in web.calls]
    assert len(box.ids) == 1
    assert keys == [keys[0], keys[0], None]
    assert keys[0] is not None
    assert office.once() == (0, [])
    last = json.loads(here("schedule", "list", "--json")[1])["schedules"][0]["last"]
    stages = sorted((one["target"].split()[0], one["stage"]) for one in last["deliveries"])
    assert stages == [("file", "sent"), ("mail", "unsure"), ("slack", "unsure"), ("webhook", "sent")]
    (file,) = (office.folder / "out").iterdir()
    assert file.read_text(encoding="utf-8").startswith("# small: where people drop off, ")


def test_two_schedulers_at_once_send_each_report_once(office: Office, box: Mailbox, web: Web) -> None:
    processes = [office.begin() for _ in range(2)]
    found = [json.loads(process.communicate(timeout=120)[0])["reports"] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(len(reports) for reports in found) == [0, 1]
    assert (len(box.arrived), len(web.calls)) == (1, 2)


def test_the_scheduler_goes_on_until_it_is_stopped(office: Office, here: Here, box: Mailbox, web: Web) -> None:
    web.faults = [404]
    web.words = b"[/red]no\x1b[31m hook\r\nhere"
    log = office.folder / "schedule.log"
    with Service("schedule", "run", cwd=office.folder, log=log, settings=office.settings) as service:
        service.until(lambda: "again" in service.words())
        assert service.stop(signal.SIGTERM) == 0
    assert len(box.arrived) == 1
    words = service.words()
    assert "sent mail ann@shop.example" in words
    assert "answered 404 [/red]no [31m hook  here" in words
    _, out, _ = here("schedule", "list")
    assert "daily" in out
    assert "[/red]no" in " ".join(out.split())
    assert "\x1b" not in out


def test_a_report_is_sent_by_hand_and_says_what_failed(box: Mailbox, web: Web, here: Here) -> None:
    web.faults = [410]
    to = ["--send", "mailto:ann@shop.example", "--send", web.url]
    code, out, error = here("report", "--period", "day", "--format", "md", *to)
    assert (code, out) == (1, "sent to mail ann@shop.example\n")
    assert error.startswith("yesladder: webhook 127.0.0.1 (")
    assert error.endswith(") answered 410 ok\n")
    assert len(box.arrived) == 1
    assert here("report", "--period", "day", "--format", "md", *to)[0] == 0
    assert len({*box.ids, *(call.key for call in web.calls)}) == 4


def test_what_is_missing_is_told_before_anything_is_sent(
    here: Here, box: Mailbox, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert here("schedule", "check")[0] == 0
    monkeypatch.delenv("YESLADDER_SMTP_HOST")
    for command in (["schedule", "check"], ["schedule", "run", "--once"], ["schedule", "run"]):
        code, out, error = here(*command)
        assert (code, out) == (2, "")
        assert error.startswith("yesladder: YESLADDER_SMTP_HOST and YESLADDER_SMTP_FROM: set them")
    assert (box.arrived, web.calls) == ([], [])


def test_marts_from_before_the_period_was_over_send_nothing(
    office: Office, here: Here, box: Mailbox, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build is made to lie two days back."""
    old = tmp_path / "old"
    shutil.copytree(office.warehouse, old, ignore=shutil.ignore_patterns("schedules*"))
    with duckdb.connect(str(old / "marts.duckdb")) as marts:
        marts.execute("update main.meta_builds set finished_at = finished_at - interval 2 day")
    monkeypatch.setenv("YESLADDER_WAREHOUSE", str(old))
    code, out, _ = here("schedule", "run", "--once", "--json")
    (report,) = json.loads(out)["reports"]
    assert code == 1
    assert report["faults"] == [
        "the report cannot be made yet: the marts were built before the period was over: run `yesladder build`"
    ]
    (last,) = [one["last"] for one in json.loads(here("schedule", "list", "--json")[1])["schedules"]]
    assert (last["attempts"], last["next_attempt_at"] is None) == (0, False)
    monkeypatch.setenv("YESLADDER_WAREHOUSE", str(tmp_path / "nothing"))
    (report,) = json.loads(here("schedule", "run", "--once", "--json")[1])["reports"]
    assert report["faults"][0].startswith("the report cannot be made yet: ")
    assert report["next_at"] is not None
    assert (box.arrived, web.calls) == ([], [])


def test_a_state_that_cannot_be_kept_is_told_in_one_line_and_nothing_is_sent(
    here: Here, office: Office, box: Mailbox, web: Web
) -> None:
    (office.warehouse / "schedules.sqlite").mkdir()
    code, out, error = here("schedule", "run", "--once")
    (office.warehouse / "schedules.sqlite").rmdir()
    assert (code, out) == (1, "")
    assert "schedules.sqlite: what was sent cannot be kept: unable to open" in error
    assert (box.arrived, web.calls) == ([], [])


def test_a_list_of_a_warehouse_that_is_not_there_makes_none(here: Here, tmp_path: Path) -> None:
    code, out, _ = here("schedule", "list", "--json", "--warehouse", str(tmp_path / "typo"))
    assert (code, json.loads(out)["schedules"][0]["last"]) == (0, None)
    assert not (tmp_path / "typo").exists()


def test_check_warns_of_a_report_on_days_that_are_long_over(here: Here, office: Office) -> None:
    office.file.write_text(
        '[late]\nperiod = "week"\nat = "thu 08:00"\ntargets = ["out/"]\n'
        '[good]\nperiod = "week"\nat = "mon 08:00"\ntargets = ["out/"]\n',
        encoding="utf-8",
    )
    late, good = here("schedule", "check")[1].splitlines()
    assert "(look at `at`: the week is over 3 days before)" in late
    assert "look at" not in good


@pytest.mark.parametrize("sender", ["shop reports@shop.example", "r@x y", "@"])
def test_check_refuses_whom_mails_cannot_be_from(here: Here, monkeypatch: pytest.MonkeyPatch, sender: str) -> None:
    monkeypatch.setenv("YESLADDER_SMTP_FROM", sender)
    code, _, error = here("schedule", "check")
    assert code == 2
    assert error.startswith("yesladder: YESLADDER_SMTP_FROM: ")


def test_a_stop_is_heard_while_a_report_is_sent(office: Office, box: Mailbox, web: Web) -> None:
    """The mail server is busy; the wait for the next attempt, and what comes after it, are left."""
    box.faults = ["too busy"] * 99
    log = office.folder / "schedule.log"
    with Service("schedule", "run", cwd=office.folder, log=log, settings=office.settings) as service:
        service.until(lambda: "again in a moment" in service.words())
        assert service.stop(signal.SIGTERM) == 0
    assert "the scheduler was stopped before all was sent" in service.words()
    assert web.calls == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--out", "x.docx"], "--out x.docx: no report ends in .docx; take .html, .md, .pdf"),
        (["--format", "pdf", "--out", "x.md"], "--format pdf and --out x.md do not agree"),
    ],
)
def test_a_file_is_not_called_what_it_is_not(here: Here, office: Office, given: list[str], words: str) -> None:
    code, _, error = here("report", *given)
    assert code == 2
    assert words in error
    assert not list(office.folder.glob("x.*"))
