"""No connection leaves this machine, whatever a command does; and what would phone home is told not to."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import OFFLINE, Watched
from tests.suites.command_line import environment

pytestmark = pytest.mark.long

LEAKS = {
    "a Python program": [
        sys.executable,
        "-c",
        "import contextlib, socket\n"
        "with contextlib.suppress(OSError), socket.socket() as s:\n"
        "    s.settimeout(1)\n"
        "    s.connect(('192.0.2.1', 80))\n",
    ],
    "a program in another language": ["bash", "-c", "timeout 1 bash -c 'echo > /dev/tcp/192.0.2.2/80' || true"],
    "a question for a name": [
        sys.executable,
        "-c",
        "import contextlib, socket\n"
        "with contextlib.suppress(OSError):\n"
        "    socket.getaddrinfo('telemetry.invalid', 443)\n",
    ],
}


def is_of_this_machine(event: str, argument: str) -> bool:
    """Whether an address as the audit hook tells it is the loopback's, a Unix socket's or none."""
    if event.startswith("socket.get"):
        return ast.literal_eval(argument) in (None, "localhost", b"localhost", "127.0.0.1", b"127.0.0.1", "::1")
    address: Any = ast.literal_eval(argument)
    return isinstance(address, str | bytes) or str(address[0]).startswith(("127.", "::1"))


def strangers(report: dict[str, Any]) -> list[list[str]]:
    asked = [one for one in report["asked"] if one[1].startswith("socket.")]
    return [one for one in asked if not is_of_this_machine(one[1], one[2])]


def test_no_python_process_of_any_command_asked_for_an_address_beyond_this_machine(watched: Watched) -> None:
    assert strangers(watched.report) == []


def test_no_process_of_any_language_had_a_socket_to_anywhere_else(watched: Watched) -> None:
    assert watched.report["seen"] == []


def test_the_kernel_had_to_refuse_nobody_a_way_out(watched: Watched) -> None:
    assert watched.report["refused_by_the_kernel"] == 0


def test_the_witness_was_there_in_every_part(watched: Watched) -> None:
    """The collector and the worker spoke to the broker, and were seen to."""
    programs = {asked[3] for asked in watched.report["asked"] if asked[1] == "socket.connect"}
    for part in (" collect ", " worker ", " demo "):
        assert any(part in f"{program} " for program in programs), part


@pytest.mark.parametrize("leak", LEAKS)
def test_who_does_ask_is_seen(leak: str, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, str(OFFLINE), str(tmp_path)],
        input=json.dumps([LEAKS[leak]]),
        env=environment(),
        text=True,
        timeout=60,
        check=True,
    )
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["commands"][0]["code"] == 0
    if leak == "a program in another language":
        assert report["refused_by_the_kernel"] + len(report["seen"]) > 0
    else:
        assert len(strangers(report)) == 1


def test_dbt_was_told_to_send_no_usage_statistics_and_to_look_for_no_newer_version(watched: Watched) -> None:
    """As dbt itself understood it: its run results keep the arguments it ran with."""
    run_results = watched.demo.folder / "dbt" / "target" / "run_results.json"
    arguments = json.loads(run_results.read_text(encoding="utf-8"))["args"]
    assert (arguments["send_anonymous_usage_stats"], arguments["version_check"]) == (False, False)


def test_great_expectations_is_told_to_send_no_analytics_before_it_is_imported(watched: Watched) -> None:
    assert {asked[2] for asked in watched.report["asked"] if asked[1] == "analytics"} == {"False"}
