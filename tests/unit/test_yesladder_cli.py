from __future__ import annotations

import errno
import json
import re
import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from ladder.errors import YesladderError
from yesladder import cli as module
from yesladder.cli import cli, main

Run = Callable[..., tuple[int, str, str]]


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `yesladder doctor` fail with this error."""

    def examine(*_: Any, **__: Any) -> list[Any]:
        raise error

    monkeypatch.setattr("yesladder.doctor.examine", examine)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_with_an_example_that_it_would_take(name: str, run: Run, tmp_path: Path) -> None:
    code, out, _ = run(name, "--help")
    assert code == 0
    (example,) = re.findall(r"^ +Example: (yesladder .*(?:\n +\S.*)*?)\n\n", out, re.MULTILINE)
    program, command, *arguments = shlex.split(re.sub(r"\s+", " ", example))
    assert (program, command) == ("yesladder", name)
    for argument in arguments:
        if re.search(r"\.(csv|ndjson|parquet)(\.gz)?$", argument):
            (tmp_path / argument).touch()
    cli.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_option_says_what_it_is_for(name: str) -> None:
    options = [param for param in cli.commands[name].params if isinstance(param, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_options_that_stand_for_settings_say_their_variable(run: Run) -> None:
    _, out, _ = run("worker", "--help")
    assert "[env: YESLADDER_CHECKPOINT_INTERVAL]" in re.sub(r"\s+", " ", out)


def test_help_is_no_failure(run: Run) -> None:
    assert run("--help")[0] == 0
    assert run("-h") == run("--help")


def test_no_command_at_all_shows_the_commands(run: Run) -> None:
    code, out, err = run()
    assert code == 2
    assert "Commands:" in out + err


WRONG = {
    "nonsense": "No such command 'nonsense'; see `yesladder --help`",
    "tiers --unit moon": "Invalid value for '--unit': 'moon' is not one of 'session', 'visitor'; "
    "see `yesladder tiers --help`",
    "backfill": "Missing argument 'FILES...'; see `yesladder backfill --help`",
    "backfill nowhere.csv": "Invalid value for 'FILES...': File 'nowhere.csv' does not exist; "
    "see `yesladder backfill --help`",
    "tiers --colour": "No such option: --colour; see `yesladder tiers --help`",
    "build --warehouse s3://bucket/lake": "warehouse (option --warehouse or YESLADDER_WAREHOUSE): must be a folder: "
    "the marts are a file of this machine; the lake's address is --lake's",
    "build --lake ftp://somewhere/lake": "ftp://somewhere/lake is no place for a lake: take a folder, or an address "
    "that begins with s3://, gs://, abfss://",
    "build --lake s3://key:secret@bucket/lake": "s3://...@bucket/lake: no password, ? or # belongs into a lake's "
    "address; credentials come from the environment",
    "build --ladder no.toml": "warehouse-data holds no lake yet; `yesladder backfill`, `yesladder up` or a worker "
    "makes one (or point --warehouse at another folder)",
    "tiers --ladder no.toml": "no.toml: there is no such ladder file",
    "tiers": "warehouse-data has no marts yet: run `yesladder build`",
    "tiers --trend day": "warehouse-data has no marts yet: run `yesladder build`",
    "tiers --segment moon": "there is no segment 'moon'; take page_url, referrer, utm_source, ",
    "value-first": "warehouse-data has no marts yet: run `yesladder build`",
    "standing": "warehouse-data has no marts yet: run `yesladder build`",
    "leaps": "warehouse-data has no marts yet: run `yesladder build`",
    "momentum": "warehouse-data has no marts yet: run `yesladder build`",
    "walk": "warehouse-data has no marts yet: run `yesladder build`",
    "walk ann": "warehouse-data has no marts yet: run `yesladder build`",
    "hesitation": "warehouse-data has no marts yet: run `yesladder build`",
    "after-yes": "warehouse-data has no marts yet: run `yesladder build`",
    "report": "warehouse-data has no marts yet: run `yesladder build`",
    "funnel --steps A B": "warehouse-data has no marts yet: run `yesladder build`",
    "funnel": '--steps: name at least one, such as --steps "Form Shown" "Signed Up", or use --saved NAME',
    "funnel --steps": "--steps: name at least one",
    "funnel --steps A B --step-window 1h": "--step-window: '1h' names no step; write it as '2:1h'",
    "funnel --steps A B --exclude X --order strict": "--exclude: says nothing of a strict funnel",
    "funnel --steps A --order any": "Invalid value for '--order': 'any' is not one of 'ordered', 'strict', ",
    "funnel --steps A B --list 3": "--list: 3 is no step; there are 1 to 2",
    "funnel --steps A --csv --json": "--csv: has the steps alone; for --list, --histogram and --trend take --json",
    "funnel --steps tier:moon": "'tier:moon': the ladder has no such tier; it has spark, micro, mini, midi, ",
    "funnel --saved x": "funnels.toml: there is no such file of funnels",
    "funnel --saved x --by plan": "--by: a saved funnel is asked as it stands in its file; leave it out, or --saved",
    "funnel --steps A --since soon": "Invalid value for '--since': 'soon' does not match the formats",
    "sql 'select 1'": "warehouse-data has no marts yet: run `yesladder build`",
    "sql 'drop table x'": "only one statement that reads can be run here, such as SELECT; this is DROP",
    "sql 'selec 1'": "the query cannot be read: ",
    "collect --port x": "port (option --port or YESLADDER_PORT): Input should be a valid integer",
    "worker": "no Kafka brokers given; use --brokers HOST:PORT or YESLADDER_BROKERS, ",
    "collect": "no Kafka brokers given; use --brokers HOST:PORT or YESLADDER_BROKERS, ",
    "worker --brokers here": "the broker 'here' is not of the form HOST:PORT",
    "demo --dataset moon": "there is no data set 'moon'; known are moodle_edify, otto_mini, snowplow_web and simulated",
    "demo --events 0": "Invalid value for '--events': 0 is not in the range x>=1; see `yesladder demo --help`",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_usage_is_told_in_one_line_and_ends_with_2(arguments: str, run: Run) -> None:
    code, out, err = run(*shlex.split(arguments))
    assert (code, out) == (2, "")
    assert err.startswith(f"yesladder: {WRONG[arguments]}")
    assert err.count("\n") == 1


def test_a_worker_whose_port_is_taken_says_so_in_one_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run("worker", "--brokers", "127.0.0.1:1", "--worker-port", str(port))
    assert (code, err) == (
        2,
        f"yesladder: cannot listen on 127.0.0.1:{port} (Address already in use);"
        " take another with --worker-port, or 0 for none\n",
    )


def test_a_demo_leaves_a_folder_alone_that_holds_no_demo(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    code, _, err = run("demo", "--dir", "mine")
    assert (code, err) == (
        2,
        "yesladder: mine is not empty and holds no demo; choose another folder with --dir\n",
    )
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_what_fails_is_told_in_one_line_and_ends_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, YesladderError("the thing broke; mend it"))
    assert run("doctor") == (1, "", "yesladder: the thing broke; mend it\n")


def test_what_the_machine_refuses_is_told_in_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "/data/lake"))
    assert run("doctor") == (1, "", "yesladder: [Errno 28] No space left on device: '/data/lake'\n")


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing(monkeypatch, ZeroDivisionError("ours"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["yesladder", "doctor"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_control_c_ends_with_130_and_a_word(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    code, _, err = run("doctor")
    assert (code, err.split()) == (130, ["stopped"])


def test_doctor_ends_with_1_where_there_is_a_problem_and_with_0_where_there_is_none(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("doctor", "--json")
    assert (code, json.loads(out)["ok"]) == (0, True)
    assert {finding["level"] for finding in json.loads(out)["findings"]} == {"ok", "note"}
    (tmp_path / "ladder.toml").write_text("tiers = 5", encoding="utf-8")
    code, out, _ = run("doctor", "--json")
    assert (code, json.loads(out)["ok"]) == (1, False)
    code, out, _ = run("doctor")
    assert code == 1
    assert out.count("PROBLEM ladder: ladder.toml, line 1, ") == 1


def test_json_of_backfill_is_one_object_and_nothing_else(run: Run, tmp_path: Path) -> None:
    line = {"type": "track", "userId": "u", "event": "E", "messageId": "1", "timestamp": "2026-11-22T20:00:00Z"}
    (tmp_path / "a.ndjson").write_text(json.dumps(line), encoding="utf-8")
    code, out, err = run("backfill", "a.ndjson", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"read": 1, "landed": 1, "duplicates": 0, "rejected": 0, "visitors": 1, "sessions": 1}
    code, out, _ = run("backfill", "a.ndjson")
    assert (code, out) == (
        0,
        "read 1 events: 0 landed (0 visitors, 0 sessions), 1 known already, 0 refused\n",
    )


def test_backfill_tells_how_it_understood_the_times_of_a_csv_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("who,what,at\nu,E,1700000000\nu,E,2026-11-22 20:00\n", encoding="utf-8")
    _, _, err = run("backfill", "a.csv", "--map", "visitor=who,event=what,time=at")
    assert "a.csv: at holds epoch seconds and ISO text without a zone, taken as UTC\n" in err


def test_the_environment_reaches_the_commands(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").touch()
    monkeypatch.setenv("YESLADDER_WAREHOUSE", "elsewhere")
    assert run("backfill", "a.ndjson", "--json")[0] == 0
    assert (tmp_path / "elsewhere" / "lake").is_dir()
    assert run("backfill", "a.ndjson", "--json", "--warehouse", "here")[0] == 0
    assert (tmp_path / "here" / "lake").is_dir()


def test_commands_do_not_import_what_only_others_need() -> None:
    """Help must come at once: the heavy libraries are imported by the commands that use them."""
    source = Path(module.__file__).read_text(encoding="utf-8")
    top = source.partition("\ndef main")[0].partition("if TYPE_CHECKING")[0]
    assert not re.search(r"import .*(polars|duckdb|faust|deltalake|kafka|warehouse|stream|producers)", top)
